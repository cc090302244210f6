"""Sensors that start in the triggerer where this Airflow can do that, and those beside them that cannot."""

from __future__ import annotations

from importlib.metadata import version

from airflow.providers.common.compat.sdk import DAG
from packaging.version import Version

from hevo_provider.sensors import HevoSensor

PIPELINE = 9101
STARTS_THERE = Version("3.3") <= Version(version("apache-airflow"))
MANY = 50 if STARTS_THERE else 3  # elsewhere each costs two processes
SINCE = "{{ data_interval_end | default(dag_run.run_after) }}"

with DAG("sensors_without_worker", schedule=None, catchup=False, default_args={"start_from_trigger": True}):
    for number in range(MANY):
        HevoSensor(task_id=f"finds_{number}", pipeline_id=PIPELINE, poke_interval=5, wait_for_job_max_attempts=60)
    HevoSensor(task_id="completed", pipeline_id=PIPELINE, completed_after=SINCE, poke_interval=1)
    HevoSensor(task_id="in_conf", pipeline_id=PIPELINE, completed_after="{{ dag_run.conf['since'] }}", poke_interval=1)

with DAG("sensors_that_need_a_worker", schedule=None, catchup=False, default_args={"start_from_trigger": True}):
    HevoSensor(task_id="templated", pipeline_id="{{ dag_run.conf['pipeline'] }}", poke_interval=1)
    HevoSensor(
        task_id="of_another_task",
        pipeline_id=PIPELINE,
        completed_after="{{ ti.xcom_pull(task_ids='nobody') or dag_run.conf['since'] }}",
        poke_interval=1,
    )
    HevoSensor.partial(task_id="mapped", poke_interval=1).expand(pipeline_id=[PIPELINE, PIPELINE])
    HevoSensor(task_id="no_time", pipeline_id=PIPELINE, completed_after="{{ dag_run.conf['nothing'] }}")
    HevoSensor(task_id="fails", pipeline_id=PIPELINE, job_type="HISTORICAL", poke_interval=1)
    HevoSensor(task_id="times_out", pipeline_id=PIPELINE, completed_after="2100-01-01", timeout=5, poke_interval=1)
