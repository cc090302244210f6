"""What PyPI shows: the links of the README work there too."""

from __future__ import annotations

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def build() -> Any:
    """Load the part of the build that is this project's own."""
    spec = spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["hatch_build"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("[docs](docs/a.md#b)", "[docs](https://x/blob/main/docs/a.md#b)"),
        ("![log](docs/log.png)", "![log](https://x/raw/main/docs/log.png)"),
        ("[Hevo](https://hevodata.com)", "[Hevo](https://hevodata.com)"),
        ("[below](#below)", "[below](#below)"),
    ],
)
def test_a_relative_link_leads_into_the_repository(build: Any, written: str, shown: str) -> None:
    assert build.with_absolute_links(written, "https://x") == shown


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "SECURITY.md"])
def test_each_relative_link_leads_to_a_file_that_is_there(build: Any, page: str) -> None:
    links = [match[3] for match in build.RELATIVE.finditer((ROOT / page).read_text(encoding="utf-8"))]

    assert [link for link in links if not (ROOT / re.sub("#.*", "", link)).exists()] == []
