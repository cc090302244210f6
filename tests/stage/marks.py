"""For what a promise holds: each of these marks plays a test once for every way in which a task may be written."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import pytest

from tests.stage.sensors import MODES
from tests.stage.tasks import ACTIONS

in_both_modes = pytest.mark.parametrize("deferrable", [True, False], ids=["deferrable", "blocking"])
whether_it_waits_or_not = pytest.mark.parametrize(
    ("deferrable", "wait_for_completion"),
    [(True, True), (True, False), (False, True), (False, False)],
    ids=["deferrable", "deferrable-id-only", "blocking", "blocking-id-only"],
)
for_every_action = pytest.mark.parametrize("action", ACTIONS)
in_every_sensor_mode = pytest.mark.parametrize("mode", MODES)


def in_alternating_modes(names: str, *values: Iterable[object]) -> pytest.MarkDecorator:
    """
    Play each combination of other parameters in one of the two modes, and its neighbours in the other one.

    This is for what is decided before the mode matters: each value is played in both modes, each combination in one.

    :param names: of the other parameters, with commas between them.
    :param values: of each of them.
    """
    return _alternating("deferrable", {"deferrable": True, "blocking": False}, names, values)


def in_alternating_sensor_modes(names: str, *values: Iterable[object]) -> pytest.MarkDecorator:
    """Do the same with a sensor's three modes."""
    return _alternating("mode", dict(zip(MODES, MODES, strict=True)), names, values)


def _alternating(
    of_mode: str, modes: dict[str, object], names: str, values: tuple[Iterable[object], ...]
) -> pytest.MarkDecorator:
    cases = []
    for each in product(*map(enumerate, values)):
        mode = list(modes)[sum(place for place, _ in each) % len(modes)]
        said = [str(value) if isinstance(value, str | int | float | None) else f"{place}" for place, value in each]
        cases.append(pytest.param(*(value for _, value in each), modes[mode], id="-".join([*said, mode])))
    return pytest.mark.parametrize(f"{names}, {of_mode}", cases)
