"""Where the vendor's package has its operators, in older versions: names only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hevo_provider.vendor.names import names_in

if TYPE_CHECKING:
    from hevo_provider.vendor.operators import HevoOperator, HevoPipelineOperator

__all__ = ["HevoOperator", "HevoPipelineOperator"]
__getattr__ = names_in(__name__, __all__)
