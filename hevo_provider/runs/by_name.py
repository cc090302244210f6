"""Which pipeline is meant by a name: ids differ between environments, names do not."""

from __future__ import annotations

from difflib import get_close_matches

from hevo_provider import codes
from hevo_provider.client.calls import HevoAsyncClient
from hevo_provider.clock import Clock
from hevo_provider.exceptions import HevoConfigError, HevoError
from hevo_provider.runs.error_table import may_pass
from hevo_provider.runs.logger import Logger
from hevo_provider.runs.outage import Outage
from hevo_provider.runs.wait import Connect
from hevo_provider.runs.words import any_of

MOST_CLOSE = 3  # names in a message


class Naming:
    """
    One look-up of a pipeline's id by its name, asked for as often as it takes.

    What keeps it from an answer is endured as it is for a pipeline that is given by its id: see
    :mod:`hevo_provider.runs.error_table`.

    :param name: the name.
    :param clock: where time comes from.
    :param logger: where it is logged.
    :param tolerance: seconds without a usable answer after which it is given up.
    :param knows_hevo: whether Hevo has answered the task well before.
    :param starts: whether it keeps a run from its start, and not from its end.
    """

    def __init__(
        self, name: str, clock: Clock, logger: Logger, *, tolerance: float, knows_hevo: bool = False, starts: bool
    ) -> None:
        self.name = name
        self.trouble: HevoError | None = None
        """What kept the last poll from an answer, and is endured."""
        self.pause = 0.0
        """Seconds until the next poll."""
        self._clock = clock
        self._knows_hevo = knows_hevo
        self._starts = starts
        self._outage = Outage(clock, repr(name), tolerance, logger, knows_hevo=knows_hevo)

    async def poll(self, connect: Connect) -> int | None:
        """
        Ask once: GET /pipelines, page by page.

        :param connect: returns a client.
        :returns: the id; None: ask again after :attr:`pause` seconds.
        :raises HevoConfigError: none has the name, or several have.
        :raises HevoError: what is endured no longer.
        """
        retry_limit = 0 if self._knows_hevo or self.trouble is not None else None  # then what repeats is the task
        self.trouble = None
        try:
            found = await pipeline_id_of_name(await connect(), self.name, retry_limit=retry_limit)
        except HevoError as error:
            if not may_pass(error, knows_hevo=self._knows_hevo, starts=self._starts):
                raise
            self._starts = False  # what is put off is waited for
            self.pause = self._outage.pause_after(error, None)
            self.trouble = error
            return None
        self._outage.is_over()
        return found

    async def until_done(self, connect: Connect, deadline: float) -> int | None:
        """
        Ask until there is an answer.

        :param connect: returns a client.
        :param deadline: seconds since the epoch.
        :returns: the id; None where the deadline came first, and :attr:`trouble` says why.
        :raises HevoError: as for :meth:`poll`.
        """
        while (found := await self.poll(connect)) is None and self._clock.now() + self.pause < deadline:
            await self._clock.sleep(self.pause)
        return found


async def pipeline_id_of_name(hevo: HevoAsyncClient, name: str, *, retry_limit: int | None = None) -> int:
    """
    Look up the id of the pipeline with a name: GET /pipelines, page by page.

    Case counts where a name fits with it, and else does not.

    :param retry_limit: as for :meth:`~hevo_provider.client.calls.HevoAsyncClient.list_pipelines`.
    :raises HevoConfigError: none has the name, or several have.
    """
    names = {
        pipeline.id: pipeline.name
        async for pipeline in hevo.list_pipelines(retry_limit=retry_limit)
        if pipeline.name is not None
    }
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
