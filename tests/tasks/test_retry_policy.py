"""``HevoRetryPolicy``: what failed decides whether, and when, a task is tried again."""

from __future__ import annotations

import json
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG, RetryAction, RetryDecision
from airflow.sdk.exceptions import AirflowFailException
from airflow.serialization.serialized_objects import DagSerialization

from hevo_provider.exceptions import (
    HevoAuthError,
    HevoConfigError,
    HevoError,
    HevoHopelessError,
    HevoJobFailedError,
    HevoNotFoundError,
    HevoOutageError,
    HevoRateLimitError,
)
from hevo_provider.operators import HevoPipelineOperator
from hevo_provider.retries import HevoRetryPolicy
from hevo_provider.sandbox import Sandbox
from tests.stage.marks import in_both_modes
from tests.stage.tasks import TaskInstance, operator, play


def in_a_task(retry_delay: timedelta) -> Any:
    return {"ti": SimpleNamespace(task=operator(retry_delay=retry_delay))}


def decided(
    error: BaseException, *, retry_delay: timedelta = timedelta(minutes=5), policy: HevoRetryPolicy | None = None
) -> RetryDecision:
    return (policy or HevoRetryPolicy()).evaluate(error, 1, 3, in_a_task(retry_delay))


def over_the_limit(retry_after: float | None) -> HevoError:
    return HevoRateLimitError(429, "GET", "/api/v1/pipelines", "Request rate limit exceeded", retry_after=retry_after)


@in_both_modes
@pytest.mark.parametrize("ends", ["DEFERRED", "DEFERRED_WITH_FAILURES"])
@pytest.mark.parametrize(
    ("source_window", "retry_delay", "delay"),
    [
        (None, timedelta(minutes=5), None),  # which is as the task says
        (None, timedelta(seconds=10), timedelta(minutes=1)),
        (timedelta(hours=1), timedelta(minutes=5), timedelta(hours=1)),
        (10, timedelta(minutes=5), timedelta(minutes=1)),
    ],
)
def test_a_job_that_the_sources_rate_limit_stopped_is_tried_again_after_its_window(
    hevo: Sandbox,
    ti: TaskInstance,
    deferrable: bool,
    ends: str,
    source_window: Any,
    retry_delay: timedelta,
    delay: timedelta | None,
) -> None:
    hevo.add_pipeline(7, ends=ends)
    with pytest.raises(HevoJobFailedError) as failure:
        play(operator(deferrable=deferrable), ti)

    decision = decided(failure.value, retry_delay=retry_delay, policy=HevoRetryPolicy(source_window=source_window))

    assert (decision.action, decision.retry_delay) == (RetryAction.RETRY, delay)
    assert decision.reason == f"The job ended {ends}."


def test_without_a_task_the_source_gets_a_minute() -> None:
    failure = HevoJobFailedError("it was deferred", status="DEFERRED")

    assert HevoRetryPolicy().evaluate(failure, 1, 3).retry_delay == timedelta(minutes=1)


@in_both_modes
@pytest.mark.parametrize("ends", ["FAILED", "COMPLETED_WITH_FAILURES", "CANCELLED", "SKIPPED"])
def test_a_job_that_failed_is_tried_again_as_the_task_says(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool, ends: str
) -> None:
    hevo.add_pipeline(7, ends=ends)
    with pytest.raises(HevoJobFailedError) as failure:
        play(operator(deferrable=deferrable), ti)

    assert decided(failure.value) == RetryDecision.default()


@pytest.mark.parametrize(("retry_after", "seconds"), [(None, 60), (5, 30), (45, 45), (10.0**8, 300)])
def test_over_the_limit_it_is_tried_again_when_there_is_room(retry_after: float | None, seconds: float) -> None:
    decision = decided(over_the_limit(retry_after))

    assert (decision.action, decision.retry_delay) == (RetryAction.RETRY, timedelta(seconds=seconds))


@pytest.mark.parametrize(
    "error",
    [
        AirflowFailException("no such pipeline"),
        HevoAuthError(401, "GET", "/api/v1/pipelines/7", "Unauthorized"),
        HevoNotFoundError(404, "GET", "/api/v1/pipelines/7", "Not found"),
        HevoConfigError("pipeline_id must be a number"),
        HevoHopelessError("the key was refused"),
    ],
)
def test_what_is_hopeless_is_never_tried_again(error: Exception) -> None:
    assert decided(error).action is RetryAction.FAIL


@pytest.mark.parametrize("error", [HevoOutageError("half an hour"), ValueError("of the user's own code")])
def test_whatever_else_it_is_the_task_decides(error: Exception) -> None:
    assert decided(error) == RetryDecision.default()


@pytest.mark.parametrize("source_window", [None, 90.0, timedelta(hours=1)])
def test_the_policy_can_be_stored(source_window: Any) -> None:
    policy = HevoRetryPolicy(source_window=source_window)

    again = HevoRetryPolicy.deserialize(json.loads(json.dumps(policy.serialize())))

    assert again.source_window == policy.source_window


def test_airflow_knows_of_the_policy_of_a_dag_that_it_has_stored() -> None:
    with DAG("dag", schedule=None) as dag:
        HevoPipelineOperator(task_id="one", pipeline_id=7, retry_policy=HevoRetryPolicy())
        HevoPipelineOperator.partial(task_id="several", retry_policy=HevoRetryPolicy()).expand(pipeline_id=[1, 2])

    stored = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))

    assert [task.has_retry_policy for task in stored.tasks] == [True, True]


@pytest.mark.parametrize("wrong", [0, "1h", timedelta(seconds=-1)])
def test_a_window_that_makes_no_sense_is_told_when_the_dag_is_parsed(wrong: Any) -> None:
    with pytest.raises(HevoConfigError, match="source_window must be"):
        HevoRetryPolicy(source_window=wrong)
