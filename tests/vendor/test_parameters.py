"""What DAG files of the vendor's package hold and ours would refuse: it does what it did there, or warns."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from airflow.exceptions import AirflowProviderDeprecationWarning
from airflow.providers.common.compat.sdk import DAG, AirflowFailException

from hevo_provider.exceptions import HevoConfigError
from hevo_provider.sandbox import Sandbox
from hevo_provider.vendor.enums import ResyncMode
from hevo_provider.vendor.hooks import HevoPipelineHook
from hevo_provider.vendor.operators import HevoPipelineOperator
from hevo_provider.vendor.sensors import HevoSensor
from tests.stage.failures import fails
from tests.stage.tasks import Deferral, TaskInstance, play, work


@pytest.fixture(autouse=True)
def told() -> Iterator[list[str]]:
    """What was warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error")
        warnings.simplefilter("always", AirflowProviderDeprecationWarning)
        yield (said := _Told(caught))
    assert said.was_read or not caught


class _Told(list[str]):
    def __init__(self, caught: list[warnings.WarningMessage]) -> None:
        self._caught = caught
        self.was_read = False

    def __iter__(self) -> Iterator[str]:
        self.was_read = True
        return (str(each.message) for each in self._caught)


def operator(**parameters: Any) -> HevoPipelineOperator:
    return HevoPipelineOperator(**{"task_id": "task", "pipeline_id": 7, **parameters})


def sensor(**parameters: Any) -> HevoSensor:
    return HevoSensor(**{"task_id": "task", "pipeline_id": 7, **parameters})


def bodies_of_resync(hevo: Sandbox) -> list[Any]:
    return [request.body for request in hevo.requests_of("resync")]


@pytest.mark.parametrize(
    ("mode", "drops"),
    [
        (ResyncMode.DROP_AND_LOAD, True),
        ("DROP_AND_LOAD", True),
        ("drop_and_load", True),
        (ResyncMode.EVOLVE_AND_MERGE, False),
        ("EVOLVE_AND_MERGE", False),
        (None, False),
    ],
)
def test_a_resync_mode_means_drop_and_load(hevo: Sandbox, ti: TaskInstance, mode: Any, drops: bool) -> None:
    hevo.add_pipeline(7)

    play(operator(action="RESYNC", resync_mode=mode), ti)

    assert bodies_of_resync(hevo) == [{"drop_and_load": drops}]


@pytest.mark.parametrize("mode", ["DROP", "", 7, True], ids=repr)
def test_one_that_is_none_is_refused_by_name(mode: Any) -> None:
    with fails(HevoConfigError, says="resync_mode must be one of EVOLVE_AND_MERGE, DROP_AND_LOAD"):
        operator(action="RESYNC", resync_mode=mode)


def test_in_a_mapped_task_it_fails_the_task_for_good(hevo: Sandbox, ti: TaskInstance) -> None:
    with DAG("dag", schedule=None):
        mapped = HevoPipelineOperator.partial(task_id="task", action="RESYNC", resync_mode="DROP").expand(
            pipeline_id=[7]
        )

    task = mapped.unmap({"task_id": "task", "pipeline_id": 7, "action": "RESYNC", "resync_mode": "DROP"})

    with fails(AirflowFailException, says="resync_mode must be one of"):
        task.execute(ti.context)

    assert hevo.requests == []


@pytest.mark.parametrize("make", [operator, sensor])
def test_no_connection_is_the_default_one(make: Any) -> None:
    assert make(connection_id=None).connection_id == "hevo_airflow_conn_id"
    assert make().connection_id == "hevo_airflow_conn_id"
    assert make(connection_id="another").connection_id == "another"


@pytest.mark.parametrize("make", [operator, sensor])
def test_what_the_dag_says_for_all_of_its_tasks_counts(make: Any) -> None:
    with DAG("dag", schedule=None, default_args={"connection_id": "of_the_dag", "pipeline_id": 8}):
        task = make(pipeline_id=9)

    assert (task.connection_id, task.pipeline_id) == ("of_the_dag", 9)


@pytest.mark.parametrize("interval", [0, 0.0, -1, timedelta(0)], ids=repr)
def test_an_interval_of_nothing_is_a_second(told: list[str], interval: Any) -> None:
    assert operator(poll_interval=interval).poll_interval == 1
    assert sensor(poke_interval=interval).poll_interval == 1
    assert sensor(wait_for_job_interval=interval).wait_for_job_interval == 1
    assert [each.split("=")[0] for each in told] == ["poll_interval", "poke_interval", "wait_for_job_interval"]


def test_one_of_less_than_a_second_is_what_it_is() -> None:
    assert operator(poll_interval=0.5).poll_interval == 0.5
    assert sensor(poke_interval=0.5).poll_interval == 0.5


def test_a_limit_of_nothing_is_one_try(told: list[str]) -> None:
    assert operator(retry_limit=0).retry_limit == 1
    assert sensor(wait_for_job_max_attempts=0).wait_for_job_max_attempts == 1
    assert [each.split("=")[0] for each in told] == ["retry_limit", "wait_for_job_max_attempts"]


@pytest.mark.parametrize("wrong", [{"poll_interval": "soon"}, {"retry_limit": "ten"}, {"drop_and_load": "no"}], ids=str)
def test_what_makes_no_sense_is_refused_as_ever(wrong: dict[str, Any]) -> None:
    with fails(HevoConfigError, says=next(iter(wrong))):
        operator(action="RESYNC", **wrong)


def test_a_sync_does_not_drop_tables_whatever_else_is_said(hevo: Sandbox, ti: TaskInstance, told: list[str]) -> None:
    pipeline = hevo.add_pipeline(7)

    play(operator(action="SYNC_NOW", drop_and_load=True), ti)

    assert list(told) == ["drop_and_load is ignored: it goes with the action RESYNC only."]
    assert [job.type for job in pipeline.jobs] == ["INCREMENTAL"]


def test_one_that_is_only_known_when_the_task_runs_does_not_either(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7)
    task = operator(action="{{ params.action }}", drop_and_load=True)
    task.action = "SYNC_NOW"

    play(task, ti)

    assert [job.type for job in pipeline.jobs] == ["INCREMENTAL"]


def test_the_type_of_sync_of_the_oldest_operator_means_nothing(
    hevo: Sandbox, ti: TaskInstance, told: list[str]
) -> None:
    pipeline = hevo.add_pipeline(7)

    play(operator(sync_type="FULL"), ti)

    assert list(told) == ["sync_type is ignored: action says what is started."]
    assert [job.type for job in pipeline.jobs] == ["INCREMENTAL"]


def test_a_literal_job_id_of_nothing_finds_the_job(hevo: Sandbox, ti: TaskInstance) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0.0, duration=100.0)

    assert play(sensor(job_id=""), ti) == job.id


def test_a_template_that_renders_to_nothing_is_refused(hevo: Sandbox, ti: TaskInstance) -> None:
    hevo.add_pipeline(7).start_job(appear_after=0.0, duration=100.0)
    task = sensor(job_id="{{ ti.xcom_pull(task_ids='start') }}")
    task.job_id = ""

    with fails(AirflowFailException, says="job_id is ''"):
        task.execute(ti.context)

    assert hevo.requests == []


def test_nothing_from_another_task_is_refused_in_a_mapped_task_too(hevo: Sandbox, ti: TaskInstance) -> None:
    with DAG("dag", schedule=None):
        mapped = HevoSensor.partial(task_id="task", pipeline_id=7).expand(job_id=["", "a"])

    task = mapped.unmap({"task_id": "task", "pipeline_id": 7, "job_id": ""})

    with fails(AirflowFailException, says="job_id is ''"):
        task.execute(ti.context)


@pytest.mark.parametrize("make", [operator, sensor])
async def test_a_task_has_a_hook(hevo: Sandbox, make: Any) -> None:
    hevo.add_pipeline(7)
    hook = make().hook

    assert isinstance(hook, HevoPipelineHook)
    assert (await hook.validate_pipeline_async(7)).id == 7


def test_a_task_that_defers_where_theirs_did_not_says_what_to_do_without_a_triggerer(
    hevo: Sandbox, ti: TaskInstance, story: Any
) -> None:
    hevo.add_pipeline(7)

    assert isinstance(work(lambda: operator(wait_for_completion=False).execute(ti.context)), Deferral)

    (line,) = [line for line in story().splitlines() if "triggerer" in line and "deferrable=False" in line]
    assert "Where no triggerer runs" in line


def test_a_task_that_waits_says_nothing_of_it(hevo: Sandbox, ti: TaskInstance, story: Any) -> None:
    hevo.add_pipeline(7)

    work(lambda: operator().execute(ti.context))

    assert "deferrable=False" not in story()
