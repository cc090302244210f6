"""What ARCHITECTURE.md, CONTRIBUTING.md and the maps of the wings say of the code is so."""

from __future__ import annotations

import ast
import re
from dataclasses import fields

import pytest

from hevo_provider.runs.error_table import TABLE, Meaning, Row
from hevo_provider.runs.order import Order
from hevo_provider.runs.run import Run
from tests.architecture.test_imports import PACKAGE, ROOT, files, imported_by, room_of, tree_of

ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
MAPPED = ("client", "doctor", "runs", "watching", "lineage")
BESIDE = {"doctor.__main__"}  # a file without a subject of its own
NO_LOOPS_OF_ITS_OWN = {"sandbox", "doctor", "testing"}

ROWS = {
    "outage": Meaning.OUTAGE,
    "over the limit": Meaning.OVER_THE_LIMIT,
    "refused": Meaning.REFUSED,
    "missing": Meaning.MISSING,
    "Airflow finds no connection": Meaning.NO_CONNECTION,
    "the connection cannot be used": Meaning.WRONG_CONNECTION,
    "wrong parameter": Meaning.HOPELESS,
}


def section(heading: str) -> str:
    (text,) = re.findall(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", ARCHITECTURE, re.MULTILINE | re.DOTALL)
    return str(text)


def rows(heading: str) -> list[list[str]]:
    lines = [line for line in section(heading).splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


@pytest.mark.parametrize(("document", "most"), [("ARCHITECTURE.md", 150), ("CONTRIBUTING.md", 60)])
def test_a_document_for_the_first_hour_is_short(document: str, most: int) -> None:
    assert len((ROOT / document).read_text(encoding="utf-8").splitlines()) <= most


@pytest.mark.parametrize("wing", MAPPED)
def test_the_map_of_a_wing_names_each_of_its_files(wing: str) -> None:
    within = {module for module in files() if module.startswith(f"{wing}.")} - BESIDE
    said = ast.get_docstring(tree_of(wing)) or ""

    assert {name for name in (module.split(".")[1] for module in within) if f"``{name}``" not in said} == set()


def test_each_file_that_it_names_is_there() -> None:
    wings = "client|runs|tasks|watching|models|sandbox|doctor"
    named = set(re.findall(rf"`((?:{wings})/\w+)(?:\.py)?(?:: \w+)?`", ARCHITECTURE))

    assert {name for name in named if not (ROOT / PACKAGE / f"{name}.py").is_file()} == set()
    assert len(named) > 20


# What an error means


def fails(row: Row) -> str:
    return "fails for good" if row.fails_for_good else "fails; a retry may mend it"


def endured(seconds: float) -> str:
    return f"endured for {seconds:g} s" if seconds < 60 else f"endured for {seconds / 60:g} min"


def said_of_a_start(row: Row) -> str:
    return "tried again later, in the triggerer" if row.start_endures else fails(row)


def said_of_a_wait(row: Row) -> str:
    if not row.wait_endures:
        return fails(row)
    return "endured" if row.wait_endures_for is None else endured(row.wait_endures_for)


def said_after_an_answer(meaning: Meaning, row: Row) -> str:
    if row.endured_for == 0:
        return fails(row)
    if row.endured_for is None:
        return "endured" if meaning is Meaning.OVER_THE_LIMIT else "endured for `api_outage_tolerance`"
    # What is missing for so long is told in an error of its own, which a retry may mend.
    is_for_good = row.fails_for_good and meaning is not Meaning.MISSING
    return endured(row.endured_for) + (", then fails for good" if is_for_good else "")


@pytest.mark.parametrize("row", rows("What an error means"), ids=lambda row: str(row[0]))
def test_the_table_of_errors_says_what_the_code_does(row: list[str]) -> None:
    error, of_a_start, of_a_wait, after = row
    meaning = ROWS[error.partition(":")[0]]
    known = TABLE[meaning]

    assert of_a_start == said_of_a_start(known)
    assert of_a_wait.removesuffix(" as after an answer") == said_of_a_wait(known)
    assert after == said_after_an_answer(meaning, known)


def test_it_has_a_row_for_each_meaning() -> None:
    assert {ROWS[row[0].partition(":")[0]] for row in rows("What an error means")} == set(Meaning)


# The loops


def pauses_in_a_loop(module: str) -> bool:
    return any(
        isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "sleep"
        for loop in ast.walk(tree_of(module))
        if isinstance(loop, ast.While)
        for call in ast.walk(loop)
    )


def test_each_loop_is_on_the_list_and_each_on_the_list_is_there() -> None:
    listed = [found for row in rows("The loops") for found in re.findall(r"`(\w+/\w+)\.py: (\w+)`", row[0])]

    for file, function in listed:
        tree = tree_of(file.replace("/", "."))
        assert function in {node.name for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)}
    waiting = {module for module in files() if room_of(module) not in NO_LOOPS_OF_ITS_OWN and pauses_in_a_loop(module)}
    assert waiting <= {file.replace("/", ".") for file, _ in listed}


# The states of a run


def test_nothing_but_a_method_of_run_makes_one_run_of_another() -> None:
    of_a_run = {each.name for each in fields(Run)} - {each.name for each in fields(Order)} - {"order"}
    knowing_runs = [module for module in files() if f"{PACKAGE}.runs.run.Run" in imported_by(module)]

    replaced = {
        (module, str(keyword.arg))
        for module in set(knowing_runs) - {"runs.run"}
        for call in ast.walk(tree_of(module))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "replace"
        for keyword in call.keywords
    }

    assert {(module, name) for module, name in replaced if name in of_a_run} == set()
