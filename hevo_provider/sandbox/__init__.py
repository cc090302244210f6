"""A local Hevo to develop and test against: every endpoint of the API, on loopback, with faults on demand.

.. code-block:: python

    from hevo_provider.sandbox import Fault, Sandbox

    with Sandbox() as hevo:
        pipeline = hevo.add_pipeline(7, appear_after=0.1, duration=0.5, ends="COMPLETED_WITH_FAILURES")
        hevo.inject("sync_now", Fault.status(503, after=True))
        ...  # point a client at hevo.url with hevo.key and hevo.secret
        assert len(pipeline.jobs_started_by_api) == 1

``python -m hevo_provider.sandbox`` serves a demo data set. The sandbox writes its JSON by hand and shares no code with
the client: a mistake in one cannot hide the same mistake in the other. What it plays is written down in
``hevo_provider/API.md``; ``--like FILE`` plays an account that differs (see :mod:`hevo_provider.sandbox.like`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hevo_provider.sandbox.api import ROUTES
    from hevo_provider.sandbox.faults import Fault
    from hevo_provider.sandbox.jobs import TERMINAL_STATUSES, SandboxJob
    from hevo_provider.sandbox.limit import Limit
    from hevo_provider.sandbox.objects import SandboxObject
    from hevo_provider.sandbox.pipelines import SandboxPipeline
    from hevo_provider.sandbox.requests import Request
    from hevo_provider.sandbox.sandbox import Sandbox
    from hevo_provider.sandbox.world import MISSING

__all__ = [
    "MISSING",
    "ROUTES",
    "TERMINAL_STATUSES",
    "Fault",
    "Limit",
    "Request",
    "Sandbox",
    "SandboxJob",
    "SandboxObject",
    "SandboxPipeline",
]

_HOME = {
    "MISSING": "world",
    "TERMINAL_STATUSES": "jobs",
    "SandboxJob": "jobs",
    "ROUTES": "api",
    "Request": "requests",
    "Fault": "faults",
    "Limit": "limit",
    "Sandbox": "sandbox",
    "SandboxObject": "objects",
    "SandboxPipeline": "pipelines",
}


def __getattr__(name: str) -> Any:
    """Load a public name on first use, so that importing the package does not load aiohttp."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
