"""Pipelines: what can be done with them and the states they pass through. ``Pipeline`` is built when asked for."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hevo_provider.models.answers import Pipeline

__all__ = ["Pipeline", "PipelineAction", "PipelineStatus"]


class PipelineAction(StrEnum):
    """What a task can ask Hevo to do with a pipeline."""

    SYNC_NOW = "SYNC_NOW"
    RESYNC = "RESYNC"


class PipelineStatus(StrEnum):
    """The states of a pipeline. Only an ``INITIALIZED`` one can run; a resync passes through ``RESTARTING``."""

    INITIALIZING = "INITIALIZING"
    INITIALIZED = "INITIALIZED"
    INITIALIZE_FAILED = "INITIALIZE_FAILED"
    DISABLING = "DISABLING"
    DISABLED = "DISABLED"
    DISABLE_FAILED = "DISABLE_FAILED"
    ENABLING = "ENABLING"
    ENABLED = "ENABLED"
    ENABLE_FAILED = "ENABLE_FAILED"
    DELETING = "DELETING"
    DELETED = "DELETED"
    DELETE_FAILED = "DELETE_FAILED"
    RESTARTING = "RESTARTING"
    RESTART_FAILED = "RESTART_FAILED"


def __getattr__(name: str) -> Any:
    if name == "Pipeline":
        from hevo_provider.models.answers import Pipeline

        return Pipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
