"""What a job has loaded, object by object, and where the pipeline puts these objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hevo_provider.client.calls import HevoAsyncClient
from hevo_provider.models.answers import Job
from hevo_provider.models.object import JobObject, PipelineObject
from hevo_provider.runs.chosen_objects import PAGES_APART_AT_MOST
from hevo_provider.runs.job_objects import ByName
from hevo_provider.runs.listing import both
from hevo_provider.runs.run import Run

_NOT_LOADED = ("FAIL", "SKIP", "CANCEL")  # in the status of an object's result, whatever its revision calls it


@dataclass(frozen=True, slots=True)
class Loaded:
    """
    What became of one object.

    :param name: as the job calls it.
    :param place: the pipeline's object; None where it is not told for certain which that is.
    :param is_loaded: False if the job says that it failed, or was left out.
    :param rows_loaded: rows that were loaded; None if Hevo does not say.
    :param rows_failed: rows that failed; None if Hevo does not say.
    """

    name: str
    place: PipelineObject | None
    is_loaded: bool
    rows_loaded: int | None
    rows_failed: int | None

    def after(self, earlier: Loaded | None) -> Loaded:
        """Return what became of the object in an earlier job and this one together."""
        if earlier is None:
            return self
        return replace(
            self,
            is_loaded=self.is_loaded or (earlier.is_loaded and bool(earlier.rows_loaded)),
            rows_loaded=summed(earlier.rows_loaded, self.rows_loaded),
            rows_failed=summed(earlier.rows_failed, self.rows_failed),
        )


async def loaded_by(hevo: HevoAsyncClient, run: Run, job: Job) -> tuple[Loaded, ...]:
    """
    Return what became of each object: GET …/jobs/{job_id}/objects and GET …/objects, as many pages as there are.

    Where the run has gone on from jobs that were deferred, these count too. So do the jobs of earlier tries where it
    has reloaded only what these had not loaded.

    :raises HevoError: Hevo cannot be reached, or refuses.
    """

    async def read_objects() -> list[PipelineObject]:
        return [item async for item in hevo.list_objects(run.pipeline_id, longest_pause=PAGES_APART_AT_MOST)]

    async def read_results() -> list[list[JobObject]]:
        pages = (
            hevo.list_job_objects(run.pipeline_id, job_id, longest_pause=PAGES_APART_AT_MOST)
            for job_id in (*run.jobs_retried, *run.gone_before, job.job_id)
        )
        return [[item async for item in page] for page in pages]

    objects, results = await both(read_objects(), read_results())
    by_name = ByName(objects)
    found: dict[str, Loaded] = {}
    for number, of_job in enumerate(results):
        is_anew = number <= len(run.jobs_retried)  # what such a job has loaded replaces what there was
        by_key = _results_of(of_job, by_name)
        found |= {key: each if is_anew else each.after(found.get(key)) for key, each in by_key.items()}
    return tuple(found.values())


def _results_of(results: Sequence[JobObject], by_name: ByName) -> dict[str, Loaded]:
    """Return what became of each object in one job: by its id, or by its name where the id is not known."""
    found: dict[str, Loaded] = {}
    for result in results:
        name = result.name or result.object_name or result.object_id or "?"
        place = by_name.find(result)
        status = (result.status or "").upper()
        loaded = Loaded(
            name=name,
            place=place,
            is_loaded=not any(word in status for word in _NOT_LOADED),
            rows_loaded=result.rows if result.rows_processed is None else result.rows_processed,
            rows_failed=result.rows_failed,
        )
        key = name if place is None else place.object_id
        found[key] = loaded.after(found.get(key))
    return found


def summed(*values: int | None) -> int | None:
    """Return a sum of those that are known; None if none is."""
    known = [value for value in values if value is not None]
    return sum(known) if known else None
