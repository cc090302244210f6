"""Tests on a real Airflow in the shape in which it is run in production: PostgreSQL, Redis, Celery (make cluster)."""
