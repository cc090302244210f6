"""What the sandbox remembers of each request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hevo_provider.sandbox.faults import Fault


@dataclass(frozen=True, slots=True)
class Request:
    """One request as the sandbox saw it; recorded before the answer is sent."""

    route: str
    method: str
    path: str
    query: Mapping[str, str]
    status: int | None
    """HTTP status of the answer; None where a fault leaves the request without one."""
    at: float
    """Arrival, epoch seconds by the sandbox's clock."""
    authorized: bool
    body: Any
    """The decoded JSON, raw bytes if it is none, None if empty."""
    headers: Mapping[str, str] = field(repr=False)
    pipeline_id: int | None = None
    job_id: str | None = None
    """The job in the path, or the one that this request started."""
    fault: Fault | None = None
    applied: bool = True
    """False where a fault answered in place of the API, so that nothing changed."""
