"""One request and what came of it: all that the doctor's judgement rests on is a sequence of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Call(StrEnum):
    """What can be asked. The values are the names that a report uses."""

    PIPELINES = "pipelines"
    PIPELINE = "pipeline"
    MISSING_PIPELINE = "missing pipeline"
    JOBS = "jobs"
    JOB = "job"
    MISSING_JOB = "missing job"
    JOB_OBJECTS = "job objects"
    OBJECTS = "objects"
    OBJECT = "object"
    OBJECT_BY_NAME = "object by name"
    PAGE = "page"
    MISSING_PAGE = "missing page"
    SYNC = "sync"


@dataclass(frozen=True, slots=True)
class Question:
    """
    What is asked.

    :param call: which call of the API.
    :param pipeline_id: the pipeline, where there is one.
    :param item: id or name of the job or object, where there is one.
    :param limit: items a page; None does not ask for a number.
    :param cursor: from the page before.
    """

    call: Call
    pipeline_id: int | None = None
    item: str | None = None
    limit: int | None = None
    cursor: str | None = None

    @property
    def params(self) -> dict[str, str]:
        """The query."""
        params = {} if self.limit is None else {"limit": str(self.limit)}
        return params if self.cursor is None else {**params, "cursor": self.cursor}


@dataclass(frozen=True, slots=True)
class Exchange:
    """
    A question and its answer.

    :param question: what was asked.
    :param status: the HTTP status; None if there was no answer.
    :param value: the decoded JSON; None if the body was none.
    :param is_json: whether the body was JSON.
    :param headers: of the answer, names in lower case, without secrets.
    :param words: what an error says, without secrets.
    :param failure: why there was no answer, in words.
    :param seconds: from sending to the last byte.
    :param at: this machine's clock when the answer was there, seconds since the epoch.
    :param tls: version of TLS; None without.
    :param sent_before: requests that the doctor sent in the 60 seconds before this one.
    """

    question: Question
    status: int | None = None
    value: Any = None
    is_json: bool = False
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)
    words: str = ""
    failure: str = ""
    seconds: float = 0.0
    at: float = 0.0
    tls: str | None = None
    sent_before: int = 0

    @property
    def call(self) -> Call:
        """Which call of the API this was."""
        return self.question.call

    @property
    def is_well(self) -> bool:
        """Whether the API answered as it does when all is well."""
        return self.status == HTTPStatus.OK and self.is_json

    @property
    def has_failed(self) -> bool:
        """Whether no answer came, or one that says nothing of what was asked: a gateway's."""
        return self.status is None or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR

    @property
    def is_over_the_limit(self) -> bool:
        """Whether Hevo says that there were too many requests, by status or by words."""
        text = self.words.lower()
        told = "rate limit" in text or "too many requests" in text
        if self.status is None or self.status < HTTPStatus.BAD_REQUEST:
            return False
        return self.status == HTTPStatus.TOO_MANY_REQUESTS or told


@dataclass(frozen=True, slots=True)
class Sync:
    """
    A sync that was asked for, and the jobs that it brought.

    :param answer: to the POST; None if it was not sent.
    :param why_not: why it was not sent.
    :param unseen_until: seconds after the POST of the last list without a new job.
    :param shown_after: seconds after the POST of the first list with one; None if none showed.
    :param jobs: what each new job was seen as, in the order in which they showed.
    """

    answer: Exchange | None = None
    why_not: str = ""
    unseen_until: float = 0.0
    shown_after: float | None = None
    jobs: tuple[SyncJob, ...] = ()


@dataclass(frozen=True, slots=True)
class SyncJob:
    """
    A job that showed after the sync was asked for.

    :param type: its type, as Hevo calls it; None if it does not say.
    :param states: its statuses, with the seconds after the POST at which each was first seen.
    """

    type: str | None
    states: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Observations:
    """
    All that was seen.

    :param exchanges: in the order in which they were asked.
    :param certificate_checked: whether the connection has TLS certificates checked.
    :param own_page: whether the connection has its own pattern for a pipeline's page.
    :param sync: what ``--sync`` measured; None if it was not asked for.
    :param cut_short: why less was asked than planned; empty if nothing was left out.
    """

    exchanges: tuple[Exchange, ...] = ()
    certificate_checked: bool = True
    own_page: bool = False
    sync: Sync | None = None
    cut_short: str = ""

    def of(self, *calls: Call) -> tuple[Exchange, ...]:
        """Return what came of these calls in the end: no refusal over the limit, nothing that was asked again."""
        mine = [each for each in self.exchanges if each.call in calls and not each.is_over_the_limit]
        last = {each.question: each for each in mine}
        return tuple(each for each in mine if not each.has_failed or last[each.question] is each)

    def well(self, *calls: Call) -> tuple[Exchange, ...]:
        """Return the answers of these calls that came as they do when all is well."""
        return tuple(each for each in self.of(*calls) if each.is_well)
