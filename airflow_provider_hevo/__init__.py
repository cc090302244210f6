"""
Where Airflow 3.3 and later look for this provider's example DAGs: the name of the distribution, as a package.

It logs an error for each start of a DAG processor where there is none. In the repository ``example_dags`` is a link
to the folder of that name at the top, which is the one source; in the wheel it is a copy. The provider itself is
``hevo_provider``.
"""
