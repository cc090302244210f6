"""The map of the tests leads to tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
MAP = (TESTS / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("place", sorted(set(re.findall(r"`([a-z0-9_]+/test_\w+\.py(?:::\w+)?)`", MAP))))
def test_each_guarantee_is_shown_by_a_test_that_is_there(place: str) -> None:
    file, _, name = place.partition("::")

    assert (f"def {name}(" if name else "def test_") in (TESTS / file).read_text(encoding="utf-8")


def test_each_folder_is_on_the_map() -> None:
    folders = {file.parent.name for file in TESTS.glob("*/__init__.py")}

    assert {name for name in folders if f"`{name}/`" not in MAP} == set()
