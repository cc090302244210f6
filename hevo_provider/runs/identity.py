"""
Whose job is whose.

Starting a pipeline returns no job id, so the job is told from others by what was there before, by its type, and by when
Hevo's own clock says it was created: two readings of one clock are compared, never two clocks.

Hevo's own clock may be two: that of the service which dates the jobs, and that of the server which dates the answers.
A list shows how far the first is ahead at least: no job in it was created or changed after the answer. A job that is at
work, and so was changed just before, also shows how far the first is behind at most. Where no list has shown that, a
job that seems a few seconds older than the action may still be its own. It is taken for that only when the action's own
job would have shown by then, and none fits better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hevo_provider.models.answers import Job
from hevo_provider.models.enums import JobStatus, JobType
from hevo_provider.runs.listing import Listing, ended_at
from hevo_provider.runs.order import SHOWS_WITHIN, Action
from hevo_provider.runs.run import Fate, Run

UNKNOWN_FATE_WINDOW = 60.0  # seconds of readable answers without a new job before an action counts as not applied
BASELINE_SPAN = 10 * 60 * 1000  # ms
BASELINE_SIZE = 20
CLOCK_TOLERANCE = 1000  # ms: the Date header has whole seconds
LARGEST_SKEW = 5000  # ms between the clocks of two of Hevo's servers; 3 s were seen
APPLIED_WITHIN = 90_000  # ms after which a sync of unknown fate starts no job any more: longer than sending may take
RESTARTS_WITHIN = 900_000  # ms for which a pipeline may be RESTARTING before a resync's job is created
PROMPT = 2000  # ms after the action within which its job is created, as a rule; the Date header has whole seconds


@dataclass(frozen=True, slots=True)
class Choice:
    """
    What a list of jobs says about the one that a run looks for.

    :param job: the job, if there is one that fits in every way.
    :param fallback: a job that fits but for its time, or whose type Hevo left out: taken only when no better one shows.
        One that is older than the action counts only when it is sure that something was started.
    :param others: new jobs of other types.
    :param skipped: one that Hevo has skipped because another was at work: a run of its own schedule that fell due
        meanwhile, as a rule (API.md, one-job). It may be the run's own only where nothing else shows.
    :param has_rivals: whether another job fits as well as ``job``, so that it is not sure which of them it is.
    """

    job: Job | None = None
    fallback: Job | None = None
    others: tuple[Job, ...] = ()
    skipped: Job | None = None
    has_rivals: bool = False


def with_baseline(run: Run, listing: Listing) -> Run:
    """Return the run with a note of which jobs were there, and of the time, before the action is sent."""
    known, floor = _seen_in(listing)
    now = listing.server_time
    run = with_skew(run, listing)
    return run.with_baseline(
        known,
        floor,
        created_after=None if now is None else now - CLOCK_TOLERANCE,
        now=now,
        at_work=[job.job_id for job in listing.active],
    )


def with_first_poll(run: Run, listing: Listing) -> Run:
    """Return a run that only follows, with a note of which jobs were there when it first polled."""
    return run.with_first_poll(*_seen_in(listing))


def with_skew(run: Run, listing: Listing) -> Run:
    """Return the run with a note of how far Hevo's times of jobs are ahead of its answers' dates, as a list shows."""
    if listing.server_time is None:
        return run
    shown = [max(job.created_ts or 0, job.updated_ts or 0) - listing.server_time for job in listing.jobs]
    plausible = [ahead for ahead in shown if abs(ahead) <= LARGEST_SKEW + CLOCK_TOLERANCE]
    return run.with_skew(max(plausible, default=None))


def _seen_in(listing: Listing) -> tuple[list[str], int | None]:
    """Return the ids to know the listed jobs by, and the time before which all that was created was there."""
    known = [job for job in listing.jobs if job.created_ts is not None]
    known.sort(key=_created, reverse=True)
    newest = known[0].created_ts if known else None
    # Ten minutes and twenty jobs: what travels with the run stays small, and lists lag by seconds, not by minutes.
    recent = [job for job in known if newest is None or _created(job) >= newest - BASELINE_SPAN][:BASELINE_SIZE]
    undated = [job.job_id for job in listing.jobs if job.created_ts is None]
    left_out = len(recent) < len(known) or not listing.complete
    floor = recent[-1].created_ts if recent and left_out else None
    return [*(job.job_id for job in recent), *undated], floor


def since_search_began(run: Run, listing: Listing, now: float) -> Run:
    """
    Return a run that has no baseline, with Hevo's time of the moment when its search began.

    :param now: seconds since the epoch by this machine's clock, of which only the time that has passed is used.
    """
    if run.searching_since is None:
        return run
    if listing.server_time is None:
        return run.since(None)
    return run.since(listing.server_time - round((now - run.searching_since) * 1000))


def reaches_back(run: Run) -> Callable[[Sequence[Job]], bool]:
    """
    Return whether jobs, newest first, go back to before the run's action, so that its own cannot be further down.

    A run that knows nothing of the past, such as one that follows and has seen nothing yet, is content with any.
    """
    if run.created_after is None and run.baseline_floor is None and not run.baseline:
        return lambda _: True

    def enough(jobs: Sequence[Job]) -> bool:
        oldest = jobs[-1] if jobs else None
        if oldest is None or oldest.job_id in run.baseline:
            return True
        since = run.created_after - LARGEST_SKEW if run.created_after is not None else run.baseline_floor
        return oldest.created_ts is None or oldest.created_ts < (since or 0)

    return enough


def choose(listing: Listing, run: Run) -> Choice:
    """Tell which of the jobs is the one that the run's action has started."""
    run = with_skew(run, listing)
    new = [job for job in listing.jobs if not _was_there(job, run)]
    possible = [job for job in new if not cannot_be_own(job, run)]
    skipped = [job for job in possible if job.status == JobStatus.SKIPPED and job.type in run.order.all_job_types]
    new, possible = _without_skipped(new), _without_skipped(possible)
    expected = [job for job in possible if job.type in run.order.all_job_types]
    others = [job for job in new if job.type is not None and job.type not in run.order.all_job_types]
    if any(job in possible and job.type != JobType.REFRESHER for job in others):
        # That is what the action has started, under a type that is not waited for. A later one is somebody else's.
        expected = [job for job in expected if not _is_late(job, run)]
    timely = [job for job in expected if _is_timely(job, run)]
    # A job that was created later may show earlier: the run's own gets its time to show first.
    sure = expected if _own_would_show(listing, run) else [job for job in timely if _is_prompt(job, run)]
    vague = [job for job in possible if job.type is None]
    if run.fate is Fate.ANSWERED and not any(job in possible for job in others):
        # Something was started, and nothing else could be it: the clocks of two servers of Hevo may differ by more.
        older = [job for job in new if job not in possible and not _is_too_late(job, run)]
        vague += [job for job in older if job.type in run.order.all_job_types]
    return Choice(
        job=min(sure, key=lambda job: _distance(job, run), default=None),
        fallback=min(vague, key=lambda job: _distance(job, run), default=None),
        others=tuple(others),
        skipped=min(skipped, key=lambda job: _distance(job, run), default=None),
        has_rivals=sum(_is_prompt(job, run) for job in timely) > 1 or any(_may_be_older(job, run) for job in expected),
    )


def choose_second(listing: Listing, run: Run) -> Choice:
    """Do the same for the second type that the job may have: for when none of the expected type has shown."""
    second = run.order.second_job_types
    return choose(listing, run.under(replace(run.order, job_types=second, second_job_types=()))) if second else Choice()


def choose_any(listing: Listing, run: Run) -> Choice:
    """Try the expected type, then the second one: for a caller that cannot wait until the end of a search."""
    first = choose(listing, run)
    second = choose_second(listing, run) if first.job is None else first
    return first if second.job is None else second


def choose_to_follow(listing: Listing, run: Run) -> Choice:
    """Tell which job to follow for a run that has started none: the active one, or one that came and went meanwhile."""
    active = [job for job in listing.active if job.type in run.order.all_job_types]
    ended = [
        job
        for job in listing.jobs
        if job.type in run.order.all_job_types and job.is_terminal and _came_and_went(job, run)
    ]
    ended = ended if run.order.action is None else _without_skipped(ended)  # none of these has refused anything
    if run.searching_since is None:
        # One that is being cancelled comes to no good end, so any other is to be preferred.
        lasting = [job for job in active if job.status != JobStatus.CANCELLING]
        job = max(lasting or active, key=_created, default=None) or max(ended, key=_created, default=None)
    else:
        job = _found_first([*active, *ended], run)
    return Choice(
        job=job,
        others=tuple(job for job in listing.active if job.type not in run.order.all_job_types),
    )


def cannot_be_own(job: Job, run: Run) -> bool:
    """Return whether the job is known from before the run's action, or Hevo's clock says that it is older, or newer."""
    return _was_there(job, run) or _is_older(job, run) or _is_too_late(job, run)


def made_in_time(made: Job | int | None, run: Run) -> bool:
    """
    Return whether the run's call, and no later one, can have made a job: bounded above as it is below.

    :param made: the job, or when it would have been made: Hevo's clock, ms; None if that is not known.
    """
    created = made.created_ts if isinstance(made, Job) else made
    over = _call_was_over(run)
    if created is None or over is None:
        return True
    return created <= over + (RESTARTS_WITHIN if run.order.may_restart else APPLIED_WITHIN)


def _without_skipped(jobs: Sequence[Job]) -> list[Job]:
    return [job for job in jobs if job.status != JobStatus.SKIPPED]


def _was_there(job: Job, run: Run) -> bool:
    if job.job_id in run.baseline:
        return True
    return run.baseline_floor is not None and job.created_ts is not None and job.created_ts < run.baseline_floor


def _came_and_went(job: Job, run: Run) -> bool:
    if run.at_work is not None and run.order.action is not None:
        # Hevo touches jobs long after their end, so that their updated_ts alone tells nothing.
        return job.job_id in run.at_work or not (_was_there(job, run) or _had_ended(job, run))
    if run.created_after is not None:  # a time, where no process has lived long enough to make a baseline
        return max(_created(job), ended_at(job)) >= run.created_after
    return run.polled and not _was_there(job, run)


def _had_ended(job: Job, run: Run) -> bool:
    """Return whether the job, as far as its times tell, had ended before the run's action was sent."""
    if run.created_after is None:
        return False
    by_its_duration = None if job.created_ts is None or job.duration is None else job.created_ts + job.duration
    ended_by = [time for time in (job.updated_ts, by_its_duration) if time is not None]
    return min(ended_by, default=run.created_after) < run.created_after


def _found_first(jobs: Sequence[Job], run: Run) -> Job | None:
    """
    Return the job that a search found first, or would have found, however many came later.

    A process that cannot remember which job it follows must come to the same one at every poll.
    """
    began = run.created_after
    there = [job for job in jobs if began is None or _created(job) < began]
    return max(there, key=_created, default=None) or min(jobs, key=_created, default=None)


def _is_timely(job: Job, run: Run) -> bool:
    return run.created_after is None or job.created_ts is None or job.created_ts >= run.created_after + _ahead(run)


def _is_older(job: Job, run: Run) -> bool:
    """Return whether the job is older than the action, however far the clock of the jobs may be behind."""
    if run.created_after is None or job.created_ts is None:
        return False
    behind = LARGEST_SKEW if run.skew is None else min(max(0, -run.skew), LARGEST_SKEW)
    return job.created_ts < run.created_after - behind


def _may_be_older(job: Job, run: Run) -> bool:
    return run.created_after is not None and job.created_ts is not None and job.created_ts < run.created_after


def _ahead(run: Run) -> int:
    """Return how far the clock of the jobs is certainly ahead of that of the answers, ms."""
    return min(max(0, run.skew or 0), LARGEST_SKEW)


def _is_too_late(job: Job, run: Run) -> bool:
    # A resync restarts the pipeline first, and nobody knows for how long.
    return run.order.action is Action.SYNC_NOW and _is_late(job, run)


def _is_late(job: Job, run: Run) -> bool:
    """Return whether the job was created after any that a call could have started for which the run searches."""
    over = _call_was_over(run)
    if run.fate not in {Fate.ANSWERED, Fate.UNKNOWN} or job.created_ts is None or over is None:
        return False
    limit = APPLIED_WITHIN
    if run.fate is Fate.ANSWERED:  # it has a job, and the user says for how long that may be searched for
        order = run.order
        longest_pause = order.poll_interval if order.find_interval is None else order.find_interval
        limit = max(limit, round(order.retry_limit * longest_pause * 1000))
    return job.created_ts > over + limit


def _is_prompt(job: Job, run: Run) -> bool:
    if run.posted_at is None:
        return True
    return job.created_ts is not None and job.created_ts <= run.posted_at + _ahead(run) + PROMPT


def _own_would_show(listing: Listing, run: Run) -> bool:
    over = _call_was_over(run)
    return listing.server_time is None or over is None or listing.server_time - over >= SHOWS_WITHIN * 1000


def _call_was_over(run: Run) -> int | None:
    """Return Hevo's clock, ms, when the call was answered or given up: a gateway may have held it back until then."""
    return max((time for time in (run.posted_at, run.given_up_at) if time is not None), default=None)


def _distance(job: Job, run: Run) -> tuple[bool, int]:
    if job.created_ts is None:
        return (True, 0)
    return (False, job.created_ts if run.posted_at is None else abs(job.created_ts - run.posted_at - _ahead(run)))


def _created(job: Job) -> int:
    return job.created_ts or 0
