"""Let the links of the README, which are relative in the repository, work on PyPI's page too."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE = re.compile(r"(!?)(\[[^\]\n]*\])\((?!https?://|mailto:|#)([^)\s]+)\)")


def with_absolute_links(readme: str, source: str) -> str:
    """Return a text in Markdown whose relative links lead into the repository, pictures to the files themselves."""
    return RELATIVE.sub(lambda m: f"{m[1]}{m[2]}({source}/{'raw' if m[1] else 'blob'}/main/{m[3]})", readme)


class CustomMetadataHook(MetadataHookInterface):
    """Hatchling calls this with ``[project]`` of pyproject.toml."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the text of PyPI's page."""
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        text = with_absolute_links(readme, metadata["urls"]["Source"])
        metadata["readme"] = {"content-type": "text/markdown", "text": text}
