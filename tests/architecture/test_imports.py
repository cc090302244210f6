"""What imports what: down only, nothing heavy at DAG parse, and no Airflow below the hook."""

from __future__ import annotations

import ast
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import version
from pathlib import Path

import pytest

IS_AIRFLOW_2 = version("apache-airflow").startswith("2.")
ROOT = Path(__file__).parents[2]
PACKAGE = "hevo_provider"
FROM_THE_BOTTOM_UP = ("exceptions", "models", "client", "runs", "hooks", "triggers", "tasks", "starting", "operators")
WITHOUT_AIRFLOW = ("exceptions", "models", "client", "runs", "sandbox")
# Airflow 3.0 loads much of itself, and aiohttp, with the first operator that is made.
ANY_DAG_FILE = """
from airflow.providers.common.compat.sdk import DAG, BaseOperator, BaseSensorOperator

with DAG("another_dag", schedule=None):
    BaseOperator(task_id="a")
"""
DAG_FILE = """
from hevo_provider.models.job import JobStatus, JobType
from hevo_provider.models.pipeline import PipelineAction, PipelineStatus
from hevo_provider.operators import HevoOperator, HevoPipelineOperator, HevoResyncObjectsOperator
from hevo_provider.sensors import HevoSensor

with DAG("dag", schedule=None):
    start = HevoPipelineOperator(task_id="a", pipeline_id=7, action=PipelineAction.RESYNC, job_type=JobType.RESYNC)
    start >> HevoSensor(task_id="b", pipeline_id="{{ params.id }}", job_id=start.output)
    HevoPipelineOperator.partial(task_id="c").expand(pipeline_id=[1, 2])
    HevoResyncObjectsOperator(task_id="d", pipeline_id=7, objects=["public.*", "{{ params.table }}"])
"""


def loaded_by(code: str, *, after: str = "") -> set[str]:
    """Run code in a fresh interpreter: the modules that it loads, beside those that ``after`` has loaded."""
    script = f"import sys, json\n{after}\nbefore = set(sys.modules)\n{code}\n"
    script += "print(json.dumps(sorted(set(sys.modules) - before)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603
    return set(json.loads(done.stdout.splitlines()[-1]))


def belonging_to(modules: set[str], *packages: str) -> set[str]:
    return {module for module in modules for package in packages if f"{module}.".startswith(f"{package}.")}


@cache
def imports() -> dict[str, set[str]]:
    """Return what each module of the package imports, anywhere in it: of this package to the module, else by name."""
    files = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in (ROOT / PACKAGE).rglob("*.py")}
    return {name: set(_imports_of(file, files)) for name, file in files.items()}


def _imports_of(file: Path, known: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} has a relative import"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in known else str(node.module)


def room_of(module: str) -> str:
    """Return the room of a module: packages within the package are one room each."""
    return module.split(".")[1] if module.startswith(f"{PACKAGE}.") else ""


def rooms() -> dict[str, set[str]]:
    """Return which rooms each room imports."""
    found: dict[str, set[str]] = {}
    for module, imported in imports().items():
        room = room_of(module)
        found.setdefault(room, set()).update(room_of(name) for name in imported if room_of(name) not in {"", room})
    return found


def below(*start: str) -> set[str]:
    """Return the rooms that are imported by these, or by those that they import."""
    graph, reached = rooms(), set(start)
    while more := {room for each in reached for room in graph.get(each, ())} - reached:
        reached |= more
    return reached


def test_no_room_imports_one_that_imports_it() -> None:
    try:
        list(TopologicalSorter(rooms()).static_order())
    except CycleError as error:
        pytest.fail(f"imports in a circle: {error.args[1]}")


@pytest.mark.parametrize("height", range(len(FROM_THE_BOTTOM_UP)))
def test_a_room_knows_nothing_of_those_above_it(height: int) -> None:
    assert not below(FROM_THE_BOTTOM_UP[height]) & {*FROM_THE_BOTTOM_UP[height + 1 :], "sensors"}


@pytest.mark.parametrize("room", WITHOUT_AIRFLOW)
def test_below_the_hook_nothing_names_airflow(room: str) -> None:
    reached = below(room)

    guilty = {
        module for module, names in imports().items() if room_of(module) in reached and belonging_to(names, "airflow")
    }

    assert guilty == set()


def test_nothing_but_the_pytest_plugin_imports_the_sandbox_and_it_imports_nothing_else_of_ours() -> None:
    assert {room for room, imported in rooms().items() if "sandbox" in imported} == {"pytest_plugin"}
    assert rooms()["sandbox"] == set()


def test_a_dag_file_loads_nothing_that_is_only_needed_when_a_task_runs() -> None:
    loaded = loaded_by(DAG_FILE, after=ANY_DAG_FILE)

    assert belonging_to(loaded, "hevo_provider") <= {
        "hevo_provider",
        "hevo_provider.clock",
        "hevo_provider.compat",
        "hevo_provider.exceptions",
        "hevo_provider.links",
        "hevo_provider.models",
        "hevo_provider.models.enums",
        "hevo_provider.models.ids",
        "hevo_provider.models.job",
        "hevo_provider.models.pipeline",
        "hevo_provider.operators",
        "hevo_provider.parameters",
        "hevo_provider.sensors",
        "hevo_provider.tasks",
        "hevo_provider.tasks.task",
    }
    assert not belonging_to(loaded, "aiohttp", "yarl", "asgiref", "openlineage", "wtforms", "flask_appbuilder", "ssl")


if IS_AIRFLOW_2:

    def test_where_no_event_can_start_a_dag_the_import_says_what_is_needed() -> None:
        with pytest.raises(ImportError, match=r"hevo_provider\.assets needs Airflow 3"):
            importlib.import_module("hevo_provider.assets")

else:

    def test_a_dag_file_that_starts_with_a_pipeline_loads_nothing_that_is_only_needed_to_watch_it() -> None:
        code = "from hevo_provider.assets import hevo_pipeline_asset\nDAG('dag', schedule=[hevo_pipeline_asset(7)])"

        loaded = loaded_by(code, after="from airflow.sdk import DAG, Asset, AssetWatcher\nimport airflow.triggers.base")

        by_airflow = {"hevo_provider", "hevo_provider.provider_info", "hevo_provider.vendor_conflict"}
        assert belonging_to(loaded, "hevo_provider") - by_airflow == {
            "hevo_provider.assets",
            "hevo_provider.compat",
            "hevo_provider.exceptions",
            "hevo_provider.models",
            "hevo_provider.models.enums",
            "hevo_provider.models.ids",
            "hevo_provider.parameters",
        }
        assert not belonging_to(loaded, "aiohttp", "yarl", "asgiref")


def test_nothing_else_needs_what_came_with_airflow_3() -> None:
    assert {room for room, imported in rooms().items() if "assets" in imported} == set()


def test_the_package_itself_loads_nothing() -> None:
    assert loaded_by("import hevo_provider") == {"hevo_provider"}


def test_client_and_runs_can_be_used_without_airflow() -> None:
    modules = [f"hevo_provider.runs.{file.stem}" for file in (ROOT / PACKAGE / "runs").glob("[a-z]*.py")]

    loaded = loaded_by(f"import hevo_provider.client, {', '.join(modules)}")

    assert not belonging_to(loaded, "airflow")
    assert "hevo_provider.client.transport" in loaded
