"""Give the whole test run an Airflow home of its own, before anything imports Airflow."""

from __future__ import annotations

import atexit
import gc
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.stage.airflow_home import copy_migrated_database

if TYPE_CHECKING:
    from hevo_provider.sandbox import Sandbox
    from tests.stage.clients import WireTime
    from tests.stage.clock import VirtualClock
    from tests.stage.outlets import Events
    from tests.stage.tasks import TaskInstance

AIRFLOW = tuple(map(int, version("apache-airflow").split(".")[:2]))
# Event-driven scheduling came with Airflow 3, shared polls and the store of an asset with 3.3.
collect_ignore_glob: list[str] = []
if AIRFLOW < (3, 0):
    collect_ignore_glob += [
        "watching/test_definition.py",
        "watching/test_alone.py",
        "watching/test_in_two_files.py",
        "stored/test_asset_names.py",
    ]
    collect_ignore_glob += ["stored/test_run_token.py"]  # a kill is told by the row there
if AIRFLOW < (3, 3):
    collect_ignore_glob += ["watching/test_assets.py", "watching/test_store.py", "watching/test_restart.py"]
    collect_ignore_glob += ["watching/test_by_name.py", "tasks/test_retry_policy.py"]
    collect_ignore_glob += ["stored/test_watermarks.py"]
if AIRFLOW >= (3, 0):
    collect_ignore_glob += ["tasks/test_rescheduled.py"]  # what is read in a database there, Airflow 3 tells itself

AIRFLOW_HOME = Path(tempfile.mkdtemp(prefix="hevo-tests-"))

# What a developer has set for a real Airflow must neither reach the tests nor be changed by them.
OF_THE_MACHINE = ("AIRFLOW__", "AIRFLOW_CONN_", "AIRFLOW_VAR_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
for name in [name for name in os.environ if name.upper().startswith(OF_THE_MACHINE)]:
    del os.environ[name]
os.environ.update(
    AIRFLOW_HOME=str(AIRFLOW_HOME),
    AIRFLOW__CORE__UNIT_TEST_MODE="True",
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__METRICS__TIMER_UNIT_CONSISTENCY="True",  # what Airflow 3 always does, and 2.11 warns about
    _AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK="1",  # 2.11 asks before it lets SQLite be used
    AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=f"sqlite:///{AIRFLOW_HOME}/airflow.db",
    AIRFLOW__CORE__DAGS_FOLDER=str(Path(__file__).parents[1] / "example_dags"),
    HYPOTHESIS_NO_PLUGINS="1",  # those of other packages, of which Airflow brings some, take half a second to load
)


def pytest_configure(config: pytest.Config) -> None:
    """Let Airflow be imported, by who runs tests: the process that only hands them out need not wait for that."""
    if config.getoption("dist", "no") != "no" and not hasattr(config, "workerinput"):
        return
    if config.getoption("markexpr", "").startswith("not "):  # else a real Airflow runs, in processes of its own
        _keep_to_one_processor()
        _collect_garbage_seldom()
        _end_at_once()
    # Airflow's first import has its deprecations told, not raised, whatever pyproject.toml wants: that is taken back.
    with warnings.catch_warnings():
        import airflow.configuration  # noqa: F401

        if AIRFLOW < (3, 0):
            # An asset makes Airflow 2 load the libraries of its forms, which use what others have deprecated.
            warnings.simplefilter("ignore")
            from airflow.providers_manager import ProvidersManager

            ProvidersManager()


def _keep_to_one_processor() -> None:
    """
    Keep each of several processes that run tests to a processor of its own.

    The task, the triggerer and the sandbox are threads of one process here, of which one runs at a time. To wake each
    other across processors costs them a fifth of a run's processor time, and a third of its length (measured).
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker and hasattr(os, "sched_setaffinity"):  # Linux
        processors = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {processors[int(worker.removeprefix("gw")) % len(processors)]})


def _collect_garbage_seldom() -> None:
    """
    Let cycles be searched for after 50,000 new objects instead of 700.

    With Airflow there are half a million objects and more that are never garbage, and to see them again and again
    took a tenth of a run's processor time (measured).
    """
    gc.set_threshold(50_000, 10, 10)


def _end_at_once() -> None:
    """
    End a worker of xdist without freeing its objects one by one, which took 3 s (measured).

    By then it has sent what its tests came to. What was registered with atexit before this does not run.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        atexit.register(os._exit, 0)


@pytest.fixture(scope="session", autouse=True)
def _what_was_left_open_is_told() -> Iterator[None]:
    """Search for cycles once more while there is still a test that what is found can fail."""
    yield
    gc.collect()


def pytest_unconfigure(config: pytest.Config) -> None:
    shutil.rmtree(AIRFLOW_HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """Give this run's Airflow home a database, for what needs one: ``dag.test()``, connections, XComs."""
    copy_migrated_database(AIRFLOW_HOME / "airflow.db")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> VirtualClock:
    """A time that the provider and the sandbox share, and that passes at once."""
    from tests.stage.clock import VirtualClock

    clock = VirtualClock()
    monkeypatch.setattr("hevo_provider.clock._of_this_process", clock.clock)
    return clock


@pytest.fixture
def hevo(clock: VirtualClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A Hevo on the virtual clock, and Airflow's default connection to it: without a limit, which has its own tests."""
    from hevo_provider.sandbox import Sandbox

    with Sandbox(clock=clock.now) as sandbox:
        connection = {"conn_type": "hevo", "host": sandbox.url, "login": sandbox.key, "password": sandbox.secret}
        extra = {"requests_per_minute": 0}
        monkeypatch.setenv("AIRFLOW_CONN_HEVO_AIRFLOW_CONN_ID", json.dumps({**connection, "extra": extra}))
        yield sandbox


@pytest.fixture
def ti(clock: VirtualClock) -> TaskInstance:
    """A task instance in its first try."""
    from tests.stage.tasks import TaskInstance

    return TaskInstance(clock)


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Events:
    """What a task's outlets are told."""
    from tests.stage.outlets import Events

    return Events(monkeypatch)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> WireTime:
    """The time on the wire, which can be moved on."""
    from tests.stage.clients import WireTime

    return WireTime(monkeypatch)


@pytest.fixture
def story(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Callable[[], str]:
    """Return a function that tells what has been logged, by workers and triggerers, since it was last asked."""
    caplog.set_level(logging.INFO)

    def told() -> str:
        text = capsys.readouterr().out or caplog.text  # Airflow 3 writes with structlog
        caplog.clear()
        return text

    return told
