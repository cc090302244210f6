"""The pages of the documentation, and what is read from them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

IS_AIRFLOW_2 = version("apache-airflow").startswith("2.")
ROOT = Path(__file__).parents[2]
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [*GUIDES, *(ROOT / name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"))]


@dataclass(frozen=True)
class Snippet:
    """
    Code on a page.

    :param language: what the page says it is.
    :param line: of the page, where the code begins.
    """

    page: Path
    language: str
    line: int
    code: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def snippets(page: Path) -> list[Snippet]:
    """Return all code of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found = re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [Snippet(page, each[1], text.count("\n", 0, each.start(2)) + 1, each[2]) for each in found]


def without_code(page: Path) -> str:
    """Return what a page says in words."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def table(page: str, heading: str) -> list[list[str]]:
    """Return the first table under a heading of a page in docs/, without its head: the cells of each row."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    (section,) = re.findall(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    block = re.search(r"(?:^\|.*\n)+", section, re.MULTILINE)
    assert block is not None, f"there is no table under {heading!r}"
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in block[0].splitlines()[2:]]


def code_of(cell: str) -> list[str]:
    """Return what a cell has in backquotes."""
    return re.findall(r"`([^`]+)`", cell)
