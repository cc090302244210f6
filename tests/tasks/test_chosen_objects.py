"""``HevoResyncObjectsOperator``: which objects it asks Hevo to reload."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from hevo_provider.sandbox import Sandbox
from hevo_provider.sandbox.pipelines import SandboxPipeline
from tests.stage.clock import VirtualClock
from tests.stage.failures import fails, told_by
from tests.stage.marks import in_both_modes, whether_it_waits_or_not
from tests.stage.objects import add_shop, asked_for, ids, objects_operator
from tests.stage.tasks import Deferral, TaskInstance, play, work


@pytest.fixture
def pipeline(hevo: Sandbox) -> SandboxPipeline:
    return add_shop(hevo)


@whether_it_waits_or_not
def test_objects_are_chosen_by_id(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool, wait_for_completion: bool
) -> None:
    wanted = ids(pipeline, "customers", "invoices")

    job_id = play(
        objects_operator(object_ids=wanted, deferrable=deferrable, wait_for_completion=wait_for_completion),
        ti,
    )

    (job,) = pipeline.jobs
    assert (job.id, job.type, job.object_names) == (job_id, "RESYNC", ("customers", "invoices"))
    assert asked_for(hevo) == [wanted]
    assert ti.xcoms["hevo_job"]["status"] == ("COMPLETED" if wait_for_completion else "IN_PROGRESS")


@whether_it_waits_or_not
def test_objects_are_chosen_by_name(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool, wait_for_completion: bool
) -> None:
    task = objects_operator(
        objects=["invoices", "public.cust*"], deferrable=deferrable, wait_for_completion=wait_for_completion
    )

    job_id = play(task, ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert asked_for(hevo) == [ids(pipeline, "invoices", "customers", "custom_fields")]


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("orders", ["public.orders", "archive.orders"]),
        ("Orders", ["legacy.Orders"]),
        ("ORDERS", ["public.orders", "archive.orders", "legacy.Orders"]),
        ("PUBLIC.Inv*", ["invoices"]),
        ("archive.*", ["archive.orders"]),
        ("*.orders", ["public.orders", "archive.orders"]),
        ("shop.public.orders", ["public.orders"]),
        ("shop.*.orders", ["public.orders", "archive.orders"]),
        ("[ci]*s", ["customers", "invoices", "custom_fields"]),
        ("order?", ["public.orders", "archive.orders"]),
        ("arch*.*", ["archive.orders"]),
        ("*ers", ["public.orders", "archive.orders", "legacy.Orders", "customers"]),
    ],
)
def test_a_name_may_be_a_pattern_of_its_place_and_case_counts_if_it_can(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, pattern: str, fits: list[str]
) -> None:
    work(lambda: objects_operator(objects=pattern).execute(ti.context))

    assert sorted(*asked_for(hevo)) == sorted(ids(pipeline, *fits))


def test_a_name_with_characters_of_a_pattern_is_found(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    odd = pipeline.add_object("orders[old]")
    pipeline.add_object("orderso")

    work(lambda: objects_operator(objects=["orders[old]"]).execute(ti.context))

    assert asked_for(hevo) == [[odd.id]]


@pytest.mark.parametrize("pattern", ["p*", "s*", "a*"])
def test_a_pattern_of_tables_takes_in_no_schema_and_no_database(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, pattern: str
) -> None:
    tables = [pipeline.add_object(name) for name in ("payments", "stock", "accounts")]

    work(lambda: objects_operator(objects=[pattern]).execute(ti.context))

    assert asked_for(hevo) == [[table.id for table in tables if table.name[0] == pattern[0]]]


@pytest.mark.parametrize("place", [None, {"k0": None, "k1": "public"}, {"k1": None, "k2": None, "k0": "clicks"}])
def test_an_object_is_found_by_what_hevo_tells_of_its_name(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, place: dict[str, Any] | None
) -> None:
    named = pipeline.add_object("x", override={"source_namespace": place, "object_name": "clicks"})

    work(lambda: objects_operator(objects=["clicks"]).execute(ti.context))

    assert asked_for(hevo) == [[named.id]]


def test_each_object_is_sent_once_however_often_it_is_meant(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    (invoices,) = ids(pipeline, "invoices")

    work(lambda: objects_operator(objects=["inv*", "invoices"], object_ids=[invoices, invoices]).execute(ti.context))

    assert asked_for(hevo) == [[invoices]]


def test_the_objects_are_read_page_by_page(hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline) -> None:
    for number in range(250):
        pipeline.add_object(f"shard_{number:03}")

    work(lambda: objects_operator(objects=["shard_*"]).execute(ti.context))

    assert len(*asked_for(hevo)) == 250
    assert len(hevo.requests_of("list_objects")) == 3


def test_the_worker_is_free_again_after_three_requests_and_the_pages_of_objects(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, clock: VirtualClock
) -> None:
    started_at = clock.now()

    left_behind = work(lambda: objects_operator(objects=["invoices"]).execute(ti.context))

    assert isinstance(left_behind, Deferral)
    assert clock.now() == started_at
    routes = [request.route for request in hevo.requests]
    assert sorted(routes[:3]) == ["get_pipeline", "list_jobs", "list_objects"]
    assert routes[3:] == ["resync_objects"]


@in_both_modes
def test_a_name_that_fits_nothing_fails_for_good_and_close_ones_are_named(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, deferrable: bool
) -> None:
    with fails(AirflowFailException, says=r"'public\.order' in objects fits no object") as failure:
        play(objects_operator(objects=["invoices", "public.order"], deferrable=deferrable), ti)

    assert "Close to it: public.orders" in told_by(failure.value)
    assert {request.method for request in hevo.requests} == {"GET"}


def test_where_no_name_is_close_those_that_exist_are_named(ti: TaskInstance, pipeline: SandboxPipeline) -> None:
    for number in range(20):
        pipeline.add_object(f"shard_{number:03}")

    with fails(AirflowFailException, says=r"There are shop\.public\.orders, .* and 16 more\."):
        play(objects_operator(objects=["qqq*"]), ti)


def test_a_name_that_fits_nothing_is_told_before_another_job_is_waited_for(
    ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    pipeline.start_job(appear_after=0, duration=1000)

    with fails(AirflowFailException, says="fits no object"):
        work(lambda: objects_operator(objects=["order"], on_active_job="wait").execute(ti.context))


@pytest.mark.parametrize("status", ["EXCLUDED", "DELETED", "DISABLED", "INACCESSIBLE", "INACTIVE", "SKIPPED"])
def test_objects_that_hevo_does_not_load_are_left_out(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, status: str
) -> None:
    pipeline.objects[1].status = status

    work(lambda: objects_operator(objects=["public.*"]).execute(ti.context))

    assert asked_for(hevo) == [ids(pipeline, "public.orders", "invoices", "custom_fields")]


def test_a_name_that_fits_only_what_hevo_does_not_load_fails_for_good(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline
) -> None:
    pipeline.objects[1].status = "EXCLUDED"

    with fails(AirflowFailException, says=r"fits only what Hevo does not load: .*customers \(EXCLUDED\)"):
        play(objects_operator(objects=["customers"]), ti)

    assert asked_for(hevo) == []


@pytest.mark.parametrize("words", ["objects", "object_ids", "either"])
def test_an_id_that_hevo_does_not_know_fails_for_good(
    hevo: Sandbox, ti: TaskInstance, pipeline: SandboxPipeline, words: Any
) -> None:
    hevo.object_resync_body = words

    with fails(AirflowFailException, says=r"Object none-such does not exist|has no object none-such"):
        play(objects_operator(object_ids=["none-such"]), ti)

    assert pipeline.jobs == []


def test_the_log_says_which_objects(ti: TaskInstance, pipeline: SandboxPipeline, story: Callable[[], str]) -> None:
    work(lambda: objects_operator(objects=["inv*"]).execute(ti.context))

    assert "Pipeline 7: objects to resync: shop.public.invoices." in story()
