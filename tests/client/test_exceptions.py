"""Exceptions travel: between a worker's processes, and to error trackers."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from hevo_provider import exceptions
from hevo_provider.exceptions import HevoAPIError, HevoError, HevoRunError, HevoTransportError


def all_kinds() -> list[type[HevoError]]:
    kinds = [kind for kind in vars(exceptions).values() if isinstance(kind, type) and issubclass(kind, HevoError)]
    assert len(kinds) > 15
    return kinds


def made(kind: type[HevoError]) -> HevoError:
    error = _made(kind)
    error.sent_at = 17.5
    error.add_note("seen at night")
    return error


def _made(kind: type[HevoError]) -> HevoError:
    if issubclass(kind, HevoAPIError):
        return kind(429, "POST", "/api/v1/pipelines/7", "Slow down", retry_after=40.0)
    if issubclass(kind, HevoTransportError):
        return kind("no connection", sent=False)
    if issubclass(kind, HevoRunError):
        return kind("it failed", pipeline_id=7, job_id="job")
    return kind("something")


def pickled(error: HevoError) -> Any:
    return pickle.loads(pickle.dumps(error))  # noqa: S301 - our own


@pytest.mark.parametrize("kind", all_kinds())
def test_an_error_that_is_copied_or_pickled_is_the_same_again(kind: type[HevoError]) -> None:
    error = made(kind)

    for again in (pickled(error), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is kind
        assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))
