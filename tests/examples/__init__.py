"""The example DAGs, run."""
