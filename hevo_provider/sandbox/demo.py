"""The demo data set: one pipeline of every kind that a newcomer may want to see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hevo_provider.sandbox.sandbox import Sandbox

_SOMEBODY_ELSES_JOB_AGE = 120.0


@dataclass(frozen=True)
class DemoPipeline:
    """One pipeline of the demo; times in seconds, before ``--speed``."""

    id: int
    name: str
    what: str
    appear_after: float = 2.0
    duration: float | None = 6.0
    ends: str = "COMPLETED"
    first_ends: tuple[str, ...] = ()
    status: str = "INITIALIZED"
    restarting_for: float = 0.0
    frequency_minutes: int | None = None
    busy: bool = False


DEMO_PIPELINES = (
    DemoPipeline(1, "orders to warehouse", "succeeds after 6 s"),
    DemoPipeline(
        2,
        "customers to warehouse",
        "ends with COMPLETED_WITH_FAILURES; a resync restarts it for 2 s first",
        ends="COMPLETED_WITH_FAILURES",
        restarting_for=2.0,
    ),
    DemoPipeline(3, "invoices to warehouse", "fails after 6 s", ends="FAILED"),
    DemoPipeline(4, "events to lake", "takes 10 minutes", duration=600.0),
    DemoPipeline(5, "old shop to warehouse", "is disabled and cannot run", status="DISABLED"),
    DemoPipeline(6, "stock to warehouse", "also starts by its own schedule, every minute", frequency_minutes=1),
    DemoPipeline(7, "payments to warehouse", "is busy with a job that somebody else started", duration=None, busy=True),
    DemoPipeline(
        8, "rates to warehouse", "its jobs end before they first show, 8 s later", appear_after=8.0, duration=0.5
    ),
    DemoPipeline(
        9,
        "reviews to warehouse",
        "one object fails in its first job, and loads in the next",
        first_ends=("COMPLETED_WITH_FAILURES",),
    ),
    DemoPipeline(10, "ads to lake", "the source's rate limit stops its first job: DEFERRED", first_ends=("DEFERRED",)),
    DemoPipeline(11, "visits to warehouse", "starts by its own schedule, every minute", frequency_minutes=1),
)

FLEET = tuple(
    DemoPipeline(number, f"shop {number} to warehouse", "", duration=number % 7 + 2.0) for number in range(101, 131)
)


def add_demo_pipelines(hevo: Sandbox, *, speed: float = 1.0) -> None:
    """
    Fill a sandbox with the demo data set.

    :param speed: how many times faster than told the jobs show and end.
    """
    for demo in (*DEMO_PIPELINES, *FLEET):
        schedule = {"sync_type": "ON_DEMAND"} if demo.frequency_minutes is None else _every(demo.frequency_minutes)
        pipeline = hevo.add_pipeline(
            demo.id,
            name=demo.name,
            status=demo.status,
            appear_after=demo.appear_after / speed,
            duration=None if demo.duration is None else demo.duration / speed,
            ends=demo.ends,
            first_ends=demo.first_ends,
            restarting_for=demo.restarting_for / speed,
            fields={"schedule": schedule},
        )
        if demo.busy:
            pipeline.start_job(started_by="somebody", ago=_SOMEBODY_ELSES_JOB_AGE)


def _every(minutes: int) -> dict[str, object]:
    return {"sync_type": "SCHEDULED", "frequency_minutes": minutes}


def describe(line: Callable[[str], None]) -> None:
    """Hand the list of the demo's pipelines to ``line``, one line each."""
    for demo in DEMO_PIPELINES:
        line(f"  {demo.id:>2}  {demo.name:<24} {demo.what}")
    line(f"  {FLEET[0].id} to {FLEET[-1].id}: a fleet whose jobs take between 2 and 8 s")
