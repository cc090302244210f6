"""Watching a pipeline for ever, for DAGs that start when one of its jobs has ended. There is no run here."""
