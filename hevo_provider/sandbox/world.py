"""What all parts of one sandbox share: its clock, its lock, its dice, what a test may set and override."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


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


def known(kind: str, name: object, names: Iterable[str]) -> None:
    """
    Refuse a name that does not exist: a test that misspells one would pass for the wrong reason.

    :param kind: what it would be the name of, for the message.
    :raises ValueError: it is none of ``names``; the message tells which is the nearest.
    """
    names = list(names)
    if name not in names:
        raise ValueError(f"There is no {kind} {name!r}{_nearest(name, names)}. Known are {', '.join(sorted(names))}")


def _nearest(name: object, names: Iterable[str]) -> str:
    near = get_close_matches(str(name), list(names), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


class Checked:
    """What a test may change: attributes and values that do not exist are refused."""

    _values: ClassVar[Mapping[str, tuple[str, Iterable[str]]]] = {}
    """Of attributes that take a name or several: what it is the name of, and which there are."""
    _complete = False

    def __setattr__(self, name: str, value: Any) -> None:
        """
        Set an attribute.

        :raises AttributeError: there is none of that name.
        :raises ValueError: it cannot have that value.
        """
        if self._complete and name not in self.__dict__ and name not in dir(self):
            public = [each for each in dir(self) if not each.startswith("_")]
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}{_nearest(name, public)}")
        if name in self._values:
            kind, names = self._values[name]
            for each in [value] if isinstance(value, str) else value:
                known(kind, each, names)
        super().__setattr__(name, value)
