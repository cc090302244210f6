"""
A real Airflow without a terminal: scheduler, DAG processor, web server and triggerers as processes of their own.

It is the Airflow of the interpreter that runs this module, on SQLite and LocalExecutor, with a home folder and free
ports of its own::

    with AirflowLab(home, dags) as lab:
        lab.api.add_connection("hevo_airflow_conn_id", conn_type="hevo", host="http://127.0.0.1:8123")
        lab.api.trigger("my_dag", "run_1")
        lab.api.wait_task("my_dag", "run_1", "sync")

Components can be killed, stalled, woken and started again, and a second triggerer can join.
"""

from __future__ import annotations

import base64
import os
import secrets
import signal
import socket
import subprocess
import time
from contextlib import ExitStack, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Self

import psutil

from tests.e2e.airflow_api import AirflowApi, wait_for
from tests.stage.airflow_home import AIRFLOW, copy_migrated_database

STOP_TIMEOUT = 5.0  # seconds that a component has to end by itself


class AirflowLab:
    """
    One Airflow, from start to stop.

    :param home: folder for the database, logs and whatever else Airflow writes; made if missing.
    :param dags: the DAG folder.
    :param environment: further settings, such as ``AIRFLOW__CORE__PARALLELISM``.
    """

    def __init__(self, home: Path, dags: Path, *, environment: dict[str, str] | None = None) -> None:
        self.home = home
        self.version = version("apache-airflow")
        v3 = not self.version.startswith("2.")
        web, workers = free_ports(2)
        self.api = AirflowApi(f"http://127.0.0.1:{web}", v3=v3)
        self.environment = (
            {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST"))}
            | _settings(home, dags, workers)
            | (_settings_of_3(web) if v3 else _settings_of_2(web))
            | (environment or {})
        )
        self.components = ["scheduler", "triggerer", *(("dag-processor", "api-server") if v3 else ("webserver",))]
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._sessions: set[int] = set()

    def __enter__(self) -> Self:
        self.home.mkdir(parents=True, exist_ok=True)
        self._make_database()
        try:
            for component in self.components:
                self.start(component)
            wait_for("Airflow to be healthy", self._is_healthy, timeout=120)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, component: str) -> None:
        """
        Start a component, also again after it was killed, or one more triggerer (``triggerer-2``).

        :raises RuntimeError: it is running. Two schedulers on SQLite, which locks no rows, start every task twice.
        """
        if component in self._processes and self._processes[component].poll() is None:
            raise RuntimeError(f"{component} is running")
        command, settings = self._how_to_run(component)
        folder = self.home / component
        folder.mkdir(exist_ok=True)
        with self.output(component).open("ab") as output:
            self._processes[component] = subprocess.Popen(
                [AIRFLOW, *command],
                env=self.environment | settings,
                cwd=folder,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._sessions.add(self._processes[component].pid)

    def output(self, component: str) -> Path:
        """Name the file with everything that a component printed."""
        return self.home / f"{component}.out"

    def errors(self, most: int = 10) -> str:
        """Return the last lines in which each component complained."""
        found = []
        for component in self.components:
            lines = self.output(component).read_text(errors="replace").splitlines()
            complaints = [line[:1000] for line in lines if "[error " in line or " ERROR - " in line]
            found += [f"{component}: {line}" for line in complaints[-most:]]
        return "\n".join(found)

    def kill(self, component: str) -> None:
        """Kill a component and all of its processes at once, as a machine that dies would."""
        self._signal(component, signal.SIGKILL)
        self._processes[component].wait()

    def terminate(self, component: str) -> None:
        """Stop a component as a deployment would, and wait until it is gone."""
        process = self._processes[component]
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill(component)

    def stall(self, component: str) -> None:
        """Freeze a component: it neither works nor notices that time goes by."""
        self._signal(component, signal.SIGSTOP)

    def wake(self, component: str) -> None:
        """Let a frozen component go on."""
        self._signal(component, signal.SIGCONT)

    def triggerer_of(self, dag_id: str, run_id: str, task_id: str) -> str:
        """Wait until a triggerer has taken up a deferred task, and name that component."""

        def name() -> str | None:
            job = self.api.task(dag_id, run_id, task_id)["triggerer_job"]
            return Path(job["hostname"]).name if job else None

        return wait_for(f"{dag_id}/{run_id}/{task_id} to be taken up by a triggerer", name)

    def task_process(self, dag_id: str, run_id: str, task_id: str) -> psutil.Process:
        """Find the process in which a worker runs a task right now, to kill or terminate it."""
        self.api.wait_task(dag_id, run_id, task_id, ("running",))
        return psutil.Process(self.api.task(dag_id, run_id, task_id)["pid"])

    def stop(self) -> None:
        """Stop every component, then whatever of this Airflow is still alive; nothing is left running."""
        processes = self.processes()
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        deadline = time.monotonic() + STOP_TIMEOUT
        for process in self._processes.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
        # What is killed takes a moment to be gone, and may have started something just before.
        survivors = {*processes, *self.processes()}
        while survivors and time.monotonic() < deadline + STOP_TIMEOUT:
            for survivor in survivors:
                with suppress(psutil.NoSuchProcess):
                    survivor.kill()
            psutil.wait_procs(survivors, timeout=1)
            survivors = set(self.processes())
        for process in self._processes.values():
            process.wait()

    def processes(self) -> list[psutil.Process]:
        """Find every living process of this Airflow: the sessions of its components, and tasks that left them."""
        found: set[psutil.Process] = set()
        for process in psutil.process_iter():
            with suppress(psutil.Error, ProcessLookupError):
                if os.getsid(process.pid) in self._sessions:
                    found.update((process, *process.children(recursive=True)))
        return sorted((process for process in found if _is_alive(process)), key=lambda process: process.pid)

    def _make_database(self) -> None:
        """Put Airflow's tables where the settings say."""
        copy_migrated_database(self.home / "airflow.db")

    def _how_to_run(self, component: str) -> tuple[list[str], dict[str, str]]:
        """Return the words after ``airflow`` that start a component, and the settings that it has for itself."""
        if not component.startswith("triggerer"):
            return [component], {}
        # All share one machine: the folder that it runs in is what Airflow's tables tell a triggerer by.
        port = free_ports(1)[0]
        return ["triggerer"], {
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(port),
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "os.getcwd",
        }

    def _is_healthy(self) -> bool:
        for component, process in self._processes.items():
            if process.poll() is not None:
                printed = self.output(component).read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{component} ended with code {process.returncode}:\n{printed}")
        return self.api.is_healthy()

    def _signal(self, component: str, signal_number: signal.Signals) -> None:
        leader = psutil.Process(self._processes[component].pid)
        for process in (leader, *leader.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal_number)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def free_ports(count: int) -> list[int]:
    """Find as many TCP ports of the loopback interface that nothing listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _settings(home: Path, dags: Path, worker_log_port: int) -> dict[str, str]:
    return {
        "PATH": f"{AIRFLOW.parent}{os.pathsep}{os.environ['PATH']}",  # `gunicorn` is found by name
        "PYTHONUNBUFFERED": "1",
        "NO_COLOR": "1",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags.resolve()),
        # Components that start together would each make up a key of their own.
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(worker_log_port),
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
        # A triggerer that died or stalled is given up after 8 s instead of 30 s: the tests wait for that.
        "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "8",
    }


def _settings_of_3(port: int) -> dict[str, str]:
    url = f"http://127.0.0.1:{port}"
    return {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "5",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
    }


def _settings_of_2(port: int) -> dict[str, str]:
    return {
        # 2.11 refuses SQLite with any executor that runs two tasks at once; for one machine and minutes it does.
        "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
        "AIRFLOW__WEBSERVER__WEB_SERVER_HOST": "127.0.0.1",
        "AIRFLOW__WEBSERVER__WEB_SERVER_PORT": str(port),
        "AIRFLOW__WEBSERVER__WORKERS": "1",
        "AIRFLOW__WEBSERVER__SECRET_KEY": secrets.token_hex(32),
        "AIRFLOW__API__AUTH_BACKENDS": "airflow.providers.fab.auth_manager.api.auth.backend.basic_auth",
        "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "5",
        "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "5",
    }
