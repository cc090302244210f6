"""Where the vendor's manual has pipelines, their actions and statuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hevo_provider.models.pipeline import PipelineAction, PipelineStatus, __getattr__  # noqa: F401 - the model is built when asked for

if TYPE_CHECKING:
    from hevo_provider.models.pipeline import Pipeline

__all__ = ["Pipeline", "PipelineAction", "PipelineStatus"]
