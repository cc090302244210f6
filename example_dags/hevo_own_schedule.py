"""
Wait for what Hevo's own schedule loads, and hear at once where that goes wrong.

Hevo runs the pipeline by itself; this DAG starts nothing. Its sensor succeeds with the first job that has completed
since the end of the run's interval, also with one that was over before the sensor began. A job that ended badly since
would be waited past, for a later one may complete; with ``fail_on_bad_job=True`` it fails the sensor instead, which
names the job, its counters and the objects that failed. A later completed job makes up for it, so that a retry of the
task, or a cleared one, succeeds once Hevo has mended it.

To run it, put the number of a pipeline with a schedule of its own below, and let this DAG run as often as Hevo does.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from hevo_provider.sensors import HevoSensor


@task
def report(job: dict[str, Any]) -> str:
    """Say what Hevo has loaded."""
    loaded = f"{job['events_loaded']:,} events loaded" if "events_loaded" in job else "loaded"  # Hevo may leave it out
    return f"job {job['job_id']}: {loaded}"


with DAG("hevo_own_schedule", schedule=None, catchup=False, doc_md=__doc__, tags=["hevo"]):
    wait = HevoSensor(
        task_id="wait",
        pipeline_id=6,
        # A run that was started by hand has no interval on Airflow 3.
        completed_after="{{ data_interval_end | default(dag_run.run_after) }}",
        fail_on_bad_job=True,
        poke_interval=5,  # the default of 20 suits jobs that take minutes
        timeout=3600,  # longer than Hevo's own interval: no job at all is a time-out
    )
    report(wait.output["hevo_job"])
