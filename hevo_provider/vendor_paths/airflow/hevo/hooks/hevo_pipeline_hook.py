"""Where the vendor's package has its hook for pipelines, in older versions: names only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hevo_provider.vendor.names import names_in

if TYPE_CHECKING:
    from hevo_provider.vendor.hooks import HevoPipelineHook

__all__ = ["HevoPipelineHook"]
__getattr__ = names_in(__name__, __all__)
