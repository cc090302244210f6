"""What code says in a process that has loaded Airflow and has run nothing else: Airflow is loaded once, and forked."""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FORKS = """
import json, os, sys, traceback
from airflow.providers.common.compat.sdk import DAG, BaseOperator, BaseSensorOperator

for line in sys.stdin:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(write, 1)
        os.dup2(write, 2)
        status = 1
        try:
            exec(compile(json.loads(line), "<code>", "exec"), {"__name__": "__main__"})
            status = 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(status)
    os.close(write)
    with open(read) as said:
        text = said.read()
    print("answer", json.dumps([os.waitpid(child, 0)[1], text]), flush=True)
"""


@cache
def _started() -> subprocess.Popen[str]:
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", _FORKS], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def end() -> None:
        with process:  # which closes its pipes and waits for it
            process.kill()

    atexit.register(end)
    return process


def last_line_of(code: str) -> str:
    """Run code after Airflow's classes for tasks and DAGs have been imported: the last line that it prints."""
    process = _started()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(code) + "\n")
    process.stdin.flush()
    for line in process.stdout:
        if line.startswith("answer "):  # Airflow may have written of its own, while it was loaded
            status, text = json.loads(line.removeprefix("answer "))
            assert status == 0, text
            return str(text.splitlines()[-1])
    raise AssertionError("the process that has loaded Airflow is gone")
