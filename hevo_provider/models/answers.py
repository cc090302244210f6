"""
What Hevo's answers are read into.

New fields are ignored, and every field but the ids may be missing, null or of an unexpected type: it is None then. An
answer is only refused where the one thing that is needed from it, an id or the list itself, is not there.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import from_json

from hevo_provider.exceptions import HevoResponseError
from hevo_provider.models.enums import TERMINAL_STATUSES
from hevo_provider.models.ids import ID_PATTERN

Id = Annotated[str, StringConstraints(pattern=f"^{ID_PATTERN}$")]
# A name of the API's own, known or new: it ends up in log lines, so it is one short line itself.
Word = Annotated[str, StringConstraints(pattern=r"^[!-~](?:[ -~]{0,98}[!-~])?$")]
# What others do with a number must not fail on its size.
Number = Annotated[int, Field(ge=-(2**63), lt=2**63)]


_UNTOLD: frozenset[str] = frozenset()


class Answer(BaseModel):
    """Base of the models: frozen, ignores what it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True, hide_input_in_errors=True)

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """
        Read one answer.

        :param body: the JSON text.
        :returns: the model; fields whose values make no sense are None.
        :raises HevoResponseError: it is no JSON, no object, or an id is missing.
        """
        try:
            answer = cls.model_validate_json(body)
        except ValidationError:
            return cls._without_nonsense(body)
        # Which fields were sent is of no interest here, and the set of their names would be half of the memory.
        object.__setattr__(answer, "__pydantic_fields_set__", _UNTOLD)
        return answer

    @classmethod
    def _without_nonsense(cls, body: bytes) -> Self:
        # Rare, so it may be slow: read again without the fields that pydantic complains about.
        try:
            value = json_of(body)
        except ValueError:
            raise HevoResponseError(f"Hevo's answer is not JSON: {_excerpt(body)}") from None
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            for problem in error.errors(include_url=False, include_context=False, include_input=False):
                _drop(value, problem["loc"])
        try:
            return cls.model_validate(value)
        except ValidationError as remaining:
            fields = sorted({".".join(map(str, p["loc"])) or "(all)" for p in remaining.errors(include_input=False)})
            message = f"Hevo's answer lacks what is needed ({', '.join(fields)}): {_excerpt(body)}"
            raise HevoResponseError(message) from None


_UNESCAPED = r"(?<!\\)((?:\\\\)*)"  # what precedes is an even number of backslashes, which are escaped themselves
_FIRST, _SECOND = r"\\u[dD][89abAB][0-9a-fA-F]{2}", r"\\u[dD][c-fC-F][0-9a-fA-F]{2}"
# Half of a surrogate pair, as in an error text that was cut in the middle of an emoji.
_HALF_A_PAIR = re.compile(rf"{_UNESCAPED}(?:{_FIRST}(?!{_SECOND})|(?<!{_FIRST}){_SECOND})")
_MOST_MENDED = 1024 * 1024  # bytes: it must not keep the event loop busy for long


def json_of(body: bytes) -> Any:
    """
    Read JSON, also where a text in it is damaged: a byte order mark, bytes that are not UTF-8, half a surrogate pair.

    Hevo hands on texts of others, such as a source's error. What nobody needs must not make an answer unreadable, and
    what is needed (ids, statuses, times) is ASCII: it is either there undamaged or does not fit its model.

    :raises ValueError: it is no JSON.
    """
    try:
        return from_json(body)
    except ValueError:
        if len(body) > _MOST_MENDED:
            raise
        return from_json(_HALF_A_PAIR.sub(r"\1\\ufffd", body.decode("utf-8-sig", "replace")))


def _drop(value: Any, location: tuple[int | str, ...]) -> None:
    for step in location[:-1]:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return
    if location and isinstance(value, dict):
        value.pop(location[-1], None)


def _excerpt(body: bytes) -> str:
    text = body[:200].decode("utf-8", "replace")
    return repr(text) + ("…" if len(body) > len(text) else "")


class Page(Answer):
    """One page of a listing."""

    has_more: bool | None = None
    next_cursor: str | None = None

    @property
    def following(self) -> str | None:
        """The cursor of the next page, if there is one."""
        return None if self.has_more is False else self.next_cursor or None


class Job(Answer):
    """A job of a pipeline. Times are milliseconds since the epoch, ``duration`` is milliseconds."""

    job_id: Id
    type: Word | None = None
    status: Word | None = None
    created_ts: Number | None = None
    updated_ts: Number | None = None
    events_ingested: Number | None = None
    events_loaded: Number | None = None
    events_failed: Number | None = None
    objects_success: Number | None = None
    objects_queued: Number | None = None
    objects_skipped: Number | None = None
    objects_failed: Number | None = None
    billable_events: Number | None = None
    non_billable_events: Number | None = None
    duration: Number | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended. A status that this version does not know is not an end."""
        return self.status in TERMINAL_STATUSES


class JobPage(Page):
    """One page of a pipeline's jobs, newest first as far as is known."""

    data: tuple[Job, ...]


class System(Answer):
    """A source or destination of a pipeline, as far as it is of use here."""

    id: str | None = None
    name: str | None = None
    connector_id: str | None = None
    source_type: str | None = None
    destination_type: str | None = None
    status: str | None = None
    config: dict[str, Any] | None = None


class Schedule(Answer):
    """When Hevo runs the pipeline by itself."""

    sync_type: str | None = None
    frequency_minutes: Number | None = None


class FailureHandlingPolicy(Answer):
    """How many failures of an object the pipeline bears."""

    object_failure_level: str | None = None
    object_failure_threshold: Number | None = None


class SourceSchemaStatus(Answer):
    """Whether Hevo has read the source's schema, and when: milliseconds since the epoch."""

    status: str | None = None
    refreshed_ts: Number | None = None


class LatencyAlert(Answer):
    """Whether Hevo warns of a pipeline that lags behind."""

    enabled: bool | None = None
    threshold_minutes: Number | None = None


class Pipeline(Answer):
    """A pipeline. Times are milliseconds since the epoch."""

    id: Number
    name: str | None = None
    status: Word | None = None
    source: System | None = None
    destination: System | None = None
    destination_prefix: str | None = None
    replication_type: str | None = None
    load_mode: str | None = None
    schema_evolution: str | None = None
    schedule: Schedule | None = None
    failure_handling_policy: FailureHandlingPolicy | None = None
    source_schema_status: SourceSchemaStatus | None = None
    latency_alert: LatencyAlert | None = None
    created_by_email: str | None = None
    updated_by_email: str | None = None
    created_ts: Number | None = None
    updated_ts: Number | None = None


class PipelinePage(Page):
    """One page of the account's pipelines."""

    data: tuple[Pipeline, ...]
