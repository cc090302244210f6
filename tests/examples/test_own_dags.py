"""A user's own test runs a DAG by ``hevo_run``: Airflow runs it, Hevo is the sandbox, and nothing waits."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from importlib.metadata import version
from typing import Any

import pytest
from airflow import settings
from airflow.providers.common.compat.sdk import DAG, task

from hevo_provider.operators import HevoPipelineOperator
from hevo_provider.pytest_plugin import pytest_assertrepr_compare
from hevo_provider.sandbox import Sandbox
from hevo_provider.sensors import HevoSensor
from hevo_provider.testing.dag_run import ByTask, DagTest

HOUR = 3600.0


@task
def report(job: Any) -> int:
    print(f"{job['events_loaded']} events")  # noqa: T201
    return int(job["events_loaded"])


def a_dag(**parameters: Any) -> Any:
    """Return a DAG whose one task loads pipeline 7."""
    with DAG("loading", schedule=None, start_date=datetime(2026, 1, 1)) as dag:  # noqa: DTZ001 - as users write it
        HevoPipelineOperator(task_id="load", pipeline_id=7, **parameters)
    return dag


def shown(left: object, right: object) -> str:
    """Return what pytest says where a test's ``left == right`` does not hold."""
    return "\n".join(pytest_assertrepr_compare("==", left, right) or ["what pytest says of any values"])


def test_a_dag_whose_jobs_last_for_hours_is_run_at_once(hevo_sandbox: Sandbox, hevo_run: DagTest) -> None:
    for number in (7, 8):
        hevo_sandbox.add_pipeline(number, duration=HOUR)
    others = hevo_sandbox.add_pipeline(9, parallel_jobs=True, duration=None)
    job, later, endless = (others.start_job(duration=hours) for hours in (HOUR, 2 * HOUR, None))
    here: Any = {"pipeline_id": 9, "deferrable": False, "poke_interval": 120}
    with DAG("mixed", schedule="@hourly", start_date=datetime(2026, 1, 1), catchup=False) as dag:  # noqa: DTZ001
        load = HevoPipelineOperator(task_id="load", pipeline_id=7, connection_id="hevo_prod", timeout=2 * HOUR)
        again = HevoPipelineOperator(task_id="again", pipeline_id="{{ dag_run.conf.again }}", timeout=1.5 * HOUR)
        load >> again
        HevoPipelineOperator.partial(task_id="each", deferrable=False).expand(pipeline_id=[8])
        report(load.output["hevo_job"])  # type: ignore[index,arg-type,unused-ignore]
        poked = HevoSensor(task_id="poked", job_id=job.id, mode="poke", timeout=3 * HOUR, **here)
        poked >> HevoSensor(task_id="rescheduled", job_id=later.id, mode="reschedule", timeout=3 * HOUR, **here)
        HevoSensor(task_id="impatient", job_id=endless.id, mode="reschedule", timeout=HOUR, **here)

    run = hevo_run(dag, conf={"again": 7})

    ended = dict.fromkeys(("load", "again", "each[0]", "report", "poked", "rescheduled"), "success")
    assert run.states == {**ended, "impatient": "failed"}
    assert run.state == "failed"
    assert list(run.states) == ["load", "again", "each[0]", "report", "poked", "rescheduled", "impatient"]
    assert run.xcoms["load"]["hevo_job"]["status"] == "COMPLETED"
    assert run.xcoms["report"]["return_value"] == 1000
    assert run.xcoms["load"]["return_value"] == hevo_sandbox.pipelines[7].jobs[0].id
    assert "Pipeline 7: found job" in run.logs["load"]  # which the trigger says
    assert "Pipeline 8" not in run.logs["load"]


@pytest.mark.skipif(version("apache-airflow").startswith("3.0."), reason="its dag.test() tries no task again")
def test_a_failed_task_was_tried_again_without_delay_and_the_failed_assert_says_why(
    hevo_sandbox: Sandbox, hevo_run: DagTest
) -> None:
    pipeline = hevo_sandbox.add_pipeline(7, ends="FAILED", duration=HOUR)
    dag = a_dag(retries=2, poll_interval=120, retry_delay=timedelta(days=1), retry_exponential_backoff=True)
    database = settings.SQL_ALCHEMY_CONN

    run = hevo_run(dag)

    assert len(pipeline.jobs) == 3
    for left, right in ((run.states["load"], "success"), (run.states, {"load": "success"}), (run.state, "success")):
        assert left != right
        assert "HevoJobFailedError: Pipeline 'pipeline 7' (7): its job ended FAILED." in shown(left, right)
    assert dag.get_task("load").retry_delay == timedelta(days=1)
    assert database == settings.SQL_ALCHEMY_CONN
    assert "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST" not in os.environ


def test_a_task_that_waits_for_ever_fails_the_test_and_is_named(hevo_sandbox: Sandbox, hevo_run: DagTest) -> None:
    hevo_sandbox.add_pipeline(7, duration=None)

    with pytest.raises(pytest.fail.Exception, match=r"'loading' waited on .*\n  load: Pipeline .*\(7\): .*\nDoes the"):
        hevo_run(a_dag(), within=0.0)


@pytest.mark.parametrize("not_one", ["loading", None, a_dag])
def test_what_is_no_dag_is_refused(hevo_run: DagTest, not_one: object) -> None:
    with pytest.raises(TypeError, match="wants the DAG itself"):
        hevo_run(not_one)


async def test_a_test_that_is_async_is_told_not_to_be(hevo_run: DagTest) -> None:
    with pytest.raises(TypeError, match="not `async def`"):
        hevo_run(a_dag())


def test_a_task_that_there_is_not_is_told_with_those_that_there_are() -> None:
    with pytest.raises(KeyError, match=r"no task 'sync' in this run. There are: sync\[0\], sync\[1\]"):
        ByTask({"sync[0]": "success", "sync[1]": "failed"})["sync"]


def test_of_other_values_pytest_says_what_it_always_says() -> None:
    assert shown("failed", "success") == shown({"load": "failed"}, {}) == "what pytest says of any values"


@pytest.mark.parametrize("method", ["execute", "execute_complete"])
@pytest.mark.parametrize("make", [HevoPipelineOperator, HevoSensor])
def test_a_context_without_a_task_instance_is_told_with_what_to_do(make: Callable[..., Any], method: str) -> None:
    with pytest.raises(Exception, match=r"'load' was called with a context without 'ti'.*hevo_run"):
        getattr(make(task_id="load", pipeline_id=7), method)({})
