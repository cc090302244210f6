"""What a task says when it fails: in its exception, whose text is the short verdict, and in the lines of its report."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest


def told_by(error: BaseException) -> str:
    """Return all that is told of a failure: the exception's own text, and what was logged before it was raised."""
    return "\n".join(filter(None, (str(error), getattr(error, "report", ""))))


@contextmanager
def fails(kind: type[BaseException] | tuple[type[BaseException], ...], *, says: str) -> Iterator[Any]:
    """
    Expect that a task fails.

    :param kind: of the exception.
    :param says: what is told of it somewhere, a regular expression; a dot stands for the end of a line too.
    """
    with pytest.raises(kind) as failure:
        yield failure
    assert re.search(says, told_by(failure.value), re.DOTALL), told_by(failure.value)
