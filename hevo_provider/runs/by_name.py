"""Which pipeline is meant by a name: ids differ between environments, names do not."""

from __future__ import annotations

from difflib import get_close_matches

from hevo_provider import codes
from hevo_provider.client.calls import HevoAsyncClient
from hevo_provider.clock import Clock
from hevo_provider.exceptions import HevoConfigError, HevoRateLimitError
from hevo_provider.runs.logger import Logger
from hevo_provider.runs.wait import Connect
from hevo_provider.runs.words import any_of

MOST_CLOSE = 3  # names in a message
SHORTEST_PAUSE = 15.0  # seconds until the name is looked up again where the limit was reached


async def pipeline_id_when_there_is_room(
    connect: Connect, name: str, *, deadline: float, clock: Clock, logger: Logger
) -> int:
    """
    Look up the id of the pipeline with a name, for as long as nothing but Hevo's limit keeps it from that.

    :param connect: returns a client.
    :param deadline: seconds since the epoch.
    :raises HevoConfigError: none has the name, or several have.
    :raises HevoRateLimitError: there is no room before the deadline.
    :raises HevoError: Hevo cannot be reached, or refuses.
    """
    while True:
        try:
            return await pipeline_id_of_name(await connect(), name)
        except HevoRateLimitError as error:
            pause = max(SHORTEST_PAUSE, error.retry_after or 0.0)
            if clock.now() + pause >= deadline:
                raise
            logger.info("The pipeline %r will be looked up again in %.0f s: %s", name, pause, error.text)
        await clock.sleep(pause)


async def pipeline_id_of_name(hevo: HevoAsyncClient, name: str) -> int:
    """
    Look up the id of the pipeline with a name: GET /pipelines, page by page.

    Case counts where a name fits with it, and else does not.

    :raises HevoConfigError: none has the name, or several have.
    """
    names = {pipeline.id: pipeline.name async for pipeline in hevo.list_pipelines() if pipeline.name is not None}
    wanted = name.casefold()
    fitting = [each for each, called in names.items() if called.strip() == name]
    fitting = fitting or [each for each, called in names.items() if called.strip().casefold() == wanted]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        ids = ", ".join(str(each) for each in sorted(fitting))
        raise HevoConfigError(
            f"Several pipelines are called {name!r}: {ids}. Say which is meant with pipeline_id.",
            code=codes.SEVERAL_OF_THE_NAME,
        )
    folded = {called.casefold(): called for called in names.values()}
    close = [repr(folded[each]) for each in get_close_matches(wanted, folded, n=MOST_CLOSE)]
    there = f"Close to it: {any_of(close)}." if close else f"There are {len(names)} pipelines, and none is close to it."
    raise HevoConfigError(f"No pipeline is called {name!r}. {there}", code=codes.NO_SUCH_NAME)
