"""
Play a soak and print its figures: ``python -m tests.soak --runs 1000 --seed 7``.

``--only 42`` plays one run of a soak again and tells its story.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from random import SystemRandom

import tests.conftest  # noqa: F401 - gives Airflow a home of its own before anything imports it
from tests.soak.judge import Figures
from tests.soak.plan import plan_of
from tests.soak.stage import Stage


def main() -> int:
    """Return the exit status: 1 if anything happened that must not."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--runs", type=int, default=1000, help="how many runs to play")
    arguments.add_argument("--seed", default=None, help="what the runs are drawn from; a new one if left out")
    arguments.add_argument("--only", type=int, default=None, help="the number of the one run to play")
    asked = arguments.parse_args()
    seed = asked.seed or str(SystemRandom().randrange(10**6))
    numbers = range(asked.runs) if asked.only is None else [asked.only]
    logging.getLogger("hevo_provider").setLevel(logging.WARNING)  # what is asked again is told by the story
    figures, began = Figures(), time.monotonic()
    for number in numbers:
        stage = Stage(plan_of(seed, number))
        stage.play()
        figures.add(stage)
        if asked.only is not None:
            print(stage.plan, *stage.story.lines, *stage.tellings, sep="\n")  # noqa: T201
        elif number % 100 == 99:
            print(f"{number + 1} runs, {len(figures.odd)} odd", flush=True)  # noqa: T201
    print(figures.as_table(seed, time.monotonic() - began))  # noqa: T201
    return 1 if figures.odd else 0


if __name__ == "__main__":
    sys.exit(main())
