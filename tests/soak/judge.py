"""What the tasks were told, held against what Hevo knows: the figures of a soak."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hevo_provider.exceptions import HevoPipelineBusyError
from hevo_provider.runs.run import Ownership
from hevo_provider.sandbox import SandboxJob
from tests.soak.stage import Stage, Told

UNTIL_ALL_HAS_ENDED = 30 * 86400.0
TIMES_CANNOT_TELL = 3.0  # seconds apart: Hevo's Date header has whole seconds, and a call takes its time


@dataclass
class Figures:
    """
    What a soak has shown.

    :param tasks: how many there were, alone on their pipeline or not.
    :param odd: what must not be: the run's number and what is wrong with it.
    :param explained: what no client can help on a pipeline that others use too, and how often it happened.
    """

    tasks: Counter[str] = field(default_factory=Counter)
    jobs_of_task: Counter[int] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    explained: Counter[str] = field(default_factory=Counter)
    odd: list[tuple[int, str]] = field(default_factory=list)
    calls: int = 0
    faults: int = 0
    workers: int = 0
    workers_lost: int = 0
    triggerers: int = 0
    triggerers_lost: int = 0
    twins: int = 0
    seconds: float = 0.0

    def add(self, stage: Stage) -> None:
        """Judge a run that was played."""
        self.calls += stage.chaos.calls
        self.faults += stage.chaos.faults
        self.seconds += stage.clock.now() - stage.began
        stage.clock.advance(UNTIL_ALL_HAS_ENDED)
        for number, told in enumerate(stage.tellings):
            self.workers += told.workers
            self.workers_lost += told.workers_lost
            self.triggerers += told.triggerers
            self.triggerers_lost += told.triggerers_lost
            self.twins += told.twins
            self.tasks[stage.plan.shared_with or "alone"] += 1
            self.verdicts[told.verdict] += 1
            for fault in self._judge(stage, stage.plan.tasks[number], told):
                self.odd.append((stage.plan.number, fault))

    def as_table(self, seed: str, took: float) -> str:
        """Return the figures for a person. A seed and a number play a run again."""
        tasks = self.tasks.total()
        lines = [
            f"seed {seed}: {tasks} tasks, {self.seconds / 3600:.0f} h of virtual time in {took:.0f} s",
            f"  faults                  {self.faults} in {self.calls} calls ({self.faults / max(1, self.calls):.0%})",
            f"  workers lost            {self.workers_lost} of {self.workers}",
            f"  triggerers lost         {self.triggerers_lost} of {self.triggerers}, {self.twins} times two at once",
            f"  sharing their pipeline  {_listed(self.tasks)}",
            f"  verdicts                {_listed(self.verdicts)}",
            f"  jobs started per task   {_listed(self.jobs_of_task)} (those of earlier tries that failed: below)",
        ]
        for kind, which in (
            ("doubled", "tasks with a second job"),
            ("verdict", "wrong verdicts"),
            ("lost", "lost"),
            ("left", "left running"),
        ):
            lines.append(f"  {which:<24}{sum(fault.startswith(kind) for _, fault in self.odd)}")
        lines.append("explained:" if self.explained else "nothing had to be explained")
        lines += [f"  {count:>4} x {why}" for why, count in self.explained.most_common()]
        lines += [f"ODD: run {number} (--seed {seed} --only {number}): {fault}" for number, fault in self.odd]
        return "\n".join(lines)

    def _judge(self, stage: Stage, task: dict[str, object], told: Told) -> list[str]:
        if told.timed_out_at is not None:
            return self._judge_timed_out(stage, task, told)
        is_alone = stage.plan.shared_with is None
        followed = next((job for job in stage.pipeline.jobs if job.id == told.job_id), None)
        if followed is None:
            if not (is_alone or told.own) and all(isinstance(error, HevoPipelineBusyError) for error in told.errors):
                self.explained["the pipeline was busy at every try"] += 1
                return []
            return [f"lost: {told.verdict} without a job, after {told.errors[-1:]}"]
        faults = self._doubled(told, task)
        if (told.verdict == "success") != (not task["wait_for_completion"] or _is_good(followed, task)):
            faults.append(f"verdict {told.verdict} differs from the job's end {followed.status}")
        if followed in told.own[-1:]:
            self.jobs_of_task[1] += 1
            return faults
        self.jobs_of_task[len(told.own)] += 1
        why = None if is_alone else _why_another(followed, told, task)
        if why is None:
            faults.append(f"took job {followed.id} of {followed.started_by} for its own ({told.ownership})")
        else:
            self.explained[why] += 1
        return faults

    def _judge_timed_out(self, stage: Stage, task: dict[str, Any], told: Told) -> list[str]:
        """A task whose time was over has had its own job cancelled, if it was sure that it was its own."""
        faults = self._doubled(told, task)
        self.jobs_of_task[len(told.own[-1:])] += 1
        job = told.own[-1] if told.own else None
        if job is None or job.status == "CANCELLED" or (job.ended_at or 0) <= (told.timed_out_at or 0):
            return faults
        if told.ownership != Ownership.OURS:
            self.explained["out of time, a job was left running because it was only taken for its own"] += 1
        elif not job.visible_at(told.timed_out_at or 0):
            self.explained["out of time, a job could not be cancelled because it did not show yet"] += 1
        elif any("could not be cancelled" in line for line in stage.story.lines):
            self.explained["out of time, a job could not be cancelled because Hevo was out of reach"] += 1
        else:
            faults.append(f"left job {job.id} running when its time was over")
        return faults

    def _doubled(self, told: Told, task: dict[str, Any]) -> list[str]:
        faults = []
        for earlier, later in pairwise(told.own):
            is_of_use = (
                not task["wait_for_completion"] and earlier.status != "CANCELLED"
            )  # its id was all that is wanted
            if not is_of_use and _had_failed(earlier, before=later, task=task):
                self.explained["a retry started anew because the job of a lost worker had failed"] += 1
            else:
                faults.append(f"doubled: job {later.id} was started although {earlier.id} was")
        return faults


def _listed(counted: Counter[Any]) -> str:
    return ", ".join(f"{count} x {what}" for what, count in sorted(counted.items(), key=lambda item: str(item[0])))


def _is_good(job: SandboxJob, task: dict[str, object]) -> bool:
    accepted = {"COMPLETED", "COMPLETED_WITH_FAILURES"} if task["accept_completed_with_failures"] else {"COMPLETED"}
    return job.status in accepted


def _had_failed(job: SandboxJob, *, before: SandboxJob, task: dict[str, object]) -> bool:
    return not _is_good(job, task) and job.ended_at is not None and job.ended_at <= before.created_at


def _why_another(followed: SandboxJob, told: Told, task: dict[str, object]) -> str | None:
    """Say why a task on a shared pipeline followed a job that it did not start; None if there is no excuse."""
    own = [job for job in told.own if not _had_failed(job, before=followed, task=task)]
    unwatched = ", and its own ran unwatched" if own else ""
    if told.ownership == Ownership.ADOPTED and task["on_active_job"] in {"follow", "start"} and not own:
        return "followed the active job, as it was asked to"
    if told.ownership == Ownership.ASSUMED:
        return f"after a call of unknown fate, another's job was taken for its own{unwatched}"
    if own and abs(own[-1].created_at - followed.created_at) <= TIMES_CANNOT_TELL:
        return "two jobs were created within seconds, and the other one showed first"
    return None
