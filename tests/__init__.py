"""The test suite: unit tests on the sandbox, and real-Airflow tests in e2e."""
