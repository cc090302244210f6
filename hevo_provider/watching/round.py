"""One round of polls of a pipeline that is watched for ever, on behalf of all who watch it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from hevo_provider.client.calls import HevoAsyncClient
from hevo_provider.exceptions import HevoConflictError, HevoNotFoundError, HevoResponseError, HevoServerError
from hevo_provider.models.answers import Job
from hevo_provider.runs.error_table import MISSING_TOLERANCE
from hevo_provider.runs.listing import read_listing
from hevo_provider.watching.watermark import MOST_JOBS, Round, Watermark

log = logging.getLogger(__name__)

UNREADABLE = (HevoServerError, HevoConflictError, HevoResponseError)  # a 500 of any words, or no job


class Rounds:
    """
    Polls one pipeline, round after round.

    :param pipeline_id: the pipeline.
    """

    def __init__(self, pipeline_id: int) -> None:
        self.pipeline_id = pipeline_id
        self._missing_since: dict[str, float] = {}
        self._unreadable: set[str] = set()

    async def next(self, hevo: HevoAsyncClient, watermarks: Iterable[Watermark]) -> Round:
        """
        Poll once: GET /pipelines/{id}/jobs, and an active job by its id where the list no longer shows it.

        :param watermarks: how far back it must go; without any it is one page.
        :raises HevoError: Hevo cannot be reached, or refuses. Nothing is repeated: that is the caller's business.
        """
        marks = tuple(watermarks)

        def enough(jobs: Sequence[Job]) -> bool:
            return len(jobs) >= MOST_JOBS or all(mark.reaches_back(jobs) for mark in marks)

        listing = await read_listing(hevo, self.pipeline_id, enough=enough, retry_limit=0, may_cut_short=True)
        wanted = {job_id for mark in marks for job_id in mark.active} - {job.job_id for job in listing.jobs}
        self._missing_since = {job_id: since for job_id, since in self._missing_since.items() if job_id in wanted}
        self._unreadable &= wanted
        found = [await self._find(hevo, job_id) for job_id in sorted(wanted)]
        now = hevo.clock.monotonic()
        gone = (job_id for job_id, since in self._missing_since.items() if now - since >= MISSING_TOLERANCE)
        return Round(listing, tuple(job for job in found if job is not None), frozenset(gone))

    async def _find(self, hevo: HevoAsyncClient, job_id: str) -> Job | None:
        try:
            job = (await hevo.poll_job(self.pipeline_id, job_id)).value
        except HevoNotFoundError:
            self._missing_since.setdefault(job_id, hevo.clock.monotonic())
            return None
        except UNREADABLE as error:  # of one job, which must not keep the others from being told
            if job_id not in self._unreadable:
                self._unreadable.add(job_id)
                log.warning(
                    "Pipeline %s: job %s cannot be read; its event is sent when it can be: %s",
                    self.pipeline_id,
                    job_id,
                    error,
                )
            return None
        self._unreadable.discard(job_id)
        self._missing_since.pop(job_id, None)
        return job if job.job_id == job_id else None
