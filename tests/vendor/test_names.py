"""Every name of the vendor's package, by version, is where theirs is, and says once what to use instead."""

from __future__ import annotations

import json
import re
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from airflow.exceptions import AirflowProviderDeprecationWarning

from hevo_provider.vendor import names

HERE = Path(__file__).parent
VERSIONS: dict[str, dict[str, list[str]]] = json.loads((HERE / "names.json").read_text())
MEMBERS: dict[str, dict[str, list[str]]] = json.loads((HERE / "members.json").read_text())
ALL = [
    (version, module, name) for version, modules in VERSIONS.items() for module in modules for name in modules[module]
]
OF_CLASSES = [
    (version, name, member) for version, classes in MEMBERS.items() for name in classes for member in classes[name]
]
MODULES = sorted({module for _, module, _ in ALL})


@pytest.fixture(autouse=True)
def told_of_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this a process that has warned of no name yet."""
    monkeypatch.setattr(names, "_TOLD", set())


def warnings_of(code: str) -> list[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        exec(compile(code, "a_dag.py", "exec"), {})  # noqa: S102 - the test's own
    return told


@pytest.mark.parametrize(("version", "module", "name"), ALL, ids=str)
def test_a_name_is_where_theirs_is_and_its_warning_names_what_is_there_too(
    version: str, module: str, name: str
) -> None:
    (told,) = warnings_of(f"from {module} import {name}")

    assert told.category is AirflowProviderDeprecationWarning
    assert told.filename == "a_dag.py"
    message = str(told.message)
    assert "\n" not in message
    new = re.fullmatch(
        rf"{re.escape(f'{module}.{name}')} is deprecated: use (hevo_provider[.\w]+) instead.*\.", message
    )
    assert new is not None
    path, _, attribute = new[1].rpartition(".")
    assert hasattr(import_module(path), attribute)


def test_the_warning_comes_once_for_a_name_however_often_it_is_imported() -> None:
    first, second = "from airflow.hevo.models.job import JobType", "from airflow.hevo.models.job import JobStatus"

    assert len(warnings_of(first)) == 1
    assert warnings_of(first) == []
    assert len(warnings_of(second)) == 1


def test_a_module_alone_warns_of_nothing() -> None:
    assert warnings_of("\n".join(f"import {module}" for module in MODULES)) == []


@pytest.mark.parametrize("module", MODULES)
def test_a_module_has_no_other_names(module: str) -> None:
    with pytest.raises(ImportError):
        warnings_of(f"from {module} import HevoNothing")

    there = {name for _, each, name in ALL if each == module}
    assert set(import_module(module).__all__) == there


@pytest.mark.parametrize(("version", "name", "member"), OF_CLASSES, ids=str)
def test_a_class_has_the_members_of_theirs(version: str, name: str, member: str) -> None:
    entry = names.NAMES[name]

    assert hasattr(getattr(import_module(f"hevo_provider.{entry.home}"), name), member)


def test_where_warnings_are_errors_the_import_fails_with_the_warning() -> None:
    """As for every other deprecation of Airflow: whoever runs tests so wants to know."""
    what = r"^airflow\.hevo\.models\.Job is deprecated: use hevo_provider\.models\.job\.Job instead\."

    with warnings.catch_warnings():
        warnings.resetwarnings()
        warnings.filterwarnings("error", category=DeprecationWarning, module="a_dag")
        with pytest.raises(AirflowProviderDeprecationWarning, match=what):
            exec("from airflow.hevo.models import Job", {"__name__": "a_dag"})  # noqa: S102 - the test's own


def test_what_the_page_about_moving_over_names_is_there() -> None:
    page = (HERE.parents[1] / "docs" / "moving-over.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:hevo_provider|airflow\.hevo)(?:\.\w+)+)`", page)) - {"airflow.hevo.openlineage"}

    for path in sorted(named):
        module, _, name = path.rpartition(".")
        assert find_spec(path) if name.islower() else name in dir_of(module), path


def dir_of(module: str) -> list[str]:
    return getattr(import_module(module), "__all__", dir(import_module(module)))
