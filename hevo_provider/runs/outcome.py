"""What a wait for a run comes to, and what each poll of it comes to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import StrEnum

from hevo_provider.client.budget import Purpose
from hevo_provider.client.calls import HevoAsyncClient
from hevo_provider.models.answers import Job
from hevo_provider.runs.run import Run


class Ending(StrEnum):
    """How a wait ended."""

    ENDED = "job_ended"  # the job is in a terminal status, good or bad
    FOUND = "job_found"  # which was all the task wanted
    START = "start"  # the action may be sent (again): a worker's business
    TIMED_OUT = "timed_out"
    FRESH = "fresh"  # nothing was started, for a job had completed lately enough: only a worker sees that


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


@dataclass(frozen=True, slots=True)
class Step:
    """
    What one poll came to.

    :param run: the run as it is now.
    :param job: the job, if this poll showed it.
    :param ending: how the wait ended with this; None: poll again.
    """

    run: Run
    job: Job | None = None
    ending: Ending | None = None


class WaitPhase(ABC):
    """One phase of a wait: what it polls, and at what pace."""

    __slots__ = ()

    polls: int = 0
    """How many polls there have been in this process, without those that were not answered."""

    requests: int = 1
    """How many requests a poll takes at least."""

    purpose: Purpose = Purpose.WAIT
    """What its polls are for, where Hevo's limit is not enough for all."""

    is_steady: bool = False
    """Whether all polls are alike, a ``poll_interval`` apart, for as long as it takes."""

    @abstractmethod
    async def poll(self, hevo: HevoAsyncClient, run: Run) -> Step:
        """
        Ask Hevo once.

        :raises HevoError: Hevo cannot be reached, or refuses. Nothing is repeated: that is the loop's business.
        :raises HevoRunError: there is nothing more to wait for, and it is no good end.
        """

    def asks(self, run: Run) -> str | None:  # noqa: ARG002 - as a rule each wants its own answer
        """Return what a poll asks for first, where the answer that another wait gets to that will do."""
        return None

    @abstractmethod
    def pause(self, run: Run) -> float:
        """Return the seconds from a poll to the next."""

    def first_pause(self, run: Run) -> float:
        """Return the seconds to the first poll of a process that takes over the wait."""
        return self.pause(run)
