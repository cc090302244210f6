"""Pipelines: what can be done with them and the states they pass through. ``Pipeline`` is built when asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hevo_provider.models.enums import PipelineAction, PipelineStatus

if TYPE_CHECKING:
    from hevo_provider.models.answers import Pipeline

__all__ = ["Pipeline", "PipelineAction", "PipelineStatus"]


def __getattr__(name: str) -> Any:
    if name == "Pipeline":
        from hevo_provider.models.answers import Pipeline

        return Pipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
