"""What a run goes through: drawn once from the seed and the run's number."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

ENDS = ["COMPLETED"] * 6 + ["COMPLETED_WITH_FAILURES", "COMPLETED_WITH_FAILURES", "FAILED", "CANCELLED"]
REFUSALS = [
    "A job is already in progress for this pipeline",
    "job is in progress",
    "Pipeline is already running",
    "Another job is active",
]
ONE_IN_SHARED = 5
DEADLY_WORKERS, DEADLY_TRIGGERERS, TWINS = 0.25, 0.25, 0.1
HURRIED_TASKS = 0.1
LONGEST_LIFE = 16  # steps of a process that dies


@dataclass(frozen=True)
class Plan:
    """
    One run, or two that share a pipeline.

    :param seed: of the whole soak.
    :param number: of the run.
    :param pipeline: settings of the sandbox's pipeline.
    :param tasks: parameters of the operators, each in a DAG of its own.
    :param begins: seconds after which each of them starts.
    :param history: seconds ago at which older jobs were started.
    :param other_job: seconds for which an older job runs on; None: there is none.
    """

    seed: str
    number: int
    pipeline: dict[str, Any]
    tasks: tuple[dict[str, Any], ...]
    begins: tuple[float, ...]
    history: tuple[float, ...] = ()
    other_job: float | None = None
    shared_with: str | None = field(default=None)

    @property
    def is_alone(self) -> bool:
        """Whether no other job than the run's own is at work."""
        return self.shared_with is None and self.other_job is None

    def dice(self, *purpose: object) -> Random:
        """Return a generator for one purpose, the same at each call."""
        return Random("/".join(map(str, (self.seed, self.number, *purpose))))

    def worker_dies_after(self, task: int, number: int) -> int | None:
        """Return the steps that a task's worker takes before it dies, or None."""
        dice = self.dice("worker", task, number)
        return dice.randrange(LONGEST_LIFE) if dice.random() < DEADLY_WORKERS else None

    def triggerer_dies_after(self, task: int, number: int) -> int | None:
        """Return the steps that a task's trigger takes before its triggerer dies, or None."""
        dice = self.dice("triggerer", task, number)
        return dice.randrange(LONGEST_LIFE) if dice.random() < DEADLY_TRIGGERERS else None

    def has_twin(self, task: int, number: int) -> bool:
        """Return whether a triggerer that is believed to be dead runs the trigger too."""
        return self.dice("twin", task, number).random() < TWINS

    def pause_before_retry(self, task: int, number: int) -> float:
        """Return the seconds between two tries."""
        return self.dice("retry", task, number).uniform(5, 400)


def plan_of(seed: str, number: int) -> Plan:
    """Draw a run."""
    dice = Random(f"{seed}/{number}")
    shared_with = None
    if number % ONE_IN_SHARED == 0:
        shared_with = dice.choice(["a second run", "a schedule"])
    pipeline: dict[str, Any] = {
        "appear_after": dice.choice([0.0, dice.uniform(0, 5), dice.uniform(5, 15)]),
        "duration": dice.choice([0.2, dice.uniform(1, 30), dice.uniform(30, 400)]),
        "ends": dice.choice(ENDS),
        "parallel_jobs": dice.random() < 0.5,
        "refusal": dice.choice([409, 500]),
        "refusal_message": dice.choice(REFUSALS),
        "restarting_for": dice.choice([0.0, dice.uniform(1, 30)]),
        "order": dice.choice(["desc"] * 8 + ["asc", "shuffled"]),
    }
    if shared_with == "a schedule":
        pipeline["fields"] = {"schedule": {"sync_type": "SCHEDULED", "frequency_minutes": dice.choice([1, 2, 5])}}
    other_job = None
    if shared_with is None and pipeline["parallel_jobs"] and dice.random() < 0.2:
        other_job = dice.uniform(5, 600)
    tasks = 2 if shared_with == "a second run" else 1
    return Plan(
        seed=seed,
        number=number,
        pipeline=pipeline,
        tasks=tuple(
            _task(dice, is_alone=shared_with is None, has_other_job=other_job is not None) for _ in range(tasks)
        ),
        begins=tuple(dice.uniform(0, 40) for _ in range(tasks)),
        history=tuple(dice.uniform(60, 86400) for _ in range(dice.choice([0, 1, 5, 30]))),
        other_job=other_job,
        shared_with=shared_with,
    )


def _task(dice: Random, *, is_alone: bool, has_other_job: bool) -> dict[str, Any]:
    action = dice.choice(["SYNC_NOW", "SYNC_NOW", "SYNC_NOW", "RESYNC"])
    on_active_job = dice.choice([None, "start"] if is_alone else [None, "wait", "follow", "start"])
    return {
        "action": action,
        "drop_and_load": action == "RESYNC" and dice.random() < 0.5,
        "deferrable": dice.random() < 0.8,
        "wait_for_completion": dice.random() < 0.85,
        "accept_completed_with_failures": dice.random() < 0.3,
        "on_active_job": "start" if has_other_job else on_active_job,
        "poll_interval": dice.choice([15, 30, 60]),
        **({"timeout": dice.uniform(30, 300)} if dice.random() < HURRIED_TASKS else {}),
    }
