"""Where the vendor's package has its sensor, in older versions: names only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hevo_provider.vendor.names import names_in, path_of

if TYPE_CHECKING:
    from hevo_provider.vendor.sensors import HevoSensor

__all__ = ["HevoSensor"]
__path__ = path_of(__name__, __path__)
__getattr__ = names_in(__name__, __all__)
