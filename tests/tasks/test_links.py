"""The link on a task that leads to the pipeline in Hevo's web UI."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import XCom

from hevo_provider.client.access import Access, Credentials
from hevo_provider.connection import ConnectionSettings
from hevo_provider.exceptions import HevoConfigError
from hevo_provider.hooks import HevoHook
from hevo_provider.links import PAGE_KEY, HevoPipelineLink, page_of
from hevo_provider.operators import HevoPipelineOperator
from hevo_provider.sandbox import Sandbox
from hevo_provider.sensors import HevoSensor
from tests.stage.connection import with_link
from tests.stage.failures import fails
from tests.stage.tasks import Deferral, TaskInstance, play, work


def settings(link: object = None, base_url: str = "https://eu.hevodata.com") -> ConnectionSettings:
    return ConnectionSettings(Access(base_url, Credentials("key", "secret")), link=link)


@pytest.mark.parametrize("kind", [HevoPipelineOperator, HevoSensor])
def test_the_address_is_there_while_the_task_is_deferred(hevo: Sandbox, ti: TaskInstance, kind: Any) -> None:
    hevo.add_pipeline(7).start_job()
    task = kind(task_id="task", pipeline_id="7", **({} if kind is HevoSensor else {"on_active_job": "follow"}))

    assert isinstance(work(lambda: task.execute(ti.context)), Deferral)

    assert ti.xcoms[PAGE_KEY] == f"{hevo.url}/pipeline/7/overview"


@pytest.mark.parametrize("kind", [HevoPipelineOperator, HevoSensor])
def test_a_task_that_fails_at_once_has_its_link_too(hevo: Sandbox, ti: TaskInstance, kind: Any) -> None:
    with fails(Exception, says="7"):
        play(kind(task_id="task", pipeline_id=7), ti)

    assert ti.xcoms[PAGE_KEY].endswith("/pipeline/7/overview")


def test_an_address_that_cannot_be_made_costs_the_link_and_not_the_run(
    hevo: Sandbox, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    hevo.add_pipeline(7)
    with_link(hevo, monkeypatch, "javascript:alert({pipeline_id})")

    play(HevoPipelineOperator(task_id="task", pipeline_id=7), ti)

    assert PAGE_KEY not in ti.xcoms


def test_an_airflow_that_cannot_look_up_the_connection_at_once_costs_the_link_and_not_the_run(
    hevo: Sandbox, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    hevo.add_pipeline(7)

    def fails(*_: object) -> None:
        raise RuntimeError("Airflow's own API is out of reach")

    with monkeypatch.context() as patch:
        patch.setattr(HevoHook, "get_connection", fails)
        deferral = work(lambda: HevoPipelineOperator(task_id="task", pipeline_id=7).execute(ti.context))

    assert isinstance(deferral, Deferral)
    assert PAGE_KEY not in ti.xcoms


def test_the_connection_can_hold_another_pattern(
    hevo: Sandbox, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    hevo.add_pipeline(7)
    with_link(hevo, monkeypatch, "https://app.example.com/p/{pipeline_id}?at={host}")

    play(HevoPipelineOperator(task_id="task", pipeline_id=7), ti)

    assert ti.xcoms[PAGE_KEY] == f"https://app.example.com/p/7?at={hevo.host}:{hevo.port}"


def test_without_a_pattern_it_is_the_page_on_the_connections_host() -> None:
    assert page_of(settings(), 42) == "https://eu.hevodata.com/pipeline/42/overview"


@pytest.mark.parametrize(
    "pattern",
    [
        "https://user:pass@eu.hevodata.com/{pipeline_id}",
        "https://user@{host}/",
        "javascript:alert(1)",
        "data:text/html,{pipeline_id}",
        "//{host}/{pipeline_id}",
        "https:///{pipeline_id}",
        "https://[{host}/",
        "https://{host}/{pipeline}",
        'https://{host}/"onclick="x',
        "https://{host}/\nx",
        7,
    ],
)
def test_an_address_that_a_browser_must_not_be_sent_to_is_refused_and_not_shown(pattern: object) -> None:
    with fails(HevoConfigError, says="link") as caught:
        page_of(settings(pattern), 42)

    assert "user" not in str(caught.value)


def test_the_link_reads_what_the_task_has_pushed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def get_value(**key: Any) -> str:
        asked.update(key)
        return "https://eu.hevodata.com/pipeline/7/overview"

    monkeypatch.setattr(XCom, "get_value", get_value)

    link = HevoPipelineLink().get_link(None, ti_key="the task instance")

    assert link == "https://eu.hevodata.com/pipeline/7/overview"
    assert asked == {"key": PAGE_KEY, "ti_key": "the task instance"}


def test_before_the_task_has_pushed_anything_the_link_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(XCom, "get_value", lambda **_: None)

    assert HevoPipelineLink().get_link(None, ti_key="the task instance") == ""


@pytest.mark.parametrize("kind", [HevoPipelineOperator, HevoSensor])
def test_every_task_has_the_one_link(kind: Any) -> None:
    assert [link.name for link in kind(task_id="task", pipeline_id=7).operator_extra_links] == ["Hevo pipeline"]
    assert HevoPipelineLink().xcom_key == PAGE_KEY
