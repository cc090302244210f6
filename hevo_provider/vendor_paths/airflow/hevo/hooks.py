"""Where the vendor's manual has its hooks: here, one does the work of both."""

from __future__ import annotations

from hevo_provider.hooks import HevoHook as HevoObjectHook
from hevo_provider.hooks import HevoHook as HevoPipelineHook

__all__ = ["HevoObjectHook", "HevoPipelineHook"]
