"""Which of a pipeline's objects a job was about: it reports names, and ids where the API's revision has them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from hevo_provider.client.calls import HevoAsyncClient
from hevo_provider.models.object import JobObject, PipelineObject
from hevo_provider.runs.listing import both


async def objects_of_job(
    hevo: HevoAsyncClient, pipeline_id: int, job_id: str
) -> tuple[list[JobObject], list[PipelineObject]]:
    """
    Read how a job fared with its objects, and the pipeline's objects: GET …/jobs/{job_id}/objects and GET …/objects.

    :returns: all of both, page by page.
    :raises HevoError: one of them cannot be read.
    """

    async def of_job() -> list[JobObject]:
        return [item async for item in hevo.list_job_objects(pipeline_id, job_id)]

    async def of_pipeline() -> list[PipelineObject]:
        return [item async for item in hevo.list_objects(pipeline_id)]

    return await both(of_job(), of_pipeline())


class ByName:
    """
    The objects of a pipeline, to be found by what a job reports of one.

    :param items: the pipeline's objects.
    """

    def __init__(self, items: Sequence[PipelineObject]) -> None:
        bearers = Counter(name for item in items for name in set(item.names))
        self._by_id = {item.object_id: item for item in items}
        self._by_name = {name: item for item in items for name in item.names if bearers[name] == 1}

    def find(self, reported: JobObject) -> PipelineObject | None:
        """Return the object that is meant; None where Hevo does not say which, or it is gone."""
        if reported.object_id is not None:
            return self._by_id.get(reported.object_id)
        return next(
            (self._by_name[name] for name in (reported.object_name, reported.name) if name in self._by_name), None
        )
