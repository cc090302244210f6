"""The doctor's command, for tests."""

from __future__ import annotations

import pytest

from tests.doctor.account import Doctor
from tests.stage.clock import VirtualClock


@pytest.fixture
def doctor(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Doctor:
    return Doctor(monkeypatch, capsys)
