"""What is asked of an account, in which order: at most 32 requests that read, so that some are left for a sync."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from hevo_provider.doctor.asker import Asker, NoMoreRequestsError
from hevo_provider.doctor.exchange import Call, Exchange, Question
from hevo_provider.doctor.reading import Page, is_number, page_of, text_of
from hevo_provider.models.ids import job_id_of, pipeline_id_of

FULL_PAGE = 100
PIPELINES_SEEN = 5  # whose jobs are read
PAGES_OF_JOBS = 3  # of the pipeline with the most jobs
NO_PIPELINE = 999_999_999_999  # far beyond any id
NO_JOB = str(UUID(int=0x4000_8000_0000_0000_0000, version=4))
NO_PAGE = "there-is-no-such-page-3f1c"
RUNNABLE = "INITIALIZED"


class NothingSeenError(Exception):
    """Nothing could be seen of the account. The message says why."""


async def observe(asker: Asker) -> None:
    """
    Ask what there is to see; the answers are kept by the asker.

    :raises NothingSeenError: the first answer is not one of Hevo's to somebody who may ask.
    :raises NoMoreRequestsError: Hevo does not want to be asked, or was asked enough.
    """
    try:
        first = await asker.ask(Question(Call.PIPELINES, limit=FULL_PAGE))
    except NoMoreRequestsError as error:
        raise NothingSeenError(f"{error}, before anything could be seen.") from None
    page = page_of(first)
    if page is None:
        raise NothingSeenError(_why_nothing(first))
    await _pages_of_pipelines(asker, page)
    await asker.ask(Question(Call.MISSING_PIPELINE, NO_PIPELINE))
    found = _pipelines(page)[:PIPELINES_SEEN]
    best: tuple[int, Page] | None = None
    for pipeline_id in found:
        await asker.ask(Question(Call.PIPELINE, pipeline_id))
        jobs = page_of(await asker.ask(Question(Call.JOBS, pipeline_id, limit=FULL_PAGE)))
        if jobs is not None and (best is None or len(jobs.items) > len(best[1].items)):
            best = pipeline_id, jobs
    if best is not None:
        await _jobs_of(asker, *best)
    if found:
        await _objects_of(asker, best[0] if best else found[0])
        await asker.ask(Question(Call.PAGE, found[0]))
        await asker.ask(Question(Call.MISSING_PAGE, item=NO_PAGE))


async def _pages_of_pipelines(asker: Asker, page: Page) -> None:
    await asker.ask(Question(Call.PIPELINES))
    if len(page.items) > 1:
        await _two_pages(asker, Question(Call.PIPELINES, limit=1))
    if page.cursor is not None and page.has_more is not False:
        await asker.ask(Question(Call.PIPELINES, limit=FULL_PAGE, cursor=page.cursor))


async def _two_pages(asker: Asker, question: Question) -> None:
    page = page_of(await asker.ask(question))
    if page is not None and page.cursor is not None:
        await asker.ask(Question(question.call, question.pipeline_id, question.item, question.limit, page.cursor))


async def _jobs_of(asker: Asker, pipeline_id: int, page: Page) -> None:
    """Ask for more of the jobs of one pipeline: pages of several sizes, and one job by itself."""
    if not page.items:
        return
    await asker.ask(Question(Call.JOBS, pipeline_id))
    if len(page.items) > 1:
        await _two_pages(asker, Question(Call.JOBS, pipeline_id, limit=max(1, min(5, len(page.items) // 2))))
    following: Page | None = page
    for _ in range(1, PAGES_OF_JOBS):
        if following is None or following.cursor is None or following.has_more is False:
            break
        question = Question(Call.JOBS, pipeline_id, limit=FULL_PAGE, cursor=following.cursor)
        following = page_of(await asker.ask(question))
    job_id = next((found for found in map(_job_id, page.items) if found), None)
    if job_id is not None:
        await asker.ask(Question(Call.JOB, pipeline_id, job_id))
        await asker.ask(Question(Call.JOB_OBJECTS, pipeline_id, job_id, limit=FULL_PAGE))
    await asker.ask(Question(Call.MISSING_JOB, pipeline_id, NO_JOB))


async def _objects_of(asker: Asker, pipeline_id: int) -> None:
    page = page_of(await asker.ask(Question(Call.OBJECTS, pipeline_id, limit=FULL_PAGE)))
    listed = next((item for item in (page.items if page else ()) if text_of(item, "object_id")), None)
    if listed is None:
        return
    answer = await asker.ask(Question(Call.OBJECT, pipeline_id, listed["object_id"]))
    namespace = listed.get("source_namespace")
    name = namespace.get("k0") if isinstance(namespace, Mapping) else None
    if not answer.is_well and isinstance(name, str) and name:
        await asker.ask(Question(Call.OBJECT_BY_NAME, pipeline_id, name))


def _pipelines(page: Page) -> list[int]:
    """Return the ids of the pipelines, those that can run first: they have jobs."""
    ordered = sorted(page.items, key=lambda item: text_of(item, "status") != RUNNABLE)
    return [found for item in ordered if (found := _pipeline_id(item)) is not None]


def _pipeline_id(item: Mapping[str, Any]) -> int | None:
    try:
        return pipeline_id_of(item.get("id")) if is_number(item.get("id")) or isinstance(item.get("id"), str) else None
    except ValueError:
        return None


def _job_id(item: Mapping[str, Any]) -> str | None:
    try:
        return job_id_of(item.get("job_id"))
    except ValueError:
        return None


def _why_nothing(exchange: Exchange) -> str:
    if exchange.status is None:
        return exchange.failure
    said = f"{exchange.status}: {exchange.words or '(no message)'}"
    if exchange.status == 401:  # noqa: PLR2004 - the HTTP status
        return f"Hevo refuses the key ({said}). Check key and secret, and that they belong to this region."
    if exchange.status == 403:  # noqa: PLR2004 - the HTTP status
        return f"Hevo refuses the key, or its role may not list pipelines ({said})."
    if 300 <= exchange.status < 400:  # noqa: PLR2004 - the HTTP statuses of a redirect
        return f"What answers there leads elsewhere ({exchange.status}), which is not followed: check the host."
    return f"What answers there is not Hevo's API, or not well ({said}): check the host."
