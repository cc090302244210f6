"""
``HevoAsyncClient``: one method for each call of Hevo's API. Everything that talks to Hevo goes through it.

It knows nothing of Airflow and can be used alone::

    async with HevoAsyncClient("https://us.hevodata.com", key, secret) as hevo:
        pipeline = await hevo.get_pipeline(42)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Generic, Protocol, Self, TypeVar
from urllib.parse import quote

from hevo_provider import codes
from hevo_provider.client.access import Access, Credentials
from hevo_provider.client.responses import Response, message_of
from hevo_provider.client.transport import HevoTransport, Repeatable, asks_for
from hevo_provider.exceptions import (
    HevoAPIError,
    HevoConfigError,
    HevoError,
    HevoNotFoundError,
    HevoRateLimitError,
    HevoResponseError,
    HevoServerError,
    HevoTransportError,
)
from hevo_provider.models.answers import Job, JobPage, Pipeline, PipelinePage, json_of
from hevo_provider.models.ids import job_id_of, object_id_of, pipeline_id_of
from hevo_provider.models.object import JobObject, JobObjectPage, PipelineObject, PipelineObjectPage

MAX_PAGE = 100  # items; what the API allows. Of itself it sends 10, and each page is one of 100 requests a minute
MAX_PAGES = 1000  # of a listing; far beyond any real one, so that a cursor that leads in circles ends

T = TypeVar("T")
Item_co = TypeVar("Item_co", covariant=True)


class _Page(Protocol[Item_co]):
    """What every page of a listing has."""

    @property
    def data(self) -> tuple[Item_co, ...]: ...
    @property
    def following(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """
    What Hevo answered, and when.

    :param value: what the answer was read into.
    :param server_time: Hevo's clock when it answered, milliseconds since the epoch; None if it did not say.
    :param sent_at: seconds on the client's monotonic clock when the request set out: the last one, where it was
        repeated, and after what it may have waited for others.
    """

    value: T
    server_time: int | None
    sent_at: float


@dataclass(frozen=True, slots=True)
class ActionResponse:
    """
    Hevo's answer to an action.

    :param message: Hevo's own words, if it had any.
    :param server_time: Hevo's clock when it answered, milliseconds since the epoch; None if it did not say.
    :param sent_at: seconds on the client's monotonic clock when the action set out, as for :class:`Answered`.
    """

    message: str | None
    server_time: int | None
    sent_at: float


ActionReply = ActionResponse  # its name in version 1.0.0


class HevoAsyncClient(HevoTransport):
    """
    Hevo's API, call by call.

    :param base_url: a region such as ``us``, a host, or ``https://us.hevodata.com`` and the like. Plain http is only
        accepted for a loopback address.
    :param api_key: the API key.
    :param api_secret: its secret.
    :param headers: sent with every request.
    :param request_kwargs: handed to aiohttp with every request, such as ``proxy`` or ``ssl``.
    :param options: what :class:`~hevo_provider.client.transport.HevoTransport` takes: ``session``, ``timeout``,
        ``retry_limit``, ``retry_delay``, ``retryable_status_codes``, ``clock``, ….
    :raises HevoConfigError: the URL, the credentials, the headers or ``request_kwargs`` cannot be used.

    Every method raises :class:`~hevo_provider.exceptions.HevoTransportError`, ``HevoResponseError`` or a child of
    ``HevoAPIError`` where Hevo could not be reached, could not be understood, or refused; and ``HevoConfigError``,
    before anything is sent, for an id that cannot be one. Where a method has ``retry_limit``, it overrides the client's
    own: 0 sends the request once.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        api_secret: str,
        *,
        headers: Mapping[str, str] | None = None,
        request_kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        access = Access(base_url, Credentials(api_key, api_secret), headers or {}, request_kwargs or {})
        super().__init__(access, **options)

    @classmethod
    def of(cls, access: Access, **options: Any) -> Self:
        """
        Return a client for an access that is checked already.

        :param options: what :class:`~hevo_provider.client.transport.HevoTransport` takes.
        """
        client = cls.__new__(cls)
        HevoTransport.__init__(client, access, **options)
        return client

    # Pipelines

    def list_pipelines(
        self, *, limit: int = MAX_PAGE, longest_pause: float | None = None, retry_limit: int | None = None
    ) -> AsyncIterator[Pipeline]:
        """
        Walk through the account's pipelines: GET /pipelines.

        :param limit: how many to fetch with one request, at most 100.
        :param longest_pause: seconds; overrides the client's own: a walk that stops half-way has to begin anew.
        :param retry_limit: overrides the client's own for the first page: a walk that stops there has lost nothing.
        """
        return self._walk("/api/v1/pipelines", PipelinePage.from_json, limit, longest_pause, retry_limit)

    async def get_pipeline(self, pipeline_id: int, *, retry_limit: int | None = None) -> Pipeline:
        """
        Fetch a pipeline: GET /pipelines/{id}.

        :raises HevoNotFoundError: there is none.
        """
        return await self.request("GET", _pipeline(pipeline_id), _reads(Pipeline.from_json), retry_limit=retry_limit)

    async def update_pipeline(self, pipeline_id: int, /, **changes: Any) -> Pipeline:
        """
        Change a pipeline: PATCH /pipelines/{id}.

        :param changes: the fields to change, by the API's names.
        :returns: the pipeline as it is now.
        """
        return await self.request("PATCH", _pipeline(pipeline_id), _reads(Pipeline.from_json), body=changes)

    async def enable_pipeline(self, pipeline_id: int) -> ActionResponse:
        """Enable a pipeline: POST /pipelines/{id}/actions/enable."""
        return await self._act(f"{_pipeline(pipeline_id)}/actions/enable")

    async def disable_pipeline(self, pipeline_id: int, *, cancel_active_jobs: bool = False) -> ActionResponse:
        """
        Disable a pipeline: POST /pipelines/{id}/actions/disable.

        :param cancel_active_jobs: whether its running jobs are cancelled.
        """
        body = {"cancel_active_jobs": cancel_active_jobs}
        return await self._act(f"{_pipeline(pipeline_id)}/actions/disable", body)

    async def sync_now(self, pipeline_id: int, *, retry_limit: int | None = None) -> ActionResponse:
        """
        Start an incremental sync: POST /pipelines/{id}/actions/sync-now. No job id comes back.

        A second one may start a second job: it is only sent again if the first certainly did not arrive.
        """
        return await self._start(f"{_pipeline(pipeline_id)}/actions/sync-now", retry_limit=retry_limit)

    async def resync(
        self, pipeline_id: int, *, drop_and_load: bool = False, retry_limit: int | None = None
    ) -> ActionResponse:
        """
        Restart the historical load: POST /pipelines/{id}/actions/resync. Sent again only as :meth:`sync_now` is.

        Revisions of the API differ in what they call a resync that drops the tables. If Hevo answers 400, so that
        nothing was started, the request is sent again in the words of the other revision.

        :param drop_and_load: whether the destination tables are dropped first.
        """
        path = f"{_pipeline(pipeline_id)}/actions/resync"
        mode = "DROP_AND_LOAD" if drop_and_load else "EVOLVE_AND_MERGE"
        bodies: list[Mapping[str, Any]] = [{"drop_and_load": drop_and_load}, {"resync_mode": mode}]
        return await self._start_in_other_words(path, bodies, retry_limit=retry_limit)

    # Jobs

    async def newest_jobs(
        self, pipeline_id: int, *, limit: int = MAX_PAGE, cursor: str | None = None, retry_limit: int | None = None
    ) -> Answered[JobPage]:
        """
        Fetch one page of a pipeline's jobs: GET /pipelines/{id}/jobs.

        :param limit: how many, at most 100.
        :param cursor: from the page before.
        :returns: the page, newest first as far as is known.
        """
        path, params = f"{_pipeline(pipeline_id)}/jobs", _page_params(limit, cursor)
        return await self.request("GET", path, _answers(JobPage.from_json), params=params, retry_limit=retry_limit)

    def list_jobs(self, pipeline_id: int, *, limit: int = MAX_PAGE) -> AsyncIterator[Job]:
        """Walk through all jobs of a pipeline: GET /pipelines/{id}/jobs."""
        return self._walk(f"{_pipeline(pipeline_id)}/jobs", JobPage.from_json, limit)

    async def get_job(self, pipeline_id: int, job_id: str, *, retry_limit: int | None = None) -> Job:
        """
        Fetch a job: GET /pipelines/{id}/jobs/{job_id}.

        :raises HevoNotFoundError: there is none, or a new one does not show yet.
        """
        return (await self.poll_job(pipeline_id, job_id, retry_limit=retry_limit)).value

    async def poll_job(self, pipeline_id: int, job_id: str, *, retry_limit: int | None = 0) -> Answered[Job]:
        """Ask for a job once: GET /pipelines/{id}/jobs/{job_id}. For loops that repeat by themselves."""
        return await self.request("GET", _job(pipeline_id, job_id), _answers(Job.from_json), retry_limit=retry_limit)

    async def cancel_job(self, pipeline_id: int, job_id: str, *, retry_limit: int | None = None) -> ActionResponse:
        """
        Ask for a job to be cancelled: POST /pipelines/{id}/jobs/{job_id}/actions/cancel. Safe to repeat.

        :raises HevoConflictError: the job has ended already.
        """
        path = f"{_job(pipeline_id, job_id)}/actions/cancel"
        return await self._act(path, retry_limit=retry_limit)

    def list_job_objects(
        self, pipeline_id: int, job_id: str, *, limit: int = MAX_PAGE, longest_pause: float | None = None
    ) -> AsyncIterator[JobObject]:
        """
        Walk through how a job fared with each object: GET /pipelines/{id}/jobs/{job_id}/objects.

        :param limit: how many to fetch with one request, at most 100.
        :param longest_pause: seconds; overrides the client's own.
        """
        return self._walk(f"{_job(pipeline_id, job_id)}/objects", JobObjectPage.from_json, limit, longest_pause)

    # Objects

    def list_objects(
        self, pipeline_id: int, *, limit: int = MAX_PAGE, longest_pause: float | None = None
    ) -> AsyncIterator[PipelineObject]:
        """
        Walk through the objects of a pipeline: GET /pipelines/{id}/objects.

        :param limit: how many to fetch with one request, at most 100.
        :param longest_pause: seconds; overrides the client's own: a walk that stops half-way has to begin anew.
        """
        path = f"{_pipeline(pipeline_id)}/objects"
        return self._walk(path, PipelineObjectPage.from_json, limit, longest_pause)

    async def get_object(self, pipeline_id: int, object_id: str) -> PipelineObject:
        """
        Fetch one object with its fields: GET /pipelines/{id}/objects/{object_id}.

        Whether the path takes the id or the name is not certain (API.md, object-path): where Hevo does not know the id,
        it is asked by the name that the list of objects has for it.

        :raises HevoNotFoundError: there is no such object.
        """
        objects = f"{_pipeline(pipeline_id)}/objects"
        try:
            path = f"{objects}/{object_id_of(object_id)}"
            return await self.request("GET", path, _reads(PipelineObject.from_json))
        except HevoNotFoundError:
            name = await self._name_of(pipeline_id, object_id)
            if name is None or not name.strip("."):  # dots alone would lead to another path
                raise
            found = await self.request("GET", f"{objects}/{quote(name, safe='')}", _reads(PipelineObject.from_json))
            if found.object_id != object_id:  # another of the same name
                raise
            return found

    async def _name_of(self, pipeline_id: int, object_id: str) -> str | None:
        async for item in self.list_objects(pipeline_id):
            if item.object_id == object_id:
                return next(iter(item.names), None)
        return None

    async def refresh_schema(self, pipeline_id: int) -> ActionResponse:
        """Re-read the source's schema: POST /pipelines/{id}/objects/actions/refresh-schema."""
        return await self._start(f"{_pipeline(pipeline_id)}/objects/actions/refresh-schema", {})

    async def resync_objects(
        self,
        pipeline_id: int,
        object_ids: Sequence[str],
        *,
        listed: Sequence[PipelineObject] | None = None,
        retry_limit: int | None = None,
    ) -> ActionResponse:
        """
        Reload some objects: POST /pipelines/{id}/objects/actions/resync. Sent again only as :meth:`sync_now` is.

        Whether Hevo wants names or ids is not documented (API.md, object-resync). If it answers 400, so that nothing
        was started, the request is sent again with the others. Names are only sent where each means one object.

        :param object_ids: the objects.
        :param listed: the pipeline's objects, if the caller has read them: then names are sent first, as in the only
            public hint. None: ids are sent first, and names are read (GET …/objects) if Hevo does not take ids.
        :raises HevoConfigError: Hevo does not take the ids, and the pipeline has no object with one of them.
        """
        path = f"{_pipeline(pipeline_id)}/objects/actions/resync"
        by_id = {"object_ids": [object_id_of(object_id) for object_id in object_ids]}
        if listed is None:
            try:
                return await self._start(path, by_id, retry_limit=retry_limit)
            except HevoAPIError as error:
                if not _is_bad_request(error):
                    raise
                there = await self._objects_for(pipeline_id, error)
                if missing := sorted(set(by_id["object_ids"]) - {item.object_id for item in there}):
                    raise HevoConfigError(
                        f"Pipeline {pipeline_id} has no object {', '.join(missing)}.", code=codes.NO_SUCH_OBJECT
                    ) from error
                names = _names_of(by_id["object_ids"], there)
                bodies = [] if names is None else [{"objects": names}]
                return await self._start_in_other_words(path, bodies, retry_limit=retry_limit, refused=error)
        names = _names_of(by_id["object_ids"], listed)
        by_name = [] if names is None else [{"objects": names}]
        are_plain = names is not None and set(names) <= {item.names[0] for item in listed if item.names}
        bodies = [*by_name, by_id] if are_plain else [by_id, *by_name]
        return await self._start_in_other_words(path, bodies, retry_limit=retry_limit)

    async def _objects_for(self, pipeline_id: int, refused: HevoAPIError) -> list[PipelineObject]:
        """
        Read the objects of a pipeline whose ids were refused.

        :raises HevoTransportError: they cannot be read now. Nothing was started.
        :raises HevoAPIError: they cannot be read at all.
        """
        try:
            return [item async for item in self.list_objects(pipeline_id)]
        except (HevoTransportError, HevoResponseError, HevoRateLimitError, HevoServerError) as error:
            raise HevoTransportError(f"the objects' names could not be read: {error.text}", sent=False) from error
        except HevoError as error:
            words = f"{refused.message}; their names could not be read: {error.text}"
            raise HevoAPIError(refused.status, refused.method, refused.path, words) from error

    async def _act(self, path: str, body: object = None, *, retry_limit: int | None = None) -> ActionResponse:
        return await self.request("POST", path, _read_action, body=body, retry_limit=retry_limit)

    async def _start(self, path: str, body: object = None, *, retry_limit: int | None = None) -> ActionResponse:
        repeatable = Repeatable.IF_IT_DID_NOT_ARRIVE
        return await self.request("POST", path, _read_action, body=body, repeatable=repeatable, retry_limit=retry_limit)

    async def _start_in_other_words(
        self,
        path: str,
        bodies: Sequence[Mapping[str, Any]],
        *,
        retry_limit: int | None,
        refused: HevoAPIError | None = None,
    ) -> ActionResponse:
        """
        Start something in the first words that Hevo does not answer with 400: then nothing was started.

        :param refused: its 400 to words that were sent before.
        :raises HevoAPIError: it knows none of them.
        """
        refusals = [] if refused is None else [refused]
        for body in bodies:
            try:
                return await self._start(path, body, retry_limit=retry_limit)
            except HevoAPIError as error:
                if not _is_bad_request(error):
                    raise
                refusals.append(error)
        # Only one of them speaks of what is really wrong.
        words = "; ".join(dict.fromkeys(error.message for error in refusals))
        raise HevoAPIError(HTTPStatus.BAD_REQUEST, "POST", path, words)

    async def _walk(
        self,
        path: str,
        read: Callable[[bytes], _Page[Item_co]],
        limit: int,
        longest_pause: float | None = None,
        retry_limit: int | None = None,
    ) -> AsyncIterator[Item_co]:
        cursor: str | None = None
        seen: set[str] = set()
        for _ in range(MAX_PAGES):
            params = _page_params(limit, cursor)
            page = await self.request(
                "GET", path, _reads(read), params=params, longest_pause=longest_pause, retry_limit=retry_limit
            )
            retry_limit = None
            for item in page.data:
                yield item
            cursor = page.following
            if cursor is None:
                return
            if cursor in seen:
                break
            seen.add(cursor)
        raise HevoResponseError(f"GET {path}: the pages of the listing lead in a circle or never end.")


def _is_bad_request(error: HevoAPIError) -> bool:
    return error.status == HTTPStatus.BAD_REQUEST and not isinstance(error, HevoRateLimitError)


def _pipeline(pipeline_id: int) -> str:
    return f"/api/v1/pipelines/{pipeline_id_of(pipeline_id)}"


def _names_of(ids: Sequence[str], listed: Sequence[PipelineObject]) -> list[str] | None:
    """Return the shortest name of each object that no other has; None where one has none or is not listed."""
    bearers = Counter(name for item in listed for name in {each.casefold() for each in item.names})
    own = {
        item.object_id: next((name for name in item.names if bearers[name.casefold()] == 1), None) for item in listed
    }
    names = [own.get(each) for each in ids]
    known = [name for name in names if name is not None]
    return known if len(known) == len(names) else None


def _job(pipeline_id: int, job_id: str) -> str:
    return f"{_pipeline(pipeline_id)}/jobs/{job_id_of(job_id)}"


def request_for_job(pipeline_id: int, job_id: str) -> str:
    """Return what :meth:`HevoAsyncClient.poll_job` asks for: see :func:`~hevo_provider.client.transport.asks_for`."""
    return asks_for(_job(pipeline_id, job_id))


def request_for_jobs(pipeline_id: int, limit: int) -> str:
    """Return what :meth:`HevoAsyncClient.newest_jobs` asks for, of its first page."""
    return asks_for(f"{_pipeline(pipeline_id)}/jobs", _page_params(limit, None))


def _page_params(limit: int, cursor: str | None) -> dict[str, str]:
    return {"limit": str(min(limit, MAX_PAGE))} | ({"cursor": cursor} if cursor else {})


def _reads(read: Callable[[bytes], T]) -> Callable[[Response], T]:
    return lambda response: read(response.body)


def _answers(read: Callable[[bytes], T]) -> Callable[[Response], Answered[T]]:
    return lambda response: Answered(read(response.body), response.server_time, response.sent_at)


def _read_action(response: Response) -> ActionResponse:
    return ActionResponse(_words_of(response), response.server_time, response.sent_at)


def _words_of(response: Response) -> str | None:
    body = response.body
    if not body.strip():  # a 204, which is documented beside the 200 with a message
        return None
    try:
        value = json_of(body)
    except ValueError:
        raise HevoResponseError("Hevo's answer to an action is not JSON.") from None
    if isinstance(value, dict) and value.get("error"):  # nobody knows whether it was applied all the same
        raise HevoResponseError(f"Hevo answered 200 with an error: {message_of(body)}")
    message = value.get("message") if isinstance(value, dict) else None
    return message if isinstance(message, str) else None
