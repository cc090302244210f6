"""What a logger must have: the standard library's and Airflow's structured one both do."""

from __future__ import annotations

import logging
from typing import Any, Protocol

log = logging.getLogger("hevo_provider.runs")


class Logger(Protocol):
    """Where a run is logged."""

    def info(self, message: str, /, *args: Any) -> Any:
        """Log what happened."""

    def warning(self, message: str, /, *args: Any) -> Any:
        """Log what may need attention."""
