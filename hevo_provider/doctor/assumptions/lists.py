"""How lists come: their words, their pages, the way from one to the next, their order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from hevo_provider.doctor.assumptions.finding import Finding, assumption, counted, differs, holds, named, unseen
from hevo_provider.doctor.exchange import Call, Observations
from hevo_provider.doctor.reading import NAMED, Page, in_seconds, pages

PAGE = 10  # items unless asked for more
NEWEST_FIRST, OLDEST_FIRST, NO_ORDER = "newest first", "oldest first", "no order"
_IDS = {Call.PIPELINES: "id", Call.JOBS: "job_id", Call.OBJECTS: "object_id"}


@assumption(
    "list-words",
    claims='{"data": [...], "has_more": true or false, "next_cursor": text or null}',
    otherwise="It would find no list and call the answer unreadable, or read its first page only.",
)
def list_words(seen: Observations) -> Finding:
    """Whether lists come under the words that are expected."""
    found = pages(seen)
    if not found:
        return unseen("no list was read")
    last = [page for page in found if page.cursor is None]
    # Words for "more" and the cursor may be left out of a list that ends with this page.
    others = {
        f"{page.exchange.call}: {name or '(nothing)'} for {expected}"
        for page in found
        for name, expected in zip(page.names, NAMED, strict=True)
        if name != expected and not (page in last and not name and expected != "data" and not page.has_more)
    }
    return differs(named(others)) if others else holds(f"in {counted(len(found), 'list')}")


@assumption(
    "page-default",
    claims="10 items a page unless",
    otherwise="Nothing: it always asks for a number.",
)
def page_default(seen: Observations) -> Finding:
    """How many items a page has that no number was asked for."""
    sizes = {page.exchange.call: len(page.items) for page in pages(seen) if page.exchange.question.limit is None}
    available = {call: max((len(p.items) for p in pages(seen, call)), default=0) for call in sizes}
    known = {call: size for call, size in sizes.items() if available[call] > PAGE or size > PAGE}
    if not known:
        return unseen(f"no list has more than {PAGE} items")
    told = named(f"{size} {call}" for call, size in known.items())
    return holds(told) if all(size == PAGE for size in known.values()) else differs(told)


@assumption(
    "page-limit",
    claims="`limit` may be up to 100, and a page then has that many items",
    otherwise="It would need more requests than it plans with, and see fewer jobs where it reads one page.",
)
def page_limit(seen: Observations) -> Finding:
    """Whether a page has as many items as were asked for."""
    asked = [page for page in pages(seen) if page.exchange.question.limit is not None]
    short = [page for page in asked if _has_following(page) and len(page.items) < (page.exchange.question.limit or 0)]
    long = [page for page in asked if len(page.items) > (page.exchange.question.limit or 0)]
    if short or long:
        told = {
            f"{len(p.items)} {p.exchange.call} where {p.exchange.question.limit} were asked for" for p in short + long
        }
        return differs(named(told))
    if not any(_has_following(page) for page in asked):
        return unseen("no list has more than one page")
    largest = max(len(page.items) for page in asked)
    return holds(f"as many as were asked for, up to {largest}")


@assumption(
    "cursors",
    claims="leads on to items that it did not have",
    otherwise="It would read one page again and again, or miss what is on the others.",
)
def cursors(seen: Observations) -> Finding:
    """Whether a cursor leads to the next page."""
    found = pages(seen, *_IDS)
    contradicting = [page for page in found if page.has_more is True and page.cursor is None]
    if contradicting:
        return differs(f"{named(page.exchange.call for page in contradicting)}: more is promised, without a cursor")
    pairs = [(before, page) for page in found if (before := _page_before(page, found)) is not None]
    if not pairs:
        return unseen("no list has more than one page")
    same = [page for before, page in pairs if set(_ids(before)) & set(_ids(page)) or not page.items]
    if same:
        return differs(
            f"{named(page.exchange.call for page in same)}: the next page has items of the one before, or none"
        )
    return holds(f"{counted(len(pairs), 'page')} that followed had other items")


@assumption(
    "order-of-jobs",
    claims="Jobs come newest first",
    otherwise="It would walk through all pages at every start, and fail where there are more than twenty.",
)
def order_of_jobs(seen: Observations) -> Finding:
    """Whether jobs come newest first."""
    order = order_of(seen)
    if order is None:
        return unseen("no list has two jobs of different times")
    longest = max(len(page.items) for page in pages(seen, Call.JOBS))
    told = f"{order}, in lists of up to {counted(longest, 'job')}"
    return holds(told) if order == NEWEST_FIRST else differs(told)


def order_of(seen: Observations) -> str | None:
    """Return the order of jobs by their time of creation; None where there are not enough to tell."""
    times = [told for page in pages(seen, Call.JOBS) if len(set(told := _times(page))) > 1]
    if not times:
        return None
    if all(map(_falling, times)):
        return NEWEST_FIRST
    return OLDEST_FIRST if all(_falling(each[::-1]) for each in times) else NO_ORDER


def _times(page: Page) -> list[float]:
    moments = (in_seconds(item.get("created_ts")) for item in page.items)
    return [moment for moment in moments if moment is not None]


def _falling(times: Sequence[float]) -> bool:
    return all(earlier >= later for earlier, later in pairwise(times))


def _has_following(page: Page) -> bool:
    return page.has_more is not False and page.cursor is not None


def _page_before(page: Page, among: Sequence[Page]) -> Page | None:
    """Return the page whose cursor led to this one."""
    question = page.exchange.question
    same = [
        p for p in among if (p.exchange.call, p.exchange.question.pipeline_id) == (question.call, question.pipeline_id)
    ]
    return next((p for p in same if question.cursor is not None and p.cursor == question.cursor), None)


def _ids(page: Page) -> list[Any]:
    name = _IDS[page.exchange.call]
    return [item[name] for item in page.items if isinstance(item.get(name), str | int)]


ROWS = (list_words, page_default, page_limit, cursors, order_of_jobs)
