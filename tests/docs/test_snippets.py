"""Each piece of code on a page does what the page says: it is run, on a Hevo that has the pipelines it names."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import re
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task

from hevo_provider.client import HevoAsyncClient
from hevo_provider.doctor.__main__ import build_parser as doctor
from hevo_provider.hooks import HevoHook
from hevo_provider.operators import HevoPipelineOperator, HevoResyncObjectsOperator
from hevo_provider.sandbox import Sandbox
from hevo_provider.sandbox.__main__ import build_parser as sandbox
from hevo_provider.sensors import HevoSensor
from hevo_provider.tasks.task import HevoTask
from tests.docs.pages import GUIDES, IS_AIRFLOW_2, ROOT, Snippet, snippets
from tests.stage.clock import VirtualClock
from tests.stage.tasks import TaskInstance, play

ALL = [snippet for page in GUIDES for snippet in snippets(page)]
OF_PYTHON = [each for each in ALL if each.language == "python"]
OPERATORS = "airflow.operators" if IS_AIRFLOW_2 else "airflow.providers.standard.operators"
HAS_RETRY_POLICIES = tuple(map(int, version("apache-airflow").split(".")[:2])) >= (3, 3)
NEEDS_AIRFLOW_3 = re.compile(r"hevo_pipeline_asset|AssetAlias")
TESTS = [each for each in OF_PYTHON if "def test_" in each.code]
DAGS = [each for each in OF_PYTHON if each not in TESTS]


class TaskInstanceWithXComs(TaskInstance):
    """A task instance that can read what other tasks have returned."""

    returned: dict[str, Any]

    def xcom_pull(self, task_ids: str) -> Any:
        return self.returned[task_ids]


def namespace(hevo: Sandbox) -> dict[str, Any]:
    """Return the names that a page may use without importing them again."""
    classes = (DAG, HevoAsyncClient, HevoHook, HevoPipelineOperator, HevoResyncObjectsOperator, HevoSensor)
    names = {
        "__name__": "snippet",
        "task": task,
        "datetime": datetime,
        "BashOperator": import_module(f"{OPERATORS}.bash").BashOperator,
        "key": hevo.key,
        "secret": hevo.secret,
        **{each.__name__: each for each in classes},
    }
    if not IS_AIRFLOW_2:
        names["hevo_pipeline_asset"] = import_module("hevo_provider.assets").hevo_pipeline_asset
    return names


def run(snippet: Snippet, hevo: Sandbox) -> tuple[list[Any], dict[str, Any]]:
    """Run the code as a DAG's file is run: its tasks, in order, and its names."""
    if "hevo_provider.retries" in snippet.code and not HAS_RETRY_POLICIES:
        pytest.skip("needs Airflow 3.3")
    if IS_AIRFLOW_2 and NEEDS_AIRFLOW_3.search(snippet.code):
        pytest.skip("needs Airflow 3")
    code = snippet.code.replace("https://us.hevodata.com", hevo.url)
    if IS_AIRFLOW_2:
        code = code.replace("from airflow.sdk import", "from airflow.providers.common.compat.sdk import")
    tasks: list[Any] = []
    names = namespace(hevo)
    add_task: Callable[..., None] = DAG.add_task

    def add(dag: DAG, task: Any) -> None:
        add_task(dag, task)
        tasks.append(task)

    with pytest.MonkeyPatch.context() as patch, DAG("page", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
        patch.setattr(DAG, "add_task", add)
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        # Airflow 2 reads the file of a DAG that it stores: the page is its file, and a traceback shows its line.
        at_its_line = "\n" * (snippet.line - 1) + code
        result = eval(compile(at_its_line, str(snippet.page), "exec", flags=flags), names)  # noqa: S307 - our own pages
        if inspect.iscoroutine(result):
            asyncio.run(result)
    return tasks, names


def unmapped(task: Any) -> list[Any]:
    """Return the tasks that a mapped one becomes, and the others as they are."""
    if not getattr(task, "is_mapped", False):
        return [task]
    ((name, values),) = task.expand_input.value.items()
    return [task.unmap({name: value}) for value in values]


def prepare(hevo: Sandbox, task: Any) -> None:
    """Let Hevo have the pipeline of a task, and for a sensor that waits for any job one that completes."""
    number = task.pipeline_id if isinstance(task.pipeline_id, int) else 123
    if number not in hevo.pipelines:
        hevo.add_pipeline(number, name=task.pipeline_name, duration=60)
    if isinstance(task, HevoSensor) and task.job_id is None:
        hevo.pipelines[number].start_job(appear_after=0, duration=60)


@pytest.mark.parametrize("snippet", DAGS, ids=str)
def test_code_on_a_page_runs_and_its_tasks_succeed(hevo: Sandbox, clock: VirtualClock, snippet: Snippet) -> None:
    tasks, _ = run(snippet, hevo)

    returned: dict[str, Any] = {}
    now = datetime.fromtimestamp(clock.now(), UTC)
    for each in (one for mapped in tasks for one in unmapped(mapped) if isinstance(one, HevoTask)):
        ti = TaskInstanceWithXComs(clock)
        ti.returned = returned
        params = SimpleNamespace(pipeline=123)
        context: Any = {**ti.context, "params": params, "dag_run": SimpleNamespace(run_after=now)}
        each.render_template_fields(context)
        prepare(hevo, each)
        returned[each.task_id] = play(each, ti)
        assert ti.xcoms["hevo_job"]["job_id"] == returned[each.task_id]


@pytest.mark.parametrize("snippet", TESTS, ids=str)
@pytest.mark.usefixtures("airflow_database")
def test_a_test_on_a_page_passes(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, hevo_sandbox: Sandbox, snippet: Snippet
) -> None:
    monkeypatch.setattr(
        "hevo_provider.triggers.SHORTEST_DEFERRAL", 0
    )  # seconds, which a scheduler needs and nobody here
    _, names = run(snippet, hevo_sandbox)

    for test in [value for name, value in names.items() if name.startswith("test_")]:
        test(**{name: request.getfixturevalue(name) for name in inspect.signature(test).parameters})


def test_each_page_has_code_that_runs() -> None:
    assert {page for page in GUIDES if page.name != "reference.md"} == {snippet.page for snippet in OF_PYTHON}


# Commands

COMMANDS = [
    (snippet, line.split("  #")[0])
    for snippet in ALL
    if snippet.language == "console"
    for line in snippet.code.replace("\\\n", " ").splitlines()
]


@pytest.mark.parametrize("command", [line for _, line in COMMANDS if line.startswith("python -m hevo_provider.")])
def test_a_command_is_understood(command: str) -> None:
    _, _, module, *arguments = shlex.split(command)
    parser = {"hevo_provider.doctor": doctor, "hevo_provider.sandbox": sandbox}[module]()

    parser.parse_args(arguments)


def test_each_make_target_that_a_page_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z0-9.-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    pages = [*GUIDES, ROOT / "CONTRIBUTING.md", ROOT / "tests/README.md"]
    named = {
        target
        for page in pages
        for words in re.findall(r"(?:`|^)make ([a-z0-9 .-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)
        for target in words.split("  ")[0].split()
    }

    assert named - targets == set()


def test_a_connection_as_the_page_writes_it_is_one_to_airflow() -> None:
    (line,) = [line for _, line in COMMANDS if line.startswith("export AIRFLOW_CONN_")]
    written = json.loads(shlex.split(line)[1].partition("=")[2])

    assert set(written) == {"conn_type", "host", "login", "password"}
