"""Where the vendor's manual has its trigger."""

from __future__ import annotations

from hevo_provider.triggers import HevoJobTrigger as HevoTrigger

__all__ = ["HevoTrigger"]
