"""Airflow provider for Hevo Data. Holds the version and nothing else: every Airflow process imports this package."""

__version__ = "1.0.0"
