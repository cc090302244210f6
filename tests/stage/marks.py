"""For what a promise holds: these marks play a test in the ways in which a task may be written."""

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

    Only for what the code decides without asking for the mode. Each value is played in both modes.

    :param names: of the other parameters, with commas between them.
    :param values: of each of them, two lists at least.
    """
    assert len(values) > 1, "of a single list each value would be played in one mode"
    cases = []
    for each in product(*map(enumerate, values)):
        deferrable = sum(place for place, _ in each) % 2 == 0
        said = [str(value) if isinstance(value, str | int | float | None) else f"{place}" for place, value in each]
        id_ = "-".join([*said, "deferrable" if deferrable else "blocking"])
        cases.append(pytest.param(*(value for _, value in each), deferrable, id=id_))
    return pytest.mark.parametrize(f"{names}, deferrable", cases)
