"""What holds the package together: what imports what, versions, and what Airflow is told."""
