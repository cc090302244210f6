"""The routes by name, and what the sandbox remembers of each request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hevo_provider.sandbox.faults import Fault

UNKNOWN_ROUTE = "unknown"

_ROUTE_OF = {
    "GET pipelines": "list_pipelines",
    "GET pipelines/*": "get_pipeline",
    "PATCH pipelines/*": "update_pipeline",
    "POST pipelines/*/actions/sync-now": "sync_now",
    "POST pipelines/*/actions/resync": "resync",
    "POST pipelines/*/actions/enable": "enable",
    "POST pipelines/*/actions/disable": "disable",
    "GET pipelines/*/jobs": "list_jobs",
    "GET pipelines/*/jobs/*": "get_job",
    "POST pipelines/*/jobs/*/actions/cancel": "cancel_job",
    "GET pipelines/*/jobs/*/objects": "list_job_objects",
    "GET pipelines/*/objects": "list_objects",
    "GET pipelines/*/objects/*": "get_object",
    "POST pipelines/*/objects/actions/refresh-schema": "refresh_schema",
    "POST pipelines/*/objects/actions/resync": "resync_objects",
}

ROUTES = tuple(_ROUTE_OF.values())
"""The names that :meth:`Sandbox.inject` and :meth:`Sandbox.requests_of` take."""

_PREFIX = "/api/v1/"
_LONGEST_ID = 20


def match(method: str, path: str) -> tuple[str, str | None, str | None]:
    """
    Name the route of a request.

    :param method: HTTP method, upper case.
    :param path: raw path without the query; an encoded slash stays within its segment.
    :return: the route's name or ``"unknown"``, the pipeline's id and the job's or object's id as they were written.
    """
    if not path.startswith(_PREFIX):
        return UNKNOWN_ROUTE, None, None
    parts = path[len(_PREFIX) :].split("/")
    pipeline_id = sub_id = None
    if parts[1:]:
        pipeline_id, parts[1] = parts[1], "*"
    if parts[3:] and "actions" not in parts[2:4]:
        sub_id, parts[3] = parts[3], "*"
    return _ROUTE_OF.get(f"{method} {'/'.join(parts)}", UNKNOWN_ROUTE), pipeline_id, sub_id


def numeric_id(written: str | None) -> int | None:
    """Read a pipeline's id; None if it is no such number."""
    if written and len(written) < _LONGEST_ID and written.isascii() and written.isdigit():
        return int(written)
    return None


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
