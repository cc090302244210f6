"""
PostgreSQL and Redis as child processes, each in a folder and on a port of its own.

The programs are Debian's; ``make cluster`` installs them. What the system itself runs of them is left alone.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.airflow_api import wait_for
from tests.e2e.airflow_lab import free_ports

DEBIAN = Path("/usr/lib/postgresql")  # its programs are in a folder per version, and not all on PATH
CONNECTIONS = 200  # of PostgreSQL: every process of Airflow keeps some
STOP_TIMEOUT = 10.0  # seconds


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """
    Run a PostgreSQL.

    It refuses to run as root; then it runs as the user that Debian's package has made for it.

    :param folder: for its data; must be below folders that every user may enter. Made if missing.
    :returns: host, port, user and database, as in ``airflow@127.0.0.1:5432/postgres``.
    """
    programs = _newest_postgresql()
    folder.mkdir(parents=True, exist_ok=True)
    user: dict[str, Any] = {}
    if os.geteuid() == 0:
        user = {"user": "postgres", "group": "postgres", "extra_groups": []}
        shutil.chown(folder, "postgres", "postgres")
    data, port = folder / "data", free_ports(1)[0]
    who = ["--username=airflow", "--auth=trust", "--encoding=UTF8", "--no-sync"]
    subprocess.run(
        [programs / "initdb", *who, "--locale=C.UTF-8", data], check=True, capture_output=True, cwd=folder, **user
    )
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": folder,
        "max_connections": CONNECTIONS,
        "fsync": "off",  # it lives for one test run: a crash of the machine may lose it
    }
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    command = [programs / "postgres", "-D", data, *words]
    ready = [programs / "pg_isready", "--quiet", "--host=127.0.0.1", f"--port={port}"]
    with _running(command, folder, ready, user):
        yield f"airflow@127.0.0.1:{port}/postgres"


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """
    Run a Redis that writes nothing to disk.

    :param folder: that it runs in. Made if missing.
    :returns: its URL.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_ports(1)[0]
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", folder]
    with _running(command, folder, ["redis-cli", "-p", str(port), "ping"], {}):
        yield f"redis://127.0.0.1:{port}/0"


def _newest_postgresql() -> Path:
    """Return the folder with the programs of the newest PostgreSQL."""
    found = [path.parent for path in DEBIAN.glob("*/bin/postgres")]
    if not found:
        raise FileNotFoundError(f"There is no PostgreSQL in {DEBIAN}. `make cluster` installs it.")
    return max(found, key=lambda path: [int(digits) for digits in re.findall(r"\d+", path.parent.name)])


@contextmanager
def _running(command: list[Any], folder: Path, ready: list[Any], user: dict[str, Any]) -> Iterator[None]:
    """Run a server from when it answers until the end of the block."""
    name = Path(command[0]).name
    log = folder.with_suffix(".out")
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=output, start_new_session=True, **user)
    try:
        wait_for(f"{name} to answer", lambda: _answers(ready, process, log), timeout=30)
        yield
    finally:
        process.send_signal(signal.SIGINT)  # PostgreSQL waits for no client then
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(ready: list[Any], process: subprocess.Popen[bytes], log: Path) -> bool:
    if process.poll() is not None:
        raise RuntimeError(
            f"{log.stem} ended with code {process.returncode}:\n{log.read_text(errors='replace')[-2000:]}"
        )
    return subprocess.run(ready, check=False, capture_output=True).returncode == 0
