"""Workers, triggerers and the scheduler are killed, or asked to leave, while tasks of all modes are at work."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from hevo_provider.sandbox import Fault, Sandbox
from tests.cluster.airflow_cluster import TRIGGERERS, WORKERS, AirflowCluster
from tests.cluster.cast import MODES, STARTING, Cast

pytestmark = pytest.mark.cluster

LONG = 120.0  # seconds: longer than a worker lives


def kill_workers(lab: AirflowCluster, hevo: Sandbox, cast: Cast) -> Mapping[str, Cast]:
    """Kill all workers at once, some of them in the middle of the one request that must not be sent twice."""
    hevo.inject("sync_now", Fault.slow(LONG), times=len(STARTING))
    starting = Cast(lab.api, hevo, "starting", "workers-killed", STARTING)
    starting.wait_started()
    lab.kill_all(*WORKERS)
    cast.let_jobs_show()
    lab.restart(*WORKERS)
    cast.wait_polled()
    starting.wait_polled()
    return {"modes": cast, "starting": starting}


def ask_workers_to_leave(lab: AirflowCluster, hevo: Sandbox, cast: Cast) -> Mapping[str, Cast]:
    """Let the jobs of deferred tasks end while no worker takes up tasks: they resume when one does again."""
    lab.ask_to_leave(*WORKERS)
    cast.wait_polled(but=["sensor_reschedule"])  # which needs another worker process each time
    cast.end_jobs()
    lab.wait_gone(*WORKERS)
    lab.restart(*WORKERS)
    return {"modes": cast}


def lose_triggerers(lab: AirflowCluster, hevo: Sandbox, cast: Cast) -> Mapping[str, Cast]:
    """Kill one, whose work the other takes over; then ask that one to leave, with all that waits."""
    lab.kill_all(TRIGGERERS[0])
    cast.wait_polled()
    lab.ask_to_leave(TRIGGERERS[1])
    lab.wait_gone(TRIGGERERS[1])
    lab.restart(*TRIGGERERS)
    cast.wait_polled()
    return {"modes": cast}


def lose_scheduler(lab: AirflowCluster, hevo: Sandbox, cast: Cast) -> Mapping[str, Cast]:
    """Restart it in good order; then kill it, and let every job end while there is none."""
    lab.ask_to_leave("scheduler")
    lab.wait_gone("scheduler")
    lab.restart("scheduler")
    cast.wait_polled()
    lab.kill_all("scheduler")
    cast.end_jobs()
    lab.restart("scheduler")
    return {"modes": cast}


SITUATIONS: dict[str, Callable[[AirflowCluster, Sandbox, Cast], Mapping[str, Cast]]] = {
    "workers-killed": kill_workers,
    "workers-leave": ask_workers_to_leave,
    "triggerers-die-and-leave": lose_triggerers,
    "scheduler-leaves-and-dies": lose_scheduler,
}


@pytest.fixture(scope="module", params=SITUATIONS)
def played(request: pytest.FixtureRequest, lab: AirflowCluster, hevo: Sandbox) -> Mapping[str, Cast]:
    """Let a task of every mode get to work, play the situation, and let all end."""
    cast = Cast(lab.api, hevo, "modes", request.param, MODES)
    cast.wait_at_work()
    casts = SITUATIONS[request.param](lab, hevo, cast)
    for each in casts.values():
        each.end_jobs()
    for each in casts.values():
        each.wait_ended()
    return casts


@pytest.mark.parametrize("task", MODES)
def test_every_task_tells_the_truth_and_starts_no_job_beside_its_own(played: Mapping[str, Cast], task: str) -> None:
    assert played["modes"].story(task) == MODES[task]


@pytest.mark.parametrize("played", ["workers-killed"], indirect=True)
@pytest.mark.parametrize("task", STARTING)
def test_a_task_whose_worker_is_killed_in_the_middle_of_its_post_sends_no_other(
    played: Mapping[str, Cast], task: str
) -> None:
    assert played["starting"].story(task) == STARTING[task]
