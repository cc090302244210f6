"""
Draw the diagrams of the pages that are not drawn yet: ``python .ci/site/diagrams.py``; it takes Chromium and npm.

The pages hold their source, in Mermaid's language, which the forge draws by itself. The site shows these pictures:
Mermaid would be 3 MB of script that each reader loads from elsewhere. A picture is named by what it was drawn of, so
none is of an older source.
"""

from __future__ import annotations

import html
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from pages import DIAGRAMS, diagram_sources, picture_of

MERMAID = "mermaid@11.17.2"
WHEN_DRAWN = 20_000  # milliseconds that the page may take, of its own time
LOOK = """{
    startOnLoad: true, theme: "base", htmlLabels: false, state: {htmlLabels: false}, flowchart: {htmlLabels: false},
    fontFamily: "Helvetica, Arial, sans-serif",
    themeCSS: ".messageText, .loopText tspan {paint-order: stroke; stroke: #fff !important; stroke-width: 5px}"
        + " .edgeLabel rect, .edgeLabel .background {fill: #fff !important; opacity: 1 !important}",
    themeVariables: {
        primaryColor: "#e7ebff", primaryBorderColor: "#5566aa", primaryTextColor: "#1c2333", lineColor: "#5566aa",
        actorBkg: "#e7ebff", actorBorder: "#5566aa", labelBoxBkgColor: "#e7ebff", signalColor: "#5566aa",
        signalTextColor: "#1c2333", loopTextColor: "#1c2333", edgeLabelBackground: "#ffffff"
    }
}"""


def main() -> int:
    """Draw what is missing, and remove pictures of what no page holds; return the exit status."""
    wanted = {picture_of(source): source for source in diagram_sources()}
    for old in set(DIAGRAMS.glob("*.svg")) - set(wanted):
        old.unlink()
    missing = {picture: source for picture, source in wanted.items() if not picture.exists()}
    if missing:
        DIAGRAMS.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="hevo-diagrams-") as folder:
            fetch_mermaid(Path(folder))
            for picture, source in missing.items():
                picture.write_text(drawn(source, Path(folder)), encoding="utf-8")
    sys.stdout.write(f"{len(wanted)} diagrams, {len(missing)} of them drawn anew.\n")
    return 0


def fetch_mermaid(folder: Path) -> None:
    """Put Mermaid's script into a folder."""
    subprocess.run(["npm", "pack", "--silent", MERMAID], cwd=folder, check=True, stdout=subprocess.DEVNULL)  # noqa: S607
    (archive,) = folder.glob("*.tgz")
    subprocess.run(["tar", "xzf", archive, "package/dist/mermaid.min.js"], cwd=folder, check=True)  # noqa: S607


def drawn(source: str, folder: Path) -> str:
    """
    Return a diagram as SVG.

    :raises RuntimeError: Mermaid does not understand it.
    """
    page = folder / "page.html"
    page.write_text(
        f"<!doctype html><meta charset=utf-8><pre class=mermaid>{html.escape(source)}</pre>"
        f"<script src=package/dist/mermaid.min.js></script><script>mermaid.initialize({LOOK})</script>",
        encoding="utf-8",
    )
    flags = ("--headless=new", "--no-sandbox", "--dump-dom", f"--virtual-time-budget={WHEN_DRAWN}")
    chromium = ["chromium", *flags, f"--user-data-dir={folder}/profile", page.as_uri()]
    shown = subprocess.run(chromium, check=True, capture_output=True, text=True, env=dict(os.environ)).stdout
    found = re.search(r"<svg.*</svg>", shown, re.DOTALL)
    if found is None or 'aria-roledescription="error"' in found[0]:
        raise RuntimeError(f"Mermaid cannot draw:\n{source}\n{shown[-2000:]}")
    return as_a_file(found[0])


def as_a_file(svg: str) -> str:
    """Return an SVG that is a file of its own: what HTML forgives is made XML, and its size is told."""
    svg = re.sub(r"<br\s*>", "<br/>", svg)
    box = re.search(r'viewBox="[-0-9.]+ [-0-9.]+ ([0-9.]+) ([0-9.]+)"', svg)
    assert box is not None
    size = f'width="{float(box[1]):.0f}" height="{float(box[2]):.0f}"'
    head, rest = svg.split(">", 1)
    head = re.sub(r'\s(?:width|height)="[^"]*"', "", head).replace("<svg", f"<svg {size}")
    return f"{head}>{rest}\n"


if __name__ == "__main__":
    sys.exit(main())
