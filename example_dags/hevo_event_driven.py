"""
Start when a Hevo pipeline has finished a job, whoever started it: Hevo's own schedule, another DAG, a person.

The asset is watched in the triggerer, which polls the pipeline every few seconds for all DAGs that start with it. A run
may have more than one event, for jobs that ended within seconds of each other. What an event says of its job is under
``payload`` in its ``extra``; an event that a person has made says nothing, or what that person wrote.

To run it, have Airflow 3 and a triggerer running, put the number of one of your pipelines below, and add a connection
``hevo_airflow_conn_id`` as for ``hevo_deferred_sync``. Then unpause the DAG: a paused one is not watched for.
"""

from __future__ import annotations

from typing import Any

from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import DAG, task  # airflow.sdk, where only Airflow 3 matters

if not airflow_version.startswith("2."):  # which may read this folder too, and cannot start a DAG by such an event
    from hevo_provider.assets import hevo_pipeline_asset

    stock = hevo_pipeline_asset(
        6,
        job_types="INCREMENTAL",  # jobs of other types start nothing; without it, those of any type do
        poll_interval=5,  # the default of 30 suits jobs that take minutes
    )

    @task
    def report(triggering_asset_events: Any = None) -> list[str]:
        """Say what was loaded, once for each job: a lost triggerer may send an event twice."""
        payloads = [(event.extra or {}).get("payload") for event in triggering_asset_events[stock]]
        told = [job for job in payloads if isinstance(job, dict) and "job_id" in job]
        jobs = {job["job_id"]: job for job in told}
        lines = [
            f"job {job_id}: {job['events_loaded']:,} events loaded" if "events_loaded" in job else f"job {job_id}"
            for job_id, job in jobs.items()  # Hevo may leave the counter out
        ]
        if len(told) < len(payloads):
            lines.append("an event that tells of no job")
        for line in lines:
            print(line)  # noqa: T201 - into the task's log
        return lines

    with DAG("hevo_event_driven", schedule=[stock], catchup=False, doc_md=__doc__, tags=["hevo"]):
        report()
