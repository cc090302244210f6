"""What operators, sensors and their trigger do, and what they tell."""
