"""Where the vendor's package has its trigger: names only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hevo_provider.vendor.names import names_in

if TYPE_CHECKING:
    from hevo_provider.vendor.triggers import HevoTrigger

__all__ = ["HevoTrigger"]
__getattr__ = names_in(__name__, __all__)
