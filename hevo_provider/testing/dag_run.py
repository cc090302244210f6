"""``HevoRun``: what became of a DAG that Airflow's own ``dag.test()`` has run, on its own database and time."""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self, TypeVar

import pytest

from hevo_provider.testing.clock import VirtualClock

if TYPE_CHECKING:
    from hevo_provider.sandbox import Sandbox

T = TypeVar("T")

OUT_OF_TIME = "The test has waited long enough"


class State(str):
    """
    The state of a task or a run, a plain text to compare with.

    :param why: with which words it has failed; pytest shows them where an assert does not hold.
    """

    __slots__ = ("why",)
    why: str

    def __new__(cls, state: str, why: str = "") -> Self:
        """Make a text that knows more."""
        made = super().__new__(cls, state)
        made.why = why
        return made


class ByTask(dict[str, T]):
    """Something for each task, by its id; of a mapped task for each instance: ``sync[0]``, ``sync[1]``."""

    def __missing__(self, task: str) -> T:
        """Say which tasks there are."""
        raise KeyError(f"There is no task {task!r} in this run. There are: {', '.join(self) or 'none'}.")

    @property
    def why(self) -> str:
        """With which words tasks have failed, a line for each."""
        states: dict[str, State] = {task: each for task, each in self.items() if isinstance(each, State)}
        return "\n".join(f"{task}: {state.why}" for task, state in states.items())


@dataclass(frozen=True)
class HevoRun:
    """
    What became of a DAG that a test has run.

    :param state: of the run: ``"success"`` or ``"failed"``.
    :param states: of each task, such as ``"success"``, ``"failed"``, ``"skipped"``, ``"upstream_failed"``.
    :param xcoms: what each task has pushed, by key: ``run.xcoms["load"]["hevo_job"]["events_loaded"]``. What it has
        returned is ``return_value``.
    :param logs: what each task has logged, over all its tries and while it was deferred; one line each, such as
        ``WARNING - Pipeline 7: …``.
    """

    state: str
    states: Mapping[str, str | None]
    xcoms: Mapping[str, Mapping[str, Any]] = field(repr=False)
    logs: Mapping[str, str] = field(repr=False)


def _last_error(log: str) -> str:
    """Return the exception that a task has failed with: the last line of the last entry that is an error."""
    entries = re.split(r"^(?=[A-Z]+ - )", log, flags=re.MULTILINE)
    errors = [entry for entry in entries if entry.startswith(("ERROR", "CRITICAL"))]
    return errors[-1].splitlines()[-1].removeprefix("ERROR - ") if errors else "nothing in its log says why"


class TestTime(VirtualClock):
    """
    The time of a test. It begins now, and passes when somebody sleeps.

    :param limit: seconds of CPU time that a try of a task may keep a test waiting: a busy machine does not make them
        more.
    """

    __test__ = False  # it is no test

    def __init__(self, limit: float) -> None:
        super().__init__(time.time())
        self.limit = limit
        self.is_over = False
        self._started = time.process_time()
        self.began = self.now()

    def begin_task(self) -> None:
        """Note that a try of a task begins."""
        self.began = self.now()
        self._started = time.process_time()

    async def sleep(self, seconds: float) -> None:
        """Let seconds pass, unless the test has waited long enough."""
        self._check()
        await super().sleep(seconds)

    def sleep_in_thread(self, seconds: float) -> None:
        """Let seconds pass, for code that blocks."""
        self._check()
        self.advance(seconds)

    def _check(self) -> None:
        self.is_over = self.is_over or time.process_time() - self._started > self.limit
        if self.is_over:
            raise TimeoutError(f"{OUT_OF_TIME}: {self.limit:g} s of CPU time.")


class DagTest:
    """
    Runs DAGs in a test: the fixture ``hevo_run``.

    Airflow runs the tasks by its own ``dag.test()``, in this process, on a database that only this run has. Everything
    else is the real thing but time: what the provider waits for passes at once, and retries come without delay.

    :param hevo: the sandbox that all of the DAG's connections to Hevo lead to.
    :param database: a migrated SQLite database, which is copied.
    :param folder: for that copy.
    """

    def __init__(self, hevo: Sandbox, database: Path, folder: Path) -> None:
        self._hevo = hevo
        self._database = database
        self._folder = folder

    def __call__(
        self,
        dag: Any,
        *,
        conf: Mapping[str, Any] | None = None,
        logical_date: datetime | None = None,
        within: float = 10.0,
    ) -> HevoRun:
        """
        Run a DAG to its end.

        :param dag: the DAG itself, not its id.
        :param conf: the run's configuration, which overrides the DAG's ``params``.
        :param logical_date: of the run, with a time zone; now if it is left out.
        :param within: seconds of CPU time that a task may wait for its job, which are thousands of polls; then the test
            fails.
        :returns: what became of it.
        :raises TypeError: this is no DAG, or a test that is ``async def``.
        """
        _check_call(dag)
        from hevo_provider.compat import dag_test, listening_to_tasks, states_and_xcoms_of, store_dag

        clock = TestTime(within)
        clock.advance(max(0.0, self._hevo.clock() - clock.now()))  # the test has run a DAG before
        self._hevo.clock = clock.now
        copy = self._folder / f"airflow-{len(list(self._folder.iterdir()))}.db"
        shutil.copyfile(self._database, copy)
        with (
            warnings.catch_warnings(),
            airflow_on(copy),
            self._at_once(dag, clock),
            listening_to_tasks(dag, clock.begin_task) as logs,
        ):
            # A test may want warnings to be errors; those of Airflow's own libraries would fail every task.
            warnings.simplefilter("default")
            store_dag(dag)
            run = dag_test(dag, conf, logical_date)
            states, xcoms = states_and_xcoms_of(dag, run)
        logs = {name: logs.get(name, "") for name in states}  # one that never started has told nothing
        told = ByTask(
            {
                name: State(state, _last_error(logs[name])) if state == "failed" else state
                for name, state in states.items()
            }
        )
        done = HevoRun(State(run.state, told.why), told, ByTask(xcoms), ByTask(logs))
        if clock.is_over:
            pytest.fail(_out_of_time(dag.dag_id, done, within), pytrace=False)
        return done

    @contextmanager
    def _at_once(self, dag: Any, clock: TestTime) -> Iterator[None]:
        """Let all of Hevo's connections lead to the sandbox, and nothing wait: polls, pokes, retries."""
        from airflow.providers.common.compat.sdk import BaseOperator, BaseSensorOperator, Connection

        from hevo_provider.hooks import HevoHook
        from hevo_provider.sensors import HevoSensor

        hevo = self._hevo
        connection = Connection(conn_id="hevo", conn_type="hevo", host=hevo.url, login=hevo.key, password=hevo.secret)

        async def look_up(*_: object) -> Any:
            return connection

        sensors = sys.modules[BaseSensorOperator.__module__]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hevo_provider.clock._of_this_process", clock.clock)
            # Whatever a connection is called, and wherever a developer's Airflow leads it: a test starts no real job.
            patch.setattr("hevo_provider.hooks.get_async_connection", look_up)
            patch.setattr(HevoHook, "get_connection", classmethod(lambda *_: connection))
            # Airflow dates a task by the real time, which the test's is ahead of.
            patch.setattr("hevo_provider.tasks.task.started_at", lambda _: clock.began)
            patch.setattr(sensors, "time", SimpleNamespace(monotonic=clock.now, sleep=clock.sleep_in_thread))
            for task in dag.tasks:
                is_mapped = not isinstance(task, BaseOperator)
                changes: dict[str, Any] = {"retry_delay": timedelta(0), "retry_exponential_backoff": False}
                if issubclass(task.operator_class if is_mapped else type(task), HevoSensor):
                    changes["mode"] = "poke"  # a rescheduled sensor would wait for Airflow's own, real time
                for name, value in changes.items():
                    if is_mapped:
                        patch.setitem(task.partial_kwargs, name, value)
                    else:
                        patch.setattr(task, name, value)
            yield


def _check_call(dag: Any) -> None:
    from airflow.providers.common.compat.sdk import DAG

    if not isinstance(dag, DAG):
        raise TypeError(
            f"hevo_run wants the DAG itself, such as `from dags.orders import dag`, or what a function with @dag "
            f"returns; not {type(dag).__name__} {dag!r}."
        )
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise TypeError("hevo_run blocks until the DAG has ended: call it in a test that is `def`, not `async def`.")


def _out_of_time(dag_id: str, run: HevoRun, within: float) -> str:
    waiting = [task for task, log in run.logs.items() if OUT_OF_TIME in log]
    lines = [f"The DAG {dag_id!r} waited on after {within:g} s of CPU time, which are thousands of polls:"]
    lines += [f"  {task}: {_last_told(run.logs[task])}" for task in waiting]
    lines.append("Does the sandbox's job ever end (duration=None does not)? A task's `timeout` ends its wait sooner.")
    return "\n".join(lines)


def _last_told(log: str) -> str:
    lines = [line for line in log.splitlines() if line.startswith(("INFO", "WARNING")) and "Pipeline" in line]
    return lines[-1].partition(" - ")[2] if lines else "it has told nothing"


def migrate(database: Path) -> None:
    """Make an SQLite database with Airflow's tables. It takes a second."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    with warnings.catch_warnings(action="ignore"), airflow_on(database):
        from airflow.utils import db

        try:
            db.upgradedb()
        finally:  # Airflow 2's migration sets logging up as its own command would want it
            root.setLevel(level)
            root.handlers[:] = handlers


@contextmanager
def airflow_on(database: Path) -> Iterator[None]:
    """Let this process's Airflow use an SQLite database, and no bundle of DAGs, for as long as the block lasts."""
    from airflow import settings

    def configure() -> None:
        with warnings.catch_warnings(action="ignore"):  # Airflow 2 loads its web server to let go of a database
            settings.dispose_orm()
            settings.configure_vars()
            settings.configure_orm()

    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"sqlite+aiosqlite:///{database}",
            "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": "[]",  # else dag.test() reads every file there
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",  # Airflow 2.11 may have an executor set
        }.items():
            environment.setenv(name, value)
        try:
            configure()
            yield
        finally:
            environment.undo()
            configure()
