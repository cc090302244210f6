"""
What each endpoint does and answers, without any HTTP: names and values in, a status and JSON out.

An endpoint is one method here and nothing elsewhere: its route's name and its requests stand above it.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from http import HTTPStatus
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, get_args
from urllib.parse import unquote

from hevo_provider.sandbox.faults import error_body
from hevo_provider.sandbox.pipelines import RUNNABLE_STATUS, RefusedError, SandboxPipeline
from hevo_provider.sandbox.world import Checked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from hevo_provider.sandbox.jobs import SandboxJob
    from hevo_provider.sandbox.objects import SandboxObject

ResyncBody = Literal["drop_and_load", "resync_mode", "either"]

ObjectResyncBody = Literal["objects", "object_ids", "either", "neither"]

UNKNOWN_ROUTE = "unknown"
DEFAULT_PAGE = 10
LARGEST_LIMIT = 100
_PREFIX = "/api/v1/"
_LONGEST_ID = 20
_READ_ONLY = ("id", "status", "created_ts", "updated_ts")


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has been matched to a route."""

    route: str
    pipeline_id: str | None
    sub_id: str | None
    query: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API says; ``data`` None means no body."""

    status: int
    data: Any = None
    job_id: str | None = None


_Endpoint: TypeAlias = "Callable[[Api, Call], Answer]"

_ENDPOINTS: dict[str, _Endpoint] = {}
_ROUTE_OF: dict[str, str] = {}


def _endpoint(route: str, requests: str) -> Callable[[_Endpoint], _Endpoint]:
    """
    Make a method of :class:`Api` the endpoint for some requests.

    :param route: the name that faults and the record know it by.
    :param requests: method and path of these requests, a star for each id.
    """

    def add(method: _Endpoint) -> _Endpoint:
        _ENDPOINTS[route] = method
        _ROUTE_OF[requests] = route
        return method

    return add


class Api(Checked):
    """The endpoints over a set of pipelines."""

    _values: ClassVar[Mapping[str, tuple[str, Iterable[str]]]] = {
        "resync_body": ("body of a resync", get_args(ResyncBody)),
        "object_resync_body": ("body of a resync of objects", get_args(ObjectResyncBody)),
        "object_path": ("path of an object", ("id", "name")),
    }

    def __init__(self, *, max_page: int = LARGEST_LIMIT) -> None:
        self.pipelines: dict[int, SandboxPipeline] = {}
        """The pipelines by id; one that is deleted here answers 404."""
        self.max_page = max_page
        """The most items on a page, whatever limit was asked for."""
        self.action_answer = 200
        """What actions answer: 200 with a message, or 204 without a body."""
        self.resync_body: ResyncBody = "either"
        """Which body a resync takes; the other one is answered 400."""
        self.object_resync_body: ObjectResyncBody = "objects"
        """Which body a resync of objects takes (API.md, object-resync); another one is answered 400."""
        self.object_path: Literal["id", "name"] = "id"
        """By what the path of one object knows it (API.md, object-path)."""

    def answer(self, call: Call) -> Answer:
        """Do what a request asks for."""
        endpoint = _ENDPOINTS.get(call.route)
        if endpoint is None:
            return Answer(404, error_body(404, "There is no such endpoint"))
        try:
            return endpoint(self, call)
        except RefusedError as refused:
            return Answer(refused.status, error_body(refused.status, refused.message))

    def _pipeline(self, call: Call) -> SandboxPipeline:
        number = numeric_id(call.pipeline_id)
        pipeline = None if number is None else self.pipelines.get(number)
        if pipeline is None:
            raise RefusedError(404, f"Pipeline {unquote(call.pipeline_id or '')} does not exist")
        pipeline.catch_up()
        return pipeline

    def _job(self, call: Call) -> SandboxJob:
        job = self._pipeline(call).job(call.sub_id or "")
        if job is None:
            raise RefusedError(404, f"Job {unquote(call.sub_id or '')} does not exist in pipeline {call.pipeline_id}")
        return job

    def _done(self, message: str, job_id: str | None = None) -> Answer:
        if self.action_answer == HTTPStatus.NO_CONTENT:
            return Answer(HTTPStatus.NO_CONTENT, None, job_id)
        return Answer(self.action_answer, {"message": message}, job_id)

    def _page(self, call: Call, items: Iterable[Any], id_of: Callable[[Any], object]) -> tuple[list[Any], str | None]:
        """Cut one page out of the items; the cursor names the last one seen, so that new items do not shift it."""
        limit = _limit(call.query)
        size = min(limit, self.max_page)
        remaining = iter(items)
        cursor = call.query.get("cursor")
        if cursor:
            last = _cursor_id(cursor)
            if not any(str(id_of(item)) == last for item in remaining):
                raise RefusedError(400, "The cursor is not valid")
        found = list(islice(remaining, size + 1))
        if len(found) <= size:
            return found, None
        return found[:size], urlsafe_b64encode(f"after:{id_of(found[size - 1])}".encode()).decode()

    @_endpoint("list_pipelines", "GET pipelines")
    def _list_pipelines(self, call: Call) -> Answer:
        ordered = (self.pipelines[key] for key in sorted(self.pipelines))
        found, cursor = self._page(call, ordered, lambda pipeline: pipeline.id)
        return _listed([pipeline.as_json() for pipeline in found], cursor)

    @_endpoint("get_pipeline", "GET pipelines/*")
    def _get_pipeline(self, call: Call) -> Answer:
        return Answer(200, self._pipeline(call).as_json())

    @_endpoint("update_pipeline", "PATCH pipelines/*")
    def _update_pipeline(self, call: Call) -> Answer:
        pipeline = self._pipeline(call)
        body = _object_body(call)
        fixed = [name for name in _READ_ONLY if name in body]
        if fixed:
            raise RefusedError(400, f"These fields cannot be changed: {', '.join(fixed)}")
        pipeline.name = body.get("name", pipeline.name)
        pipeline.fields |= body
        pipeline.updated_at = pipeline.world.clock()
        return Answer(200, pipeline.as_json())

    @_endpoint("sync_now", "POST pipelines/*/actions/sync-now")
    def _sync_now(self, call: Call) -> Answer:
        pipeline = self._pipeline(call)
        job = pipeline.start_through_api(*pipeline.sync_brings)
        return self._done("Sync has been triggered", job.id)

    @_endpoint("resync", "POST pipelines/*/actions/resync")
    def _resync(self, call: Call) -> Answer:
        pipeline = self._pipeline(call)
        drop = self._wants_drop_and_load(_object_body(call))
        job = pipeline.start_through_api("RESYNC_WITH_DROP_AND_LOAD" if drop else "RESYNC", restarts=True)
        return self._done("Resync has been triggered", job.id)

    def _wants_drop_and_load(self, body: dict[str, Any]) -> bool:
        known = ("drop_and_load", "resync_mode") if self.resync_body == "either" else (self.resync_body,)
        unknown = [name for name in body if name not in known]
        if unknown:
            raise RefusedError(400, f"Unrecognized field: {unknown[0]}")
        drop, mode = body.get("drop_and_load", False), body.get("resync_mode", "EVOLVE_AND_MERGE")
        if not isinstance(drop, bool) or mode not in {"EVOLVE_AND_MERGE", "DROP_AND_LOAD"}:
            raise RefusedError(400, "The body is not valid")
        return drop or mode == "DROP_AND_LOAD"

    @_endpoint("enable", "POST pipelines/*/actions/enable")
    def _enable(self, call: Call) -> Answer:
        self._pipeline(call).status = RUNNABLE_STATUS
        return self._done("Pipeline has been enabled")

    @_endpoint("disable", "POST pipelines/*/actions/disable")
    def _disable(self, call: Call) -> Answer:
        pipeline = self._pipeline(call)
        if _object_body(call).get("cancel_active_jobs"):
            for job in pipeline.active_jobs:
                job.cancel()
        pipeline.status = "DISABLED"
        return self._done("Pipeline has been disabled")

    @_endpoint("list_jobs", "GET pipelines/*/jobs")
    def _list_jobs(self, call: Call) -> Answer:
        pipeline = self._pipeline(call)
        now = pipeline.world.clock()
        found, cursor = self._page(call, pipeline.visible_jobs(), lambda job: job.id)
        return _listed([job.as_json(now) for job in found], cursor)

    @_endpoint("get_job", "GET pipelines/*/jobs/*")
    def _get_job(self, call: Call) -> Answer:
        job = self._job(call)
        return Answer(200, job.as_json(job.pipeline.world.clock()))

    @_endpoint("cancel_job", "POST pipelines/*/jobs/*/actions/cancel")
    def _cancel_job(self, call: Call) -> Answer:
        job = self._job(call)
        job.cancel_requests += 1
        if not job.cancel():
            raise RefusedError(409, f"Job {job.id} is {job.status} and cannot be cancelled")
        return self._done("Job is being cancelled")

    @_endpoint("list_job_objects", "GET pipelines/*/jobs/*/objects")
    def _list_job_objects(self, call: Call) -> Answer:
        job = self._job(call)
        results = job.objects_as_json(job.pipeline.world.clock())
        found, cursor = self._page(call, results, lambda result: result["object_name"])
        return _listed(found, cursor)

    @_endpoint("list_objects", "GET pipelines/*/objects")
    def _list_objects(self, call: Call) -> Answer:
        pipeline = self._pipeline(call)
        found, cursor = self._page(call, pipeline.objects, lambda each: each.id)
        prefix = pipeline.fields.get("destination_prefix")
        return _listed([each.as_json(prefix, detail=False) for each in found], cursor)

    @_endpoint("get_object", "GET pipelines/*/objects/*")
    def _get_object(self, call: Call) -> Answer:
        pipeline = self._pipeline(call)
        written = unquote(call.sub_id or "")
        found = self._object(pipeline, written) if self.object_path == "id" else self._named(pipeline, written)[0]
        return Answer(200, found.as_json(pipeline.fields.get("destination_prefix"), detail=True))

    def _object(self, pipeline: SandboxPipeline, object_id: object) -> SandboxObject:
        return _there([each for each in pipeline.objects if each.id == object_id], pipeline, object_id)[0]

    def _named(self, pipeline: SandboxPipeline, name: object) -> list[SandboxObject]:
        return _there([each for each in pipeline.objects if each.is_called(name)], pipeline, name)

    @_endpoint("refresh_schema", "POST pipelines/*/objects/actions/refresh-schema")
    def _refresh_schema(self, call: Call) -> Answer:
        self._pipeline(call)
        if not isinstance(call.body, dict):
            raise RefusedError(400, "The body must be a JSON object")
        return self._done("Schema refresh has been triggered")

    @_endpoint("resync_objects", "POST pipelines/*/objects/actions/resync")
    def _resync_objects(self, call: Call) -> Answer:
        pipeline = self._pipeline(call)
        body, word = _object_body(call), self.object_resync_body
        known = {"either": {"objects", "object_ids"}, "neither": set()}.get(word, {word})
        if unknown := sorted(body.keys() - known):
            raise RefusedError(400, f"Unrecognized field: {unknown[0]}")
        if not body or not all(isinstance(each, list) and each for each in body.values()):
            raise RefusedError(400, "The objects must be a list that is not empty")
        chosen = [self._object(pipeline, object_id) for object_id in body.get("object_ids", ())]
        chosen += [each for name in body.get("objects", ()) for each in self._named(pipeline, name)]
        job = pipeline.start_through_api("RESYNC", restarts=True, objects=[each.name for each in chosen])
        return self._done("Resync has been triggered", job.id)


ROUTES = tuple(_ENDPOINTS)
"""The names that :meth:`Sandbox.inject` and :meth:`Sandbox.requests_of` take."""


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


def _there(found: list[SandboxObject], pipeline: SandboxPipeline, what: object) -> list[SandboxObject]:
    if not found:
        raise RefusedError(404, f"Object {what} does not exist in pipeline {pipeline.id}")
    return found


def _listed(data: list[dict[str, Any]], cursor: str | None) -> Answer:
    return Answer(200, {"data": data, "has_more": cursor is not None, "next_cursor": cursor})


def _limit(query: Mapping[str, str]) -> int:
    written = query.get("limit", str(DEFAULT_PAGE))
    if not written.isascii() or not written.isdigit() or not 1 <= int(written) <= LARGEST_LIMIT:
        raise RefusedError(400, f"limit must be a number from 1 to {LARGEST_LIMIT}")
    return int(written)


def _cursor_id(cursor: str) -> str:
    try:
        text = urlsafe_b64decode(cursor).decode()
    except ValueError:
        text = ""
    if not text.startswith("after:"):
        raise RefusedError(400, "The cursor is not valid")
    return text.removeprefix("after:")


def _object_body(call: Call) -> dict[str, Any]:
    """Return the JSON object of a request; an empty body counts as an empty one."""
    body = {} if call.body is None else call.body
    if not isinstance(body, dict):
        raise RefusedError(400, "The body must be a JSON object")
    return body
