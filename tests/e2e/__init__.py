"""Tests on a real Airflow, the laboratory they run in, and the demo that shares it."""
