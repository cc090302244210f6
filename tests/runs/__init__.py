"""What it means to run a pipeline: start one job, find it, follow it, and outlive what happens meanwhile."""
