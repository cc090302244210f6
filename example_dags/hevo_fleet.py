"""
Sync a fleet of Hevo pipelines, some at a time, and end with a table of what each of them has loaded.

One task is mapped over the pipelines, and at most eight of its instances are at work or wait: so many jobs Hevo has at
a time. Before Airflow 3.2 ``max_active_tis_per_dag`` does not count instances that wait in the triggerer. A pool does,
and it can limit several DAGs together. Make it, and name it to the processes of Airflow that read DAGs::

    airflow pools set hevo 8 "Hevo jobs at a time" --include-deferred
    export HEVO_POOL=hevo

Without ``--include-deferred`` a task takes a slot of its pool only while it holds a worker, for a second or so, and
nothing limits the jobs. Airflow starts no task whose pool does not exist, and says so in the scheduler's log alone: so
this DAG uses the default pool unless it is told another. No worker is held while Hevo works: the last column of the
table shows for how long one was, beside the time that its process took to start.

The last task runs whatever becomes of the others. So it has to fail if one of them did: Airflow judges a run by its
last tasks.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from typing import Any

from airflow.providers.common.compat.sdk import DAG, Param, get_current_context, task

from hevo_provider.operators import HevoPipelineOperator

PIPELINES = list(range(101, 131))  # in your account; a run can be given others, as its parameter "pipelines"
AT_A_TIME = 8
POOL = os.environ.get("HEVO_POOL", "default_pool")


@task
def fleet() -> list[int]:
    """Return the pipelines to sync."""
    return list(get_current_context()["params"]["pipelines"])


@task(trigger_rule="all_done")
def sum_up(pipelines: list[int], jobs: Iterable[dict[str, Any]]) -> None:
    """Log what each pipeline has loaded, and fail if one of them has not."""
    found = {job["pipeline_id"]: job for job in jobs}  # none where a task failed before it had a job
    rows = [("pipeline", "job", "events", "job took", "held a worker")]
    rows += [row_of(pipeline, found.get(pipeline, {})) for pipeline in pipelines]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    logging.getLogger(__name__).info("What was loaded:\n%s", "\n".join(lines))
    failed = [pipeline for pipeline in pipelines if found.get(pipeline, {}).get("status") != "COMPLETED"]
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(pipelines)} pipelines were not loaded: {failed}")


def row_of(pipeline: int, job: dict[str, Any]) -> tuple[str, str, str, str, str]:
    """Return a line of the table, in words; Hevo may leave out any of these."""
    return (
        str(pipeline),
        job.get("status", "none"),
        f"{job['events_loaded']:,}" if "events_loaded" in job else "",
        f"{job['duration'] / 1000:.1f} s" if "duration" in job else "",
        f"{job['worker_seconds']:.2f} s" if "worker_seconds" in job else "",
    )


with DAG(
    "hevo_fleet",
    schedule=None,
    catchup=False,
    max_active_runs=1,  # two runs of one pipeline at the same time could not tell their jobs apart
    doc_md=__doc__,
    params={
        "pipelines": Param(
            PIPELINES,
            type="array",
            items={"type": "integer"},
            title="Pipelines",
            description="Numbers of the pipelines to sync, as in their addresses in Hevo.",
        )
    },
    tags=["hevo"],
):
    pipelines = fleet()
    sync = HevoPipelineOperator.partial(
        task_id="sync",
        poll_interval=5,
        pool=POOL,
        max_active_tis_per_dag=AT_A_TIME,
        map_index_template="{{ task.pipeline_id }}",  # what the page calls each of them
    ).expand(pipeline_id=pipelines)
    sum_up(pipelines, sync.output["hevo_job"])
