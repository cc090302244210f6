"""
What it means to run a pipeline: check and start it, find the job that was started, wait for its end.

``run`` holds what is known, ``discovery`` tells whose job is whose, ``start`` sends the one POST and belongs to
workers, ``wait`` only looks and belongs anywhere, ``resume`` goes on after a lost worker, ``cancel`` ends what was
started, ``since`` looks for what Hevo ran by itself, ``verdict`` says what that means. Nothing here knows of Airflow.
"""
