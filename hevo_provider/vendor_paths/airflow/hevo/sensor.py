"""Where the vendor's manual has its sensor."""

from __future__ import annotations

from hevo_provider.sensors import HevoSensor

__all__ = ["HevoSensor"]
