"""Where the vendor's manual has its operators."""

from __future__ import annotations

from hevo_provider.operators import HevoOperator, HevoPipelineOperator

__all__ = ["HevoOperator", "HevoPipelineOperator"]
