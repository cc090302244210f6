"""What a wait for a run comes to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hevo_provider.models.answers import Job
from hevo_provider.runs.run import Run


class Ending(StrEnum):
    """How a wait ended."""

    ENDED = "job_ended"  # the job is in a terminal status, good or bad
    FOUND = "job_found"  # which was all the task wanted
    START = "start"  # the action may be sent (again): a worker's business
    TIMED_OUT = "timed_out"


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What a wait came to.

    :param ending: how it ended.
    :param run: the run as it is now.
    :param job: the job, once it was seen.
    :param cancelled: whether Hevo was asked to cancel the job, because time was over.
    """

    ending: Ending
    run: Run
    job: Job | None = None
    cancelled: bool = False
