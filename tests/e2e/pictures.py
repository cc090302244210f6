"""
``make pictures``: the pictures of the documentation, taken of a real Airflow against the sandbox.

They go to docs/images. What is in them is what a reader sees who does what the front page says.
"""

from __future__ import annotations

import json
import sys
import tempfile
from base64 import b64decode
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from hevo_provider.sandbox import Sandbox
from tests.docs.pages import ROOT, snippets
from tests.e2e.airflow_api import wait_for
from tests.e2e.airflow_lab import AirflowLab
from tests.e2e.test_in_browser import Page, chromium

IMAGES = ROOT / "docs/images"
DAG, TASK, PIPELINE = "orders", "load_orders", 123
LOG = "//*[@data-testid='virtualized-list']"
MARGIN = 4  # pixels around what a picture shows
MOST = 150_000  # bytes of a picture: it is on the front page


def main() -> int:
    """Take all pictures; return the exit status."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hevo-pictures-") as folder, Sandbox() as hevo:
        dags = Path(folder, "dags")
        dags.mkdir()
        (first,) = [each for each in snippets(ROOT / "README.md") if each.code.startswith("from datetime")]
        (dags / "orders.py").write_text(first.code.replace("@hourly", "@once"), encoding="utf-8")
        hevo.add_pipeline(PIPELINE, name="orders to warehouse", appear_after=6, duration=60)
        connection = {"conn_type": "hevo", "host": hevo.url, "login": hevo.key, "password": hevo.secret}
        environment = {"AIRFLOW_CONN_HEVO_AIRFLOW_CONN_ID": json.dumps(connection)}
        with (
            AirflowLab(Path(folder, "airflow"), dags, environment=environment) as lab,
            chromium("window-size=1370,1400", "force-device-scale-factor=1.35", "disable-lcd-text") as browser,
        ):
            picture_of_the_form(Page(browser), browser, lab.api.base_url)
            runs = wait_for("the first run", lambda: lab.api.call("GET", f"/dags/{DAG}/dagRuns")["dag_runs"])
            run = runs[0]["dag_run_id"]
            lab.api.wait_run(DAG, run, timeout=480)
            said = lab.api.log_entries(DAG, run, TASK)
            ours = {each.logger for each in said if each.event.startswith(("Pipeline ", "Waiting in the triggerer"))}
            query = urlencode({"log_source": sorted(ours)}, doseq=True)
            picture_of_the_log(browser, f"{lab.api.base_url}/dags/{DAG}/runs/{run}/tasks/{TASK}?{query}")
    too_big = [each.name for each in IMAGES.glob("*.png") if each.stat().st_size > MOST]
    if too_big:
        sys.stderr.write(f"More than {MOST:,} bytes: {', '.join(too_big)}\n")
    return 1 if too_big else 0


def picture_of_the_form(page: Page, browser: Any, airflow: str) -> None:
    """Take the form for a new connection, filled in."""
    page.open(f"{airflow}/connections")
    page.press("Add Connection")
    page.choose_type("Hevo Data")
    for label, text in {
        "Connection ID": "hevo_airflow_conn_id",
        "Region or host": "us",
        "API key": "a1b2c3d4e5",
        "API secret": "not-a-real-secret",
    }.items():
        page.type_into(label, text)
    form = browser.find_element("xpath", "//*[@role='dialog']")
    browser.execute_script("arguments[0].style.borderRadius = 0", form)  # in its corners is what the page has darkened
    take(form, "connection_form")


def picture_of_the_log(browser: Any, task: str) -> None:
    """
    Take the log of the task alone, with long lines wrapped: it is read at the width of the front page.

    :param task: the address of its page, with a filter for what the package says: Airflow logs the whole event too.
    """
    from selenium.webdriver.support.expected_conditions import presence_of_element_located
    from selenium.webdriver.support.wait import WebDriverWait

    browser.get(task)
    for words in (TASK, "ended COMPLETED"):
        there = presence_of_element_located(("xpath", f"//*[contains(text(), '{words}')]"))
        WebDriverWait(browser, 30).until(there)
    browser.find_element("tag name", "body").send_keys("w")  # Airflow's key for long lines to be wrapped
    log = browser.find_element("xpath", LOG).rect
    first = browser.find_element("xpath", f"{LOG}//*[contains(text(), 'it is INITIALIZED')]").rect
    area = {"x": log["x"] - MARGIN, "y": first["y"] - MARGIN, "width": log["width"] + 2 * MARGIN, "scale": 1}
    area["height"] = log["y"] + log["height"] + MARGIN - area["y"]
    taken = browser.execute_cdp_cmd("Page.captureScreenshot", {"clip": area})
    (IMAGES / "log.png").write_bytes(b64decode(taken["data"]))


def take(element: Any, name: str) -> None:
    """Take a picture of a part of a page."""
    assert element.screenshot(str(IMAGES / f"{name}.png"))


if __name__ == "__main__":
    sys.exit(main())
