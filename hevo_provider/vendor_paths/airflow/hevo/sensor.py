"""Where the vendor's package has its sensor: names only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hevo_provider.vendor.names import names_in

if TYPE_CHECKING:
    from hevo_provider.vendor.sensors import HevoSensor

__all__ = ["HevoSensor"]
__getattr__ = names_in(__name__, __all__)
