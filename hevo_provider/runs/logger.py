"""What is asked of a logger: the standard library's and Airflow's structured one both do."""

from __future__ import annotations

import logging
from typing import Any, Protocol

log = logging.getLogger("hevo_provider.runs")


class Logger(Protocol):
    """Somebody to tell the story of a run to."""

    def info(self, message: str, /, *args: Any) -> Any:
        """Tell what happened."""

    def warning(self, message: str, /, *args: Any) -> Any:
        """Tell what may need attention."""
