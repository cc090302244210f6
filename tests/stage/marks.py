"""For what a promise holds: each of these marks plays a test once for every way in which a task may be written."""

from __future__ import annotations

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
