"""What waits: a bare aiohttp loop, the triggers of this provider, and those of others, each for its own stand-in."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

Waiting = Callable[[int, float], Awaitable[None]]
"""Waits for ever for a job, by its number, with so many seconds between looks."""

SECRET = "s" * 40
KEY = "k" * 20


def contender(name: str, port: int) -> Waiting:
    """
    Get a contender ready: modules imported, its Airflow connection in place.

    :param name: ``bare``, ``hevo``, ``fivetran``, ``airbyte`` or ``dbt-cloud``.
    :param port: of the stand-in server.
    """
    return {"bare": _bare, "hevo": _hevo, "fivetran": _fivetran, "airbyte": _airbyte, "dbt-cloud": _dbt_cloud}[name](
        port
    )


def connect_hevo(port: int) -> None:
    """Make the Airflow connection of this provider."""
    host = f"http://127.0.0.1:{port}"
    budget = {"requests_per_minute": 10_000_000}  # it is at work, and never what limits the polls
    _connection("hevo_airflow_conn_id", conn_type="hevo", host=host, login=KEY, password=SECRET, extra=budget)


def job_id_of(number: int) -> str:
    """Return the id that the stand-in gives to a pipeline's job."""
    return f"00000000-0000-4000-8000-{number:012d}"


def _connection(name: str, **fields: Any) -> None:
    os.environ[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps(fields)


async def _exhaust(trigger: Any) -> None:
    async for event in trigger.run():
        raise RuntimeError(f"nothing should end here: {event}")


def _bare(port: int) -> Waiting:
    import aiohttp

    session: aiohttp.ClientSession | None = None

    async def wait(number: int, interval: float) -> None:
        nonlocal session
        if session is None:
            session = aiohttp.ClientSession(headers={"Authorization": "Basic " + "x" * 80})
        url = f"http://127.0.0.1:{port}/api/v1/pipelines/{number}/jobs/{job_id_of(number)}"
        while True:
            async with session.get(url) as response:
                json.loads(await response.read())
            await asyncio.sleep(interval)

    return wait


def _hevo(port: int) -> Waiting:
    from hevo_provider.triggers import HevoJobTrigger

    connect_hevo(port)

    def wait(number: int, interval: float) -> Awaitable[None]:
        week = time.time() + 7 * 24 * 3600
        return _exhaust(
            HevoJobTrigger(number, job_id=job_id_of(number), poll_interval=interval, deadline=week, run_token="x" * 36)
        )

    return wait


def _fivetran(port: int) -> Waiting:
    import pendulum

    hooks = import_module("fivetran_provider_async.hooks")
    triggers = import_module("fivetran_provider_async.triggers")
    _connection("fivetran", conn_type="fivetran", login=KEY, password=SECRET)
    hooks.FivetranHook.api_protocol = "http"
    hooks.FivetranHook.api_host = f"127.0.0.1:{port}"
    before = pendulum.datetime(2026, 6, 1)

    def wait(number: int, interval: float) -> Awaitable[None]:
        trigger = triggers.FivetranTrigger(
            "task", f"connector-{number}", "fivetran", previous_completed_at=before, poke_interval=interval
        )
        return _exhaust(trigger)

    return wait


def _airbyte(port: int) -> Waiting:
    triggers = import_module("airflow.providers.airbyte.triggers.airbyte")
    _connection("airbyte", conn_type="airbyte", host=f"http://127.0.0.1:{port}")

    def wait(number: int, interval: float) -> Awaitable[None]:
        return _exhaust(triggers.AirbyteSyncTrigger(number, "airbyte", time.time() + 7 * 24 * 3600, interval))

    return wait


def _dbt_cloud(port: int) -> Waiting:
    hook = import_module("airflow.providers.dbt.cloud.hooks.dbt").DbtCloudHook
    triggers = import_module("airflow.providers.dbt.cloud.triggers.dbt")
    _connection("dbt", conn_type="dbt_cloud", host=f"127.0.0.1:{port}", login="1", password=SECRET)
    original = hook.get_request_url_params

    def without_tls(*args: Any, **kwargs: Any) -> Any:
        url, params = original(*args, **kwargs)
        return url.replace("https://", "http://"), params

    hook.get_request_url_params = staticmethod(without_tls)

    def wait(number: int, interval: float) -> Awaitable[None]:
        return _exhaust(triggers.DbtCloudRunJobTrigger("dbt", number, time.time() + 7 * 24 * 3600, interval, 1))

    return wait
