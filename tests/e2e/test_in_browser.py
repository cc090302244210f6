"""What a person sees of a connection and of a failed task in Airflow 3.3's pages. Screenshots: build/screenshots."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from hevo_provider.provider_info import CONNECTION_FORM
from hevo_provider.sandbox import Sandbox
from tests.e2e.airflow_api import AirflowApi
from tests.e2e.conftest import PipelineMaker

pytestmark = pytest.mark.browser

LOG = "//*[@data-testid='virtualized-list']"
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
# Without the last four, Chromium calls home.
FLAGS = (
    "headless=new",
    "no-sandbox",
    "window-size=1200,1500",
    "no-first-run",
    "disable-background-networking",
    "disable-component-update",
    "disable-sync",
)


class Page:
    """A page of Airflow's, as a person uses it: everything is found by what it says, and waited for."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver

    def open(self, address: str) -> None:
        self._driver.get(address)

    def press(self, name: str, within: str = "") -> None:
        """Press the button with a name that is shown, or told to who cannot see it."""
        self._find(f"{within}//button[normalize-space(.)='{name}' or @aria-label='{name}']").click()

    def choose_type(self, name: str) -> None:
        self._find("//*[@role='dialog']//input[@role='combobox']").send_keys(name)
        self._find(f"//*[@role='option'][.='{name}']").click()

    def type_into(self, label: str, text: str) -> None:
        field = self._find(f"//*[@role='dialog']//label[starts-with(., '{label}')]").get_attribute("for")
        self._find(f"//*[@id='{field}']").send_keys(text)

    def labels(self) -> list[str]:
        """Return the labels of the form's fields, in order."""
        self._find("//*[@role='dialog']//label")
        found = self._driver.find_elements("xpath", "//*[@role='dialog']//label")
        return [text for each in found if (text := each.text.split("\n")[0].rstrip("*"))]

    def says(self, words: str, within: str = "") -> bool:
        """Wait until the words are shown."""
        return bool(self._find(f"{within}/descendant-or-self::*[contains(normalize-space(.), '{words}')]"))

    def is_in_sight(self, words: str, within: str = "") -> bool:
        """Wait for the words, and tell whether the window shows all of them, without any scrolling."""
        found = self._find(f"{within}//*[contains(text(), '{words}')]")
        return bool(
            self._driver.execute_script(
                "const text = [...arguments[0].childNodes].find(each => each.nodeType === Node.TEXT_NODE"
                " && each.data.includes(arguments[1])), range = document.createRange();"
                "const at = text.data.indexOf(arguments[1]);"
                "range.setStart(text, at); range.setEnd(text, at + arguments[1].length);"
                "const box = range.getBoundingClientRect();"
                "return box.top >= 0 && box.bottom <= innerHeight && box.left >= 0 && box.right <= innerWidth",
                found,
                words,
            )
        )

    def follow(self, name: str) -> None:
        """Press the link with a name, and go on where it leads, be it in a window of its own."""
        self._find(f"//a[normalize-space(.)='{name}']").click()
        self._driver.switch_to.window(self._driver.window_handles[-1])

    def screenshot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        assert self._driver.save_screenshot(str(SCREENSHOTS / f"{name}.png"))

    def _find(self, path: str) -> Any:
        from selenium.webdriver.support.expected_conditions import element_to_be_clickable
        from selenium.webdriver.support.wait import WebDriverWait

        return WebDriverWait(self._driver, 20).until(element_to_be_clickable(("xpath", path)), path)


@contextmanager
def chromium(*flags: str) -> Iterator[Any]:
    """
    Run a browser.

    :param flags: further ones; of two that contradict each other the last counts.
    :raises RuntimeError: it is not installed.
    """
    from selenium import webdriver

    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if browser is None or driver is None:
        raise RuntimeError("Debian's packages chromium and chromium-driver are needed")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, *flags):
        options.add_argument(f"--{flag}")
    running = webdriver.Chrome(options, webdriver.ChromeService(driver, env=dict(os.environ)))
    try:
        yield running
    finally:
        running.quit()


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """Open a browser."""
    with chromium() as browser:
        yield Page(browser)


@pytest.fixture
def connect(airflow: AirflowApi, hevo: Sandbox) -> Callable[..., None]:
    """Make a connection. It has a port: Airflow 3.3.2 itself answers "Bad Request" where there is none to test."""

    def add(name: str, **fields: object) -> None:
        url = URL(hevo.url)
        usual = {"host": f"http://{url.host}", "port": url.port, "login": hevo.key, "password": hevo.secret}
        airflow.add_connection(name, conn_type="hevo", **(usual | fields))

    return add


def test_the_form_asks_for_what_hevo_needs_and_for_nothing_else(page: Page, airflow: AirflowApi) -> None:
    page.open(f"{airflow.base_url}/connections")
    page.press("Add Connection")
    page.choose_type("Hevo Data")
    page.says("Region or host")
    page.screenshot("connection_form")
    usual = page.labels()
    page.press("Extra Fields", within="//*[@role='dialog']")
    page.says("Where the button of a task leads")
    page.screenshot("connection_form_extra")
    own = page.labels()

    always = ["Connection ID", "Connection Type"]
    assert usual == [*always, "Description", "Region or host", "API key", "API secret", "Port"]
    assert own == [*always, *(field["label"] for field in CONNECTION_FORM["conn-fields"].values())]


def test_what_is_typed_into_the_form_is_what_a_task_reads(page: Page, airflow: AirflowApi) -> None:
    page.open(f"{airflow.base_url}/connections")
    page.press("Add Connection")
    page.choose_type("Hevo Data")
    page.type_into("Connection ID", "typed")
    page.type_into("Region or host", "eu")
    page.type_into("API key", "key")
    page.type_into("API secret", "secret")
    page.press("Save")
    page.says("typed")

    stored = airflow.call("GET", "/connections/typed")
    assert (stored["conn_type"], stored["host"], stored["login"]) == ("hevo", "eu", "key")


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("works", {}, "Connected to 127.0.0.1"),
        ("wrong-key", {"login": "someone-else"}, "Check login (the API key)"),
    ],
)
def test_the_test_button_says_how_it_went(
    page: Page, airflow: AirflowApi, connect: Callable[..., None], name: str, fields: dict[str, str], words: str
) -> None:
    connect(f"test-{name}", **fields)
    page.open(f"{airflow.base_url}/connections")

    page.press("Test Connection", within=f"//tr[contains(., 'test-{name}')]")

    assert page.says(words)
    page.screenshot(f"test_button_{name}")


def test_the_log_of_a_failure_says_what_to_do_without_scrolling(
    page: Page, airflow: AirflowApi, new_pipeline: PipelineMaker
) -> None:
    pipeline = new_pipeline(name="invoices of the shop", ends="FAILED")
    airflow.trigger("links", "failure", {"operator": pipeline.id, "sensor": pipeline.id})
    assert airflow.wait_task("links", "failure", "operator") == "failed"

    page.open(f"{airflow.base_url}/dags/links/runs/failure/tasks/operator")

    assert page.says("(INCREMENTAL) ended FAILED.", within=LOG)
    page.screenshot("log_of_a_failure")
    for words in ("its job ended FAILED. HEVO-701", "Failing objects: ", "What to do: Look at the job in Hevo"):
        assert page.is_in_sight(words, within=LOG)
