"""What the vendor's package offers, as data, and that all of it works here."""
