"""
Wait for many pipelines that Hevo runs by its own schedule, and hold no worker for it, not even for a second.

A deferred sensor has a worker twice: for its first poll, and for its end. With ``start_from_trigger=True`` Airflow 3.3
starts it in the triggerer, where it also ends if its job has completed; its XComs are there all the same. Only one that
does not end well needs a worker, who says why. Earlier versions of Airflow ignore the parameter.

Each sensor is a task of its own, because a mapped task cannot start in the triggerer, and its pipeline is a number,
because the triggerer renders ``completed_after`` and no other template. Where one of these cannot be kept, the sensor
is started by a worker, as without the parameter.

To run it, put the numbers of pipelines with a schedule of their own below, and let this DAG run as often as Hevo does.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from hevo_provider.sensors import HevoSensor

PIPELINES = [6, 11]


@task
def report(jobs: list[dict[str, Any]]) -> list[str]:
    """Say what Hevo has loaded."""
    return [f"pipeline {job['pipeline_id']}: {job.get('events_loaded', '?')} events loaded" for job in jobs]


with DAG("hevo_without_worker", schedule=None, catchup=False, doc_md=__doc__, tags=["hevo"]):
    sensors = [
        HevoSensor(
            task_id=f"wait_{pipeline}",
            pipeline_id=pipeline,
            # A run that was started by hand has no interval on Airflow 3.
            completed_after="{{ data_interval_end | default(dag_run.run_after) }}",
            poke_interval=5,  # the default of 20 suits jobs that take minutes
            timeout=3600,
            start_from_trigger=True,
        )
        for pipeline in PIPELINES
    ]
    report([sensor.output["hevo_job"] for sensor in sensors])
