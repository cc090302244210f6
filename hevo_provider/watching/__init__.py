"""
Watching a pipeline for ever, for DAGs that start when one of its jobs has ended. There is no run here.

``poll`` asks Hevo on behalf of all who watch a pipeline, and outlives whatever goes wrong; a ``round`` is what it has
shown at one time; a ``watcher`` says which of that is news, and stores what it has told as a ``watermark``. Of these
only ``poll`` knows of Airflow: it opens the connection.

To *tell* a job means, here and in what is stored: to send Airflow the event that it has ended.
"""
