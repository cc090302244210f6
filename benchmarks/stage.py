"""What every measurement needs: a server in another process, a count of what it saw, and a look at the event loop."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.server import LISTENING

ROOT = Path(__file__).parents[1]
LAG_CHECK = 0.01  # seconds


class Stand:
    """The stand-in server, seen from outside."""

    def __init__(self, port: int) -> None:
        self.port = port

    def set(self, **values: float) -> None:
        """Change what it plays."""
        self._ask("set", **values)

    def reset(self) -> None:
        """Let it count from zero."""
        self._ask("reset")

    def counts(self) -> dict[str, float]:
        """Return what it has seen."""
        return self._ask("counts")

    def _ask(self, command: str, **values: float) -> dict[str, float]:
        query = "&".join(f"{name}={value}" for name, value in values.items())
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/_/{command}?{query}") as answer:
            counts: dict[str, float] = json.load(answer)
        return counts


@contextmanager
def stand_in() -> Iterator[Stand]:
    """Run the server for as long as the block lasts."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.server"], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith(LISTENING):
            raise RuntimeError("the stand-in server did not start")
        yield Stand(int(line.split()[-1]))
    finally:
        process.terminate()
        process.wait()


def in_a_process_of_its_own(module: str, *arguments: object) -> Any:
    """Run ``python -m module arguments…``: the JSON value that it prints last."""
    command = [sys.executable, "-W", "ignore", "-m", module, *map(str, arguments)]
    with tempfile.TemporaryDirectory() as home:
        # What is logged is not what is measured; an Airflow of the user's own is neither read nor written.
        settings = {
            "AIRFLOW_HOME": home,
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
            "PYTHONDONTWRITEBYTECODE": "",  # what is installed is compiled
        }
        run = subprocess.run(command, cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{run.stderr[-2000:]}")
    return json.loads(run.stdout.splitlines()[-1])


class Lag:
    """How late the event loop is: whoever blocks it, and for how long."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    async def watch(self) -> None:
        """Look a hundred times a second."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_CHECK
            await asyncio.sleep(LAG_CHECK)
            self.seen.append(loop.time() - due)

    def at(self, share: float) -> float:
        """Return the lag that only this share of looks stayed below, in seconds."""
        return sorted(self.seen)[min(len(self.seen) - 1, int(len(self.seen) * share))]


async def round_trip(port: int) -> float:
    """Measure what one request takes, on a connection that is open."""
    import aiohttp

    async with aiohttp.ClientSession() as session:
        took = 0.0
        for _ in range(3):
            began = time.monotonic()
            async with session.get(f"http://127.0.0.1:{port}/api/v1/pipelines/1") as response:
                await response.read()
            took = time.monotonic() - began
        return took


def resident_memory() -> int:
    """Return the bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096


def say(value: Any) -> None:
    """Print the result of a measurement, for the process that asked for it."""
    sys.stdout.write(json.dumps(value) + "\n")
