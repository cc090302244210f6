"""Which objects of a pipeline are to be resynced: by their ids, or by their names in the source."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import partial

from hevo_provider import codes
from hevo_provider.client.calls import HevoAsyncClient
from hevo_provider.exceptions import HevoConfigError
from hevo_provider.models.object import PipelineObject
from hevo_provider.runs.order import Order
from hevo_provider.runs.run import Run
from hevo_provider.runs.words import any_of, some_of

PAGES_APART_AT_MOST = 60.0  # seconds between pages: the triggerer cannot read them, and half of them are of no use


async def read_objects(hevo: HevoAsyncClient, run: Run) -> tuple[PipelineObject, ...]:
    """Read the pipeline's objects if the run names some: GET …/objects, page by page."""
    if not run.order.objects:
        return ()
    return tuple([item async for item in hevo.list_objects(run.pipeline_id, longest_pause=PAGES_APART_AT_MOST)])


def chosen_ids(run: Run, items: Sequence[PipelineObject]) -> tuple[str, ...]:
    """
    Return the ids of the objects that the run is about, each once.

    :param items: the pipeline's objects.
    :raises HevoConfigError: a name fits none of them, or only such as Hevo does not load.
    """
    by_name = [item.object_id for pattern in run.order.objects for item in _loaded(pattern, items, run.pipeline_id)]
    return tuple(dict.fromkeys([*run.order.object_ids, *by_name]))


def is_meant(order: Order, item: PipelineObject) -> bool:
    """Return whether the order is about the object, seen without the others."""
    return item.object_id in order.object_ids or any(
        _names_it(pattern, item, any_case=True) or _fits(pattern, item, any_case=True) for pattern in order.objects
    )


def objects_in_words(ids: Sequence[str], items: Sequence[PipelineObject]) -> str:
    """Return objects for a log line, by name where that is known."""
    names = {item.object_id: item.names[-1:] for item in items}
    return some_of([next(iter(names.get(each, ())), each) for each in ids])


def _loaded(pattern: str, items: Sequence[PipelineObject], pipeline_id: int) -> list[PipelineObject]:
    """Return the objects that a pattern means: those called so, else those it fits, else the same in any case."""
    ways = (partial(test, pattern, any_case=any_case) for any_case in (False, True) for test in (_names_it, _fits))
    fitting = next(filter(None, ([item for item in items if fits(item)] for fits in ways)), [])
    loaded = [item for item in fitting if not item.is_left_out]
    if loaded:
        return loaded
    if fitting:
        left_out = some_of([f"{item.names[-1]} ({item.status})" for item in fitting])
        raise HevoConfigError(
            f"Pipeline {pipeline_id}: {pattern!r} in objects fits only what Hevo does not load: {left_out}. Include it "
            "in the pipeline first.",
            code=codes.OBJECT_NOT_LOADED,
        )
    raise HevoConfigError(
        f"Pipeline {pipeline_id}: {pattern!r} in objects fits no object. {_what_there_is(pattern, items)}",
        code=codes.NO_SUCH_OBJECT,
    )


def _names_it(pattern: str, item: PipelineObject, *, any_case: bool = False) -> bool:
    names = item.names
    return pattern.casefold() in [name.casefold() for name in names] if any_case else pattern in names


def _fits(pattern: str, item: PipelineObject, *, any_case: bool = False) -> bool:
    """Return whether a pattern fits a name with as many parts: one for tables must not take in whole schemas."""
    names = [name for name in item.names if name.count(".") == pattern.count(".")]
    if any_case:
        pattern, names = pattern.casefold(), [name.casefold() for name in names]
    return any(fnmatchcase(name, pattern) for name in names)


def _what_there_is(pattern: str, items: Sequence[PipelineObject]) -> str:
    names = {name.casefold(): name for item in items for name in item.names}
    close = get_close_matches(pattern.casefold(), names, n=3)
    if close:
        return f"Close to it: {any_of(names[each] for each in close)}."
    there = [item.names[-1] for item in items if item.names]
    return f"There are {some_of(there)}." if there else "Hevo lists none with a name."
