"""
Lay out the pages of the site: ``python .ci/site/pages.py FOLDER``.

README.md and its neighbours are pages too. Links are written for the repository, where they lead from file to file.
Here those to pages lead to the pages; those to other files lead to the repository, if pyproject.toml says where it is.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Files outside docs/ that are pages, and how the site calls them.
PAGES = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "hevo_provider/API.md": "hevo-api.md",
    "tests/README.md": "tests.md",
}
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\((?!https?:|#|mailto:)([^)#\s]+)(#[^)\s]*)?\)")
DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DIAGRAMS = ROOT / "docs/images/diagrams"
# The contents, by what a reader is there for.
CONTENTS = {
    "For the author of a DAG": ["connection", "operators", "sensor", "assets", "testing", "sandbox", "client"],
    "Running it": [
        "guarantees",
        "troubleshooting",
        "performance",
        "lineage-and-metrics",
        "deployment",
        "moving-over",
        "upgrading",
        "changelog",
    ],
    "Reference": ["reference", "hevo-api"],
    "The project": ["architecture", "contributing", "tests", "security"],
}


def main(folder: Path) -> None:
    """Write the pages into a folder, and what was there before goes."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", folder)
    there = sources()
    for name, source in there.items():
        text = with_links_of_the_site(source.read_text(encoding="utf-8"), source.relative_to(ROOT))
        text = with_pictures_of_diagrams(text)
        if name == "index.md":
            text += contents(set(there))
        (folder / name).write_text(text, encoding="utf-8")


def sources() -> dict[str, Path]:
    """Return the file of each page, by how the site calls it."""
    return {name: ROOT / source for source, name in PAGES.items()} | {
        page.name: page for page in (ROOT / "docs").glob("*.md")
    }


def diagram_sources() -> list[str]:
    """Return the source of each diagram on a page."""
    return [found for page in sources().values() for found in DIAGRAM.findall(page.read_text(encoding="utf-8"))]


def picture_of(diagram: str) -> Path:
    """Name the picture of a diagram: by its source, so that it is of this one and no older."""
    return DIAGRAMS / f"{hashlib.sha256(diagram.encode()).hexdigest()[:12]}.svg"


def with_pictures_of_diagrams(text: str) -> str:
    """
    Show the pictures of a page's diagrams: the site works without the network.

    :raises FileNotFoundError: a diagram has changed and was not drawn again.
    """

    def picture(diagram: re.Match[str]) -> str:
        file = picture_of(diagram[1])
        if not file.exists():
            raise FileNotFoundError(f"There is no picture of this diagram; make pictures draws it:\n{diagram[1]}")
        address = file.relative_to(ROOT / "docs")
        words = " ".join(diagram[1].split())
        return f"```{{image}} {address}\n:class: diagram\n:alt: {words}\n:target: {address}\n```"

    return DIAGRAM.sub(picture, text)


def contents(there: set[str]) -> str:
    """Return what makes Sphinx's navigation. A page that is in none of its lists is a warning of Sphinx's."""
    lists = []
    for caption, names in CONTENTS.items():
        pages = "\n".join(name for name in names if f"{name}.md" in there)
        lists.append(f"\n```{{toctree}}\n:hidden:\n:maxdepth: 1\n:caption: {caption}\n\n{pages}\n```\n")
    return "".join(lists)


def with_links_of_the_site(text: str, source: Path) -> str:
    """
    Let a page's links lead to where they lead on the site.

    :param source: the page's file, from the repository's root.
    :raises FileNotFoundError: a link leads to no file.
    """
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"].get("urls", {})
    repository = None if "/OWNER/" in urls.get("Source", "/OWNER/") else urls["Source"]  # its owner is not known yet

    def leads(link: re.Match[str]) -> str:
        image, words, path, anchor = link[1], link[2], link[3], link[4] or ""
        target = os.path.normpath(source.parent / path)
        if not (ROOT / target).exists():
            raise FileNotFoundError(f"{source} links to {path}, which is not there.")
        if target in PAGES or target.startswith("docs/"):
            return f"{image}[{words}]({PAGES.get(target, target.removeprefix('docs/'))}{anchor})"
        return words if repository is None else f"[{words}]({repository.rstrip('/')}/blob/main/{target}{anchor})"

    return LINK.sub(leads, text)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
