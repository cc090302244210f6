"""A pipeline that is given by its name, which is the same in all environments."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from itertools import chain, repeat
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
)

from hevo_provider import hooks
from hevo_provider.client import HevoAsyncClient
from hevo_provider.client.budget import LONGEST_SLEEP
from hevo_provider.exceptions import HevoConfigError, HevoConnectionNotFoundError, HevoRunError, HevoServerError
from hevo_provider.operators import HevoPipelineOperator, HevoResyncObjectsOperator
from hevo_provider.runs.course import LONGEST_WAIT_FOR_LIMIT
from hevo_provider.sandbox import Fault, Request, Sandbox
from hevo_provider.sensors import HevoSensor
from tests.stage.clock import VirtualClock
from tests.stage.death import lose_worker
from tests.stage.failures import fails
from tests.stage.marks import in_both_modes, in_every_sensor_mode
from tests.stage.sensors import RescheduledTaskInstance, sense
from tests.stage.tasks import TaskInstance, deferred, play, work

KINDS: list[Any] = [HevoPipelineOperator, HevoResyncObjectsOperator, HevoSensor]


def named(name: object = "orders", kind: Any = HevoPipelineOperator, **parameters: Any) -> Any:
    more = {"object_ids": ["o-1"]} if kind is HevoResyncObjectsOperator else {}
    return kind(task_id="task", pipeline_name=name, **more, **parameters)


@pytest.fixture
def ti(clock: VirtualClock) -> TaskInstance:
    return RescheduledTaskInstance(clock)


@in_both_modes
@pytest.mark.parametrize("kind", [HevoPipelineOperator, HevoResyncObjectsOperator])
def test_the_pipeline_of_that_name_is_run(hevo: Sandbox, ti: TaskInstance, kind: Any, deferrable: bool) -> None:
    for number in range(1, 13):
        hevo.add_pipeline(number, name=f"shop {number}")
    pipeline = hevo.add_pipeline(47, name="orders")
    pipeline.add_object("stock", object_id="o-1")

    job_id = play(named(kind=kind, deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert ti.xcoms["hevo_job"]["pipeline_id"] == 47
    assert ti.xcoms["hevo_pipeline_page"].endswith("/pipeline/47/overview")
    assert len(hevo.requests_of("list_pipelines")) == 1


@in_every_sensor_mode
def test_a_sensor_waits_for_the_pipeline_of_that_name(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str], mode: str
) -> None:
    hevo.add_pipeline(7, name="shop")
    job = hevo.add_pipeline(47, name="orders").start_job(appear_after=0, duration=100)

    assert sense(mode, ti, pipeline_id=None, pipeline_name="orders") == job.id
    assert ti.xcoms["hevo_pipeline_page"].endswith("/pipeline/47/overview")
    assert story().count("waiting for a job") == 1
    if mode != "reschedule":  # in which each process knows only of itself
        assert len(hevo.requests_of("list_pipelines")) == 1


@pytest.mark.parametrize(
    ("written", "found"), [("orders", 2), ("Orders", 3), (" Orders ", 3), ("CUSTOMERS", 4), ("größe", 5)]
)
def test_case_counts_where_a_name_fits_with_it(hevo: Sandbox, ti: TaskInstance, written: str, found: int) -> None:
    for number, name in enumerate(["invoices", "orders", "Orders", "Customers", "GRÖSSE"], 1):
        hevo.add_pipeline(number, name=name)

    job_id = play(named(written), ti)

    assert [job.id for job in hevo.pipelines[found].jobs] == [job_id]


def test_all_pages_of_pipelines_are_looked_through(hevo: Sandbox, ti: TaskInstance) -> None:
    for number in range(1, 251):
        hevo.add_pipeline(number, name=f"shop {number}")

    play(named("shop 250"), ti)

    assert len(hevo.requests_of("list_pipelines")) == 3
    assert len(hevo.pipelines[250].jobs) == 1


@in_both_modes
def test_a_name_that_fits_none_fails_for_good_and_close_ones_are_named(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    for number, name in enumerate(["orders to warehouse", "Order", "zebra"], 1):
        hevo.add_pipeline(number, name=name)

    with fails(AirflowFailException, says=r"No pipeline is called 'orders'\. Close to it: 'Order'"):
        play(named(deferrable=deferrable), ti)

    assert {request.route for request in hevo.requests} == {"list_pipelines"}


def test_where_none_is_close_it_says_how_many_there_are(hevo: Sandbox, ti: TaskInstance) -> None:
    hevo.add_pipeline(1, name="zebra")
    hevo.add_pipeline(2, name=None).fields["name"] = None

    with fails(AirflowFailException, says="There are 1 pipelines, and none is close to it"):
        play(named(), ti)


@in_both_modes
def test_a_name_that_fits_several_fails_for_good_and_their_ids_are_listed(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    for number in (9, 4):
        hevo.add_pipeline(number, name="orders")

    with fails(AirflowFailException, says=r"Several pipelines are called 'orders': 4, 9\. .* pipeline_id"):
        play(named(deferrable=deferrable), ti)

    assert hevo.requests_of("sync_now") == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("given", [{}, {"pipeline_id": 7, "pipeline_name": "orders"}], ids=["neither", "both"])
def test_exactly_one_of_id_and_name_is_given(kind: Any, given: dict[str, Any]) -> None:
    with fails(HevoConfigError, says="Exactly one of pipeline_id and pipeline_name"):
        kind(task_id="task", **given)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["", " ", "None", 7, ["orders"]])
def test_what_is_no_name_is_refused_when_the_dag_is_parsed(kind: Any, name: object) -> None:
    with fails(HevoConfigError, says="pipeline_name must be the name of a pipeline"):
        named(name, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_the_name_is_a_template(hevo: Sandbox, ti: TaskInstance, kind: Any) -> None:
    task = named("{{ 'ord' ~ 'ers' }}", kind)

    task.render_template_fields(ti.context)

    assert task.pipeline_name == "orders"


@pytest.mark.parametrize("kind", KINDS)
def test_a_template_that_renders_to_nothing_fails_for_good_before_any_request(
    hevo: Sandbox, ti: TaskInstance, kind: Any
) -> None:
    task = named("{{ nothing }}", kind)
    task.pipeline_name = ""

    with fails(AirflowFailException, says="pipeline_name must be the name of a pipeline"):
        play(task, ti)

    assert hevo.requests == []


def test_a_task_can_be_mapped_over_names(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(47, name="orders")
    with DAG("dag", schedule=None):
        mapped: Any = HevoPipelineOperator.partial(task_id="task").expand(pipeline_name=["orders"])

    job_id = play(mapped.unmap({"pipeline_name": "orders"}), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@pytest.mark.parametrize("given", [{"pipeline_id": 7, "pipeline_name": "orders"}, {"pipeline_name": ""}])
def test_a_mapped_task_that_names_no_pipeline_or_two_fails_for_good(
    hevo: Sandbox, ti: TaskInstance, given: dict[str, Any]
) -> None:
    with DAG("dag", schedule=None):
        mapped: Any = HevoPipelineOperator.partial(task_id="task").expand_kwargs([given])

    with fails(AirflowFailException, says="pipeline_name"):
        play(mapped.unmap(given), ti)

    assert hevo.requests == []


def test_a_pipeline_that_is_renamed_while_the_task_waits_changes_nothing(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(47, name="orders")
    left_behind = work(lambda: named().execute(ti.context))
    pipeline.name = "something else"

    assert play(named(), ti, left_behind) == pipeline.jobs[0].id


@in_both_modes
def test_a_retry_follows_the_job_of_a_lost_worker(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(47, name="orders", duration=1000)
    lose_worker(named(), ti)
    clock.advance(300)
    ti.next_try()

    job_id = play(named(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@in_both_modes
@pytest.mark.parametrize("fault", [Fault.status(503), Fault.status(429, headers={"Retry-After": "40"}), Fault.reset()])
def test_a_look_up_that_stumbles_is_asked_for_again(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, fault: Fault
) -> None:
    pipeline = hevo.add_pipeline(47, name="orders")
    hevo.inject("list_pipelines", fault)

    job_id = play(named(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


FOR_A_QUARTER_OF_AN_HOUR = 900.0  # seconds
WORDS = {"message": "Request rate limit exceeded"}
OVER_THE_LIMIT = [Fault.status(429, headers={"Retry-After": "40"}), Fault.status(403, body=WORDS)]


def no_room(hevo: Sandbox, clock: VirtualClock, fault: Fault, *, seconds: float) -> None:
    """Refuse each look-up for a while, as Hevo does where others use up the limit."""
    hevo.inject("list_pipelines", fault, times=None)
    ends = clock.now() + seconds

    def there_is_room_again(_: Request) -> None:
        if clock.now() >= ends:
            hevo.clear_faults()

    hevo.on_request = there_is_room_again


@in_both_modes
@pytest.mark.parametrize("fault", OVER_THE_LIMIT)
@pytest.mark.parametrize("kind", [HevoPipelineOperator, HevoResyncObjectsOperator])
def test_a_look_up_waits_for_room_within_the_limit_and_not_on_a_worker(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, kind: Any, deferrable: bool, fault: Fault
) -> None:
    pipeline = hevo.add_pipeline(47, name="orders")
    pipeline.add_object("stock", object_id="o-1")
    no_room(hevo, clock, fault, seconds=FOR_A_QUARTER_OF_AN_HOUR)

    job_id = play(named(kind=kind, deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    if deferrable:
        assert ti.xcoms["hevo_job"]["worker_seconds"] < 60


@in_every_sensor_mode
def test_a_sensor_polls_on_where_the_limit_has_no_room_for_a_look_up(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, mode: str
) -> None:
    job = hevo.add_pipeline(47, name="orders").start_job(appear_after=0, duration=1000)
    no_room(hevo, clock, OVER_THE_LIMIT[0], seconds=FOR_A_QUARTER_OF_AN_HOUR)

    assert sense(mode, ti, pipeline_id=None, pipeline_name="orders") == job.id


@in_both_modes
def test_a_look_up_for_which_there_is_never_room_fails_when_the_time_is_over(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(47, name="orders")
    hevo.inject("list_pipelines", OVER_THE_LIMIT[0], times=None)
    began = clock.now()

    with fails(AirflowTaskTimeout, says="429"):
        play(named(deferrable=deferrable, timeout=1800), ti)

    assert 1700 < clock.now() - began <= 1810
    assert pipeline.jobs == []


def test_a_name_that_fits_none_is_told_from_the_triggerer_too(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    hevo.add_pipeline(47, name="order")
    no_room(hevo, clock, OVER_THE_LIMIT[0], seconds=FOR_A_QUARTER_OF_AN_HOUR)

    with fails(AirflowFailException, says=r"No pipeline is called 'orders'\. Close to it: 'order'"):
        play(named(), ti)


@in_both_modes
def test_one_that_fails_for_long_fails_the_task_as_a_start_does(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    hevo.add_pipeline(47, name="orders")
    hevo.inject("list_pipelines", Fault.status(503), times=None)

    with pytest.raises(HevoServerError):
        play(named(deferrable=deferrable), ti)

    assert hevo.requests_of("sync_now") == []


@in_every_sensor_mode
@pytest.mark.parametrize(("soft_fail", "raised"), [(False, AirflowSensorTimeout), (True, AirflowSkipException)])
def test_a_sensors_look_up_for_which_there_is_never_room_ends_as_its_time_out_does(
    hevo: Sandbox, ti: TaskInstance, mode: str, soft_fail: bool, raised: type[Exception]
) -> None:
    hevo.add_pipeline(47, name="orders")
    hevo.inject("list_pipelines", OVER_THE_LIMIT[0], times=None)

    with pytest.raises(raised):
        sense(mode, ti, pipeline_id=None, pipeline_name="orders", timeout=900, soft_fail=soft_fail)


def test_a_sensor_whose_look_up_may_be_a_stumble_holds_no_worker_until_it_is_over(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock
) -> None:
    hevo.inject("list_pipelines", Fault.status(404))
    began = clock.now()

    deferred(HevoSensor(task_id="task", pipeline_name="orders"), ti)

    assert clock.now() == began


@pytest.mark.parametrize(("seconds", "raised"), [(100, AirflowTaskTimeout), (3600, AirflowSensorTimeout)])
def test_of_a_sensors_two_time_outs_a_look_up_ends_as_the_earlier_does(
    hevo: Sandbox, ti: TaskInstance, seconds: float, raised: type[Exception]
) -> None:
    hevo.add_pipeline(47, name="orders")
    hevo.inject("list_pipelines", OVER_THE_LIMIT[0], times=None)
    limits = {"timeout": 1800, "execution_timeout": timedelta(seconds=seconds)}

    with pytest.raises(raised):
        sense("deferrable", ti, pipeline_id=None, pipeline_name="orders", **limits)


@in_every_sensor_mode
def test_a_name_that_fits_none_skips_a_sensor_that_fails_softly_wherever_that_is_found_out(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, mode: str
) -> None:
    hevo.add_pipeline(47, name="order")
    no_room(hevo, clock, OVER_THE_LIMIT[0], seconds=FOR_A_QUARTER_OF_AN_HOUR)

    with fails(AirflowSkipException, says=r"No pipeline is called 'orders'"):
        sense(mode, ti, pipeline_id=None, pipeline_name="orders", soft_fail=True)


@in_every_sensor_mode
def test_a_sensor_that_waits_endures_an_api_that_is_down(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, mode: str
) -> None:
    job = hevo.add_pipeline(47, name="orders").start_job(appear_after=0, duration=2000)
    began = clock.now()

    def be_down_for_a_while(_: Request) -> None:
        hevo.clear_faults()
        if 300 <= clock.now() - began < 1500:
            for route in ("list_pipelines", "list_jobs", "get_job"):
                hevo.inject(route, Fault.status(503))

    hevo.on_request = be_down_for_a_while

    assert sense(mode, ti, pipeline_id=None, pipeline_name="orders", poke_interval=60) == job.id


@pytest.mark.parametrize("jitter", [(0.0, 1.0, 0.0, 1.0, 0.45), (0.0,), (0.5,), (1.0,)])  # shares of each range
@pytest.mark.parametrize("fault", [*OVER_THE_LIMIT, Fault.status(429, headers={"Retry-After": "4"})])
@pytest.mark.parametrize("kind", KINDS)
def test_a_look_up_over_the_limit_holds_a_worker_for_no_longer_than_a_start_does(
    hevo: Sandbox,
    ti: TaskInstance,
    clock: VirtualClock,
    monkeypatch: pytest.MonkeyPatch,
    kind: Any,
    fault: Fault,
    jitter: tuple[float, ...],
) -> None:
    drawn = chain(jitter, repeat(jitter[-1]))
    monkeypatch.setattr("random.uniform", lambda low, high: low + (high - low) * next(drawn))
    hevo.add_pipeline(47, name="orders")
    no_room(hevo, clock, fault, seconds=FOR_A_QUARTER_OF_AN_HOUR)
    began = clock.now()

    deferred(named(kind=kind), ti)

    assert clock.now() - began <= LONGEST_WAIT_FOR_LIMIT + LONGEST_SLEEP


def fail_look_ups(hevo: Sandbox, clock: VirtualClock, fault: Fault, *, begins: float = 0, ends: float) -> None:
    """Fail each look-up that is made between so many seconds from now."""
    now = clock.now()

    def fail(_: Request) -> None:
        hevo.clear_faults()
        if now + begins <= clock.now() < now + ends:
            hevo.inject("list_pipelines", fault)

    hevo.on_request = fail
    if not begins:
        hevo.inject("list_pipelines", fault)


NEVER = float("inf")


@in_every_sensor_mode
def test_a_sensors_first_look_up_endures_an_api_that_is_down_as_its_first_poll_by_id_does(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, mode: str
) -> None:
    job = hevo.add_pipeline(47, name="orders").start_job(appear_after=0, duration=2000)
    fail_look_ups(hevo, clock, Fault.status(503), ends=1500)

    assert sense(mode, ti, pipeline_id=None, pipeline_name="orders", poke_interval=60) == job.id


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_it_endures_it_for_as_long_as_the_sensor_tolerates(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, mode: str
) -> None:
    hevo.add_pipeline(47, name="orders")
    fail_look_ups(hevo, clock, Fault.status(503), ends=NEVER)
    began = clock.now()

    with fails(HevoRunError, says=r"Pipeline 'orders': no usable answer from Hevo since .*503"):
        sense(mode, ti, pipeline_id=None, pipeline_name="orders", api_outage_tolerance=600)

    assert 600 <= clock.now() - began < 700


@in_every_sensor_mode
def test_a_key_that_is_refused_from_the_start_fails_a_sensor_for_good_at_once(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, mode: str
) -> None:
    hevo.add_pipeline(47, name="orders")
    fail_look_ups(hevo, clock, Fault.status(401), ends=NEVER)
    began = clock.now()

    with fails(AirflowFailException, says="401"):
        sense(mode, ti, pipeline_id=None, pipeline_name="orders")

    assert clock.now() - began < 1


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_rescheduled_sensor_endures_in_a_later_look_up_what_it_does_in_a_later_poll(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, status: int
) -> None:
    job = hevo.add_pipeline(47, name="orders").start_job(appear_after=0, duration=400)
    fail_look_ups(hevo, clock, Fault.status(status), begins=300, ends=325)

    assert sense("reschedule", ti, pipeline_id=None, pipeline_name="orders") == job.id


@pytest.mark.parametrize(("status", "lasts"), [(401, 30), (404, 300)])
def test_where_that_lasts_it_fails_for_good(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, status: int, lasts: float
) -> None:
    hevo.add_pipeline(47, name="orders").start_job(appear_after=0, duration=36000)
    fail_look_ups(hevo, clock, Fault.status(status), begins=20, ends=NEVER)
    began = clock.now()

    with fails(AirflowFailException, says=str(status)):
        sense("reschedule", ti, pipeline_id=None, pipeline_name="orders")

    assert lasts <= clock.now() - began < lasts + 110


@in_both_modes
@pytest.mark.parametrize("fault", [Fault.status(503), Fault.status(401), Fault.status(404)])
def test_a_retry_of_a_lost_worker_endures_in_its_look_up_what_a_waiting_task_does(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool, fault: Fault
) -> None:
    pipeline = hevo.add_pipeline(47, name="orders", duration=1000)
    lose_worker(named(), ti)
    clock.advance(300)
    ti.next_try()
    fail_look_ups(hevo, clock, fault, ends=25)

    job_id = play(named(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@in_both_modes
def test_but_no_refusal_that_lasts(hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool) -> None:
    hevo.add_pipeline(47, name="orders", duration=1000)
    lose_worker(named(), ti)
    ti.next_try()
    fail_look_ups(hevo, clock, Fault.status(401), ends=NEVER)
    began = clock.now()

    with fails(AirflowFailException, says="401"):
        play(named(deferrable=deferrable), ti)

    assert 30 <= clock.now() - began < 60


@pytest.mark.parametrize("kind", KINDS)
def test_a_blocking_task_asks_ever_more_seldom_where_the_limit_has_no_room(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, kind: Any
) -> None:
    hevo.add_pipeline(47, name="orders").add_object("stock", object_id="o-1")
    no_room(hevo, clock, OVER_THE_LIMIT[1], seconds=NEVER)
    how = {"deferrable": False, "timeout": 3600}

    with pytest.raises((AirflowTaskTimeout, AirflowSensorTimeout)):
        sense("poke", ti, pipeline_id=None, pipeline_name="orders", **how) if kind is HevoSensor else play(
            named(kind=kind, **how), ti
        )

    asked = [request.at for request in hevo.requests_of("list_pipelines")]
    assert sum(at > asked[0] + 1800 for at in asked) < 90  # in half an hour


@in_both_modes
def test_a_start_that_waits_for_room_endures_an_api_that_is_down_meanwhile(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(47, name="orders")
    began = clock.now()

    def stumble(_: Request) -> None:
        hevo.clear_faults()
        waited = clock.now() - began
        if waited < 600:
            hevo.inject("list_pipelines", OVER_THE_LIMIT[0] if waited < 300 else Fault.status(503))

    hevo.on_request = stumble
    hevo.inject("list_pipelines", OVER_THE_LIMIT[0])

    job_id = play(named(deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@in_both_modes
def test_what_another_connection_was_told_before_makes_no_stumble_of_a_retrys_first_error(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    hevo.add_pipeline(47, name="orders", duration=1000)
    lose_worker(named(), ti)
    ti.next_try()
    began = clock.now()

    with pytest.raises(HevoConnectionNotFoundError):
        play(named(deferrable=deferrable, connection_id="another"), ti)

    assert clock.now() == began


async def test_of_a_listing_that_is_asked_for_once_only_the_first_page_is(hevo: Sandbox, clock: VirtualClock) -> None:
    for number in range(1, 151):
        hevo.add_pipeline(number)

    def stumble_at_the_second(_: Request) -> None:
        hevo.on_request = None
        hevo.inject("list_pipelines", Fault.status(503))

    hevo.on_request = stumble_at_the_second

    async with HevoAsyncClient(hevo.url, hevo.key, hevo.secret, clock=clock.clock) as client:
        assert len([each async for each in client.list_pipelines(retry_limit=0)]) == 150
    assert len(hevo.requests_of("list_pipelines")) == 3


def test_a_task_that_has_looked_a_name_up_can_be_copied(hevo: Sandbox, ti: TaskInstance) -> None:
    hevo.add_pipeline(47, name="orders")
    task = named()
    work(lambda: task.execute(ti.context))

    assert copy.deepcopy(task).pipeline_name == "orders"


@in_every_sensor_mode
def test_a_sensors_look_up_outlives_an_airflow_that_cannot_tell_the_connection(
    hevo: Sandbox, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    job = hevo.add_pipeline(47, name="orders").start_job(appear_after=0, duration=120)
    look_up, out = vars(hooks)["get_async_connection"], iter(range(4))

    async def be_out_at_first(connection_id: str) -> Any:
        if next(out, None) is not None:
            raise RuntimeError("the database is out")
        return await look_up(connection_id)

    monkeypatch.setattr(hooks, "get_async_connection", be_out_at_first)

    assert sense(mode, ti, pipeline_id=None, pipeline_name="orders") == job.id


@in_both_modes
def test_a_name_that_has_changed_since_is_looked_up_anew(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, deferrable: bool
) -> None:
    for number, name in ((47, "orders"), (48, "shop")):
        hevo.add_pipeline(number, name=name)
    task = named(deferrable=deferrable)
    play(task, ti)
    task.pipeline_name = "shop"  # as the template renders in another run of the same process

    play(task, TaskInstance(clock))

    assert [len(hevo.pipelines[number].jobs) for number in (47, 48)] == [1, 1]


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_the_end_of_an_outage_is_told(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, mode: str, story: Callable[[], str]
) -> None:
    hevo.add_pipeline(47, name="orders").start_job(appear_after=0, duration=2000)
    fail_look_ups(hevo, clock, Fault.status(503), ends=1500)

    sense(mode, ti, pipeline_id=None, pipeline_name="orders", poke_interval=60)

    assert "Pipeline 'orders': Hevo answers again after" in story()
