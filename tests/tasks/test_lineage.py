"""What OpenLineage is told about a run, checked with OpenLineage's own types."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import uuid4

import pytest

pytest.importorskip("openlineage.client", reason="comes with the extra [openlineage]")

from airflow.providers.openlineage.extractors.base import DefaultExtractor
from openlineage.client.event_v2 import Dataset, Job, Run, RunEvent, RunState
from openlineage.client.naming import dataset as naming
from openlineage.client.serde import Serde

from hevo_provider.exceptions import HevoJobFailedError
from hevo_provider.hooks import HevoHook
from hevo_provider.lineage import facets as lineage
from hevo_provider.lineage.names import names_of
from hevo_provider.models.answers import System
from hevo_provider.models.object import Namespace
from hevo_provider.operators import HevoPipelineOperator, HevoResyncObjectsOperator
from hevo_provider.runs.order import Order
from hevo_provider.sandbox import Fault, Sandbox
from tests.stage.clock import VirtualClock
from tests.stage.failures import fails
from tests.stage.tasks import Deferral, TaskInstance, event_of, play, run_in_triggerer, work

SHOP = {
    "name": "shop database",
    "source_type": "POSTGRES",
    "config": {"host": "db.example.com", "port": 5432, "database": "shop", "user": "hevo", "password": "hunter2"},
}
WAREHOUSE = {"id": 10, "name": "warehouse", "destination_type": "SNOWFLAKE", "config": {"account": "org-account"}}


def ended(ti: TaskInstance, **parameters: Any) -> HevoPipelineOperator:
    """Run a pipeline to its end: the operator as the last worker leaves it."""
    operator = HevoPipelineOperator(task_id="task", pipeline_id=7, **parameters)
    play(operator, ti)
    return operator


def told(operator: HevoPipelineOperator | HevoResyncObjectsOperator) -> Any:
    """Ask as OpenLineage's listener for Airflow asks."""
    return DefaultExtractor(operator).extract_on_complete(None)


def names(datasets: Iterable[Dataset]) -> list[str]:
    return [dataset.name for dataset in datasets]


def columns(dataset: Dataset) -> list[tuple[str, str]]:
    return [(field.name, field.type) for field in (dataset.facets or {})["schema"].fields]  # type: ignore[attr-defined]


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "TIME_LIMIT", 1.5)
    monkeypatch.setattr(lineage, "LAST_MOMENT", 1.0)


@pytest.fixture
def threads_end() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(5)


def test_a_run_read_the_sources_tables_and_wrote_the_destinations(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7, fields={"source": SHOP, "destination": WAREHOUSE})

    facts = told(ended(ti))

    names = [each.name for each in pipeline.objects]
    assert [(each.namespace, each.name) for each in facts.inputs] == [
        ("postgres://db.example.com:5432", f"shop.public.{name}") for name in names
    ]
    assert [(each.namespace, each.name) for each in facts.outputs] == [
        ("snowflake://org-account", f"WAREHOUSE.PUBLIC.{name}") for name in names
    ]
    assert columns(facts.inputs[0])[0] == ("id", "bigint")
    assert columns(facts.outputs[0])[0] == ("ID", "NUMBER")


def test_a_resync_of_some_objects_read_and_wrote_only_those(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7, fields={"source": SHOP, "destination": WAREHOUSE})
    operator = HevoResyncObjectsOperator(
        task_id="task", pipeline_id=7, objects=["Public.Inv*"], object_ids=[pipeline.objects[0].id]
    )
    play(operator, ti)

    facts = told(operator)

    assert names(facts.inputs) == ["shop.public.orders", "shop.public.invoices"]
    assert names(facts.outputs) == ["WAREHOUSE.PUBLIC.orders", "WAREHOUSE.PUBLIC.invoices"]


def test_the_facets_name_pipeline_and_job_with_its_counters(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7, fields={"source": SHOP, "destination": WAREHOUSE})

    facts = told(ended(ti))

    (job,) = pipeline.jobs
    assert facts.run_facets["externalQuery"].externalQueryId == job.id
    assert facts.run_facets["hevo_job"].status == "COMPLETED"
    assert facts.run_facets["hevo_job"].counters["events_loaded"] == job.events_loaded
    assert facts.job_facets["hevo_pipeline"].sourceType == "POSTGRES"
    assert facts.job_facets["hevo_pipeline"].loadMode == "MERGE"
    assert "errorMessage" not in facts.run_facets


def test_openlineage_can_send_it_and_no_secret_is_in_it(hevo: Sandbox, ti: TaskInstance) -> None:
    hevo.add_pipeline(7, fields={"source": SHOP, "destination": WAREHOUSE})
    facts = told(ended(ti))

    event = RunEvent(
        eventType=RunState.COMPLETE,
        eventTime="2026-01-01T00:00:00Z",
        run=Run(runId=str(uuid4()), facets=facts.run_facets),
        job=Job(namespace="airflow", name="dag.task", facets=facts.job_facets),
        inputs=facts.inputs,
        outputs=facts.outputs,
    )

    sent = Serde.to_json(event)
    assert json.loads(sent)["run"]["facets"]["hevo_job"]["jobType"] == "INCREMENTAL"
    assert not [secret for secret in ("hunter2", hevo.key, hevo.secret) if secret in sent]


def test_a_failed_job_is_told_with_its_error_and_its_failing_objects(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7, ends="FAILED")
    operator = HevoPipelineOperator(task_id="task", pipeline_id=7)
    with pytest.raises(HevoJobFailedError):
        play(operator, ti)

    facts = DefaultExtractor(operator).extract_on_failure(None)

    assert facts is not None
    assert "FAILED" in facts.run_facets["errorMessage"].message
    assert facts.run_facets["hevo_job"].failedObjects == list(pipeline.jobs[0].failed_objects)
    assert len(facts.outputs) == len(pipeline.objects)


def test_the_worker_that_a_deferred_task_comes_back_to_tells_it(hevo: Sandbox, ti: TaskInstance) -> None:
    hevo.add_pipeline(7, fields={"source": SHOP})
    parameters: dict[str, Any] = {"task_id": "task", "pipeline_id": 7}
    deferral = work(lambda: HevoPipelineOperator(**parameters).execute(ti.context))
    assert isinstance(deferral, Deferral)
    event = run_in_triggerer(event_of(deferral.trigger()))

    fresh = HevoPipelineOperator(**parameters)
    fresh.execute_complete(ti.context, event)

    assert told(fresh).inputs


def test_a_task_that_only_starts_its_job_tells_what_that_will_write(hevo: Sandbox, ti: TaskInstance) -> None:
    hevo.add_pipeline(7, duration=600)

    facts = told(ended(ti, wait_for_completion=False))

    assert facts.run_facets["hevo_job"].status == "IN_PROGRESS"
    assert facts.outputs


def test_a_task_that_found_no_job_has_read_and_written_nothing(hevo: Sandbox, ti: TaskInstance) -> None:
    hevo.add_pipeline(7, status="DISABLED")
    operator = HevoPipelineOperator(task_id="task", pipeline_id=7)
    with fails(Exception, says="DISABLED"):
        play(operator, ti)
    hevo.reset_record()

    assert DefaultExtractor(operator).extract_on_failure(None) is None
    assert hevo.requests == []


def test_a_pipeline_with_many_objects_costs_one_walk_and_few_connections(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7)
    for number in range(250 - len(pipeline.objects)):
        pipeline.add_object(f"table_{number}")
    operator = ended(ti)
    hevo.reset_record()

    facts = told(operator)

    assert len(facts.outputs) == 250
    assert all("schema" in each.facets for each in facts.outputs)
    assert len(hevo.requests_of("list_objects")) == 3
    assert len(hevo.requests_of("get_object")) == 250
    assert len(hevo.requests) == 3 + 250 + 1
    assert hevo.connections_opened <= lineage.MOST_AT_ONCE + 2


def test_a_pipeline_with_more_objects_than_an_event_can_carry_is_cut_short(
    hevo: Sandbox, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = hevo.add_pipeline(7)
    for number in range(20):
        pipeline.add_object(f"table_{number}")
    monkeypatch.setattr(lineage, "MOST_OBJECTS", 5)

    assert len(told(ended(ti)).outputs) == 5


def test_more_columns_than_an_event_can_carry_are_left_out_and_their_tables_are_not(
    hevo: Sandbox, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = hevo.add_pipeline(7)
    first = len(pipeline.objects[0].fields)
    monkeypatch.setattr(lineage, "MOST_COLUMNS", first)

    outputs = told(ended(ti)).outputs

    assert len(outputs) == len(pipeline.objects) > 1
    assert ["schema" in each.facets for each in outputs] == [True] + [False] * (len(outputs) - 1)


def test_objects_that_are_not_replicated_are_left_out(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7)
    pipeline.objects[0].status = "SKIPPED"
    pipeline.objects[1].fields[0]["status"] = "DELETED"

    facts = told(ended(ti))

    assert len(facts.inputs) == len(pipeline.objects) - 1
    assert ("id", "bigint") not in columns(facts.inputs[0])


@pytest.mark.usefixtures("hurry")
def test_details_that_hang_are_left_out_when_the_time_is_over(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7)
    operator = ended(ti)
    hevo.inject("get_object", Fault.hang(), times=None)

    facts = told(operator)

    assert len(facts.outputs) == len(pipeline.objects)
    assert not any("schema" in each.facets for each in facts.outputs)
    assert facts.run_facets["hevo_job"].status == "COMPLETED"
    assert not [thread for thread in threading.enumerate() if thread.name == lineage.THREAD]


def test_a_slow_look_up_of_the_connection_is_part_of_the_time(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    hevo.add_pipeline(7)
    operator = ended(ti)
    operator._hook = None  # as in a process that has not looked it up yet
    hevo.reset_record()
    look_up = HevoHook.get_connection

    def slowly(connection_id: str) -> Any:
        clock.advance(lineage.TIME_LIMIT)
        return look_up(connection_id)

    monkeypatch.setattr(HevoHook, "get_connection", slowly)

    facts = told(operator)

    assert hevo.requests == []
    assert facts.run_facets["hevo_job"].status == "COMPLETED"


@pytest.mark.usefixtures("threads_end")
def test_what_no_time_out_reaches_is_left_behind(
    hevo: Sandbox, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lineage, "TIME_LIMIT", 0.06)
    monkeypatch.setattr(lineage, "LAST_MOMENT", 0.01)
    hevo.add_pipeline(7)
    operator = ended(ti)
    over, left = threading.Event(), threading.Event()

    async def read(_limit: float, client: Any, *_: Any) -> None:
        over.wait(10)  # blocks its event loop, as a look-up of a host's name can
        left.set()
        await client.close()

    monkeypatch.setattr(lineage, "_read", read)

    facts = told(operator)

    assert not left.is_set()
    assert facts.run_facets["hevo_job"].status == "COMPLETED"
    over.set()


@pytest.mark.parametrize("route", ["get_pipeline", "list_objects", "get_object", "*"])
@pytest.mark.parametrize("fault", [Fault.status(500), Fault.status(404), Fault.html(), Fault.reset(), Fault.json([])])
def test_whatever_hevo_answers_the_job_is_told(hevo: Sandbox, ti: TaskInstance, route: str, fault: Fault) -> None:
    hevo.add_pipeline(7)
    operator = ended(ti)
    hevo.inject(route, fault, times=None)

    facts = told(operator)

    assert facts.run_facets["hevo_job"].status == "COMPLETED"
    assert facts.run_facets["externalQuery"].externalQueryId == facts.run_facets["hevo_job"].jobId


def test_one_object_without_details_does_not_cost_the_others_theirs(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7)
    operator = ended(ti)
    hevo.inject("get_object", Fault.status(404))

    facts = told(operator)

    assert sum("schema" in each.facets for each in facts.outputs) == len(pipeline.objects) - 1
    assert len(facts.outputs) == len(pipeline.objects)


@pytest.mark.parametrize("namespaces", [{"shop database": "postgres://db.internal:5432"}, '{"10": "snowflake://a-b"}'])
def test_the_connection_can_say_where_systems_are(
    hevo: Sandbox, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch, namespaces: object
) -> None:
    hevo.add_pipeline(7)
    with_namespaces(hevo, monkeypatch, namespaces)

    facts = told(ended(ti))

    found = {facts.inputs[0].namespace, facts.outputs[0].namespace}
    assert found & {"postgres://db.internal:5432", "snowflake://a-b"}
    assert found & {f"hevo://{hevo.host}/shop%20database", f"hevo://{hevo.host}/warehouse"}


def test_a_connection_that_says_it_wrongly_costs_the_datasets_only(
    hevo: Sandbox, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hevo.add_pipeline(7)
    with_namespaces(hevo, monkeypatch, ["postgres://db.internal:5432"])

    facts = told(ended(ti))

    assert facts.run_facets["hevo_job"].status == "COMPLETED"
    assert not facts.inputs
    assert "lineage_namespaces" in caplog.text


def with_namespaces(hevo: Sandbox, monkeypatch: pytest.MonkeyPatch, namespaces: object) -> None:
    connection = {"conn_type": "hevo", "host": hevo.url, "login": hevo.key, "password": hevo.secret}
    extra = {"lineage_namespaces": namespaces}
    monkeypatch.setenv("AIRFLOW_CONN_HEVO_AIRFLOW_CONN_ID", json.dumps({**connection, "extra": extra}))


TABLE = Namespace(k0="orders", k1="sales", k2="shop")


@pytest.mark.parametrize(
    ("type_", "config", "rule"),
    [
        (
            "POSTGRES",
            {"host": "db.example.com", "port": 6432},
            naming.Postgres("db.example.com", "6432", "shop", "sales", "orders"),
        ),
        (
            "AWS_RDS_POSTGRES",
            {"db_host": "postgresql://hevo:hunter2@DB.example.com/shop"},
            naming.Postgres("db.example.com", "5432", "shop", "sales", "orders"),
        ),
        ("MYSQL", {"host": "db.example.com:3307"}, naming.MySQL("db.example.com", "3307", "shop", "orders")),
        ("mysql_rds", {"host": "db.example.com"}, naming.MySQL("db.example.com", "3306", "shop", "orders")),
        (
            "SNOWFLAKE",
            {"account_url": "https://org-account.snowflakecomputing.com"},
            naming.Snowflake("org", "account", "shop", "sales", "orders"),
        ),
        ("BIGQUERY", {}, naming.BigQuery("shop", "sales", "orders")),
        ("GOOGLE_BIG_QUERY", None, naming.BigQuery("shop", "sales", "orders")),
        (
            "REDSHIFT",
            {"host": "cluster.abc123.us-east-1.redshift.amazonaws.com"},
            naming.Redshift("cluster", "us-east-1", "5439", "shop", "sales", "orders"),
        ),
        ("S3", {"bucket_name": "landing"}, naming.S3("landing", "sales/orders")),
        ("AMAZON_S3", {"bucket": "s3a://landing/in"}, naming.S3("landing", "sales/orders")),
        ("aws s3", {"bucket": "arn:aws:s3:::landing"}, naming.S3("landing", "sales/orders")),
        ("S3", {"bucket": "https://landing.s3.eu-west-1.amazonaws.com"}, naming.S3("landing", "sales/orders")),
        ("S3", {"bucket": "https://s3.amazonaws.com/landing/in"}, naming.S3("landing", "sales/orders")),
    ],
)
def test_names_follow_openlineages_rules(type_: str, config: dict[str, Any] | None, rule: Any) -> None:
    names = names_of(System(name="system", source_type=type_, config=config), "us.hevodata.com", {})

    assert names.namespace == rule.get_namespace()
    assert names.name_of(TABLE) == rule.get_name()


@pytest.mark.parametrize(
    ("type_", "config", "namespace"),
    [
        ("DATABRICKS", {"server_hostname": "dbc-1.cloud.databricks.com"}, "databricks://dbc-1.cloud.databricks.com"),
        ("SNOWFLAKE", {"account": "xy12345.eu-west-1.aws"}, "snowflake://xy12345.eu-west-1.aws"),
        ("REDSHIFT", {"host": "warehouse.internal", "port": "5440"}, "redshift://warehouse.internal:5440"),
        ("POSTGRES", {"host": "[::1]"}, "postgres://[::1]:5432"),
        ("POSTGRES", {"host": "http://[", "password": "x"}, "hevo://us.hevodata.com/my%20system"),
        ("POSTGRES", {"host": 7}, "hevo://us.hevodata.com/my%20system"),
        ("POSTGRES", {"host": "hevo:p@ss/word@db.example.com"}, "hevo://us.hevodata.com/my%20system"),
        ("POSTGRES", {"host": "hevo:p@ss@db.example.com"}, "hevo://us.hevodata.com/my%20system"),
        ("S3", {"bucket": "s3://AKIAKEY:SECRET@landing"}, "s3://landing"),
        ("S3", {"bucket": "s3://AKIAKEY:SEC/RET@landing"}, "hevo://us.hevodata.com/my%20system"),
        ("DYNAMICS365", {"bucket": "landing"}, "hevo://us.hevodata.com/my%20system"),
        ("GOOGLE_ADS_360", {"bucket": "landing"}, "hevo://us.hevodata.com/my%20system"),
        ("SALESFORCE", {"host": "example.salesforce.com"}, "hevo://us.hevodata.com/my%20system"),
        (None, None, "hevo://us.hevodata.com/my%20system"),
    ],
)
def test_a_namespace_never_claims_more_than_is_known(
    type_: str | None, config: dict[str, Any] | None, namespace: str
) -> None:
    system = System(name="my system", destination_type=type_, config=config)

    assert names_of(system, "us.hevodata.com", {}).namespace == namespace


@pytest.mark.parametrize(
    ("type_", "config", "place", "name"),
    [
        ("POSTGRES", {"database": "shop"}, Namespace(k0="orders", k1="sales"), "shop.sales.orders"),
        ("BIGQUERY", {"project_id": "project"}, Namespace(k0="orders", k1="sales"), "project.sales.orders"),
        ("DATABRICKS", {"catalog": "main"}, Namespace(k0="orders", k1="sales"), "main.sales.orders"),
        ("MYSQL", {"database": "other"}, Namespace(k0="orders", k1="sales"), "sales.orders"),
        ("MYSQL", {"database": "shop"}, Namespace(k0="orders"), "shop.orders"),
        ("S3", {"bucket": "landing"}, Namespace(k0="/orders/", k1="landing"), "orders"),
        ("SALESFORCE", None, Namespace(k0="Account"), "Account"),
        ("POSTGRES", None, Namespace(k1="sales"), None),
    ],
)
def test_a_name_is_made_of_what_is_there(
    type_: str, config: dict[str, Any] | None, place: Namespace, name: str | None
) -> None:
    assert names_of(System(source_type=type_, config=config), "us.hevodata.com", {}).name_of(place) == name


def test_asking_for_lineage_leaves_no_session_open(hevo: Sandbox, ti: TaskInstance) -> None:
    hevo.add_pipeline(7)
    operator = ended(ti)
    client = operator._hevo().last_client(1)
    assert client is not None

    asyncio.run(lineage._read(lineage.TIME_LIMIT, client, Order(pipeline_id=7), lineage._Seen()))

    assert client._session is None
