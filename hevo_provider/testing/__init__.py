"""A DAG of a user's, run by Airflow itself in the user's own test, against a local Hevo and without waiting."""
