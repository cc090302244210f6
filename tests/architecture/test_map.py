"""The map of the tests leads to tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
MAP = (TESTS / "README.md").read_text(encoding="utf-8")


def test_each_guarantee_is_shown_by_a_test_that_is_there() -> None:
    places = set(re.findall(r"`([a-z0-9_]+/test_\w+\.py(?:::\w+)?)`", MAP))

    assert places
    assert {place for place in places if not is_there(place)} == set()


def is_there(place: str) -> bool:
    file, _, name = place.partition("::")
    return (f"def {name}(" if name else "def test_") in (TESTS / file).read_text(encoding="utf-8")


def test_each_folder_is_on_the_map() -> None:
    folders = {file.parent.name for file in TESTS.glob("*/__init__.py")}

    assert {name for name in folders if f"`{name}/`" not in MAP} == set()
