"""The test suite, in folders by wing; real-Airflow tests are in e2e."""
