"""Parameters that DAG files of the vendor's package hold and this one would refuse: they are read, with a warning."""

from __future__ import annotations

import warnings
from datetime import timedelta
from typing import Any, TypeVar

from airflow.exceptions import AirflowProviderDeprecationWarning

from hevo_provider.parameters import DEFAULT_CONNECTION_ID

T = TypeVar("T")

SHORTEST_INTERVAL = 1  # seconds


def connection_or_default(connection_id: Any) -> Any:
    """Return the connection's id; None is the default one."""
    return DEFAULT_CONNECTION_ID if connection_id is None else connection_id


def interval_of(name: str, value: Any) -> Any:
    """Return seconds between polls: at least one where there was to be no pause at all."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if not _is_number(seconds) or seconds > 0:
        return value
    tell(
        f"{name}={value!r} is taken for {SHORTEST_INTERVAL} s: without a pause, Hevo's limit is reached within seconds."
    )
    return SHORTEST_INTERVAL


def attempts_of(name: str, value: Any) -> Any:
    """Return how many polls may be made to find a job: at least one."""
    if not _is_number(value) or value > 0:
        return value
    tell(f"{name}={value!r} is taken for 1: a job can only be followed that was found.")
    return 1


def tell(message: str) -> None:
    """Warn of a parameter as Airflow does of what a provider deprecates."""
    warnings.warn(message, AirflowProviderDeprecationWarning, stacklevel=4)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
