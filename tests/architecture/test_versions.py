"""The versions that the provider is made for: the lowest that are allowed are tested, nothing in use is deprecated."""

from __future__ import annotations

import ast
import json
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path

import airflow.configuration  # noqa: F401 - from now on Airflow's deprecations would only be told
from packaging.requirements import Requirement

from tests.stage.interpreter import last_line_of

ROOT = Path(__file__).parents[2]
# What others have deprecated in their own code is theirs: a warning is ours if it points at the line that imports, or
# at common-compat, which imports on our behalf.
LISTEN = """
import json, warnings
from contextlib import suppress
from airflow.providers.common.compat.sdk import BaseOperator
BaseOperator(task_id="any")  # Airflow loads what it wants itself, and takes over how warnings are shown
ours = []
for statement in {statements}:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with suppress(ImportError):  # another version has it elsewhere, and the code asks there too
            exec(compile(statement, "ours", "exec"))
    ours += [str(each.message) for each in told if each.filename == "ours" or "/common/compat/" in each.filename]
print(json.dumps(ours))
"""

try:
    warnings.warn_explicit("old", DeprecationWarning, "models.py", 1, module="airflow.models")
except DeprecationWarning:
    raised_in_imports = True
else:
    raised_in_imports = False


def lower_bounds(requirements: list[str], operator: str) -> dict[str, str]:
    """Return the versions that requirements name, by package."""
    read = [Requirement(text) for text in requirements]
    return {each.name: spec.version for each in read for spec in each.specifier if spec.operator == operator}


def airflow_imports() -> Iterator[str]:
    """Yield every statement of the package that imports from Airflow, those in functions too, one name each."""
    for file in (ROOT / "hevo_provider").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith("airflow."):
                yield from (f"from {node.module} import {alias.name}" for alias in node.names)


def test_the_lowest_versions_that_are_allowed_are_those_that_the_matrix_runs_on() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    allowed = [*project["dependencies"], *project["optional-dependencies"]["openlineage"]]
    pins = (ROOT / ".ci" / "constraints" / "lowest.txt").read_text(encoding="utf-8").splitlines()

    assert lower_bounds(pins, "==") == lower_bounds(allowed, ">=")


def test_a_deprecation_is_an_error_while_tests_are_imported_too() -> None:
    assert raised_in_imports


def test_nothing_that_is_taken_from_airflow_is_deprecated_there() -> None:
    statements = sorted({*airflow_imports()})

    assert json.loads(last_line_of(LISTEN.format(statements=statements))) == []
