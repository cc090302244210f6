"""The DAGs of the real-Airflow tests. A run's conf says, by task id, which pipeline each task is for."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import DAG, Asset, get_current_context, task

from hevo_provider.models.pipeline import PipelineAction
from hevo_provider.operators import HevoPipelineOperator, HevoResyncObjectsOperator
from hevo_provider.sensors import HevoSensor

PIPELINE = "{{ dag_run.conf[task.task_id] }}"
JOB_OF_START = "{{ ti.xcom_pull(task_ids='start') }}"
SENSOR_MODES = (("poke", "poke", False), ("reschedule", "reschedule", False), ("deferrable", "poke", True))

with DAG("operator_modes", schedule=None, catchup=False):
    for task_id, deferrable, wait_for_completion in (
        ("deferred", True, True),
        ("deferred_until_found", True, False),
        ("blocking", False, True),
        ("blocking_until_found", False, False),
    ):
        HevoPipelineOperator(
            task_id=task_id,
            pipeline_id=PIPELINE,
            poll_interval=1,
            deferrable=deferrable,
            wait_for_completion=wait_for_completion,
        )

with DAG("job_ends", schedule=None, catchup=False):
    HevoPipelineOperator(task_id="failed", pipeline_id=PIPELINE, poll_interval=1)
    HevoPipelineOperator(task_id="failed_blocking", pipeline_id=PIPELINE, poll_interval=1, deferrable=False)
    HevoPipelineOperator(task_id="partly_failed", pipeline_id=PIPELINE, poll_interval=1)
    HevoPipelineOperator(
        task_id="resync_partly_failed_and_accepted",
        pipeline_id=PIPELINE,
        action=PipelineAction.RESYNC,
        poll_interval=1,
        accept_completed_with_failures=True,
    )

with DAG("jobs_deferred_by_the_source", schedule=None, catchup=False):
    for task_id, on_deferred, deferrable in (
        ("failed", "fail", True),
        ("accepted", "accept", True),
        ("gone_on", "continue", True),
        ("gone_on_blocking", "continue", False),
    ):
        HevoPipelineOperator(
            task_id=task_id,
            pipeline_id=PIPELINE,
            action=PipelineAction.RESYNC,
            poll_interval=1,
            on_deferred=on_deferred,
            deferrable=deferrable,
        )

with DAG("active_job_cancelled", schedule=None, catchup=False):
    for task_id, deferrable in (("deferred", True), ("blocking", False)):
        HevoPipelineOperator(
            task_id=task_id,
            pipeline_id=PIPELINE,
            poll_interval=1,
            on_active_job="cancel",
            ensure_new_job=True,
            deferrable=deferrable,
        )

with DAG("pipeline_by_name", schedule=None, catchup=False):
    operator = HevoPipelineOperator(task_id="operator", pipeline_name=PIPELINE, poll_interval=1)
    operator >> HevoSensor(
        task_id="sensor",
        pipeline_name="{{ dag_run.conf['operator'] }}",
        job_id="{{ ti.xcom_pull(task_ids='operator') }}",
        poke_interval=1,
    )

with DAG("resync_objects", schedule=None, catchup=False):
    for task_id, deferrable in (("deferred", True), ("blocking", False)):
        HevoResyncObjectsOperator(
            task_id=task_id,
            pipeline_id=PIPELINE,
            objects=["public.cust*"],
            poll_interval=1,
            deferrable=deferrable,
            outlets=[Asset(f"hevo://e2e/{task_id}")],
        )

with DAG("sensor_modes", schedule=None, catchup=False):
    start = HevoPipelineOperator(task_id="start", pipeline_id=PIPELINE, wait_for_completion=False)
    for task_id, mode, deferrable in SENSOR_MODES:
        start >> HevoSensor(
            task_id=task_id,
            pipeline_id=PIPELINE,
            job_id=JOB_OF_START,
            poke_interval=1,
            mode=mode,
            deferrable=deferrable,
        )

for dag_id, fail_on_bad_job in (("sensor_waits_for_any_completion", False), ("sensor_fails_on_a_bad_job", True)):
    with DAG(dag_id, schedule=None, catchup=False):
        for task_id, mode, deferrable in SENSOR_MODES:
            HevoSensor(
                task_id=task_id,
                pipeline_id=PIPELINE,
                completed_after="{{ dag_run.conf['since'] }}",
                fail_on_bad_job=fail_on_bad_job,
                poke_interval=5,
                mode=mode,
                deferrable=deferrable,
            )

with DAG("sensor_finds_the_active_job", schedule=None, catchup=False):
    HevoSensor(task_id="sensor", pipeline_id=PIPELINE, poke_interval=1)

with DAG("rescheduled_sensor_finds_a_short_job", schedule=None, catchup=False):
    HevoSensor(
        task_id="sensor",
        pipeline_id=PIPELINE,
        mode="reschedule",
        deferrable=False,
    )

with DAG("mapped", schedule=None, catchup=False):

    @task
    def pipelines() -> list[int]:
        """Read the pipelines from the run's conf."""
        conf = get_current_context()["dag_run"].conf or {}
        return list(conf["pipelines"])

    HevoPipelineOperator.partial(task_id="sync", poll_interval=1).expand(pipeline_id=pipelines())
