"""The hooks of the vendor's package: each call blocking and async, with what None, {} and errors mean there."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException

from hevo_provider.exceptions import (
    HevoAPIError,
    HevoAuthError,
    HevoConfigError,
    HevoConflictError,
    HevoConnectionNotFoundError,
    HevoNotFoundError,
    HevoPipelineBusyError,
    HevoPipelineStateError,
    HevoResponseError,
    HevoServerError,
    HevoTransportError,
)
from hevo_provider.hooks import HevoHook
from hevo_provider.models.enums import JobStatus, JobType
from hevo_provider.sandbox import Fault, Sandbox
from hevo_provider.sandbox.pipelines import SandboxPipeline
from hevo_provider.vendor.enums import JobCompletionStatus, ResyncMode
from hevo_provider.vendor.hooks import BaseHevoHook, HevoObjectHook, HevoPipelineHook
from hevo_provider.vendor.models import FailureHandlingPolicy
from tests.stage.failures import fails, told_by

Call = Callable[..., Any]


@pytest.fixture
def pipeline(hevo: Sandbox) -> SandboxPipeline:
    return hevo.add_pipeline(7)


@pytest.fixture(params=["async", "sync", "oldest"])
def form(request: pytest.FixtureRequest) -> str:
    """Which of a call's three forms is tried."""
    return str(request.param)


@pytest.fixture
def call(form: str) -> Call:
    """Call a method of a hook in each of its forms, from async code and from a worker."""

    def call(hook: BaseHevoHook, name: str, /, *args: Any, **kwargs: Any) -> Any:
        if form == "async":
            return asyncio.run(getattr(hook, f"{name}_async")(*args, **kwargs))
        suffix = "_sync" if form == "sync" and not name.endswith("_sync") else ""
        result = getattr(hook, f"{name}{suffix}")(*args, **kwargs)
        assert not inspect.isawaitable(result)
        return result

    return call


def sent(hevo: Sandbox) -> list[tuple[str, Any]]:
    """Return what was sent but not read: routes and bodies."""
    return [(request.route, request.body) for request in hevo.requests if request.method != "GET"]


def test_a_pipeline_is_read_with_its_objects(hevo: Sandbox, call: Call) -> None:
    policy = {"object_failure_level": "COUNT", "object_failure_threshold": 3}
    hevo.add_pipeline(7, fields={"failure_handling_policy": policy})

    pipeline = call(HevoPipelineHook(), "get_pipeline", 7)

    assert pipeline.id == 7
    assert pipeline.failure_handling_policy == FailureHandlingPolicy(**policy)


def test_a_pipeline_that_is_not_there_is_none(hevo: Sandbox, call: Call) -> None:
    assert call(HevoPipelineHook(), "get_pipeline", 8) is None


def test_the_hooks_own_pipeline_is_meant_where_none_is_named(pipeline: SandboxPipeline, call: Call) -> None:
    assert call(HevoPipelineHook(pipeline_id=7), "get_pipeline").id == 7


def test_a_pipeline_that_can_run_is_valid(pipeline: SandboxPipeline, call: Call) -> None:
    call(HevoPipelineHook(), "validate_pipeline", 7)


@pytest.mark.parametrize("status", ["DISABLED", "RESTARTING", "A_NEW_ONE"])
def test_one_that_cannot_run_is_not(hevo: Sandbox, call: Call, status: str) -> None:
    hevo.add_pipeline(7, fields={"status": status})

    with fails(HevoPipelineStateError, says="only an INITIALIZED one can run") as failure:
        call(HevoPipelineHook(), "validate_pipeline", 7)

    assert failure.value.pipeline_id == 7
    assert isinstance(failure.value, AirflowException)


def test_one_that_is_not_there_is_not_valid(hevo: Sandbox, call: Call) -> None:
    with pytest.raises(HevoNotFoundError):
        call(HevoPipelineHook(), "validate_pipeline", 8)


async def test_the_async_form_of_that_goes_by_the_newest_name_too(pipeline: SandboxPipeline) -> None:
    assert (await HevoPipelineHook()._validate_pipeline_async(7)).id == 7


def test_a_sync_is_started_where_those_before_have_ended(hevo: Sandbox, pipeline: SandboxPipeline, call: Call) -> None:
    pipeline.start_job(appear_after=0.0, duration=0.0)

    assert call(HevoPipelineHook(), "trigger_pipeline_sync", 7) is None
    assert [job.type for job in pipeline.jobs_started_by_api] == ["INCREMENTAL"]


def test_no_sync_is_started_while_a_job_is_active(hevo: Sandbox, pipeline: SandboxPipeline, call: Call) -> None:
    job = pipeline.start_job(appear_after=0.0, duration=100.0)

    with fails(HevoPipelineBusyError, says=job.id) as failure:
        call(HevoPipelineHook(), "trigger_pipeline_sync", 7)

    assert isinstance(failure.value, AirflowException)
    assert sent(hevo) == []


def test_where_no_new_job_is_wanted_nothing_is_sent_while_one_is_active(
    hevo: Sandbox, pipeline: SandboxPipeline, call: Call
) -> None:
    pipeline.start_job(appear_after=0.0, duration=100.0)

    assert call(HevoPipelineHook(), "trigger_pipeline_sync", 7, ensure_new_job=False) is None
    assert sent(hevo) == []


def test_a_refusal_for_a_job_that_does_not_show_yet_means_the_same(pipeline: SandboxPipeline, call: Call) -> None:
    pipeline.start_job(appear_after=10.0, duration=100.0)

    assert call(HevoPipelineHook(), "trigger_pipeline_sync", 7, ensure_new_job=False) is None
    with pytest.raises(HevoConflictError):
        call(HevoPipelineHook(), "trigger_pipeline_sync", 7)


@pytest.mark.parametrize(
    ("hook", "name", "args", "route"),
    [
        (HevoPipelineHook, "trigger_pipeline_sync", (7,), "sync_now"),
        (HevoPipelineHook, "resync_pipeline", (7,), "resync"),
        (HevoObjectHook, "resync_objects", (7, ["o-1"]), "resync_objects"),
    ],
)
def test_what_starts_a_job_is_sent_once_however_often_the_hook_may_repeat(
    hevo: Sandbox, pipeline: SandboxPipeline, call: Call, hook: Any, name: str, args: tuple[Any, ...], route: str
) -> None:
    hevo.inject(route, Fault.status(503), times=None)

    with pytest.raises(HevoServerError) as failure:
        call(hook(retry_limit=5), name, *args)

    assert isinstance(failure.value, AirflowException)
    assert len(hevo.requests_of(route)) == 1


@pytest.mark.parametrize(
    ("asked", "reported"),
    [(JobType.INCREMENTAL, "INCREMENTAL"), ("incremental", "INCREMENTAL"), (JobType.RESYNC, "TRUNCATE_AND_LOAD")],
)
def test_the_active_job_of_a_type_is_found_under_whatever_name(
    pipeline: SandboxPipeline, call: Call, asked: Any, reported: str
) -> None:
    pipeline.start_job("HISTORICAL", appear_after=0.0, duration=100.0)
    job = pipeline.start_job(reported, appear_after=0.0, duration=100.0)
    pipeline.start_job(reported, appear_after=0.0, duration=0.0)

    assert call(HevoPipelineHook(), "find_active_job_by_type", 7, asked).job_id == job.id


def test_no_active_job_of_a_type_is_none(pipeline: SandboxPipeline, call: Call) -> None:
    pipeline.start_job("HISTORICAL", appear_after=0.0, duration=100.0)
    pipeline.start_job(appear_after=0.0, duration=0.0)

    assert call(HevoPipelineHook(), "find_active_job_by_type", 7, JobType.INCREMENTAL) is None
    assert call(HevoPipelineHook(), "find_active_job_by_type", 7, "A_NEW_ONE") is None


@pytest.mark.parametrize(
    ("status", "completion"),
    [
        (JobStatus.COMPLETED, JobCompletionStatus.COMPLETED),
        (JobStatus.COMPLETED_WITH_FAILURES, JobCompletionStatus.COMPLETED_WITH_FAILURES),
        (JobStatus.FAILED, JobCompletionStatus.FAILED),
        (JobStatus.CANCELLED, JobCompletionStatus.FAILED),
        (JobStatus.SKIPPED, JobCompletionStatus.FAILED),
        (JobStatus.DEFERRED, JobCompletionStatus.FAILED),
        (JobStatus.DEFERRED_WITH_FAILURES, JobCompletionStatus.FAILED),
        (JobStatus.IN_PROGRESS, JobCompletionStatus.PENDING),
        (JobStatus.CANCELLING, JobCompletionStatus.PENDING),
        ("A_NEW_ONE", JobCompletionStatus.PENDING),
        (None, JobCompletionStatus.PENDING),
    ],
)
def test_how_far_a_job_is_from_its_end(
    pipeline: SandboxPipeline, call: Call, status: str | None, completion: JobCompletionStatus
) -> None:
    job = pipeline.start_job(appear_after=0.0)
    job.override = {"status": status}

    assert call(HevoPipelineHook(), "get_job_completion_status", 7, job.id) is completion


@pytest.mark.parametrize("changes", [{"payload": {"name": "new"}}, {"name": "new"}], ids=str)
def test_a_pipeline_is_changed(pipeline: SandboxPipeline, call: Call, changes: dict[str, Any]) -> None:
    changed = call(HevoPipelineHook(), "update_pipeline", pipeline_id=7, **changes)

    assert changed.name == "new"


def test_a_pipeline_is_disabled_and_enabled(hevo: Sandbox, pipeline: SandboxPipeline, call: Call) -> None:
    call(HevoPipelineHook(), "disable_pipeline", 7, cancel_active_jobs=True)
    call(HevoPipelineHook(), "enable_pipeline", 7)

    assert sent(hevo) == [("disable", {"cancel_active_jobs": True}), ("enable", None)]


@pytest.mark.parametrize(
    ("args", "kwargs", "drops"),
    [
        ((), {}, False),
        ((True,), {}, True),
        ((ResyncMode.DROP_AND_LOAD,), {}, True),
        ((ResyncMode.EVOLVE_AND_MERGE,), {}, False),
        ((), {"drop_and_load": True}, True),
        ((), {"drop_and_load": ResyncMode.DROP_AND_LOAD}, True),
        ((), {"resync_mode": ResyncMode.DROP_AND_LOAD}, True),
        ((), {"resync_mode": "evolve_and_merge"}, False),
        ((), {"resync_mode": True}, True),
    ],
    ids=str,
)
def test_a_resync_drops_the_tables_where_either_name_says_so(
    hevo: Sandbox, pipeline: SandboxPipeline, call: Call, args: Any, kwargs: Any, drops: bool
) -> None:
    call(HevoPipelineHook(), "resync_pipeline", 7, *args, **kwargs)

    assert sent(hevo) == [("resync", {"drop_and_load": drops})]


def test_a_resync_mode_that_is_none_is_refused_and_nothing_sent(
    hevo: Sandbox, pipeline: SandboxPipeline, call: Call
) -> None:
    with fails(HevoConfigError, says="resync_mode must be one of EVOLVE_AND_MERGE, DROP_AND_LOAD"):
        call(HevoPipelineHook(), "resync_pipeline", 7, "DROP")

    assert hevo.requests == []


def test_a_job_is_cancelled(pipeline: SandboxPipeline, call: Call) -> None:
    job = pipeline.start_job(appear_after=0.0, duration=100.0)

    call(HevoPipelineHook(), "cancel_job", 7, job.id)

    assert job.cancel_requests == 1


def test_a_jobs_objects_are_a_dict_of_one_page(pipeline: SandboxPipeline, call: Call) -> None:
    job = pipeline.start_job(appear_after=0.0, duration=0.0)

    first = call(HevoPipelineHook(), "get_job_objects", 7, job.id, limit=2)
    second = call(HevoPipelineHook(), "get_job_objects", 7, job.id, cursor=first["next_cursor"])

    assert (len(first["data"]), first["has_more"]) == (2, True)
    assert (len(second["data"]), second["has_more"], second["next_cursor"]) == (1, False, None)
    assert all(isinstance(each, dict) for each in first["data"])


def test_a_page_of_which_hevo_tells_less_is_the_last_one(hevo: Sandbox, pipeline: SandboxPipeline, call: Call) -> None:
    job = pipeline.start_job(appear_after=0.0, duration=0.0)
    hevo.inject("list_job_objects", Fault.json({}))

    page = call(HevoPipelineHook(), "get_job_objects", 7, job.id)

    assert page == {"data": [], "has_more": False, "next_cursor": None}


def test_objects_are_a_page_with_attributes(pipeline: SandboxPipeline, call: Call) -> None:
    first = call(HevoObjectHook(), "list_objects", 7, limit=2)
    second = call(HevoObjectHook(), "list_objects", 7, limit=2, cursor=first.next_cursor)

    assert (len(first.data), first.has_more) == (2, True)
    assert (len(second.data), second.has_more) == (1, False)
    assert {each.object_id for each in (*first.data, *second.data)} == {each.id for each in pipeline.objects}


def test_an_object_is_read_with_its_fields(pipeline: SandboxPipeline, call: Call) -> None:
    read = call(HevoObjectHook(), "get_object", 7, pipeline.objects[0].id)

    assert (read.object_name, len(read.fields)) == (pipeline.objects[0].name, 3)


def test_the_schema_is_refreshed_and_objects_resynced(hevo: Sandbox, pipeline: SandboxPipeline, call: Call) -> None:
    hevo.object_resync_body = "object_ids"
    call(HevoObjectHook(), "refresh_schema", 7)
    call(HevoObjectHook(), "resync_objects", 7, [pipeline.objects[0].id])

    assert [route for route, _ in sent(hevo)] == ["refresh_schema", "resync_objects"]


@pytest.mark.parametrize("endpoint", ["/api/v1/pipelines/7", "api/v1/pipelines/7", "/pipelines/7", "pipelines/7"])
def test_a_request_of_ones_own_is_answered_with_a_dict(pipeline: SandboxPipeline, call: Call, endpoint: str) -> None:
    assert call(BaseHevoHook(), "execute_api_request", "get", endpoint)["id"] == 7


def test_its_parameters_and_payload_are_sent(hevo: Sandbox, pipeline: SandboxPipeline, call: Call) -> None:
    pipeline.start_job(appear_after=0.0)
    pipeline.start_job(appear_after=0.0)

    params = {"limit": 1, "cursor": None, "newest": True}
    page = call(BaseHevoHook(), "execute_api_request", "GET", "pipelines/7/jobs", params)
    changed = call(BaseHevoHook(), "execute_api_request", "PATCH", "pipelines/7", payload={"name": "new"})

    assert (len(page["data"]), changed["name"]) == (1, "new")
    assert hevo.requests_of("list_jobs")[0].query == {"limit": "1", "newest": "true"}


@pytest.mark.parametrize(
    "fault", [Fault.status(204), Fault.raw(b""), Fault.raw(b"  \n")], ids=["204", "empty", "blank"]
)
def test_an_answer_without_a_body_is_an_empty_dict(
    hevo: Sandbox, pipeline: SandboxPipeline, call: Call, fault: Fault
) -> None:
    hevo.inject("sync_now", fault)

    assert call(BaseHevoHook(), "execute_api_request", "POST", "pipelines/7/actions/sync-now") == {}


def test_an_answer_that_is_a_list_is_a_dict_too(hevo: Sandbox, pipeline: SandboxPipeline, call: Call) -> None:
    hevo.inject("get_pipeline", Fault.json([1, 2]))

    assert call(BaseHevoHook(), "execute_api_request", "GET", "pipelines/7") == {"data": [1, 2]}


def test_an_answer_that_is_no_json_is_an_error(hevo: Sandbox, pipeline: SandboxPipeline, call: Call) -> None:
    hevo.inject("get_pipeline", Fault.html())

    with pytest.raises(HevoResponseError):
        call(BaseHevoHook(retry_limit=1), "execute_api_request", "GET", "pipelines/7")


def test_a_post_of_ones_own_is_sent_once(hevo: Sandbox, pipeline: SandboxPipeline, call: Call) -> None:
    hevo.inject("sync_now", Fault.status(503), times=None)

    with pytest.raises(HevoServerError):
        call(BaseHevoHook(retry_limit=5), "execute_api_request", "POST", "pipelines/7/actions/sync-now")

    assert len(hevo.requests_of("sync_now")) == 1


@pytest.mark.parametrize(
    "endpoint", ["https://elsewhere.example/api/v1/pipelines", "pipelines/../../x", "pipelines/7\r\nX: y", ""], ids=repr
)
def test_a_request_goes_nowhere_but_to_hevos_api(hevo: Sandbox, call: Call, endpoint: str) -> None:
    with fails(HevoConfigError, says="endpoint must be a path of Hevo's API"):
        call(BaseHevoHook(), "execute_api_request", "GET", endpoint)

    assert hevo.requests == []


@pytest.mark.parametrize(("retry_limit", "requests"), [(0, 1), (1, 1), (3, 3)])
def test_the_retry_limit_counts_the_first_time_too(
    hevo: Sandbox, pipeline: SandboxPipeline, call: Call, retry_limit: int, requests: int
) -> None:
    hevo.inject("get_pipeline", Fault.status(500), times=None)

    with pytest.raises(HevoServerError):
        call(HevoPipelineHook("hevo_airflow_conn_id", retry_limit), "get_pipeline", 7)

    assert len(hevo.requests_of("get_pipeline")) == requests


def test_parameters_come_in_their_order(hevo: Sandbox) -> None:
    hook = HevoPipelineHook(None, 4, 1.5, 12, [418], 7, {"X-A": "b"}, {"proxy": None})

    assert (hook.connection_id, hook.retry_limit, hook.retry_delay, hook.timeout) == (
        "hevo_airflow_conn_id",
        3,
        1.5,
        12,
    )
    assert (list(hook.retryable_status_codes), hook.pipeline_id) == ([418], 7)
    assert (dict(hook.extra_headers), dict(hook.extra_kwargs)) == ({"X-A": "b"}, {"proxy": None})


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.status(401), HevoAuthError),
        (Fault.status(400), HevoAPIError),
        (Fault.status(503), HevoServerError),
        (Fault.reset(), HevoTransportError),
    ],
    ids=["401", "400", "503", "reset"],
)
def test_an_error_is_ours_and_airflows_with_all_that_ours_tells(
    hevo: Sandbox, pipeline: SandboxPipeline, call: Call, fault: Fault, kind: type[Exception]
) -> None:
    hevo.inject("get_pipeline", fault, times=None)

    with pytest.raises(kind) as ours:
        HevoHook(retry_limit=0).get_pipeline(7)
    with pytest.raises(AirflowException) as failure:
        call(HevoPipelineHook(retry_limit=1), "get_pipeline", 7)

    assert isinstance(failure.value, kind)
    assert told_by(failure.value) == str(ours.value)
    assert vars(failure.value) == vars(ours.value)
    assert type(failure.value).__name__ == type(ours.value).__name__


def test_so_is_that_of_a_connection_which_is_not_there(hevo: Sandbox, call: Call) -> None:
    with pytest.raises(HevoConnectionNotFoundError) as failure:
        call(HevoPipelineHook("nowhere"), "get_pipeline", 7)

    assert isinstance(failure.value, AirflowException)


def test_so_is_that_of_a_call_which_theirs_does_not_have(hevo: Sandbox) -> None:
    with pytest.raises(AirflowException) as failure:
        HevoPipelineHook(retry_limit=1).get_job(7, "a")

    assert isinstance(failure.value, HevoNotFoundError)
    assert failure.value.status == HTTPStatus.NOT_FOUND


async def test_a_blocking_call_in_an_event_loop_names_its_other_form(hevo: Sandbox) -> None:
    with fails(RuntimeError, says="await get_pipeline_async there"):
        HevoPipelineHook().get_pipeline(7)
