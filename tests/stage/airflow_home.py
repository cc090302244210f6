"""A migrated Airflow database, made once per virtual environment and copied for every home that needs one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

AIRFLOW = Path(sys.executable).with_name("airflow")


def copy_migrated_database(target: Path) -> None:
    """
    Put a fresh SQLite database with Airflow's tables at ``target``.

    The first call in a virtual environment runs ``airflow db migrate`` (6 s) and keeps the result beside the
    interpreter, under the Airflow version's name; on 2.11 with the account that its REST API asks for.
    """
    cached = Path(sys.prefix) / f"airflow-{version('apache-airflow')}.db"
    if not cached.exists():
        with tempfile.TemporaryDirectory(prefix="airflow-migrate-") as home:
            _migrate(Path(home))
            # Moved into place at once: another process may be doing the same.
            staged = cached.with_suffix(f".{os.getpid()}")
            shutil.copyfile(Path(home) / "airflow.db", staged)
            staged.replace(cached)
    shutil.copyfile(cached, target)


def _migrate(home: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment |= {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    commands = [["db", "migrate"]]
    if version("apache-airflow").startswith("2."):
        names = ["--username=admin", "--firstname=Test", "--lastname=Admin", "--email=admin@example.invalid"]
        commands.append(["users", "create", "--role=Admin", "--password=admin", *names])
    for command in commands:
        subprocess.run([AIRFLOW, *command], env=environment, cwd=home, check=True, capture_output=True)  # noqa: S603
