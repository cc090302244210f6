"""A real Airflow in the shape in which it is run in production: on PostgreSQL and Redis, with Celery workers."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Self

from tests.cluster.servers import postgresql, redis
from tests.e2e.airflow_api import wait_for
from tests.e2e.airflow_lab import AirflowLab
from tests.stage.airflow_home import AIRFLOW

WORKERS = ("worker-1", "worker-2")
TRIGGERERS = ("triggerer-1", "triggerer-2")
SLOTS = 12  # of each worker, so that one alone can hold all blocking tasks of a test
LEAVE_TIMEOUT = 45.0  # seconds for a component that ends by itself


class AirflowCluster(AirflowLab):
    """
    Scheduler, DAG processor and API server, two Celery workers and two triggerers.

    :param home: folder for whatever Airflow writes.
    :param servers: folder for what the database and the broker write, which every user may enter.
    :param dags: the DAG folder.
    """

    def __init__(self, home: Path, servers: Path, dags: Path) -> None:
        super().__init__(home, dags, environment=_SETTINGS)
        self.components = ["scheduler", "dag-processor", "api-server", *WORKERS, *TRIGGERERS]
        self._folder = servers
        self._servers = ExitStack()
        self._releases: dict[str, Path] = {}
        self._printed_before: dict[str, int] = {}  # bytes, by an earlier process of a component

    def __enter__(self) -> Self:
        try:
            database = self._servers.enter_context(postgresql(self._folder / "postgresql"))
            broker = self._servers.enter_context(redis(self._folder / "redis"))
            self.environment |= {
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+asyncpg://{database}",
                "AIRFLOW__CELERY__BROKER_URL": broker,
                "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{database}",
            }
            super().__enter__()
            self._wait_workers(*WORKERS)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop every component, and then the servers."""
        try:
            super().stop()
        finally:
            self._servers.close()

    def use_release(self, folder: Path | None, *components: str) -> None:
        """
        Say which release of the provider components have when they are started the next time.

        :param folder: that has the package ``hevo_provider``; None for the one under test.
        """
        for component in components:
            self._releases.pop(component, None)
            if folder is not None:
                self._releases[component] = folder

    def provider_of(self, component: str) -> Path:
        """Return from where a component, started now, loads the provider."""
        command = [str(AIRFLOW.with_name("python")), "-c", "import hevo_provider; print(hevo_provider.__file__)"]
        _, settings = self._how_to_run(component)
        environment = self.environment | settings
        printed = subprocess.run(
            command, env=environment, cwd=self.home, capture_output=True, text=True, check=True
        ).stdout
        return Path(printed.strip())

    def restart(self, *components: str) -> None:
        """Start components again, and wait until those of them that are workers take up tasks."""
        for component in components:
            self._printed_before[component] = self.output(component).stat().st_size
            self.start(component)
        self._wait_workers(*components)

    def kill_all(self, *components: str) -> None:
        """Kill components at once, as a machine that dies would."""
        for component in components:
            self.kill(component)

    def ask_to_leave(self, *components: str) -> None:
        """Send components the SIGTERM of a deployment, and do not wait: a worker goes on until its tasks are done."""
        for component in components:
            if self._processes[component].poll() is None:
                self._processes[component].send_signal(signal.SIGTERM)

    def wait_gone(self, *components: str) -> None:
        """Wait until components that were asked to have left."""
        for component in components:
            self._processes[component].wait(LEAVE_TIMEOUT)

    def _wait_workers(self, *components: str) -> None:
        for worker in (component for component in components if component.startswith("worker")):
            wait_for(f"{worker} to be ready", partial(self._is_ready, worker), timeout=60)

    def _make_database(self) -> None:
        migrate = [str(AIRFLOW), "db", "migrate"]
        subprocess.run(migrate, env=self.environment, cwd=self.home, check=True, capture_output=True)

    def _how_to_run(self, component: str) -> tuple[list[str], dict[str, str]]:
        command, settings = super()._how_to_run(component)
        if component.startswith("worker"):
            command = ["celery", "worker", "--skip-serve-logs", f"--celery-hostname={component}"]
            command += [f"--pid={self.home / component / 'pid'}"]
            settings = {"AIRFLOW__CORE__HOSTNAME_CALLABLE": "os.getcwd"}  # as for triggerers
        if component in self._releases:
            settings["PYTHONPATH"] = os.fspath(self._releases[component])
        return command, settings

    def _is_ready(self, worker: str) -> bool:
        printed = self.output(worker).read_bytes()[self._printed_before.get(worker, 0) :].decode(errors="replace")
        if (code := self._processes[worker].poll()) is not None:
            raise RuntimeError(f"{worker} ended with code {code}:\n{printed[-2000:]}")
        return f"{worker} ready" in printed


_SETTINGS = {
    "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
    "AIRFLOW__CORE__PARALLELISM": str(2 * SLOTS),
    "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": str(2 * SLOTS),
    "AIRFLOW__CELERY__WORKER_CONCURRENCY": str(SLOTS),
    # A worker that is lost is noticed after 20 s instead of 5 minutes, and a scheduler after 10 s: the tests wait for
    # that.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
}
