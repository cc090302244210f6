"""``API.md`` and the doctor's rows: each points to the other, and neither says what the other does not know."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import hevo_provider
from hevo_provider.doctor.assumptions import ALL, Assumption
from hevo_provider.doctor.contract import facts
from hevo_provider.doctor.exchange import Observations
from hevo_provider.doctor.fields import (
    JOB,
    JOB_OBJECT,
    LISTED_OBJECT,
    OBJECT_ALONE,
    OBJECT_STATUSES,
    PIPELINE,
    PIPELINE_WORDS,
    REPLICATION_STATUSES,
    Shape,
)
from hevo_provider.doctor.report import rows_of
from hevo_provider.models.answers import Job, Pipeline, Schedule, System
from hevo_provider.models.enums import JobStatus, JobType, PipelineStatus
from hevo_provider.models.object import JobObject, PipelineObject

PACKAGE = Path(hevo_provider.__file__).parent
PAGE = (PACKAGE / "API.md").read_text(encoding="utf-8").splitlines()
SOURCES = {"reference", "manual, jobs", "manual, objects", "manual, limits", "manual, Airflow", "package", "none"}


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.fact)
def test_a_row_points_to_a_line_of_the_page_that_says_what_it_claims(row: Assumption) -> None:
    fact = facts()[row.fact]

    assert fact.place == f"API.md:{fact.line}"
    assert row.claims in PAGE[fact.line - 1]
    assert row.claims in fact.text


def test_each_fact_has_one_row_and_each_row_its_own_fact() -> None:
    assert sorted(row.fact for row in ALL) == sorted(facts())


def test_every_line_that_begins_as_a_fact_is_one_with_its_source() -> None:
    begun = [number for number, line in enumerate(PAGE, 1) if line.startswith("- `")]

    assert begun == [fact.line for fact in facts().values()]
    for fact in facts().values():
        assert set(re.split(r"; |, (?=package|reference)", fact.sources)) <= SOURCES, fact


def test_the_rows_of_a_report_are_in_the_order_of_the_page() -> None:
    lines = [row.fact.line for row in rows_of(Observations())]

    assert lines == sorted(lines)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("pipeline-fields", (PIPELINE,)),
        ("job-fields", (JOB,)),
        ("object-fields", (LISTED_OBJECT, OBJECT_ALONE)),
        ("job-object-fields", (JOB_OBJECT,)),
    ],
)
def test_the_page_names_every_field_that_is_checked(name: str, shapes: tuple[Shape, ...]) -> None:
    named = set(re.findall(r"\w+", facts()[name].text))

    for shape in shapes:
        assert {part for field in shape.fields for part in field.split(".")} <= named


@pytest.mark.parametrize(
    ("model", "shape"), [(Pipeline, PIPELINE), (Job, JOB), (PipelineObject, OBJECT_ALONE), (JobObject, JOB_OBJECT)]
)
def test_every_field_that_a_model_reads_is_one_that_is_checked(model: type, shape: Shape) -> None:
    assert set(model.model_fields) <= set(shape.fields)  # type: ignore[attr-defined]


def test_every_field_that_is_read_of_what_a_pipeline_holds_is_one_that_is_checked() -> None:
    inner = {name.partition(".")[2] for name in PIPELINE.fields if name.startswith(("source.", "destination."))}
    assert set(System.model_fields) <= inner
    assert {f"schedule.{name}" for name in Schedule.model_fields} <= set(PIPELINE.fields)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pipeline-statuses", set(PipelineStatus)),
        ("job-statuses", set(JobStatus)),
        ("job-types", set(JobType)),
        ("pipeline-words", {word for words in PIPELINE_WORDS.values() for word in words}),
        ("object-statuses", OBJECT_STATUSES | REPLICATION_STATUSES),
    ],
)
def test_the_page_has_every_word_that_this_version_knows_and_no_other(name: str, words: set[str]) -> None:
    told = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b|\b[A-Z]{4,}\b", facts()[name].text))

    assert told == {str(word) for word in words}


def test_where_code_points_to_a_fact_the_page_has_it() -> None:
    pointers = {
        (file.relative_to(PACKAGE).as_posix(), name)
        for file in PACKAGE.rglob("*.py")
        for name in re.findall(r"API\.md, ([a-z0-9-]+)", file.read_text(encoding="utf-8"))
    }

    assert {name for _, name in pointers} <= set(facts()), pointers
    assert pointers, "nothing points to the page"
