"""The calls that read: what answers 404, and whether a thing is the same in a list and alone."""

from __future__ import annotations

from http import HTTPStatus

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
from hevo_provider.doctor.exchange import Call, Observations
from hevo_provider.doctor.reading import items, page_of, pages

NOT_FOUND = HTTPStatus.NOT_FOUND
REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)  # which other rows tell of


def _list(call: Call, fact: str, claims: str, otherwise: str) -> Assumption:
    def check(seen: Observations) -> Finding:
        asked = seen.of(call)
        if all(each.status in REFUSED for each in asked):
            return unseen("the key may not ask for it" if asked else "there was nothing to ask for")
        found = pages(seen, call)
        if len(found) < len(asked):
            other = named(str(each.status or "no answer") for each in asked if page_of(each) is None)
            return differs(f"no list in {len(asked) - len(found)} of {counted(len(asked), 'answer')}: {other}")
        return holds(f"{counted(len(asked), 'page')} with {counted(sum(len(page.items) for page in found), 'item')}")

    return assumption(fact, claims=claims, otherwise=otherwise)(check)


def _missing(call: Call, fact: str, claims: str, otherwise: str) -> Assumption:
    def check(seen: Observations) -> Finding:
        statuses = {each.status for each in seen.of(call)} - {None, *REFUSED}
        if not statuses:
            return unseen("it was not asked for")
        told = named(str(int(status)) for status in statuses if status)
        return holds(told) if statuses == {NOT_FOUND} else differs(told)

    return assumption(fact, claims=claims, otherwise=otherwise)(check)


def _same_alone(alone: Call, listed: Call, id_name: str, fact: str, claims: str, otherwise: str) -> Assumption:
    def check(seen: Observations) -> Finding:
        asked = seen.of(alone)
        if asked and all(each.status in REFUSED for each in asked):
            return unseen("the key may not ask for it")
        known = {item.get(id_name) for _, item in items(seen, listed) if isinstance(item.get(id_name), str | int)}
        if not asked:
            return unseen("there is none to ask for")
        failed = named(str(each.status or "no answer") for each in asked if not each.is_well)
        if failed:
            return differs(f"{failed} for one that is in the list")
        found = [item.get(id_name) for _, item in items(seen, alone)]
        others = [each for each in found if not isinstance(each, str | int) or each not in known]
        if others:
            return differs("another one than was asked for, or one without an id")
        return holds(f"{counted(len(asked), 'time')}, the one that was asked for")

    return assumption(fact, claims=claims, otherwise=otherwise)(check)


@assumption(
    "object-path",
    claims="takes the id; where it answers 404, the name",
    otherwise="get_object would not find an object; operators do not use it.",
)
def object_path(seen: Observations) -> Finding:
    """Whether an object is found by its id."""
    by_id, by_name = seen.of(Call.OBJECT), seen.of(Call.OBJECT_BY_NAME)
    if all(each.status in REFUSED for each in by_id):
        return unseen("the key may not ask for it" if by_id else "there is no object to ask for")
    if any(each.is_well for each in by_id):
        return holds("by its id")
    if any(each.status == NOT_FOUND for each in by_id) and any(each.is_well for each in by_name):
        return holds("404 by its id, found by its name")
    return differs(f"{named(str(each.status or 'no answer') for each in by_id + by_name)} by id and by name")


ROWS = (
    _list(
        Call.PIPELINES,
        "list-pipelines",
        "GET `/api/v1/pipelines?limit&cursor`",
        "The connection's Test button and list_pipelines would fail.",
    ),
    _same_alone(
        Call.PIPELINE,
        Call.PIPELINES,
        "id",
        "get-pipeline",
        "answers the pipeline that the list has under this id",
        "No task could start: it reads the pipeline's status first.",
    ),
    _missing(
        Call.MISSING_PIPELINE,
        "pipeline-404",
        "404 where there is no such pipeline",
        "A task with a wrong pipeline_id would try on, rather than fail at once.",
    ),
    _list(
        Call.JOBS,
        "list-jobs",
        "answers a page of jobs",
        "No task could start or find its job.",
    ),
    _same_alone(
        Call.JOB,
        Call.JOBS,
        "job_id",
        "get-job",
        "answers the job that the list has under this id",
        "No task would learn that its job has ended.",
    ),
    _missing(
        Call.MISSING_JOB,
        "job-404",
        "404 where there is no such job",
        "A job that vanished would be waited for as if Hevo were down.",
    ),
    _list(
        Call.JOB_OBJECTS,
        "job-objects",
        "how the job fared with each object",
        "A failed task could not name the objects that failed.",
    ),
    _list(
        Call.OBJECTS,
        "list-objects",
        "/objects` answers a page of objects",
        "HevoResyncObjectsOperator could not find objects by name, and lineage would name no tables.",
    ),
    object_path,
)
