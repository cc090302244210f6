"""What all parts of one sandbox share: its clock, its lock, its dice, and how a test overrides their JSON."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable


class _Missing(Enum):
    MISSING = "MISSING"


MISSING: Final = _Missing.MISSING
"""In an override: leave the field out of the JSON altogether."""


def overridden(data: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    """Merge an override into a JSON object; None becomes null, :data:`MISSING` drops the field."""
    if override:
        data |= override
        for name in [name for name, value in data.items() if value is MISSING]:
            del data[name]
    return data


@dataclass
class World:
    """What all parts of one sandbox share."""

    clock: Callable[[], float]
    lock: threading.RLock = field(default_factory=threading.RLock)
    random: random.Random = field(default_factory=random.Random)

    def uuid(self) -> str:
        """Return a new version 4 UUID, reproducible from the sandbox's seed."""
        digits = f"{self.random.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
