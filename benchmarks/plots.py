"""
Draw the plots of docs/performance.md: ``python -m benchmarks.plots``.

What the benchmarks have written into build/ is first taken into measured.json, which is kept with the code: so each
plot can be drawn again without measuring again. It names the version that was measured, and when.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt

ROOT = Path(__file__).parents[1]
MEASURED = Path(__file__).with_name("measured.json")
IMAGES = ROOT / "docs/images"
NAMES = {"hevo": "airflow-provider-hevo", "fivetran": "Fivetran", "airbyte": "Airbyte", "dbt-cloud": "dbt Cloud"}
OURS, OTHERS = "#3f51b5", "#9fa8da"
# Text stays text, and the same figures make the same file.
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "hevo", "font.family": "sans-serif", "font.size": 11}
STYLE |= {"axes.spines.top": False, "axes.spines.right": False}


def main() -> int:
    """Take in what was measured, and draw all that there are figures for."""
    measured: dict[str, Any] = json.loads(MEASURED.read_text(encoding="utf-8"))
    for name, taken in (("benchmarks", from_bench), ("limit", from_limit)):
        source = ROOT / f"build/{name}.json"
        if source.exists():
            when = datetime.fromtimestamp(source.stat().st_mtime, UTC)
            measured |= taken(json.loads(source.read_text(encoding="utf-8")), f"{when:%B %Y}")
    MEASURED.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    with mpl.rc_context(STYLE):
        for name, draw in (("cpu_per_poll", draw_cpu), ("limit", draw_limit)):
            if name in measured:
                draw(measured[name])
                plt.savefig(IMAGES / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")
                plt.close()
                sys.stdout.write(f"docs/images/{name}.svg\n")
    return 0


def from_bench(found: dict[str, Any], when: str) -> dict[str, Any]:
    """Take CPU per poll beside the bare loop from what ``make bench`` has written."""
    bare = median(run["cpu_per_poll"] for run in found["polling"]["bare"])
    ours = median(run["cpu_per_poll"] for run in found["polling"]["hevo"])
    peers = {name: found["peers"][name]["cpu_per_poll"] for name in NAMES if name != "hevo"}
    ratios = {name: round(cpu / bare, 2) for name, cpu in {"hevo": ours, **peers}.items()}
    of = f"{found['versions']['airflow-provider-hevo']}, {when}"
    return {"cpu_per_poll": {"of": of, "beside_bare": ratios}}


def from_limit(found: dict[str, Any], when: str) -> dict[str, Any]:
    """Take how late an end is seen from what ``make bench-limit`` has written, in seconds, for the plainest stages."""
    plain = {"history": "none", "retry_after": False, "triggerers": 1, "others": 0.0, "lasts": [600.0, 2400.0]}
    stages = [stage for stage in found["stages"] if stage.items() >= plain.items()]
    kept = [
        {
            "waits": stage["waits"],
            "mean": round(stage["mean_delay"]),
            "p95": round(stage["p95_delay"]),
            "even": round(stage["mean_delay"] / stage["beside_even_round"]),
        }
        for stage in sorted(stages, key=lambda stage: stage["waits"])
    ]
    return {"limit": {"of": f"{found['version']}, {when}", "stages": kept}}


def draw_cpu(figures: dict[str, Any]) -> None:
    """Draw how much CPU a poll takes, beside a loop that does nothing else."""
    ratios = figures["beside_bare"]
    _, axes = plt.subplots(figsize=(7, 2.4))
    names = [name for name in NAMES if name in ratios][::-1]
    bars = axes.barh(
        [NAMES[name] for name in names],
        [ratios[name] for name in names],
        color=[OURS if name == "hevo" else OTHERS for name in names],
    )
    axes.bar_label(bars, fmt="%.2g", padding=4)
    axes.axvline(1, color="black", linewidth=0.8, linestyle="--")
    axes.set_xlabel("CPU per poll; 1 is a bare aiohttp loop")
    axes.set_title(f"1,000 waiting tasks in one event loop ({figures['of']})", loc="left", fontsize=11)


def draw_limit(figures: dict[str, Any]) -> None:
    """Draw how late the end of a job is seen where Hevo's limit is shared by many waits."""
    stages = figures["stages"]
    _, axes = plt.subplots(figsize=(7, 2.8))
    waits = [f"{stage['waits']:,}" for stage in stages]
    axes.plot(waits, [stage["p95"] for stage in stages], color=OTHERS, marker="o", label="95 of 100")
    axes.plot(waits, [stage["mean"] for stage in stages], color=OURS, marker="o", label="mean")
    axes.plot(waits, [stage["even"] for stage in stages], color="black", linestyle="--", label="a perfect even round")
    axes.set_xlabel("waiting tasks with one API key")
    axes.set_ylabel("seconds")
    axes.set_title(f"How late the end of a job is seen ({figures['of']})", loc="left", fontsize=11)
    axes.legend(frameon=False)


if __name__ == "__main__":
    sys.exit(main())
