"""Every example DAG does what its first lines say, run by Airflow itself with ``dag.test()``."""

from __future__ import annotations

import ast
import logging
import time
from importlib import import_module
from itertools import takewhile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.models import DagBag
from airflow.utils.session import create_session

from hevo_provider.sandbox import Sandbox
from hevo_provider.testing.clock import VirtualClock
from tests.conftest import AIRFLOW

IS_AIRFLOW_2 = AIRFLOW < (3, 0)
NEEDS = {"hevo_event_driven": (3, 0), "hevo_retry_by_cause": (3, 3)}  # the others run on any Airflow
EXAMPLES = Path(__file__).parents[2] / "example_dags"


@pytest.fixture
def hevo(
    hevo_sandbox: Sandbox, hevo_connection: str, airflow_database: None, monkeypatch: pytest.MonkeyPatch
) -> Sandbox:
    """Run a sandbox with the pipelines that the examples use, and point Airflow's default connection at it."""
    clock = VirtualClock(time.time())  # Airflow dates its tasks by the real time
    monkeypatch.setattr("hevo_provider.clock._of_this_process", clock.clock)
    hevo_sandbox.clock = clock.now
    hevo_sandbox.add_pipeline(2, appear_after=0.1, duration=0.3, ends="COMPLETED_WITH_FAILURES")
    return hevo_sandbox


def ended(dag_id: str, **conf: Any) -> Any:
    """Run an example to its end and return the DAG run."""
    bag: Any = DagBag(EXAMPLES / f"{dag_id}.py")
    assert bag.import_errors == {}
    if IS_AIRFLOW_2:
        bag.sync_to_db()  # which has no events of assets that it does not know
    elif hasattr(bag, "sync_to_db"):  # Airflow 3.0 runs no task whose assets it does not know
        import_module("airflow.dag_processing.bundles.manager").DagBundlesManager().sync_bundles_to_db()
        bag.sync_to_db("dags-folder", None)
    return bag.dags[dag_id].test(run_conf=conf)


def run(dag_id: str) -> dict[str, str]:
    """Run an example to its end and return the state of each task."""
    return {task.task_id: task.state for task in ended(dag_id).get_task_instances()}


def stored_events() -> list[dict[str, Any]]:
    """Return what Airflow's database has of the events of assets, the newest last."""
    models: Any = import_module("airflow.models.dataset" if IS_AIRFLOW_2 else "airflow.models.asset")
    event = models.DatasetEvent if IS_AIRFLOW_2 else models.AssetEvent
    with create_session() as session:
        return [each.extra for each in session.query(event).order_by(event.id)]


def test_the_deferred_sync_succeeds_with_one_job(hevo: Sandbox) -> None:
    assert run("hevo_deferred_sync") == {"sync": "success"}

    (job,) = hevo.pipelines[1].jobs
    assert (job.type, job.status) == ("INCREMENTAL", "COMPLETED")
    extra = stored_events()[-1]
    assert (extra["job_id"], extra["events_loaded"]) == (job.id, 1000)


def test_the_resync_succeeds_though_some_objects_failed(hevo: Sandbox) -> None:
    assert run("hevo_resync_accept_partial") == {"resync": "success", "report": "success"}

    (job,) = hevo.pipelines[2].jobs
    assert (job.type, job.status) == ("RESYNC", "COMPLETED_WITH_FAILURES")


def test_the_sensor_waits_for_the_job_that_was_triggered_before(hevo: Sandbox) -> None:
    assert run("hevo_trigger_then_sensor") == {"trigger": "success", "prepare_report": "success", "wait": "success"}

    assert len(hevo.pipelines[1].jobs) == 1


def test_a_sync_is_started_unless_another_was_made_within_the_hour(hevo: Sandbox) -> None:
    pipeline = hevo.add_pipeline(6, appear_after=0.1, duration=0.3)

    for _ in range(2):
        assert run("hevo_skip_if_fresh") == {"sync": "success", "report": "success"}

    assert len(pipeline.jobs) == 1


def test_a_resync_is_reported(hevo: Sandbox) -> None:
    """What its retry does is in ``e2e``: ``dag.test()`` keeps no task's state from one try to the next."""
    hevo.add_pipeline(9, appear_after=0.1, duration=0.3)

    assert run("hevo_retry_failed_objects") == {"resync": "success", "report": "success"}


if AIRFLOW >= (3, 3):

    def test_a_sync_with_a_retry_policy_succeeds(hevo: Sandbox) -> None:
        """What it does where a job was deferred takes a minute: see ``e2e``."""
        hevo.add_pipeline(10, appear_after=0.1, duration=0.3)

        assert run("hevo_retry_by_cause") == {"sync": "success"}


@pytest.mark.parametrize(("ends", "state"), [("COMPLETED", "success"), ("FAILED", "failed")])
def test_what_hevos_own_schedule_loads_is_waited_for_and_its_failure_is_heard(
    hevo: Sandbox, ends: str, state: str
) -> None:
    pipeline = hevo.add_pipeline(6, appear_after=0)
    job = pipeline.start_job(duration=1, ends=ends)

    run = ended("hevo_own_schedule")

    assert run.state == state
    if state == "success":
        assert run.get_task_instance("report").xcom_pull() == f"job {job.id}: 1,000 events loaded"
    assert pipeline.jobs_started_by_api == []


def test_the_tables_that_were_loaded_have_events(hevo: Sandbox) -> None:
    assert run("hevo_tables") == {"load": "success"}

    (job,) = hevo.pipelines[1].jobs
    told = {"rows_loaded": 333, "rows_failed": 0, "job_id": job.id, "pipeline_id": 1}
    assert stored_events()[-3:] == [told] * 3


def test_pipelines_with_a_schedule_of_their_own_are_waited_for(hevo: Sandbox) -> None:
    for number in (6, 11):
        hevo.add_pipeline(number, appear_after=0).start_job(duration=1)

    run = ended("hevo_without_worker")

    assert run.state == "success"
    told = run.get_task_instance("report").xcom_pull()
    assert list(told) == [f"pipeline {number}: 1000 events loaded" for number in (6, 11)]


def fleets_table(caplog: pytest.LogCaptureFixture) -> list[list[str]]:
    """Return the words of each line of the table that the fleet's last task logs."""
    lines = caplog.text.partition("What was loaded:")[2].splitlines()[1:]
    return [line.split() for line in takewhile(lambda line: line.startswith((" ", "pipe")), lines)]


def test_the_fleet_is_synced_and_a_table_says_what_was_loaded(hevo: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    pipelines = [hevo.add_pipeline(number, appear_after=0.1, duration=0.3) for number in (101, 102)]

    run = ended("hevo_fleet", pipelines=[101, 102])

    assert run.state == "success"
    assert [len(pipeline.jobs) for pipeline in pipelines] == [1, 1]
    shown = {ti.rendered_map_index for ti in run.get_task_instances() if ti.task_id == "sync"}
    assert shown == ({None} if IS_AIRFLOW_2 else {"101", "102"})  # the dag.test() of Airflow 2 does not keep it
    heading, *rows = fleets_table(caplog)
    assert heading == ["pipeline", "job", "events", "job", "took", "held", "a", "worker"]
    held = "0.00"  # seconds by the test's clock, which only waiting moves on: nobody has waited in a worker
    assert rows == [[number, "COMPLETED", "1,000", "0.3", "s", held, "s"] for number in ("101", "102")]


def test_a_fleet_with_pipelines_that_were_not_loaded_fails(hevo: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for number in (101, 102):
        hevo.add_pipeline(number, appear_after=0.1, duration=0.3, ends="COMPLETED" if number == 101 else "FAILED")
    hevo.add_pipeline(103, status="DISABLED")

    run = ended("hevo_fleet", pipelines=[101, 102, 103])

    assert run.state == "failed"
    assert [row[:2] for row in fleets_table(caplog)[1:]] == [["101", "COMPLETED"], ["102", "FAILED"], ["103", "none"]]


if not IS_AIRFLOW_2:

    def test_the_event_driven_run_that_a_user_starts_by_hand_has_nothing_to_report(hevo: Sandbox) -> None:
        assert run("hevo_event_driven") == {"report": "success"}

        assert hevo.requests == []

    def reported(*extras: dict[str, Any] | None) -> list[str]:
        """Let the event-driven run report events of its asset with these extras."""
        from airflow.sdk.execution_time.context import TriggeringAssetEventsAccessor

        dag: Any = DagBag(EXAMPLES / "hevo_event_driven.py").dags["hevo_event_driven"]
        (asset,) = dag.timetable.asset_condition.objects
        events: list[Any] = [SimpleNamespace(asset=asset, source_aliases=[], extra=extra) for extra in extras]
        lines: list[str] = dag.get_task("report").python_callable(TriggeringAssetEventsAccessor.build(events))
        return lines

    @pytest.mark.parametrize(
        ("counters", "line"), [({"events_loaded": 1000}, "job a: 1,000 events loaded"), ({}, "job a")]
    )
    def test_the_event_driven_run_reports_each_job_once(counters: dict[str, int], line: str) -> None:
        payload = {"pipeline_id": 6, "job_id": "a", "status": "COMPLETED", **counters}
        extra = {"from_trigger": True, "payload": payload}

        assert reported(extra, extra) == [line]

    @pytest.mark.parametrize("extra", [None, {}, {"from_rest_api": True}, {"payload": {}}, {"payload": "by hand"}])
    def test_the_event_driven_run_survives_an_event_that_a_person_has_made(extra: dict[str, Any] | None) -> None:
        lines = reported({"from_trigger": True, "payload": {"job_id": "a"}}, extra)

        assert lines == ["job a", "an event that tells of no job"]


def test_the_report_on_a_resync_survives_counters_that_hevo_leaves_out() -> None:
    dag: Any = DagBag(EXAMPLES / "hevo_resync_accept_partial.py").dags["hevo_resync_accept_partial"]

    report = dag.get_task("report").python_callable
    assert report({"job_id": "a", "status": "COMPLETED"}) == "COMPLETED: ? objects loaded, ? failed"


def test_the_folder_can_be_read_by_any_airflow() -> None:
    bag = DagBag(EXAMPLES)

    assert bag.import_errors == {}
    absent = {name for name, needed in NEEDS.items() if needed > AIRFLOW}
    assert set(bag.dags) == {path.stem for path in EXAMPLES.glob("*.py")} | {"hevo_tables_report"} - absent


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_an_example_says_what_it_is_about_where_it_is_seen(path: Path) -> None:
    for dag in DagBag(path).dags.values():
        assert dag.doc_md == docstring_of(path)
        assert {task.pool for task in dag.tasks} == {"default_pool"}  # no task of another would start
        params = {name: dag.params.get_param(name) for name in dag.params}
        assert all(param.description and param.schema.get("type") for param in params.values()), params


def docstring_of(path: Path) -> str | None:
    """Return the first string of a file, which is its docstring."""
    return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")), clean=False)


def test_a_pool_is_used_where_the_environment_names_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEVO_POOL", "hevo")

    dag: Any = DagBag(EXAMPLES / "hevo_fleet.py").dags["hevo_fleet"]

    assert dag.get_task("sync").pool == "hevo"


def test_airflow_finds_the_examples_under_the_name_of_the_distribution() -> None:
    package = import_module("airflow_provider_hevo")

    (folder,) = (Path(path) / "example_dags" for path in package.__path__)
    assert {file.name for file in folder.glob("*.py")} == {file.name for file in EXAMPLES.glob("*.py")}


@pytest.mark.skipif(AIRFLOW < (3, 3), reason="loads no examples but its own")
def test_by_default_airflow_loads_the_examples(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("AIRFLOW__CORE__LOAD_EXAMPLES")

    bundles = import_module("airflow.dag_processing.bundles.manager").DagBundlesManager().get_all_dag_bundles()

    assert any(bundle.path.match("airflow_provider_hevo/example_dags") for bundle in bundles)
    assert "Could not load provider module" not in caplog.text


def test_every_example_is_run_here() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {
        "hevo_deferred_sync",
        "hevo_event_driven",
        "hevo_fleet",
        "hevo_own_schedule",
        "hevo_resync_accept_partial",
        "hevo_retry_by_cause",
        "hevo_retry_failed_objects",
        "hevo_skip_if_fresh",
        "hevo_tables",
        "hevo_trigger_then_sensor",
        "hevo_without_worker",
    }
