"""The paths of the vendor's own package (``airflow.hevo``)."""
