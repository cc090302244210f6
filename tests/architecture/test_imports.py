"""What imports what: down only and in no circle, Airflow's versions in one file, nothing heavy at DAG parse."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib.metadata import version
from pathlib import Path

import pytest

import hevo_provider
from tests.stage.interpreter import last_line_of

AIRFLOW = tuple(map(int, version("apache-airflow").split(".")[:2]))
IS_AIRFLOW_2 = AIRFLOW < (3, 0)
PACKAGE = "hevo_provider"
ROOT = Path(hevo_provider.__file__).parents[1]

# A room is a module of the package, or a folder in it. Each may import those that stand above it here, and no other.
FROM_THE_BOTTOM_UP: tuple[set[str], ...] = (
    {"codes"},
    {"exceptions", "clock", "sync", "vendor_conflict"},
    {"models", "provider_info"},
    {"parameters", "compat", "metrics"},
    {"client", "asset_uris"},
    {"runs", "connection"},
    {"hooks", "links"},
    {"triggers", "watching", "lineage"},
    {"tasks"},
    {"operators", "sensors", "assets", "retries", "doctor"},
    {"vendor"},
    {"vendor_paths"},
)
PLACED = sorted(room for floor in FROM_THE_BOTTOM_UP for room in floor)
APART = {"sandbox", "testing", "pytest_plugin"}  # for tests, of a user's DAGs and of ours
WITHOUT_AIRFLOW = (
    "codes",
    "exceptions",
    "clock",
    "sync",
    "models",
    "parameters",
    "client",
    "runs",
    "connection",
    "sandbox",
)
# Of `watching` one file makes a hook, to open the connection. What a watcher knows and tells needs no Airflow.
WITHOUT_AIRFLOW_IN_WATCHING = ("watching.watermark", "watching.round", "watching.watcher")
ONLY_IMPORTED_BY = {
    "sandbox": {"pytest_plugin", "testing"},
    "testing": {"pytest_plugin"},
    "lineage": {"operators", "tasks"},  # when OpenLineage asks, or an outlet stands for tables
    "asset_uris": {"tasks"},  # and by Airflow, with every asset that is made
    "watching": {"assets"},
    "assets": set[str](),  # it needs Airflow 3
    "retries": set[str](),  # it needs Airflow 3.3
    "links": {"tasks", "triggers"},
    "vendor_conflict": {"provider_info"},
    "vendor": {"vendor_paths"},
    "vendor_paths": set[str](),
    "doctor": set[str](),
    "pytest_plugin": set[str](),
}
# What is like a question about Airflow's version, and is none: the file, and what is asked for or tried.
NO_QUESTION_OF_VERSION = {
    ("parameters", "hasattr resolve"),  # whether a value is another task's output, which is no class of its own
    ("metrics", "tries to import airflow"),  # whatever is wrong with metrics, it is never worth a task
    ("doctor.__main__", "ImportError"),  # the doctor needs an Airflow only for its connection
    ("client.access", "__version__"),  # of this package
    ("doctor.anonymous", "__version__"),
}
PRIVATE_NAME = re.compile(r"_[A-Z]\w*__\w*[a-z]")  # as Python writes the private attribute of a class
VERSION_NAME = re.compile(r"AIRFLOW_V\w*|__version__|airflow_version|apache-airflow\S*")
FORBIDDEN_WORDS = {"look", "looks", "looked", "looking", "lookout", "weather"}  # poll and outage, says the field

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
VENDOR_PATHS = f"import sys\nsys.path.insert(0, {str(ROOT / PACKAGE / 'vendor_paths')!r})\n"
BEFORE = "import sys, json\nbefore = set(sys.modules)\n"
LOADED = "\nprint(json.dumps(sorted(set(sys.modules) - before)))"
# What Airflow loads of every provider, with itself or with an asset.
LOADED_BY_AIRFLOW = {
    "hevo_provider",
    "hevo_provider.asset_uris",
    "hevo_provider.provider_info",
    "hevo_provider.vendor_conflict",
}


def loaded_by(code: str) -> set[str]:
    """Run code in a fresh interpreter: the modules that it loads."""
    script = [sys.executable, "-c", BEFORE + code + LOADED]
    done = subprocess.run(script, cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603
    return set(json.loads(done.stdout.splitlines()[-1]))


def loaded_beside_airflow_by(code: str, *, after: str = "") -> set[str]:
    """Run code in a process that has loaded Airflow, and ``after``: what else it loads, and all of ours."""
    ours = "before = {name for name in before if 'hevo' not in name}\n"
    return set(json.loads(last_line_of(f"{after}\n{BEFORE}{ours}{code}{LOADED}")))


def belonging_to(modules: set[str], *packages: str) -> set[str]:
    return {module for module in modules for package in packages if f"{module}.".startswith(f"{package}.")}


@cache
def files() -> dict[str, Path]:
    """Return the files of the package, by the module that each is, without the package's name."""
    found = {}
    for file in (ROOT / PACKAGE).rglob("*.py"):
        parts = file.relative_to(ROOT / PACKAGE).with_suffix("").parts
        found[".".join(parts).removesuffix("__init__").removesuffix(".")] = file
    return found


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(files()[module].read_text(encoding="utf-8"))


@cache
def imported_by(module: str) -> frozenset[str]:
    """Return the full names of what a module imports, anywhere in it: in functions and for the type checker too."""
    return frozenset(_imported_by(module))


def _imported_by(module: str) -> Iterator[str]:
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours_imported_by(module: str) -> set[str]:
    """Return the files of this package that a module imports."""
    found = set()
    for name in imported_by(module):
        within = name.removeprefix(f"{PACKAGE}.")
        if name != within:
            found.add(within if within in files() else within.rpartition(".")[0])
    return found


def room_of(module: str) -> str:
    return module.partition(".")[0]


@cache
def rooms() -> dict[str, set[str]]:
    """Return which other rooms each room imports."""
    found: dict[str, set[str]] = {}
    for module in files():
        if module:  # not the package's own __init__
            room = room_of(module)
            found.setdefault(room, set()).update({room_of(name) for name in ours_imported_by(module)} - {room})
    return found


def reached_from(*modules: str) -> set[str]:
    """Return the files that are imported by these, or by those that they import, and these themselves."""
    reached = set(modules)
    while more := {name for each in reached for name in ours_imported_by(each)} - reached:
        reached |= more
    return reached


def modules_of(room: str) -> list[str]:
    return [module for module in files() if room_of(module) == room]


# Which way imports go


def test_no_file_imports_one_that_imports_it() -> None:
    try:
        list(TopologicalSorter({module: ours_imported_by(module) for module in files()}).static_order())
    except CycleError as error:
        pytest.fail(f"imports in a circle: {error.args[1]}")


def test_each_room_has_a_floor() -> None:
    assert sorted([*PLACED, *APART]) == sorted(rooms())


@pytest.mark.parametrize("room", PLACED)
def test_a_room_imports_from_the_floors_below_it_only(room: str) -> None:
    height = next(number for number, floor in enumerate(FROM_THE_BOTTOM_UP) if room in floor)

    assert rooms()[room] - {""} <= set().union(*FROM_THE_BOTTOM_UP[:height])


@pytest.mark.parametrize(("room", "importers"), ONLY_IMPORTED_BY.items(), ids=ONLY_IMPORTED_BY)
def test_what_not_everybody_needs_is_imported_only_by_those_who_do(room: str, importers: set[str]) -> None:
    assert {each for each, imported in rooms().items() if room in imported} == importers


def test_the_sandbox_shares_no_code_with_the_client() -> None:
    assert rooms()["sandbox"] == set()


# Airflow


@pytest.mark.parametrize("name", [*WITHOUT_AIRFLOW, *WITHOUT_AIRFLOW_IN_WATCHING])
def test_below_the_hook_nothing_names_airflow(name: str) -> None:
    modules = [name] if "." in name else modules_of(name)

    assert {each for each in reached_from(*modules) if imports_airflow(each)} == set()


def test_what_versions_of_airflow_do_differently_stands_in_compat_alone() -> None:
    asked = {
        (module, question)
        for module in files().keys() - {"compat", ""}
        for node in ast.walk(tree_of(module))
        if (question := question_of_version_in(node, imports_airflow=imports_airflow(module)))
    }

    assert asked <= NO_QUESTION_OF_VERSION


@cache
def imports_airflow(module: str) -> bool:
    return bool(belonging_to(set(imported_by(module)), "airflow"))


def question_of_version_in(node: ast.AST, *, imports_airflow: bool) -> str | None:
    match node:
        case ast.Name(id="ImportError" | "ModuleNotFoundError" as name):  # caught, or suppressed
            return name
        case ast.Try(body=body) if any(_imports_airflow(each) for each in body):
            return "tries to import airflow"
        case ast.Call(func=ast.Name(id="hasattr"), args=[_, ast.Constant(value=str(name))]):
            return f"hasattr {name}"
        case ast.Call(func=ast.Name(id="getattr"), args=[_, ast.Constant(value=str(name)), _]) if imports_airflow:
            return f"getattr {name}"
        case ast.Constant(value=str(name)) | ast.Attribute(attr=name) | ast.Name(id=name) | ast.alias(name=name):
            if PRIVATE_NAME.fullmatch(name) or VERSION_NAME.fullmatch(name):
                return name
    return None


def _imports_airflow(node: ast.AST) -> bool:
    names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
    if isinstance(node, ast.ImportFrom):
        names = [str(node.module)]
    return bool(belonging_to(set(names), "airflow"))


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    from airflow.sdk import XCom\nexcept ImportError:\n    pass",
        "try:\n    import airflow.sdk\nexcept Exception:\n    pass",
        "with suppress(ModuleNotFoundError):\n    from airflow.sdk import XCom",
        "hasattr(ti, 'get_first_reschedule_date')",
        "getattr(trigger, 'asset_state_store', None)",
        "getattr(operator, '_BaseOperator__from_mapped')",
        "operator._BaseOperator__from_mapped",
        "from airflow import __version__",
        "airflow.__version__ < '3'",
        "from airflow.providers.common.compat.version_compat import AIRFLOW_V_3_0_PLUS",
        "version('apache-airflow')",
    ],
)
def test_a_question_of_airflows_version_is_known_as_one(code: str) -> None:
    assert any(question_of_version_in(node, imports_airflow=True) for node in ast.walk(ast.parse(code)))


# Words


def words_of(identifier: str) -> list[str]:
    """Return the words of a name in snake case or camel case, in lower case."""
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier)]


@cache
def identifiers_of(module: str) -> frozenset[str]:
    """Return all names that a module makes or uses, and its own."""
    found = set(module.split("."))
    for node in ast.walk(tree_of(module)):
        for field in ("id", "attr", "arg", "name", "asname"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                found.update(value.split("."))
    return frozenset(found)


def is_of_a_private_dialect(identifier: str) -> bool:
    words = words_of(identifier)
    looked_up = {number for number, word in enumerate(words[1:]) if word in {"up", "ups"}}  # as a connection is
    return any(word in FORBIDDEN_WORDS and number not in looked_up for number, word in enumerate(words))


@pytest.mark.parametrize(
    ("identifier", "is_dialect"),
    [("_first_look", True), ("LookoutPost", True), ("LAST_LOOK_UP", False), ("_look_up", False), ("lookup", False)],
)
def test_looking_up_is_a_word_of_the_field_and_looking_is_none(identifier: str, is_dialect: bool) -> None:
    assert is_of_a_private_dialect(identifier) is is_dialect


def test_names_are_words_of_the_field() -> None:
    named = {(module, name) for module in files() for name in identifiers_of(module)}

    assert {(module, name) for module, name in named if is_of_a_private_dialect(name)} == set()


# What is loaded


def test_a_dag_file_loads_nothing_that_is_only_needed_when_a_task_runs() -> None:
    loaded = loaded_beside_airflow_by(DAG_FILE, after=ANY_DAG_FILE)

    assert belonging_to(loaded, "hevo_provider") - LOADED_BY_AIRFLOW <= {
        "hevo_provider.clock",
        "hevo_provider.codes",
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

        after = "from airflow.sdk import DAG, Asset, AssetWatcher\nimport airflow.triggers.base"

        loaded = loaded_beside_airflow_by(code, after=after)

        assert belonging_to(loaded, "hevo_provider") - LOADED_BY_AIRFLOW == {
            "hevo_provider.assets",
            "hevo_provider.codes",
            "hevo_provider.compat",
            "hevo_provider.exceptions",
            "hevo_provider.models",
            "hevo_provider.models.enums",
            "hevo_provider.models.ids",
            "hevo_provider.parameters",
        }
        assert not belonging_to(loaded, "aiohttp", "yarl", "asgiref")


if AIRFLOW < (3, 3):

    def test_where_tasks_have_no_retry_policies_the_import_says_what_is_needed() -> None:
        with pytest.raises(ImportError, match=r"hevo_provider\.retries needs Airflow 3\.3"):
            importlib.import_module("hevo_provider.retries")

else:

    def test_a_dag_file_with_a_retry_policy_loads_nothing_that_is_only_needed_when_a_task_fails() -> None:
        code = "from hevo_provider.retries import HevoRetryPolicy\nHevoRetryPolicy()"

        after = "from airflow.sdk import RetryPolicy\nimport airflow.sdk.exceptions"

        loaded = loaded_beside_airflow_by(code, after=after)

        assert not belonging_to(loaded, "aiohttp", "yarl", "asgiref", "hevo_provider.runs", "hevo_provider.client")


def test_nothing_under_the_vendors_names_is_loaded_by_who_does_not_import_it() -> None:
    code = "import hevo_provider.operators, hevo_provider.sensors, hevo_provider.triggers, hevo_provider.hooks\n"
    code += "from hevo_provider.provider_info import get_provider_info\nget_provider_info()"

    assert not belonging_to(loaded_beside_airflow_by(code), "hevo_provider.vendor", "airflow.hevo")


def test_a_dag_file_with_the_vendors_names_loads_nothing_that_is_only_needed_when_a_task_runs() -> None:
    code = """
from airflow.hevo.models.job import JobType
from airflow.hevo.models.pipeline import PipelineAction, ResyncMode
from airflow.hevo.operators import HevoOperator
from airflow.hevo.sensor import HevoSensor
HevoOperator(task_id="a", pipeline_id=7, action=PipelineAction.RESYNC, resync_mode=ResyncMode.DROP_AND_LOAD)
HevoSensor(task_id="b", pipeline_id=7, job_id="")
"""
    after = "from airflow.providers.common.compat.sdk import BaseOperator\nBaseOperator(task_id='a')"

    loaded = loaded_beside_airflow_by(code, after=VENDOR_PATHS + after)

    assert not belonging_to(loaded, "aiohttp", "yarl", "asgiref", "hevo_provider.client", "hevo_provider.runs")
    assert belonging_to(loaded, "hevo_provider.models") == {
        "hevo_provider.models",
        "hevo_provider.models.enums",
        "hevo_provider.models.ids",
    }


def test_the_package_itself_loads_nothing() -> None:
    assert loaded_by("import hevo_provider") == {"hevo_provider"}


def test_client_and_runs_can_be_used_without_airflow() -> None:
    modules = [f"hevo_provider.runs.{file.stem}" for file in (ROOT / PACKAGE / "runs").glob("[a-z]*.py")]

    loaded = loaded_by(f"import hevo_provider.client, {', '.join(modules)}")

    assert not belonging_to(loaded, "airflow")
    assert "hevo_provider.client.transport" in loaded
