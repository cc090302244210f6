"""Which pipeline is meant by a name: ids differ between environments, names do not."""

from __future__ import annotations

from difflib import get_close_matches

from hevo_provider.client.calls import HevoAsyncClient
from hevo_provider.exceptions import HevoConfigError
from hevo_provider.runs.words import any_of

MOST_CLOSE = 3  # names in a message
LONGEST_PAUSE = 60.0  # seconds that Hevo may ask for between two pages: half of a list is of no use


async def pipeline_id_of_name(hevo: HevoAsyncClient, name: str) -> int:
    """
    Look up the id of the pipeline with a name: GET /pipelines, page by page.

    Case counts where a name fits with it, and else does not.

    :raises HevoConfigError: none has the name, or several have.
    """
    names = {
        pipeline.id: pipeline.name
        async for pipeline in hevo.list_pipelines(longest_pause=LONGEST_PAUSE)
        if pipeline.name is not None
    }
    wanted = name.casefold()
    fitting = [each for each, called in names.items() if called.strip() == name]
    fitting = fitting or [each for each, called in names.items() if called.strip().casefold() == wanted]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        ids = ", ".join(str(each) for each in sorted(fitting))
        raise HevoConfigError(f"Several pipelines are called {name!r}: {ids}. Say which is meant with pipeline_id.")
    folded = {called.casefold(): called for called in names.values()}
    close = [repr(folded[each]) for each in get_close_matches(wanted, folded, n=MOST_CLOSE)]
    there = f"Close to it: {any_of(close)}." if close else f"There are {len(names)} pipelines, and none is close to it."
    raise HevoConfigError(f"No pipeline is called {name!r}. {there}")
