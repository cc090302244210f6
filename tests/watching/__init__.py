"""One watch of a pipeline for all DAGs that start with its jobs."""
