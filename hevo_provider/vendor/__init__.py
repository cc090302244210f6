"""
The names of the vendor's package (``airflow.hevo``), as thin layers over this one's.

Nothing here is imported by the rest of the package: only what imports ``airflow.hevo`` (see ``vendor_paths``) loads it.
Names, parameters and their meanings are the vendor's; all that runs is this package's. What differs is told in
``docs/moving-over.md``.
"""
