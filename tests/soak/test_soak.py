"""A short soak: 50 whole runs through faults, dying workers and dying triggerers. ``make soak`` plays more of them."""

from __future__ import annotations

import pytest

from tests.soak.judge import Figures
from tests.soak.plan import plan_of
from tests.soak.stage import Stage

SEED = "1"
RUNS = 50


def test_every_task_has_one_job_and_learns_how_it_ended() -> None:
    figures = Figures()
    for number in range(RUNS):
        stage = Stage(plan_of(SEED, number))
        stage.play()
        figures.add(stage)

    assert not figures.odd, figures.as_table(SEED, 0)
    assert figures.faults > 0.15 * figures.calls
    assert figures.workers_lost > 5
    assert figures.triggerers_lost > 0
    assert figures.twins > 0


@pytest.mark.parametrize("number", [11, 40])
def test_a_seed_and_a_number_play_the_same_run_again(number: int) -> None:
    first, second = Stage(plan_of(SEED, number)), Stage(plan_of(SEED, number))

    first.play()
    second.play()

    assert first.clock.now() == second.clock.now()
    assert [(told.verdict, told.job_id) for told in first.tellings] == [
        (told.verdict, told.job_id) for told in second.tellings
    ]
    assert [job.created_at for job in first.pipeline.jobs] == [job.created_at for job in second.pipeline.jobs]
