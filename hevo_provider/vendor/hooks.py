"""
The hooks of the vendor's package: each call blocking and async, over this package's client.

What is kept: names, parameters, what None and an empty dict mean, and that errors are Airflow's (they are this
package's too, with all that these tell). What is not kept: a call that starts something is sent once, and never
repeated, because a second one may start a second job; a failure of such a call may mean that it was applied.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import cache, wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from airflow.providers.common.compat.sdk import AirflowException
from pydantic_core import from_json

from hevo_provider.client import ActionReply, HevoAsyncClient
from hevo_provider.client.responses import Response
from hevo_provider.client.transport import Repeatable
from hevo_provider.exceptions import (
    HevoConfigError,
    HevoConflictError,
    HevoError,
    HevoNotFoundError,
    HevoPipelineBusyError,
    HevoPipelineStateError,
    HevoResponseError,
)
from hevo_provider.hooks import HevoHook
from hevo_provider.models.enums import JobStatus, JobType, PipelineStatus
from hevo_provider.models.ids import job_id_of, object_id_of, pipeline_id_of
from hevo_provider.parameters import DEFAULT_CONNECTION_ID, member_of
from hevo_provider.runs.listing import is_active
from hevo_provider.sync import BlockingCall
from hevo_provider.vendor.enums import JobCompletionStatus, ResyncMode
from hevo_provider.vendor.models import (
    Job,
    PaginatedJobsResponse,
    PaginatedObjectsResponse,
    Pipeline,
    PipelineObject,
)

P = ParamSpec("P")
T = TypeVar("T")
H = TypeVar("H", bound="BaseHevoHook")

API = "/api/v1"
PAGE = 100  # of jobs or objects
_COMPLETION: Mapping[str, JobCompletionStatus] = {
    JobStatus.COMPLETED: JobCompletionStatus.COMPLETED,
    JobStatus.COMPLETED_WITH_FAILURES: JobCompletionStatus.COMPLETED_WITH_FAILURES,
    JobStatus.FAILED: JobCompletionStatus.FAILED,
    JobStatus.CANCELLED: JobCompletionStatus.FAILED,
    JobStatus.SKIPPED: JobCompletionStatus.FAILED,
    JobStatus.DEFERRED: JobCompletionStatus.FAILED,
    JobStatus.DEFERRED_WITH_FAILURES: JobCompletionStatus.FAILED,
}


@cache
def _airflows(kind: type[HevoError]) -> type[HevoError]:
    """Return a kind of error of this package that is an ``AirflowException`` too."""
    return cast("type[HevoError]", type(kind.__name__, (kind, AirflowException), {"__doc__": kind.__doc__}))


@contextmanager
def _errors_of_airflow() -> Iterator[None]:
    """Raise this package's errors as what they are, and as Airflow's."""
    try:
        yield
    except HevoError as error:
        kind = _airflows(type(error))  # type: ignore[arg-type] # mypy reads __hash__ as that of an instance
        same = kind.__new__(kind, *error.args)
        same.__dict__.update(error.__dict__)
        raise same.with_traceback(error.__traceback__) from error.__cause__


def _blocking(method: Callable[Concatenate[H, P], Awaitable[T]]) -> Callable[Concatenate[H, P], T]:
    """Make the blocking form of an async method."""

    @wraps(method)
    def call(self: H, /, *args: P.args, **kwargs: P.kwargs) -> T:
        what = f"{type(self).__name__}.{method.__name__.removesuffix('_async')}"
        return BlockingCall(what, f"await {method.__name__}").run(method, self, *args, **kwargs)

    return call


class BaseHevoHook(HevoHook):
    """
    Talk to Hevo: use ``hevo_provider.hooks.HevoHook``.

    :param connection_id: the Airflow connection; None is the default one.
    :param retry_limit: how often a request is sent at most, the first time included. Actions are sent once.
    :param retry_delay: seconds before the first repetition; doubles, with full jitter.
    :param timeout: seconds that one request may take.
    :param retryable_status_codes: HTTP statuses that are worth a repetition; None takes this package's own.
    :param pipeline_id: the pipeline of calls that name none.
    :param extra_headers: sent with every request, over those of the connection.
    :param extra_kwargs: handed to aiohttp with every request.
    """

    def __init__(
        self,
        connection_id: str | None = None,
        retry_limit: int = 3,
        retry_delay: float = 2,
        timeout: float | None = 30,
        retryable_status_codes: Collection[int] | None = None,
        pipeline_id: int | str | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            connection_id or DEFAULT_CONNECTION_ID,
            retry_limit=max(0, retry_limit - 1),
            retry_delay=retry_delay,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_kwargs=extra_kwargs,
            retryable_status_codes=retryable_status_codes,
        )
        self.pipeline_id = pipeline_id

    @asynccontextmanager
    async def client(self) -> AsyncIterator[HevoAsyncClient]:
        """Open a client for as long as the block lasts; errors of this package that leave it are Airflow's too."""
        with _errors_of_airflow():
            async with super().client() as hevo:
                yield hevo

    async def execute_api_request_async(
        self,
        method: str,
        endpoint: str,
        params: Mapping[str, Any] | None = None,
        payload: Any = None,
    ) -> dict[str, Any]:
        """
        Send a request of one's own.

        :param method: the HTTP method. A POST is sent once.
        :param endpoint: the path, such as ``/api/v1/pipelines/7`` or ``pipelines/7``.
        :param params: the query; what is None is left out.
        :param payload: what is sent as JSON.
        :returns: the answer; ``{}`` where it has no body.
        :raises HevoError: Hevo could not be reached, could not be understood, or refused.
        """
        query = {name: _in_query(value) for name, value in (params or {}).items() if value is not None}
        async with self.client() as hevo:
            method = method.upper()
            path = _path_of(endpoint)
            repeatable = Repeatable.IF_IT_DID_NOT_ARRIVE if method == "POST" else Repeatable.ALWAYS
            return await hevo.request(
                method, path, _read_dict, params=query or None, body=payload, repeatable=repeatable
            )

    execute_api_request = execute_api_request_sync = _blocking(execute_api_request_async)

    def _pipeline(self, pipeline_id: int | str | None) -> int:
        return pipeline_id_of(self.pipeline_id if pipeline_id is None else pipeline_id)

    def _path(self, pipeline_id: int | str | None, *parts: str) -> str:
        return "/".join([f"{API}/pipelines/{self._pipeline(pipeline_id)}", *parts])


class HevoPipelineHook(BaseHevoHook):
    """
    Pipelines and their jobs: use ``hevo_provider.hooks.HevoHook``.

    ``…_async`` are for async code; ``…_sync`` and those without a suffix block. For parameters see
    :class:`BaseHevoHook`. All raise what is a ``HevoError`` and an ``AirflowException``.
    """

    async def get_pipeline_async(self, pipeline_id: int | str | None = None) -> Pipeline | None:
        """Fetch a pipeline: GET /pipelines/{id}. Returns None if there is none."""
        async with self.client() as hevo:
            try:
                return await self._fetch(hevo, pipeline_id)
            except HevoNotFoundError:
                return None

    async def validate_pipeline_async(self, pipeline_id: int | str | None = None) -> Pipeline:
        """
        Make sure that a pipeline can run: GET /pipelines/{id}.

        :returns: the pipeline.
        :raises HevoNotFoundError: there is none.
        :raises HevoPipelineStateError: it is not INITIALIZED.
        """
        async with self.client() as hevo:
            pipeline = await self._fetch(hevo, pipeline_id)
            if pipeline.status != PipelineStatus.INITIALIZED:
                raise HevoPipelineStateError(
                    f"Pipeline {pipeline.id} is {pipeline.status}: only an INITIALIZED one can run.",
                    pipeline_id=pipeline.id,
                )
            return pipeline

    async def trigger_pipeline_sync_async(
        self, pipeline_id: int | str | None = None, ensure_new_job: bool = True
    ) -> None:
        """
        Start a sync: GET …/jobs, then POST …/actions/sync-now, which is sent once.

        Which job it starts Hevo does not say; ``hevo_provider.operators.HevoPipelineOperator`` finds it.

        :param ensure_new_job: fail if a job is active; False sends nothing then, and returns.
        :raises HevoPipelineBusyError: a job is active.
        """
        async with self.client() as hevo:
            number = self._pipeline(pipeline_id)
            page, server_time = await self._newest_jobs(hevo, number)
            active = next((job for job in page.data if is_active(job, server_time)), None)
            try:
                if active is None:
                    await hevo.sync_now(number)
                elif ensure_new_job:
                    raise HevoPipelineBusyError(
                        f"Pipeline {number}: job {active.job_id} is {active.status}, so no other is started.",
                        pipeline_id=number,
                        job_id=active.job_id,
                    )
            except HevoConflictError:  # a job that does not show yet
                if ensure_new_job:
                    raise

    async def find_active_job_by_type_async(self, pipeline_id: int | str | None, job_type: JobType | str) -> Job | None:
        """
        Return the newest active job of a type, or None: GET …/jobs.

        :param job_type: under whatever name a revision of the API reports it.
        """
        known = next((member for member in JobType if member == str(job_type).strip().upper()), None)
        names = (str(job_type),) if known is None else known.wire_names
        async with self.client() as hevo:
            page, server_time = await self._newest_jobs(hevo, self._pipeline(pipeline_id))
            return next((job for job in page.data if job.type in names and is_active(job, server_time)), None)

    async def get_job_completion_status_async(self, pipeline_id: int | str | None, job_id: str) -> JobCompletionStatus:
        """
        Return how far a job is from its end: GET …/jobs/{job_id}.

        :returns: pending for a status that is not known; failed for one that has ended in another way than well.
        """
        async with self.client() as hevo:
            job = await hevo.get_job(self._pipeline(pipeline_id), job_id_of(job_id))
            return _COMPLETION.get(job.status or "", JobCompletionStatus.PENDING)

    async def update_pipeline_async(
        self, /, pipeline_id: int | str | None = None, payload: Mapping[str, Any] | None = None, **changes: Any
    ) -> Pipeline:
        """
        Change a pipeline: PATCH /pipelines/{id}.

        :param payload: the fields to change, by the API's names; they can be given by keyword too.
        :returns: the pipeline as it is now.
        """
        body = {**(payload or {}), **changes}
        async with self.client() as hevo:
            return await hevo.request("PATCH", self._path(pipeline_id), _reads(Pipeline), body=body)

    async def enable_pipeline_async(self, pipeline_id: int | str | None = None) -> ActionReply:
        """Enable a pipeline: POST …/actions/enable."""
        async with self.client() as hevo:
            return await hevo.enable_pipeline(self._pipeline(pipeline_id))

    async def disable_pipeline_async(
        self, pipeline_id: int | str | None = None, cancel_active_jobs: bool = False
    ) -> ActionReply:
        """
        Disable a pipeline: POST …/actions/disable.

        :param cancel_active_jobs: whether its running jobs are cancelled.
        """
        async with self.client() as hevo:
            number = self._pipeline(pipeline_id)
            return await hevo.disable_pipeline(number, cancel_active_jobs=cancel_active_jobs)

    async def resync_pipeline_async(
        self,
        pipeline_id: int | str | None = None,
        drop_and_load: bool | ResyncMode | str | None = None,
        *,
        resync_mode: ResyncMode | str | bool | None = None,
    ) -> ActionReply:
        """
        Restart the historical load: POST …/actions/resync, which is sent once.

        :param drop_and_load: whether the destination tables are dropped first; a ``ResyncMode`` or its name says it
            too.
        :param resync_mode: the same under its older name.
        """
        async with self.client() as hevo:
            drops = _drops(resync_mode if drop_and_load is None else drop_and_load)
            return await hevo.resync(self._pipeline(pipeline_id), drop_and_load=drops)

    async def cancel_job_async(self, pipeline_id: int | str | None, job_id: str) -> ActionReply:
        """Ask for a job to be cancelled: POST …/jobs/{job_id}/actions/cancel."""
        async with self.client() as hevo:
            return await hevo.cancel_job(self._pipeline(pipeline_id), job_id_of(job_id))

    async def get_job_objects_async(
        self, pipeline_id: int | str | None, job_id: str, limit: int | None = None, cursor: str | None = None
    ) -> dict[str, Any]:
        """
        Fetch one page of how a job fared with each object: GET …/jobs/{job_id}/objects.

        :param limit: how many, at most 100.
        :param cursor: from the page before.
        :returns: ``data``, ``has_more`` and ``next_cursor``.
        """
        async with self.client() as hevo:
            path = self._path(pipeline_id, "jobs", job_id_of(job_id), "objects")
            page = await hevo.request("GET", path, _read_dict, params=_page_params(limit, cursor))
        return {"data": [], "has_more": False, "next_cursor": None, **page}

    async def _fetch(self, hevo: HevoAsyncClient, pipeline_id: int | str | None) -> Pipeline:
        return await hevo.request("GET", self._path(pipeline_id), _reads(Pipeline))

    async def _newest_jobs(self, hevo: HevoAsyncClient, pipeline_id: int) -> tuple[PaginatedJobsResponse, int | None]:
        def read(response: Response) -> tuple[PaginatedJobsResponse, int | None]:
            return PaginatedJobsResponse.from_json(response.body), response.server_time

        return await hevo.request("GET", self._path(pipeline_id, "jobs"), read, params=_page_params(None, None))

    # The async form of validate_pipeline goes by another name in the newest version.
    _validate_pipeline_async = validate_pipeline_async

    # HevoHook has some of these names too, where a pipeline that is not there is an error, and a listing a list.
    get_pipeline = get_pipeline_sync = _blocking(get_pipeline_async)  # type: ignore[assignment]
    validate_pipeline = validate_pipeline_sync = _blocking(validate_pipeline_async)
    trigger_pipeline_sync = _blocking(trigger_pipeline_sync_async)
    find_active_job_by_type = find_active_job_by_type_sync = _blocking(find_active_job_by_type_async)
    get_job_completion_status = get_job_completion_status_sync = _blocking(get_job_completion_status_async)
    update_pipeline = update_pipeline_sync = _blocking(update_pipeline_async)  # type: ignore[assignment]
    enable_pipeline = enable_pipeline_sync = _blocking(enable_pipeline_async)
    disable_pipeline = disable_pipeline_sync = _blocking(disable_pipeline_async)
    resync_pipeline = resync_pipeline_sync = _blocking(resync_pipeline_async)
    cancel_job = cancel_job_sync = _blocking(cancel_job_async)  # type: ignore[assignment]
    get_job_objects = get_job_objects_sync = _blocking(get_job_objects_async)


class HevoObjectHook(BaseHevoHook):
    """
    The objects of a pipeline: use ``hevo_provider.hooks.HevoHook``.

    ``…_async`` are for async code; ``…_sync`` and those without a suffix block. For parameters see
    :class:`BaseHevoHook`. All raise what is a ``HevoError`` and an ``AirflowException``.
    """

    async def list_objects_async(
        self, pipeline_id: int | str | None = None, limit: int | None = None, cursor: str | None = None
    ) -> PaginatedObjectsResponse:
        """
        Fetch one page of objects: GET …/objects.

        :param limit: how many, at most 100.
        :param cursor: from the page before.
        """
        async with self.client() as hevo:
            path = self._path(pipeline_id, "objects")
            return await hevo.request("GET", path, _reads(PaginatedObjectsResponse), params=_page_params(limit, cursor))

    async def get_object_async(self, pipeline_id: int | str | None, object_id: str) -> PipelineObject:
        """Fetch one object with its fields: GET …/objects/{object_id}."""
        async with self.client() as hevo:
            path = self._path(pipeline_id, "objects", object_id_of(object_id))
            return await hevo.request("GET", path, _reads(PipelineObject))

    async def refresh_schema_async(self, pipeline_id: int | str | None = None) -> ActionReply:
        """Re-read the source's schema: POST …/objects/actions/refresh-schema, which is sent once."""
        async with self.client() as hevo:
            return await hevo.refresh_schema(self._pipeline(pipeline_id))

    async def resync_objects_async(self, pipeline_id: int | str | None, object_ids: Sequence[str]) -> ActionReply:
        """
        Reload some objects: POST …/objects/actions/resync, which is sent once.

        ``hevo_provider.operators.HevoResyncObjectsOperator`` takes names and wildcards, and follows the job.

        :param object_ids: the objects.
        """
        async with self.client() as hevo:
            return await hevo.resync_objects(self._pipeline(pipeline_id), object_ids)

    list_objects = list_objects_sync = _blocking(list_objects_async)  # type: ignore[assignment]
    get_object = get_object_sync = _blocking(get_object_async)  # type: ignore[assignment]
    refresh_schema = refresh_schema_sync = _blocking(refresh_schema_async)
    resync_objects = resync_objects_sync = _blocking(resync_objects_async)  # type: ignore[assignment]


_M = TypeVar("_M", Pipeline, PipelineObject, PaginatedObjectsResponse)


def _reads(model: type[_M]) -> Callable[[Response], _M]:
    return lambda response: model.from_json(response.body)


def _read_dict(response: Response) -> dict[str, Any]:
    if not response.body.strip():
        return {}
    try:
        value = from_json(response.body)
    except ValueError:
        raise HevoResponseError("Hevo's answer is not JSON.") from None
    return value if isinstance(value, dict) else {"data": value}


def _path_of(endpoint: str) -> str:
    if not re.fullmatch(r"[!-~]+", endpoint) or "://" in endpoint or ".." in endpoint:
        raise HevoConfigError(f"endpoint must be a path of Hevo's API such as /api/v1/pipelines, not {endpoint!r}.")
    path = "/" + endpoint.lstrip("/")
    return path if path.startswith("/api/") else API + path


def _in_query(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _page_params(limit: int | None, cursor: str | None) -> dict[str, str]:
    return {"limit": str(min(limit or PAGE, PAGE))} | ({"cursor": cursor} if cursor else {})


def _drops(mode: object) -> bool:
    if mode is None or isinstance(mode, bool):
        return mode is True
    return member_of(ResyncMode, "resync_mode", mode) is ResyncMode.DROP_AND_LOAD
