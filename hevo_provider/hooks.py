"""``HevoHook``: an Airflow connection becomes a client. Its sync methods are the async ones, run by asgiref."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping
from contextlib import asynccontextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from airflow.providers.common.compat.connection import get_async_connection, get_async_extra_dejson
from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from hevo_provider import codes
from hevo_provider.client.access import Access, checked_headers, checked_request_kwargs
from hevo_provider.client.calls import HevoAsyncClient
from hevo_provider.client.shared import SharedClient
from hevo_provider.client.transport import DEFAULT_TIMEOUT, MAX_RETRY_PAUSE, RETRYABLE_STATUS_CODES
from hevo_provider.clock import process_clock
from hevo_provider.connection import ConnectionSettings, names_a_file
from hevo_provider.exceptions import (
    HevoAuthError,
    HevoConfigError,
    HevoConnectionError,
    HevoConnectionNotFoundError,
    HevoError,
    HevoGatewayError,
    HevoNotFoundError,
    HevoResponseError,
    HevoTransportError,
)
from hevo_provider.metrics import count_retry, tell_usage
from hevo_provider.parameters import DEFAULT_CONNECTION_ID
from hevo_provider.sync import BlockingCall

if TYPE_CHECKING:
    from hevo_provider.connection import AirflowConnection

P = ParamSpec("P")
T = TypeVar("T")

MOST_COUNTED = 500  # pipelines, for the Test button: five pages
LOOK_UP_TIMEOUT = 60.0  # seconds that Airflow may take to look the connection up
_ADVICE: Mapping[type[HevoError], str] = {
    HevoAuthError: "Check login (the API key) and password (the API secret), and that they belong to this region.",
    HevoNotFoundError: "What answers there is not Hevo's API: check the host.",
    HevoGatewayError: "Check the host, and what stands between.",
    HevoResponseError: "What answers there is not Hevo's API: check the host.",
}


def _through_client(
    method: Callable[Concatenate[HevoAsyncClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[HevoHook, P], Coroutine[Any, Any, T]]:
    """Make the hook's async method of a client's: the same call on a client that lives for that call."""

    @wraps(method)
    async def call(self: HevoHook, /, *args: P.args, **kwargs: P.kwargs) -> T:
        # A client that is kept would die with its event loop, and each call of a sync twin has one of its own.
        async with self.client() as hevo:
            return await method(hevo, *args, **kwargs)

    return call


def _walk_through_client(
    method: Callable[Concatenate[HevoAsyncClient, P], AsyncIterator[T]],
) -> Callable[Concatenate[HevoHook, P], AsyncIterator[T]]:
    """Make the hook's async iterator of a client's."""

    @wraps(method)
    async def walk(self: HevoHook, /, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        async with self.client() as hevo:
            async for item in method(hevo, *args, **kwargs):
                yield item

    return walk


def _twin(
    method: Callable[Concatenate[HevoHook, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[HevoHook, P], T]:
    """Make the sync twin of an async method."""

    @wraps(method)
    def call(self: HevoHook, /, *args: P.args, **kwargs: P.kwargs) -> T:
        name = method.__name__
        return BlockingCall(f"HevoHook.{name}", f"use a{name}").run(method, self, *args, **kwargs)

    return call


def _list_twin(
    walk: Callable[Concatenate[HevoHook, P], AsyncIterator[T]],
) -> Callable[Concatenate[HevoHook, P], list[T]]:
    """Make the sync twin of an async iterator: a list."""

    @wraps(walk)
    async def collect(self: HevoHook, /, *args: P.args, **kwargs: P.kwargs) -> list[T]:
        return [item async for item in walk(self, *args, **kwargs)]

    return _twin(collect)


class HevoHook(BaseHook):
    """
    Talk to Hevo with the credentials of an Airflow connection.

    Methods that start with ``a`` are for async code, the others block. The connection's type is ``hevo`` or ``http``:
    host (``us.hevodata.com``, a bare region, or a URL), login (API key), password (API secret); extra may hold
    ``headers``, ``timeout``, ``requests_per_minute``, ``proxy``, ``ca_file``, ``relaxed_ca_checks``, ``client_cert``,
    ``client_key``, ``skip_tls_verification``, ``link`` and ``lineage_namespaces``.

    :param connection_id: the connection.
    :param retry_limit: how often a request is repeated after a failure that may pass; one that starts a job, only after
        a failure that says that it did not arrive.
    :param retry_delay: seconds before the first repetition; doubles, with full jitter.
    :param timeout: seconds that one request may take. None takes the connection's, or else 30.
    :param extra_headers: sent with every request, over those of the connection.
    :param extra_kwargs: handed to aiohttp with every request, such as ``proxy`` or ``ssl``, over the connection's.
    :param retryable_status_codes: HTTP statuses that are worth a repetition; None: 429, 408, 425, 499 and all 5xx.
    :param longest_pause: seconds; where Hevo asks to wait longer than this, the error is raised instead.
    """

    conn_name_attr = "connection_id"
    default_conn_name = DEFAULT_CONNECTION_ID
    conn_type = "hevo"
    hook_name = "Hevo Data"

    def __init__(
        self,
        connection_id: str = DEFAULT_CONNECTION_ID,
        *,
        retry_limit: int = 3,
        retry_delay: float = 2.0,
        timeout: float | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_kwargs: Mapping[str, Any] | None = None,
        retryable_status_codes: Collection[int] | None = None,
        longest_pause: float = MAX_RETRY_PAUSE,
    ) -> None:
        super().__init__()
        if retry_limit < 0 or retry_delay < 0 or (timeout is not None and timeout <= 0):
            raise HevoConfigError("retry_limit and retry_delay must not be negative, and timeout must be above 0.")
        self.connection_id = connection_id
        self.retry_limit = retry_limit
        self.retry_delay = retry_delay
        self.timeout = timeout
        self.extra_headers = checked_headers(extra_headers or {})
        self.extra_kwargs = checked_request_kwargs(extra_kwargs or {})
        self.retryable_status_codes = (
            RETRYABLE_STATUS_CODES if retryable_status_codes is None else frozenset(retryable_status_codes)
        )
        self.longest_pause = longest_pause
        self.clock = process_clock()
        self._settings: ConnectionSettings | None = None

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """Return the connection form's own fields, for Airflow before 3.2."""
        from hevo_provider.compat import connection_form_fields

        return connection_form_fields()

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Return labels and placeholders of the connection form's other fields, for Airflow before 3.2."""
        from hevo_provider.compat import connection_form_behaviour

        return connection_form_behaviour()

    # From the connection to a client

    def get_conn(self) -> HevoAsyncClient:
        """
        Return a client for the connection, looked up now. That blocks: an event loop has :meth:`client`.

        :raises HevoConfigError: the connection cannot be used.
        """
        self._settings = None
        return self._client_for(self.settings)

    @property
    def settings(self) -> ConnectionSettings:
        """
        What the connection says; looked up unless it was before. Not for an event loop.

        :raises HevoConfigError: the connection cannot be used.
        """
        if self._settings is None:
            try:
                connection = self.get_connection(self.connection_id)
            except AirflowNotFoundException as error:
                raise self._not_found(error) from None
            self._settings = self._read(connection, connection.extra_dejson)
        return self._settings

    @property
    def known_host(self) -> str | None:
        """Where the connection leads, without a look-up: None if there was none before."""
        return None if self._settings is None else self._settings.access.host

    @asynccontextmanager
    async def client(self) -> AsyncIterator[HevoAsyncClient]:
        """Open a client for as long as the block lasts."""
        async with await self._open() as hevo:
            yield hevo

    def shared_client(self) -> SharedClient:
        """Use the client that all users of this connection in this event loop share."""
        return SharedClient((type(self), self.connection_id), self._open)

    def last_client(self, timeout: float) -> HevoAsyncClient | None:
        """
        Return a client with what is known of the connection already, for a process that is about to be killed.

        Airflow's supervisor must not be asked then: it may be waiting for this very process.

        :param timeout: seconds that a request may take.
        :returns: None if the connection was never looked up.
        """
        return (
            None if self._settings is None else self._client_for(self._settings, timeout=timeout, reauthenticate=None)
        )

    async def _open(self) -> HevoAsyncClient:
        return self._client_for(await self.asettings())

    async def asettings(self) -> ConnectionSettings:
        """
        Return what the connection says; it is looked up once.

        :raises HevoConnectionError: there is no such connection, or it cannot be used.
        :raises HevoTransportError: Airflow cannot tell.
        """
        return self._settings or await self._look_up()

    async def _look_up(self) -> ConnectionSettings:
        try:
            # Helpers that know every version: before 3.3.2 BaseHook.aget_connection fails while another call is under
            # way, and in a triggerer get_connection finds nothing but in the trigger's own task.
            async with asyncio.timeout(LOOK_UP_TIMEOUT):
                connection = await get_async_connection(self.connection_id)
                extra = await get_async_extra_dejson(connection)
        except AirflowNotFoundException as error:
            raise self._not_found(error) from None
        except Exception as error:  # noqa: BLE001 - each version and secrets backend has errors of its own
            # Airflow's own API or database is out of reach, which passes. A wait endures it like any other outage.
            message = (
                f"Airflow could not look up the connection {self.connection_id!r}: {type(error).__name__}: {error}"
            )
            raise HevoTransportError(message, sent=False, code=codes.NOT_LOOKED_UP) from None
        if names_a_file(extra):  # which is read from disk
            self._settings = await asyncio.to_thread(self._read, connection, extra)
        else:
            self._settings = self._read(connection, extra)
        return self._settings

    async def _renewed_access(self) -> Access:
        # Keys are rotated while jobs run. With the host, the key's owner may have changed too: new credentials are
        # only for where the connection leads now.
        return self._access_of(await self._look_up())

    def _access_of(self, settings: ConnectionSettings) -> Access:
        return settings.access.with_more(self.extra_headers, self.extra_kwargs)

    def _not_found(self, error: Exception) -> HevoConnectionNotFoundError:
        return HevoConnectionNotFoundError(f"Airflow connection {self.connection_id!r}: {error}")

    def _read(self, connection: AirflowConnection, extra: Mapping[str, Any]) -> ConnectionSettings:
        try:
            return ConnectionSettings.of(connection, extra)
        except HevoConfigError as error:
            code = None if error.code is codes.WRONG_PARAMETER else error.code
            raise HevoConnectionError(f"Airflow connection {self.connection_id!r}: {error.text}", code=code) from None

    def _client_for(self, settings: ConnectionSettings, **changes: Any) -> HevoAsyncClient:
        options: dict[str, Any] = {
            "timeout": self.timeout or settings.timeout or DEFAULT_TIMEOUT,
            "retry_limit": self.retry_limit,
            "retry_delay": self.retry_delay,
            "longest_pause": self.longest_pause,
            "retryable_status_codes": self.retryable_status_codes,
            "reauthenticate": self._renewed_access,
            "on_retry": count_retry,
            "requests_per_minute": settings.requests_per_minute,
            "on_usage": tell_usage,
            "clock": self.clock,
        }
        return HevoAsyncClient.of(self._access_of(settings), **(options | changes))

    def test_connection(self) -> tuple[bool, str]:
        """
        Count the pipelines, for the Test button: GET /pipelines, up to six times.

        :returns: whether it worked, and what to do if not.
        """
        try:
            return True, BlockingCall("HevoHook.test_connection").run(self._check)
        except HevoError as error:
            advice = [words for kind, words in _ADVICE.items() if isinstance(error, kind)]
            # Airflow's form tests under a connection id that it makes up.
            told = error.text.replace(f"Airflow connection {self.connection_id!r}: ", "")
            told = told.replace(f"the connection {self.connection_id!r}", "the connection")
            return False, " ".join([f"{told.rstrip('.')}.", *advice, f"({error.code})"])

    async def _check(self) -> str:
        visible = 0
        async with self._client_for(await self.asettings(), retry_limit=0) as hevo:  # somebody is waiting at the button
            async for _ in hevo.list_pipelines():
                visible += 1
                if visible > MOST_COUNTED:
                    break
        how_many = f"more than {MOST_COUNTED}" if visible > MOST_COUNTED else str(visible or "no")
        are_visible = "pipeline is visible" if visible == 1 else "pipelines are visible"
        return f"Connected to {hevo.way}; {how_many} {are_visible}."

    # The API, call by call

    alist_pipelines = _walk_through_client(HevoAsyncClient.list_pipelines)
    aget_pipeline = _through_client(HevoAsyncClient.get_pipeline)
    aupdate_pipeline = _through_client(HevoAsyncClient.update_pipeline)
    aenable_pipeline = _through_client(HevoAsyncClient.enable_pipeline)
    adisable_pipeline = _through_client(HevoAsyncClient.disable_pipeline)
    async_now = _through_client(HevoAsyncClient.sync_now)
    aresync = _through_client(HevoAsyncClient.resync)
    alist_jobs = _walk_through_client(HevoAsyncClient.list_jobs)
    aget_job = _through_client(HevoAsyncClient.get_job)
    acancel_job = _through_client(HevoAsyncClient.cancel_job)
    alist_job_objects = _walk_through_client(HevoAsyncClient.list_job_objects)
    alist_objects = _walk_through_client(HevoAsyncClient.list_objects)
    aget_object = _through_client(HevoAsyncClient.get_object)
    arefresh_schema = _through_client(HevoAsyncClient.refresh_schema)
    aresync_objects = _through_client(HevoAsyncClient.resync_objects)

    list_pipelines = _list_twin(alist_pipelines)
    get_pipeline = _twin(aget_pipeline)
    update_pipeline = _twin(aupdate_pipeline)
    enable_pipeline = _twin(aenable_pipeline)
    disable_pipeline = _twin(adisable_pipeline)
    sync_now = _twin(async_now)
    resync = _twin(aresync)
    list_jobs = _list_twin(alist_jobs)
    get_job = _twin(aget_job)
    cancel_job = _twin(acancel_job)
    list_job_objects = _list_twin(alist_job_objects)
    list_objects = _list_twin(alist_objects)
    get_object = _twin(aget_object)
    refresh_schema = _twin(arefresh_schema)
    resync_objects = _twin(aresync_objects)
