"""A connection that is changed while tasks wait leads elsewhere as a whole: a new key never goes to the old host."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hevo_provider.client.shared import open_clients
from hevo_provider.exceptions import HevoConnectionNotFoundError
from hevo_provider.hooks import HevoHook
from hevo_provider.operators import HevoPipelineOperator
from hevo_provider.sandbox import Fault, Request, Sandbox, SandboxJob, SandboxPipeline
from hevo_provider.triggers import HevoJobTrigger
from tests.stage.clock import START, VirtualClock
from tests.stage.marks import in_both_modes
from tests.stage.sensors import sense
from tests.stage.tasks import TaskInstance, event_of, play

Move = Callable[[], None]


@pytest.fixture
def elsewhere(clock: VirtualClock) -> Iterator[Sandbox]:
    """Another region, with an account of its own."""
    with Sandbox(key="another-key", secret="another-secret", clock=clock.now) as sandbox:
        yield sandbox


@pytest.fixture
def move(hevo: Sandbox, elsewhere: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Move:
    """Return what lets the connection lead elsewhere; the old host then refuses its old key."""

    def move() -> None:
        hevo.unauthorized = True
        point_to(monkeypatch, elsewhere, extra={"headers": {"X-Account": "the-new-account"}})

    return move


def point_to(monkeypatch: pytest.MonkeyPatch, hevo: Sandbox, **fields: Any) -> None:
    connection = {"conn_type": "hevo", "host": hevo.url, "login": hevo.key, "password": hevo.secret, **fields}
    monkeypatch.setenv("AIRFLOW_CONN_HEVO_AIRFLOW_CONN_ID", json.dumps(connection))


def same_job(hevo: Sandbox, elsewhere: Sandbox, **how: Any) -> str:
    """Let one job run in both places: the account itself has moved."""
    job = hevo.add_pipeline(7, **how).start_job(appear_after=0)
    call(elsewhere.add_pipeline(7, **how).start_job(appear_after=0), job.id)
    return job.id


def call(job: SandboxJob, job_id: str) -> None:
    """Let a job be known by another id."""
    job.id = job_id
    assert isinstance(job.pipeline, SandboxPipeline)
    job.pipeline._by_id[job_id] = job


def assert_new_key_went_to_new_host_only(hevo: Sandbox, elsewhere: Sandbox) -> None:
    new = b64encode(f"{elsewhere.key}:{elsewhere.secret}".encode()).decode()
    old = b64encode(f"{hevo.key}:{hevo.secret}".encode()).decode()
    assert {request.headers["Authorization"] for request in hevo.requests} == {f"Basic {old}"}
    assert {request.headers["Authorization"] for request in elsewhere.requests} == {f"Basic {new}"}
    assert {request.headers["X-Account"] for request in elsewhere.requests} == {"the-new-account"}


def when(hevo: Sandbox, moment: float, move: Move) -> None:
    """Let the connection be changed at a moment, in seconds from the start of the test."""

    def at_that_moment(request: Request) -> None:
        if request.at >= START + moment and not hevo.unauthorized:
            move()

    hevo.on_request = at_that_moment


async def test_a_refused_request_goes_to_where_the_connection_leads_now(
    hevo: Sandbox, elsewhere: Sandbox, move: Move
) -> None:
    elsewhere.add_pipeline(7, name="the moved one")

    async with HevoHook().client() as client:
        move()
        pipeline = await client.get_pipeline(7)
        assert (client.base_url, client.host) == (elsewhere.url, "127.0.0.1")

    assert pipeline.name == "the moved one"
    assert_new_key_went_to_new_host_only(hevo, elsewhere)


async def test_so_does_one_whose_way_alone_has_changed(hevo: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(key=hevo.key, secret="the-new-secret") as proxy:
        proxy.add_pipeline(7, name="behind the proxy")
        async with HevoHook().client() as client:
            hevo.unauthorized = True
            extra = {"proxy": proxy.url}
            point_to(monkeypatch, hevo, password="the-new-secret", extra=extra)
            assert (await client.get_pipeline(7)).name == "behind the proxy"

    assert len(hevo.requests) == 1


async def test_triggers_that_wait_and_those_that_come_later_go_along(
    hevo: Sandbox, elsewhere: Sandbox, clock: VirtualClock, move: Move
) -> None:
    job_id = same_job(hevo, elsewhere, duration=300)
    later = elsewhere.add_pipeline(8, duration=60).start_job(appear_after=0)
    when(hevo, 100, move)

    async def come_later() -> Any:
        await clock.sleep(150)
        assert open_clients() == 1
        return await event_of(HevoJobTrigger(8, job_id=later.id))

    waiting = [event_of(HevoJobTrigger(7, job_id=job_id)) for _ in range(10)]
    events = await asyncio.gather(*waiting, come_later())

    assert [event["status"] for event in events] == ["COMPLETED"] * 11
    assert_new_key_went_to_new_host_only(hevo, elsewhere)
    assert open_clients() == 0


@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_a_sensor_goes_along(hevo: Sandbox, elsewhere: Sandbox, ti: TaskInstance, move: Move, mode: str) -> None:
    job_id = same_job(hevo, elsewhere, duration=300)
    when(hevo, 100, move)

    assert sense(mode, ti, job_id=job_id, timeout=3600) == job_id

    assert_new_key_went_to_new_host_only(hevo, elsewhere)


@in_both_modes
def test_an_operator_goes_along(
    hevo: Sandbox, elsewhere: Sandbox, ti: TaskInstance, move: Move, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=300)
    moved = elsewhere.add_pipeline(7, duration=600).start_job(appear_after=0)

    def move_along() -> None:
        call(moved, pipeline.jobs[0].id)
        move()

    when(hevo, 100, move_along)

    job_id = play(HevoPipelineOperator(task_id="task", pipeline_id=7, deferrable=deferrable), ti)

    assert job_id == moved.id
    assert not elsewhere.requests_of("sync_now")
    assert_new_key_went_to_new_host_only(hevo, elsewhere)


# A connection that is deleted and added again with the new key


CONNECTION = "AIRFLOW_CONN_HEVO_AIRFLOW_CONN_ID"


def replace_the_connection(hevo: Sandbox, monkeypatch: pytest.MonkeyPatch, *, at: float, missing_for: float) -> None:
    """Let the key be rotated: the old one is refused from a moment on, and there is no connection for a while."""

    def as_time_goes_by(request: Request) -> None:
        since = request.at - START - at
        if since >= 0 and hevo.secret != "the-new-secret":
            hevo.secret = "the-new-secret"
            monkeypatch.delenv(CONNECTION)
        if since >= missing_for:
            point_to(monkeypatch, hevo)

    hevo.on_request = as_time_goes_by


@pytest.mark.usefixtures("airflow_database")
@pytest.mark.parametrize("deferrable", [True, False])
def test_an_operator_waits_for_a_connection_that_is_deleted_and_added_again_with_the_new_key(
    hevo: Sandbox, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, duration=600)
    replace_the_connection(hevo, monkeypatch, at=100, missing_for=120)

    job_id = play(HevoPipelineOperator(task_id="task", pipeline_id=7, deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]


@pytest.mark.usefixtures("airflow_database")
@pytest.mark.parametrize("mode", ["poke", "deferrable"])
def test_so_does_a_sensor(hevo: Sandbox, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    job = hevo.add_pipeline(7, duration=600).start_job(appear_after=0)
    replace_the_connection(hevo, monkeypatch, at=100, missing_for=120)

    assert sense(mode, ti, job_id=job.id, timeout=3600) == job.id


@pytest.mark.usefixtures("airflow_database")
@pytest.mark.parametrize("deferrable", [True, False])
def test_a_connection_that_is_gone_when_the_action_is_refused_fails_the_try_and_the_next_sends_it(
    hevo: Sandbox, ti: TaskInstance, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7)
    hevo.inject("sync_now", Fault.status(401))

    def delete(request: Request) -> None:
        if request.route == "sync_now" and request.status == 401:
            monkeypatch.delenv(CONNECTION)

    hevo.on_request = delete
    with pytest.raises(HevoConnectionNotFoundError):
        play(HevoPipelineOperator(task_id="task", pipeline_id=7, deferrable=deferrable), ti)

    point_to(monkeypatch, hevo)
    clock.advance(20)
    ti.next_try()
    job_id = play(HevoPipelineOperator(task_id="task", pipeline_id=7, deferrable=deferrable), ti)

    assert [job.id for job in pipeline.jobs] == [job_id]
    assert [request.at - START for request in hevo.requests_of("sync_now")] == [0, 20], "nobody searched for a job"
