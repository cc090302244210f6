"""Where the vendor's package has its hook for objects, in older versions: names only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hevo_provider.vendor.names import names_in

if TYPE_CHECKING:
    from hevo_provider.vendor.hooks import HevoObjectHook

__all__ = ["HevoObjectHook"]
__getattr__ = names_in(__name__, __all__)
