"""How jobs behave, as far as a list of them tells: one at a time, and not for ever; and where a pipeline's page is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from http import HTTPStatus
from itertools import pairwise
from statistics import median
from typing import Any

from hevo_provider.doctor.assumptions.finding import Finding, assumption, counted, differs, holds, unseen
from hevo_provider.doctor.exchange import Call, Exchange, Observations
from hevo_provider.doctor.reading import in_seconds, pages, text_of
from hevo_provider.models.enums import ACTIVE_STATUSES, TERMINAL_STATUSES

LONGEST = 7 * 24 * 3600.0  # seconds that a task waits unless it is told otherwise
AT_ONCE = 2.0  # seconds by which two jobs may overlap in what they say of themselves


@assumption(
    "one-job",
    claims="One job of a pipeline runs at a time",
    otherwise="Of two jobs that start at the same time it could follow the wrong one.",
)
def one_job(seen: Observations) -> Finding:
    """Whether jobs of one pipeline overlap."""
    by_pipeline = _jobs(seen)
    spans = {pipeline_id: [_span(*each) for each in jobs] for pipeline_id, jobs in by_pipeline.items()}
    ordered = [sorted(span for span in each if span is not None) for each in spans.values()]
    if not any(len(each) > 1 for each in ordered):
        return unseen("no pipeline has two jobs that were at work")
    overlaps = sum(later[0] < earlier[1] - AT_ONCE for each in ordered for earlier, later in pairwise(each))
    total = sum(map(len, ordered))
    if overlaps:
        return differs(f"{counted(overlaps, 'job')} of {total} began before the one before had ended")
    return holds(f"none of {total} jobs overlap")


@assumption(
    "job-length",
    claims="A job ends within 7 days",
    otherwise="A task would fail while its job runs on; timeout can be raised.",
)
def job_length(seen: Observations) -> Finding:
    """How long jobs take."""
    spans = [span for jobs in _jobs(seen).values() for each in jobs if (span := _span(*each)) is not None]
    took = sorted(end - start for start, end in spans)
    if not took:
        return unseen("no job that was at work tells its times")
    told = f"median {_duration(median(took))}, longest {_duration(took[-1])}, of {counted(len(took), 'job')}"
    return differs(told) if took[-1] >= LONGEST else holds(told)


@assumption(
    "page-address",
    claims="/pipeline/{id}/overview",
    otherwise='The button "Hevo pipeline" leads nowhere; the connection\'s link can name the right address.',
)
def page_address(seen: Observations) -> Finding:
    """Whether there is a page at the address that the button leads to."""
    if seen.own_page:
        return unseen("the connection has a link of its own")
    asked, other = seen.of(Call.PAGE), seen.of(Call.MISSING_PAGE)
    page = asked[0] if asked else None
    if page is None or page.status is None or page.is_json:
        return unseen(
            "what answers there is the API alone" if page and page.is_json else "no page was found to ask for"
        )
    if page.status == HTTPStatus.NOT_FOUND:
        return differs("404 at the address of a pipeline that is there")
    if not other or other[0].status != HTTPStatus.NOT_FOUND:
        return unseen(f"{page.status}, as at any address: a browser must show it")
    return holds(f"{page.status} there, 404 at an address that cannot be")


def _jobs(seen: Observations) -> Mapping[int | None, list[tuple[Mapping[str, Any], Exchange]]]:
    """Return the jobs of each pipeline, each once."""
    found: dict[int | None, dict[Any, tuple[Mapping[str, Any], Exchange]]] = defaultdict(dict)
    for page in pages(seen, Call.JOBS):
        for job in page.items:
            if isinstance(job.get("job_id"), str | int):
                found[page.exchange.question.pipeline_id][job["job_id"]] = (job, page.exchange)
    return {pipeline_id: list(jobs.values()) for pipeline_id, jobs in found.items()}


def _span(job: Mapping[str, Any], exchange: Exchange) -> tuple[float, float] | None:
    """Return from when to when a job was at work, as far as is known; None for one that was skipped or does not say."""
    created, updated = in_seconds(job.get("created_ts")), in_seconds(job.get("updated_ts"))
    status = text_of(job, "status")
    if created is None or updated is None or status == "SKIPPED":
        return None
    if status in ACTIVE_STATUSES:
        return created, max(created, exchange.at)
    return (created, max(created, updated)) if status in TERMINAL_STATUSES else None


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


ROWS = (
    one_job,
    job_length,
    page_address,
    assumption(
        "standard-pipelines",
        claims="their ids answer 404 here",
        otherwise="The error of a wrong id would not say that it may be one of a Standard pipeline.",
    )(lambda _: unseen("the API does not tell of Standard pipelines")),
    assumption(
        "other-starters",
        claims="may start a job at any moment",
        otherwise="Nothing: every job that shows is asked whose it is.",
    )(lambda _: unseen("a job does not say who started it")),
)
