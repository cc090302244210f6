"""A line on stderr that says how far the doctor is, where somebody looks at it."""

from __future__ import annotations

import shutil
from typing import TextIO

from hevo_provider.doctor.asker import MOST_REQUESTS

BAR = 30  # characters


class Progress:
    """
    The line. It says nothing where the stream is no terminal.

    :param stream: where it is written, stderr as a rule.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._shows = stream.isatty()
        self._written = False

    def __call__(self, sent: int, what: str) -> None:
        """Show how many requests were sent, of all that may be, and what is asked now."""
        if not self._shows:
            return
        full = BAR * min(sent, MOST_REQUESTS) // MOST_REQUESTS
        line = f"[{'#' * full}{'.' * (BAR - full)}] {sent} of at most {MOST_REQUESTS} requests, asking for {what}"
        self._stream.write(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}")
        self._stream.flush()
        self._written = True

    def clear(self) -> None:
        """Take the line away."""
        if self._written:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._written = False
