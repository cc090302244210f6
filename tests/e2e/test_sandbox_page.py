"""The sandbox's page in Chromium: what it shows while jobs run, and what its buttons do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from hevo_provider.sandbox import Sandbox
from hevo_provider.sandbox.demo import add_demo_pipelines
from tests.e2e.airflow_api import AirflowApi, wait_for
from tests.e2e.conftest import PipelineMaker
from tests.e2e.test_in_browser import Page, chromium
from tests.sandbox.caller import Caller

pytestmark = pytest.mark.browser

WIDE, NARROW = (1440, 900), (390, 844)


@pytest.fixture
def demo() -> Iterator[Sandbox]:
    """Serve the demo's pipelines, as the command does."""
    with Sandbox() as sandbox:
        add_demo_pipelines(sandbox)
        yield sandbox


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium(f"window-size={WIDE[0]},{WIDE[1]}") as running:
        yield running


@pytest.fixture
def page(browser: Any) -> Page:
    return Page(browser)


def test_it_shows_what_happens_as_it_happens(demo: Sandbox, page: Page) -> None:
    page.open(f"{demo.url}/")
    row = "//tr[contains(., 'orders to warehouse')]"
    assert page.says(f"{len(demo.pipelines)} in all")

    Caller(demo).post("/1/actions/sync-now")

    assert page.says("in progress", within=row)
    assert page.says("pipelines/1/actions/sync-now")
    page.screenshot("sandbox_overview")
    page.press("Fail its job", within=row)
    assert page.says("failed", within=row)
    assert demo.pipelines[1].jobs[0].status == "FAILED"


def test_a_pipelines_own_page_is_reached_and_starts_a_job_of_somebody_else(demo: Sandbox, page: Page) -> None:
    page.open(f"{demo.url}/pipeline/4/overview")

    page.press("A job of somebody else")

    assert page.says("by somebody")
    assert [job.started_by for job in demo.pipelines[4].jobs] == ["somebody"]
    assert page.says(f"curl -X POST {demo.host}:{demo.port}/sandbox/pipelines/4/job")
    page.screenshot("sandbox_pipeline")


def test_what_goes_wrong_is_shown_and_ended(demo: Sandbox, page: Page) -> None:
    page.open(f"{demo.url}/")

    for button, told in {
        "502 for a minute": "Every request is answered 502, for",
        "Hang for a minute": "Every request is never answered, for",
        "Lose an answer": "The next sync_now is done, but answered 502",
        "Rotate the key": "The key is sandbox-key-2",
        "Limit requests": "10 requests in any 60 s are answered",
    }.items():
        page.press(button)
        assert page.says(told, within="//*[@id='troubles']")
    assert page.says("--conn-login sandbox-key-2", within="//*[@id='connect']")
    page.screenshot("sandbox_faults")

    page.press("End all of it", within="//*[@id='troubles']")

    wait_for("the faults to end", lambda: not demo.waiting_faults() and demo.limit is None)
    assert (demo.key, Caller(demo).get("/1").status) == ("sandbox-key", 200)


def test_a_refused_click_says_why(demo: Sandbox, page: Page) -> None:
    page.open(f"{demo.url}/pipeline/7/overview")

    page.press("A job of somebody else")

    assert page.says("A job is already in progress for this pipeline", within="//*[@id='toast']")


def test_a_pipeline_that_is_not_there_is_said_to_be_missing(demo: Sandbox, page: Page) -> None:
    page.open(f"{demo.url}/pipeline/99/overview")

    assert page.says("There is no pipeline 99 here")


@pytest.mark.parametrize("path", ["/", "/pipeline/4/overview"])
@pytest.mark.parametrize(("width", "height"), [WIDE, NARROW])
def test_nothing_sticks_out_at_the_side(
    demo: Sandbox, page: Page, browser: Any, path: str, width: int, height: int
) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )
    demo.pipelines[2].start_job(ago=60)
    page.open(demo.url + path)
    page.says("Rotate the key")
    page.screenshot(f"sandbox{path.replace('/', '_')}{width}")

    wider = browser.execute_script(
        "return [...document.querySelectorAll('main *')].filter(each => !each.closest('.line, .path')"
        " && each.getBoundingClientRect().right > document.documentElement.clientWidth).map(each => each.outerHTML)"
    )

    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wider == []


def test_no_error_is_logged_and_nothing_is_loaded_from_elsewhere(demo: Sandbox, page: Page, browser: Any) -> None:
    browser.get_log("browser")
    page.open(f"{demo.url}/")
    page.says(f"{len(demo.pipelines)} in all")

    loaded = browser.execute_script("return performance.getEntriesByType('resource').map(each => each.name)")

    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert {name.partition("?")[0] for name in loaded} == {f"{demo.url}/sandbox/state"}


def test_the_button_of_a_task_leads_to_it(
    hevo: Sandbox, airflow: AirflowApi, new_pipeline: PipelineMaker, page: Page
) -> None:
    pipeline = new_pipeline(name="orders of the shop")
    airflow.trigger("links", "button", {"operator": pipeline.id, "sensor": pipeline.id})
    airflow.wait_task("links", "button", "operator")
    page.open(f"{airflow.base_url}/dags/links/runs/button/tasks/operator/details")

    page.follow("Hevo pipeline")

    assert page.says("orders of the shop", within="//h1")
    assert page.says("completed")
    page.screenshot("button_of_a_task")
