"""The calls that act: what a sync answers and brings, and why the others cannot be seen."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from hevo_provider.doctor.assumptions.finding import (
    Assumption,
    Finding,
    assumption,
    counted,
    differs,
    holds,
    named,
    unseen,
)
from hevo_provider.doctor.exchange import Observations, Sync, SyncJob
from hevo_provider.models.enums import ACTIVE_STATUSES, TERMINAL_STATUSES

SLOWEST = 15.0  # seconds until a new job shows
USUAL_TYPES = frozenset({"INCREMENTAL", "HISTORICAL"})
_NOT_ASKED = "only --sync shows it"
_STAYS_BEHIND = "only a call that changes the account would show it"


def _only_a_post_shows(fact: str, claims: str, otherwise: str) -> Assumption:
    return assumption(fact, claims=claims, otherwise=otherwise)(lambda _: unseen(_STAYS_BEHIND))


def _why_unmeasured(sync: Sync | None) -> str:
    return _NOT_ASKED if sync is None else sync.why_not


@assumption(
    "sync-answer",
    claims="answers 200 with a message or 204 without a body, and no job id",
    otherwise="A start would count as failed or as of unknown fate; with a job id it could be followed more surely.",
)
def sync_answer(seen: Observations) -> Finding:
    """What sync-now answered."""
    answer = seen.sync.answer if seen.sync else None
    if answer is None:
        return unseen(_why_unmeasured(seen.sync))
    if answer.status is None:
        return differs(f"no answer: {answer.failure}")
    ids = named(_id_names(answer.value))
    told = f"{answer.status}{f' with {ids}' if ids else ''}{f', {answer.words}' if answer.words else ''}"
    is_bare = answer.status == HTTPStatus.NO_CONTENT or (answer.status == HTTPStatus.OK and answer.is_json)
    return holds(told) if is_bare and not ids else differs(told)


def _id_names(value: Any) -> list[str]:
    return [name for name in value if "id" in name.lower().split("_")] if isinstance(value, dict) else []


@assumption(
    "sync-shows",
    claims="shows 5 to 15 seconds after the call",
    otherwise="Sooner does no harm; later, retry_limit polls may not find the job, and the task fails though it runs.",
)
def sync_shows(seen: Observations) -> Finding:
    """After how many seconds the job of a sync showed."""
    sync = seen.sync
    if sync is None or sync.answer is None:
        return unseen(_why_unmeasured(sync))
    if _refused(sync):
        return unseen(f"Hevo refused the sync ({sync.answer.status})")
    if sync.shown_after is None:
        return differs(f"no new job within {sync.unseen_until:.0f} s")
    told = f"between {sync.unseen_until:.0f} and {sync.shown_after:.0f} s after the call"
    return holds(told) if sync.unseen_until <= SLOWEST else differs(told)


@assumption(
    "sync-type",
    claims="brings an INCREMENTAL job, or a HISTORICAL one",
    otherwise="A task without job_type would wait for another job and fail; job_type can name this one.",
)
def sync_type(seen: Observations) -> Finding:
    """Of which types the jobs of a sync were."""
    jobs = _jobs(seen)
    if not jobs:
        return unseen(_why_unmeasured(seen.sync) or "no new job showed")
    types = [job.type or "(none)" for job in jobs]
    told = ", then ".join(types)
    return holds(told) if set(types) <= USUAL_TYPES | {"SKIPPED"} else differs(told)


@assumption(
    "sync-states",
    claims="goes through known statuses, only forward",
    otherwise="A task would end with a status that is not the last, or wait on after the end.",
)
def sync_states(seen: Observations) -> Finding:
    """Through which statuses the jobs of a sync went."""
    jobs = [job for job in _jobs(seen) if job.states]
    if not jobs:
        return unseen(_why_unmeasured(seen.sync) or "no new job showed")
    told = "; ".join(", ".join(f"{state} at {after:.0f} s" for after, state in job.states) for job in jobs)
    states = [[state for _, state in job.states] for job in jobs]
    unknown = {state for each in states for state in each} - TERMINAL_STATUSES - ACTIVE_STATUSES
    back = any(state in TERMINAL_STATUSES for each in states for state in each[:-1])
    if unknown or back:
        return differs(f"{told}{f' (not known: {named(unknown)})' if unknown else ''}")
    running = [each for each in states if each[-1] not in TERMINAL_STATUSES]
    return holds(told + (f"; {counted(len(running), 'job')} had not ended when the doctor stopped" if running else ""))


def _jobs(seen: Observations) -> tuple[SyncJob, ...]:
    return seen.sync.jobs if seen.sync else ()


def _refused(sync: Sync) -> bool:
    status = sync.answer.status if sync.answer else None
    return status is not None and HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR


@assumption(
    "list-lag",
    claims="lag behind by as much as a new job needs to show",
    otherwise="A job that ran before the call could show after it, and be taken for the task's own.",
)
def list_lag(seen: Observations) -> Finding:
    """By how much the list lagged behind the call."""
    return sync_shows.check(seen)


ROWS = (
    list_lag,
    sync_answer,
    sync_shows,
    sync_type,
    sync_states,
    _only_a_post_shows("resync", "answers as sync-now does", "A resync would count as failed or of unknown fate."),
    _only_a_post_shows("resync-body", "the newest form", "A resync would be refused with 400 in both forms, and fail."),
    _only_a_post_shows(
        "refusal",
        "refused with 409, or with 500 and words",
        "A refused start would count as of unknown fate: slower, but never a second job.",
    ),
    _only_a_post_shows("not-runnable", "not in a state to run", "The task would fail with other words."),
    _only_a_post_shows("post-5xx", "does not say whether a POST was applied", "A call could be sent a second time."),
    _only_a_post_shows("cancel-effects", "loaded events are billed", "Nothing: it is only told."),
    _only_a_post_shows("enable-disable", "answer 200 or 204", "enable_pipeline and disable_pipeline would fail."),
    _only_a_post_shows("update-pipeline", "the changed pipeline", "update_pipeline would fail."),
    _only_a_post_shows("cancel", "turns CANCELLING, then CANCELLED", "A killed task could leave its job running."),
    _only_a_post_shows("refresh-schema", "may be `{}`", "refresh_schema would fail."),
    _only_a_post_shows(
        "object-resync",
        "the body is not documented",
        "HevoResyncObjectsOperator would be refused in each of the ways it knows to ask, and fail.",
    ),
)
