"""The operator, with the parameters that DAG files of the vendor's package hold."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from hevo_provider import operators
from hevo_provider.models.enums import PipelineAction
from hevo_provider.parameters import member_of
from hevo_provider.vendor.enums import ResyncMode
from hevo_provider.vendor.parameters import attempts_of, connection_or_default, interval_of, tell

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from hevo_provider.runs.run import Run
    from hevo_provider.vendor.hooks import HevoPipelineHook


class HevoPipelineOperator(operators.HevoPipelineOperator):
    """
    Run a Hevo pipeline: use ``hevo_provider.operators.HevoPipelineOperator``.

    All that is not named here is as it is there.

    :param action: as there.
    :param connection_id: the Airflow connection; None is the default one. (templated)
    :param poll_interval: seconds between polls; 0 becomes 1.
    :param retry_limit: how many polls may be made to find the job; 0 becomes 1.
    :param drop_and_load: for RESYNC: drop the destination tables and load them anew. Means nothing for SYNC_NOW.
    :param resync_mode: a ``ResyncMode`` or its name, in place of ``drop_and_load``.
    :param sync_type: of the oldest versions; means nothing.
    :raises HevoConfigError: a literal parameter makes no sense.
    """

    def __init__(
        self,
        *,
        action: PipelineAction | str = PipelineAction.SYNC_NOW,
        connection_id: str | None = None,
        poll_interval: float = 15,
        retry_limit: int = 10,
        drop_and_load: bool = False,
        resync_mode: ResyncMode | str | None = None,
        sync_type: object = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            action=action,
            connection_id=connection_or_default(connection_id),
            poll_interval=interval_of("poll_interval", poll_interval),
            retry_limit=attempts_of("retry_limit", retry_limit),
            drop_and_load=drop_and_load,
            **kwargs,
        )
        if resync_mode is not None:
            mode = self._parameter(partial(member_of, ResyncMode), "resync_mode", resync_mode)
            self.drop_and_load = mode is ResyncMode.DROP_AND_LOAD
        if sync_type is not None:
            tell("sync_type is ignored: action says what is started.")
        if self.drop_and_load and str(action).strip().upper() == PipelineAction.SYNC_NOW:
            tell("drop_and_load is ignored: it goes with the action RESYNC only.")

    @property
    def hook(self) -> HevoPipelineHook:
        """A hook for the task's connection: use ``hevo_provider.hooks.HevoHook``."""
        from hevo_provider.vendor.hooks import HevoPipelineHook

        return HevoPipelineHook(self.connection_id)

    def _action_of(self, value: object) -> PipelineAction:
        """Return the action, without what ``drop_and_load`` says: it means nothing for SYNC_NOW."""
        return member_of(PipelineAction, "action", value)

    def _defer_until_done(self, context: Context, run: Run) -> NoReturn:
        if not run.order.wait_for_completion:
            # The vendor's task does not defer then. Whether a triggerer runs, no worker can know.
            self.log.info(
                "Waiting in the triggerer for the job's id. Where no triggerer runs, set deferrable=False: the worker "
                "then waits for it."
            )
        super()._defer_until_done(context, run)


HevoOperator = HevoPipelineOperator
