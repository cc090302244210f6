"""
Measure all of it and show it: ``python -m benchmarks [--quick] [--json FILE]``.

Run it on a machine that has nothing else to do. Each measurement has a process of its own, the server another one.
Bare and this provider are measured in turns, so that a machine that slows down slows down both; the others once each.
Memory is what the process grows by, as the system counts it.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.report import Row, table
from benchmarks.stage import in_a_process_of_its_own as measured

OPERATORS = {
    "hevo": (
        "hevo_provider.operators",
        "hevo_provider.sensors",
        "hevo_provider.models.job",
        "hevo_provider.models.pipeline",
    ),
    "fivetran": ("fivetran_provider_async.operators", "fivetran_provider_async.sensors"),
    "airbyte": ("airflow.providers.airbyte.operators.airbyte", "airflow.providers.airbyte.sensors.airbyte"),
    "dbt-cloud": ("airflow.providers.dbt.cloud.operators.dbt", "airflow.providers.dbt.cloud.sensors.dbt"),
}
PACKAGES = {
    "hevo": "airflow-provider-hevo",
    "fivetran": "airflow-provider-fivetran-async",
    "airbyte": "apache-airflow-providers-airbyte",
    "dbt-cloud": "apache-airflow-providers-dbt-cloud",
}
PEERS = [name for name in PACKAGES if name != "hevo"]
LATENCY = 0.05  # seconds
HUNG = 100
STALL = 1.0  # seconds that one answer takes


def progress(text: str) -> None:
    """Say what is being measured."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def least_cpu(modules: tuple[str, ...], rounds: int) -> dict[str, Any]:
    """Measure an import, some times: the least that it cost."""
    runs = [measured("benchmarks.imports", *modules) for _ in range(rounds + 1)]
    best: dict[str, Any] = min(runs[1:], key=lambda run: run["cpu"])  # the first one compiles
    return best


def measure(*, quick: bool) -> dict[str, Any]:
    """Measure everything, in seconds and bytes."""
    rounds, seconds, many = (1, 4, 2000) if quick else (5, 8, 10_000)
    found: dict[str, Any] = {"polling": {"bare": [], "hevo": []}, "peers": {}, "imports": {}, "stalls": {}}
    for number in range(rounds):
        for name in ("bare", "hevo"):
            progress(f"1,000 triggers that poll every second: {name} ({number + 1} of {rounds})")
            found["polling"][name].append(measured("benchmarks.polling", name, 1000, 1, seconds))
    for name in PEERS:
        progress(f"1,000 triggers that poll every second: {name}")
        found["peers"][name] = measured("benchmarks.polling", name, 1000, 1, seconds)
    for name in PACKAGES:
        progress(f"one answer that takes {STALL:g} s: {name}")
        found["stalls"][name] = measured("benchmarks.polling", name, 20, 1, 6, STALL)
    progress(f"1,000 triggers, of which {HUNG} get no answer any more")
    found["hung"] = measured("benchmarks.polling", "hevo", 1000, 2, 16, 0, HUNG)
    progress(f"{many:,} triggers in one event loop")
    found["scale"] = measured("benchmarks.scale", many, 15)
    progress("the worker's part of a deferred task")
    found["slot"] = measured("benchmarks.slot", LATENCY)
    for name, modules in OPERATORS.items():
        progress(f"import of operators and sensors: {name}")
        found["imports"][name] = least_cpu(modules, rounds)
    found["imports"]["package"] = least_cpu(("hevo_provider",), rounds)
    return found


def in_turns(found: dict[str, Any], what: str) -> float:
    """Return how many times as much this provider has of something as bare, measured in turns."""
    polling: dict[str, list[dict[str, float]]] = found["polling"]
    return median(ours[what] / bare[what] for ours, bare in zip(polling["hevo"], polling["bare"], strict=True))


def rows(found: dict[str, Any]) -> list[Row]:
    """Hold what was found against the targets."""
    polling, scale, slot, imports = found["polling"]["hevo"], found["scale"], found["slot"], found["imports"]
    opened = max(run["connections_at_start"] + run["connections_while_polling"] for run in polling)
    # The pool may still grow when all are polling; what must not be is a connection of its own for each poll.
    while_polling = max(run["connections_while_polling"] / run["polls"] for run in polling)
    return [
        Row("CPU per poll, 1,000 triggers, beside bare", in_turns(found, "cpu_per_poll"), 1.3, "x"),
        Row("polls per second, same, beside bare", in_turns(found, "polls_per_second"), 0.95, "x", at_least=True),
        Row("TCP connections opened, same", opened, 100, ""),
        Row("of these per poll, once all were polling", while_polling, 0.01, ""),
        Row(f"event-loop lag, p99, {scale['triggers']:,} triggers", scale["lag_p99"] * 1000, 50, "ms"),
        Row("longest delay from a job's end to the event, same", scale["longest_delay"], 16, "s"),
        Row("mean of these delays, less what chance may add", without_chance(scale), 15 / 2 + scale["round_trip"], "s"),
        Row("memory per waiting trigger, same", scale["memory_per_trigger"] / 1024, 8, "KB"),
        Row("clients open at the end, same", scale["open_clients_at_the_end"], 0, ""),
        Row("CPU to import operators, sensors and enums", imports["hevo"]["cpu"] * 1000, 10, "ms"),
        Row("heavy modules loaded by that", len(imports["hevo"]["heavy"]), 0, ""),
        Row("CPU to import hevo_provider", imports["package"]["cpu"] * 1000, 1, "ms"),
        Row("requests until the worker slot is free", slot["requests"], 3, ""),
        Row("slot held beyond two round trips, warm process", slot["beyond_two_round_trips"] * 1000, 60, "ms"),
        Row(
            "longest gap between polls of the others while 100 hang, in intervals",
            found["hung"]["longest_gap"] / 2,
            2,
            "",
        ),
    ]


def without_chance(scale: dict[str, Any]) -> float:
    """Return the mean delay less two standard errors: when a job ends between two looks is drawn by lot."""
    return float(scale["mean_delay"] - 2 * scale["delay_deviation"] / scale["triggers"] ** 0.5)


def beside(found: dict[str, Any]) -> list[list[str]]:
    """Put the providers beside each other, in ratios."""
    bare = median(run["cpu_per_poll"] for run in found["polling"]["bare"])
    import_of = {name: found["imports"][name]["cpu"] for name in PACKAGES}
    lines = [
        ["provider", "CPU per poll / bare", "connections per poll", "stall by a slow answer", "import / this one's"]
    ]
    for name, package in PACKAGES.items():
        run = found["peers"].get(name) or found["polling"]["hevo"][0]
        cpu = in_turns(found, "cpu_per_poll") if name == "hevo" else run["cpu_per_poll"] / bare
        lines.append(
            [
                f"{package} {_version(package)}",
                f"{cpu:.2f}",
                f"{run['connections_while_polling'] / max(1, run['polls']):.2f}",
                f"{found['stalls'][name]['longest_stall'] / STALL:.0%} of its time",
                f"{import_of[name] / import_of['hevo']:.1f}",
            ]
        )
    return lines


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed)"


def main() -> int:
    """Measure, write the figures, show the tables; return 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure what waiting costs.")
    parser.add_argument("--quick", action="store_true", help="once, shorter, with 2,000 triggers: only to try it out")
    parser.add_argument(
        "--json", type=Path, default=Path("build/benchmarks.json"), help="where the figures go (%(default)s)"
    )
    options = parser.parse_args()
    found = measure(quick=options.quick)
    found["versions"] = {name: _version(name) for name in (*PACKAGES.values(), "apache-airflow", "aiohttp")}
    found["python"] = platform.python_version()
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    results = rows(found)
    shown = [["what", "measured", "target", ""], *(row.cells() for row in results)]
    first = found["slot"]["held_by_the_first_task_of_a_process"] - found["slot"]["held"]
    sys.stdout.write(
        f"{table(shown)}\n{table(beside(found))}\n"
        f"A worker's first task holds its slot for {first * 1000:.0f} ms more: aiohttp is imported then.\n"
        f"The figures are in {options.json}.\n"
    )
    return 0 if all(row.reached for row in results) else 1


if __name__ == "__main__":
    sys.exit(main())
