"""What the pages say of parameters, fields and metrics is what the code has."""

from __future__ import annotations

import inspect
import re
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from hevo_provider import metrics
from hevo_provider.models.answers import Job
from hevo_provider.models.enums import JobStatus, OnActiveJob, OnDeferred
from hevo_provider.operators import HevoPipelineOperator, HevoResyncObjectsOperator
from hevo_provider.provider_info import CONNECTION_FORM
from hevo_provider.sensors import HevoSensor
from tests.docs.pages import IS_AIRFLOW_2, PAGES, ROOT, code_of, table, without_code

WRITTEN_OTHERWISE = {
    "": None,
    "none": None,
    "from the action": None,
    "from `ensure_new_job`": None,
    "from the other parameters": None,
    "any resync, or `HISTORICAL`": None,
    "7 days": 7 * 24 * 3600,
}

OF_THE_TASK = {  # what hevo_job has that is not of Hevo's job
    "pipeline_id",
    "pipeline_name",
    "connection_id",
    "host",
    "created_at",
    "updated_at",
    "deferred_objects",
    "jobs",
    "fresh",
    "objects_retried",
    "worker_seconds",
}


def parameters(function: Any) -> dict[str, object]:
    """Return a signature's parameters and defaults."""
    found = inspect.signature(function).parameters.values()
    named = [each for each in found if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)]
    return {each.name: _plain(each.default) for each in named}


def _plain(value: object) -> object:
    return value.value if isinstance(value, Enum) else value


def _written(cell: str) -> object:
    if cell in WRITTEN_OTHERWISE:
        return WRITTEN_OTHERWISE[cell]
    text = cell.strip("`").strip('"')
    return {"None": None, "True": True, "False": False}.get(text, float(text) if text.isdigit() else text)


def _of_init(kind: Any) -> dict[str, object]:
    return {name: value for name, value in parameters(kind.__init__).items() if name != "self"}


def told(page: str, heading: str) -> dict[str, object]:
    """Return what a page's table says of parameters and defaults."""
    return {name: _written(row[1]) for row in table(page, heading) for name in code_of(row[0])}


@pytest.mark.parametrize(
    ("heading", "page", "kind"),
    [("HevoPipelineOperator", "operators.md", HevoPipelineOperator), ("Parameters", "sensor.md", HevoSensor)],
)
def test_each_parameter_is_on_the_page_with_its_default(heading: str, page: str, kind: Any) -> None:
    assert told(page, heading) == _of_init(kind)


def test_so_are_those_that_only_the_operator_of_objects_has() -> None:
    assert told("operators.md", "HevoResyncObjectsOperator") == _of_init(HevoResyncObjectsOperator) | {"job_type": None}


if not IS_AIRFLOW_2:

    def test_so_are_those_of_assets() -> None:
        from hevo_provider.assets import hevo_pipeline_asset

        assert told("assets.md", "hevo_pipeline_asset") == parameters(hevo_pipeline_asset)

    def test_names_and_addresses_of_assets_are_as_the_page_says() -> None:
        from hevo_provider.assets import hevo_pipeline_asset

        page = (ROOT / "docs/assets.md").read_text(encoding="utf-8")
        rows = re.findall(r"^\| `(hevo_pipeline_asset\(.+\))` \| `(.+)` \| `(.+)` \|$", page, re.MULTILINE)

        for call, name, uri in rows:
            asset = eval(call, {"hevo_pipeline_asset": hevo_pipeline_asset})  # noqa: S307 - our own page
            assert (asset.name, asset.uri) == (name, uri)
        assert len(rows) == 2


def test_each_field_of_the_connection_is_on_the_page() -> None:
    page = (ROOT / "docs/connection.md").read_text(encoding="utf-8")

    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(CONNECTION_FORM["conn-fields"])


def test_each_field_of_hevo_job_is_on_the_page() -> None:
    of_job = {"job_type" if name == "type" else name for name in Job.model_fields}
    named = [name for row in table("operators.md", "The XCom `hevo_job`") for name in code_of(row[0])]

    assert set(named) == of_job | OF_THE_TASK
    assert len(named) == len(set(named))


def test_each_status_of_a_job_is_on_the_page() -> None:
    named = {name for row in table("operators.md", "What each end means") for name in code_of(row[0])}

    assert named == {status.value for status in JobStatus}


@pytest.mark.parametrize(
    ("heading", "words"), [("When a job is active", OnActiveJob), ("Jobs that Hevo defers", OnDeferred)]
)
def test_each_word_that_a_parameter_takes_is_on_the_page(heading: str, words: type[Enum]) -> None:
    named = {name.strip('"') for row in table("operators.md", heading) for name in code_of(row[0])}

    assert named == {word.value for word in words}


def test_each_metric_is_on_the_page() -> None:
    named = {name for row in table("lineage-and-metrics.md", "Metrics") for name in code_of(row[0])}

    assert metrics.__doc__ is not None
    assert named == set(re.findall(r"^``(hevo\.[a-z_.<>]+)``", metrics.__doc__, re.MULTILINE))


# The pages


def test_the_front_page_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as the forge and Sphinx make them."""
    headings = re.findall(r"^#+ (.+)$", without_code(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_to_what_is_there(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)", without_code(page))

    for path, anchor in links:
        target = page if path == "" else (page.parent / path).resolve()
        assert target.exists(), path
        if anchor:
            assert anchor in anchors(target), f"{path}#{anchor}"


def test_each_page_is_named_on_the_front_page() -> None:
    front = (ROOT / "README.md").read_text(encoding="utf-8")

    pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")} - {"docs/reference.md"}
    assert {page for page in pages if f"]({page})" not in front} == set()


def test_pictures_are_small() -> None:
    too_big = {each.name for each in (ROOT / "docs/images").glob("*.png") if each.stat().st_size > 150_000}

    assert too_big == set()
