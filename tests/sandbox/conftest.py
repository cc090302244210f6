"""A sandbox on a virtual clock, and something to call it with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hevo_provider.sandbox import Sandbox
from tests.sandbox.caller import Caller, VirtualClock


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def hevo(clock: VirtualClock) -> Iterator[Sandbox]:
    with Sandbox(clock=clock, seed=7) as running:
        yield running


@pytest.fixture
def call(hevo: Sandbox) -> Caller:
    return Caller(hevo)
