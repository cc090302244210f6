"""
Cancelling the job that is in the way, where the user has asked for exactly that: ``on_active_job="cancel"``.

Hevo's own UI offers the same with Sync Now. Nothing is started before the job has ended: its end is waited for as that
of any job that is being cancelled.
"""

from __future__ import annotations

from collections.abc import Sequence

from hevo_provider import codes
from hevo_provider.client.calls import HevoAsyncClient
from hevo_provider.exceptions import (
    HevoAPIError,
    HevoConflictError,
    HevoNotFoundError,
    HevoPipelineBusyError,
    HevoRateLimitError,
    HevoServerError,
)
from hevo_provider.models.answers import Job
from hevo_provider.models.enums import JobStatus
from hevo_provider.runs.logger import Logger
from hevo_provider.runs.run import Run
from hevo_provider.runs.words import jobs_in_words

REPEATS = 2  # of a cancel, by the client: twice is the same as once


async def cancel_others(hevo: HevoAsyncClient, run: Run, active: Sequence[Job], logger: Logger, *, whose: str) -> Run:
    """
    Cancel the jobs that are in the way: POST …/jobs/{job_id}/actions/cancel.

    :param active: the jobs; one at least.
    :param whose: what is known of whose they are, for the log.
    :returns: the run, waiting for their end.
    :raises HevoPipelineBusyError: Hevo refuses to cancel one.
    :raises HevoError: whether Hevo has understood is not known.
    """
    for job in active:
        if job.status == JobStatus.CANCELLING:
            continue
        what = jobs_in_words([job])
        logger.warning(
            'Pipeline %s: cancelling %s before %s, as on_active_job="cancel" asks for. %s',
            run.pipeline_id,
            what,
            run.order.action,
            whose,
        )
        try:
            await hevo.cancel_job(run.pipeline_id, job.job_id, retry_limit=REPEATS)
        except (HevoNotFoundError, HevoConflictError) as error:  # it is ending, by itself or by another's hand
            logger.info("Pipeline %s: waiting for %s to end (%s).", run.pipeline_id, what, error.text)
        except (HevoRateLimitError, HevoServerError):  # no word of Hevo's on the job
            raise
        except HevoAPIError as error:
            raise HevoPipelineBusyError(
                f"Pipeline {run.pipeline_id}: {what} is active and was not cancelled, so nothing was started: "
                f"{error.text}",
                pipeline_id=run.pipeline_id,
                job_id=job.job_id,
                code=codes.NOT_CANCELLED,
            ) from error
    return run.waiting(yield_to=active[0].job_id)
