"""An asset event for each table that a job has loaded, by an ``AssetAlias`` among a task's outlets."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowSkipException, Asset, AssetAlias

from hevo_provider.exceptions import HevoJobFailedError
from hevo_provider.sandbox import Fault, Sandbox
from hevo_provider.sandbox.pipelines import SandboxPipeline
from hevo_provider.sandbox.requests import Request
from tests.stage.clock import VirtualClock
from tests.stage.marks import for_every_action, in_both_modes, in_every_sensor_mode, whether_it_waits_or_not
from tests.stage.outlets import IS_AIRFLOW_2, Events
from tests.stage.sensors import RescheduledTaskInstance, sense
from tests.stage.tasks import TaskInstance, deferred, operator, operator_of, play

TABLES = AssetAlias("tables")
SLASH = "." if IS_AIRFLOW_2 else "/"


def uri(table: str, namespace: str = "hevo://127.0.0.1/warehouse") -> str:
    return f"{namespace}/{f'WAREHOUSE.PUBLIC.{table}'.replace('.', SLASH)}"


ORDERS, CUSTOMERS, INVOICES = uri("orders"), uri("customers"), uri("invoices")


@pytest.fixture
def ti(clock: VirtualClock) -> TaskInstance:
    return RescheduledTaskInstance(clock)


@pytest.fixture
def pipeline(hevo: Sandbox) -> SandboxPipeline:
    return hevo.add_pipeline(7, duration=60)


# What is told


@in_both_modes
@for_every_action
def test_each_table_that_was_loaded_has_an_event(
    ti: TaskInstance, pipeline: SandboxPipeline, events: Events, action: str, deferrable: bool
) -> None:
    job_id = play(operator_of(action, deferrable=deferrable, outlets=[TABLES]), ti)

    loaded = [ORDERS, CUSTOMERS] if action == "RESYNC_OBJECTS" else [CUSTOMERS, ORDERS, INVOICES]
    assert sorted(events.of_alias(TABLES)) == sorted(loaded)
    rows = 1000 // len(loaded)
    told = {"rows_loaded": rows, "rows_failed": 0, "job_id": job_id, "pipeline_id": 7}
    assert events.of_alias(TABLES)[ORDERS] == told


@in_every_sensor_mode
def test_a_sensor_tells_of_them_too(ti: TaskInstance, pipeline: SandboxPipeline, events: Events, mode: str) -> None:
    job = pipeline.start_job(appear_after=0, duration=100)

    sense(mode, ti, job_id=job.id, outlets=[TABLES])

    assert set(events.of_alias(TABLES)) == {CUSTOMERS, ORDERS, INVOICES}


@in_both_modes
@pytest.mark.parametrize(("objects", "requests"), [(3, 2), (100, 2), (101, 4), (250, 6)])
def test_it_costs_two_requests_for_each_hundred_objects(
    hevo: Sandbox,
    ti: TaskInstance,
    pipeline: SandboxPipeline,
    events: Events,
    objects: int,
    requests: int,
    deferrable: bool,
) -> None:
    pipeline.objects.clear()
    for number in range(objects):
        pipeline.add_object(f"table_{number}")
    play(operator(deferrable=deferrable), ti)
    without = len(hevo.requests)

    play(operator(deferrable=deferrable, outlets=[TABLES]), TaskInstance(ti.clock))

    assert len(events.of_alias(TABLES)) == objects
    polls = {"list_jobs", "get_job"}
    more = [request for request in hevo.requests[without:] if request.route not in polls]
    before = [request for request in hevo.requests[:without] if request.route not in polls]
    assert len(more) - len(before) == requests


def test_without_an_alias_hevo_is_asked_for_nothing_more(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, events: Events
) -> None:
    play(operator(outlets=[Asset("hevo://warehouse/orders")]), ti)

    assert hevo.requests_of("list_objects") == hevo.requests_of("list_job_objects") == []


def test_each_of_several_aliases_has_the_events(ti: TaskInstance, pipeline: SandboxPipeline, events: Events) -> None:
    more = AssetAlias("more")

    play(operator(outlets=[TABLES, more]), ti)

    assert events.of_alias(TABLES) == events.of_alias(more) != {}


# By which names


@pytest.mark.parametrize(
    ("destination", "namespace", "table"),
    [
        ({"config": {"account": "org-acc"}}, "snowflake://org-acc", "WAREHOUSE.PUBLIC.orders"),
        ({"destination_type": "BIGQUERY"}, "bigquery", "WAREHOUSE.PUBLIC.orders"),
        ({"name": "my ware house"}, "hevo://127.0.0.1/my%20ware%20house", "WAREHOUSE.PUBLIC.orders"),
    ],
    ids=str,
)
def test_the_uri_is_what_cosmos_makes_of_openlineages_names(
    ti: TaskInstance,
    pipeline: SandboxPipeline,
    events: Events,
    destination: dict[str, Any],
    namespace: str,
    table: str,
) -> None:
    usual = pipeline.as_json()["destination"]
    pipeline.fields["destination"] = {**usual, **destination}

    play(operator(outlets=[TABLES]), ti)

    assert f"{namespace}/{table.replace('.', SLASH)}" in events.of_alias(TABLES)


@pytest.fixture
def connected_with(hevo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """Return what lets the connection say where destinations are."""

    def connect(lineage_namespaces: object) -> None:
        connection = {"conn_type": "hevo", "host": hevo.url, "login": hevo.key, "password": hevo.secret}
        extra = {"lineage_namespaces": lineage_namespaces}
        monkeypatch.setenv("AIRFLOW_CONN_HEVO_AIRFLOW_CONN_ID", json.dumps({**connection, "extra": extra}))

    return connect


def test_the_connection_may_say_where_the_destination_is(
    ti: TaskInstance, pipeline: SandboxPipeline, events: Events, connected_with: Callable[[object], None]
) -> None:
    connected_with({"warehouse": "snowflake://org-account"})

    play(operator(outlets=[TABLES]), ti)

    assert uri("orders", "snowflake://org-account") in events.of_alias(TABLES)


@in_both_modes
def test_a_connection_that_says_it_in_a_wrong_way_fails_no_task(
    ti: TaskInstance,
    pipeline: SandboxPipeline,
    events: Events,
    connected_with: Callable[[object], None],
    story: Callable[[], str],
    deferrable: bool,
) -> None:
    connected_with(["snowflake://org-account"])

    assert play(operator(outlets=[TABLES], deferrable=deferrable), ti) == pipeline.jobs[0].id

    assert '"lineage_namespaces" in the connection' in story()


def test_a_name_that_is_no_ascii_is_quoted(ti: TaskInstance, pipeline: SandboxPipeline, events: Events) -> None:
    pipeline.objects.clear()
    pipeline.add_object("Aufträge 2026")

    play(operator(outlets=[TABLES]), ti)

    assert list(events.of_alias(TABLES)) == [uri("Auftr%C3%A4ge%202026")]


def test_a_result_without_an_id_is_known_by_its_name(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, events: Events
) -> None:
    hevo.inject("list_job_objects", Fault.json({"data": [{"name": "public.orders", "rows": 5}, {"name": "gone"}]}))

    play(operator(outlets=[TABLES]), ti)

    assert {table: extra["rows_loaded"] for table, extra in events.of_alias(TABLES).items()} == {ORDERS: 5}


def test_objects_that_go_into_one_table_are_one_event(
    ti: TaskInstance, pipeline: SandboxPipeline, events: Events
) -> None:
    for item in pipeline.objects:
        item.override["destination_namespace"] = {"k0": "all", "k1": "PUBLIC", "k2": "WAREHOUSE"}

    play(operator(outlets=[TABLES]), ti)

    assert {table: extra["rows_loaded"] for table, extra in events.of_alias(TABLES).items()} == {uri("all"): 999}


# What is not told


@in_both_modes
def test_a_table_that_failed_has_no_event_though_the_rest_was_accepted(
    ti: TaskInstance, pipeline: SandboxPipeline, events: Events, story: Callable[[], str], deferrable: bool
) -> None:
    pipeline.ends = "COMPLETED_WITH_FAILURES"

    play(operator(deferrable=deferrable, accept_completed_with_failures=True, outlets=[TABLES]), ti)

    (failed,) = pipeline.jobs[0].failed_objects
    assert set(events.of_alias(TABLES)) == {CUSTOMERS, ORDERS, INVOICES} - {uri(failed)}
    assert f"no asset event is emitted for {failed} (not loaded)" in story()


@in_both_modes
def test_a_job_that_did_not_end_well_has_none(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, events: Events, deferrable: bool
) -> None:
    pipeline.ends = "COMPLETED_WITH_FAILURES"

    with pytest.raises(HevoJobFailedError):
        play(operator(deferrable=deferrable, outlets=[TABLES]), ti)

    assert events.of_alias(TABLES) == {}
    assert hevo.requests_of("list_objects") == []


@pytest.mark.parametrize("skips", [False, True])
def test_tables_without_rows_can_be_left_out(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, events: Events, skips: bool
) -> None:
    results = [{"object_name": "orders", "rows_processed": 0}, {"object_name": "customers"}]
    hevo.inject("list_job_objects", Fault.json({"data": results}))

    play(operator(outlets=[TABLES], skip_empty_tables=skips), ti)

    assert set(events.of_alias(TABLES)) == {CUSTOMERS} | (set() if skips else {ORDERS})  # of customers nothing is known


def test_a_task_that_does_not_wait_has_loaded_nothing_yet(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, events: Events
) -> None:
    play(operator(wait_for_completion=False, outlets=[TABLES]), ti)

    assert events.of_alias(TABLES) == {}
    assert hevo.requests_of("list_objects") == []


# What goes wrong


@in_both_modes
@pytest.mark.parametrize("route", ["list_objects", "list_job_objects"])
@pytest.mark.parametrize(
    "fault", [Fault.status(403), Fault.json({"data": None}), Fault.status(500)], ids=["refused", "unreadable", "down"]
)
def test_tables_that_cannot_be_read_fail_no_task_and_are_told(
    hevo: Sandbox,
    ti: TaskInstance,
    pipeline: SandboxPipeline,
    events: Events,
    story: Callable[[], str],
    route: str,
    fault: Fault,
    deferrable: bool,
) -> None:
    hevo.inject(route, *[fault] * 20)

    assert play(operator(deferrable=deferrable, outlets=[TABLES]), ti) == pipeline.jobs[0].id

    assert events.of_alias(TABLES) == {}
    assert "DAGs that are scheduled on them do not start" in story()


def test_a_job_of_which_hevo_names_no_objects_is_told(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, events: Events, story: Callable[[], str]
) -> None:
    hevo.inject("list_job_objects", Fault.json({"data": []}))

    play(operator(outlets=[TABLES]), ti)

    assert "Hevo names no objects" in story()


def test_an_event_that_airflow_does_not_take_fails_no_task_and_keeps_no_other_from_being_told(
    ti: TaskInstance,
    pipeline: SandboxPipeline,
    events: Events,
    story: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuses(uri: str) -> Any:
        if uri == ORDERS:
            raise ValueError("not AIP-60 compliant")
        return Asset(uri)

    monkeypatch.setattr("hevo_provider.tasks.tables._asset", refuses)

    assert play(operator(outlets=[TABLES]), ti) == pipeline.jobs[0].id

    assert set(events.of_alias(TABLES)) == {CUSTOMERS, INVOICES}
    assert f"no asset event is emitted for {ORDERS} (ValueError: not AIP-60 compliant)" in story()


def test_a_wait_for_hevos_limit_loses_no_event(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, events: Events
) -> None:
    hevo.inject("list_job_objects", Fault.status(429, headers={"Retry-After": "40"}))

    play(operator(outlets=[TABLES]), ti)

    assert set(events.of_alias(TABLES)) == {CUSTOMERS, ORDERS, INVOICES}


# Runs that come in parts


@in_both_modes
def test_tables_of_jobs_that_were_deferred_before_count_too(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, events: Events, deferrable: bool
) -> None:
    def results(**rows: int) -> Fault:
        return Fault.json({"data": [{"object_name": name, "rows_processed": each} for name, each in rows.items()]})

    def told(request: Request) -> None:
        if request.route == "sync_now":
            pipeline.jobs[-1].ends = "DEFERRED" if len(pipeline.jobs) == 1 else "COMPLETED"

    hevo.on_request = told
    hevo.inject("list_job_objects", results(orders=5, invoices=1), results(orders=2, customers=3))

    play(operator(on_deferred="continue", outlets=[TABLES], deferrable=deferrable), ti)

    assert len(pipeline.jobs) == 2
    rows = {table: extra["rows_loaded"] for table, extra in events.of_alias(TABLES).items()}
    assert rows == {ORDERS: 7, INVOICES: 1, CUSTOMERS: 3}


def test_a_retry_that_finds_its_job_completed_tells_of_its_tables(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, events: Events
) -> None:
    task = operator(deferrable=True, outlets=[TABLES], retries=1)
    left = deferred(task, ti)
    assert left.kwargs["destination"] == ["snowflake", "hevo://127.0.0.1/warehouse", ""]
    ti.clock.advance(300)
    ti.next_try()

    play(operator(outlets=[TABLES], retries=1), ti)

    assert len(pipeline.jobs) == 1
    assert set(events.of_alias(TABLES)) == {CUSTOMERS, ORDERS, INVOICES}


@whether_it_waits_or_not
def test_a_job_that_is_fresh_enough_has_events_too(
    hevo: Sandbox,
    ti: TaskInstance,
    pipeline: SandboxPipeline,
    events: Events,
    deferrable: bool,
    wait_for_completion: bool,
) -> None:
    job = pipeline.start_job(ago=600, duration=60, appear_after=0)
    how = {"deferrable": deferrable, "wait_for_completion": wait_for_completion}

    play(operator(skip_if_fresh=3600, outlets=[TABLES], **how), ti)

    told = events.of_alias(TABLES)
    assert {uri: told[uri]["job_id"] for uri in told} == dict.fromkeys((CUSTOMERS, ORDERS, INVOICES), job.id)
    assert len(hevo.requests_of("get_pipeline")) == 1


@in_both_modes
def test_a_task_that_is_skipped_for_it_has_none_and_asks_for_none(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, events: Events, deferrable: bool
) -> None:
    pipeline.start_job(ago=600, duration=60, appear_after=0)

    with pytest.raises(AirflowSkipException):
        play(operator(skip_if_fresh=3600, on_fresh="skip", deferrable=deferrable, outlets=[TABLES]), ti)

    assert events.of_alias(TABLES) == {}
    assert {request.route for request in hevo.requests} == {"get_pipeline", "list_jobs"}
