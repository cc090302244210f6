"""The sensor, with the parameters that DAG files of the vendor's package hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hevo_provider import sensors
from hevo_provider.compat import was_unmapped
from hevo_provider.vendor.parameters import attempts_of, connection_or_default, interval_of

if TYPE_CHECKING:
    from hevo_provider.vendor.hooks import HevoPipelineHook


class HevoSensor(sensors.HevoSensor):
    """
    Succeed when a job of a Hevo pipeline has succeeded: use ``hevo_provider.sensors.HevoSensor``.

    All that is not named here is as it is there.

    :param job_id: the job to follow; None, and a literal ``""``, find the active one. (templated)
    :param connection_id: the Airflow connection; None is the default one. (templated)
    :param poke_interval: seconds between polls of the running job; 0 becomes 1.
    :param wait_for_job_max_attempts: how many polls may be made to find the job; 0 becomes 1.
    :param wait_for_job_interval: seconds between these polls; 0 becomes 1.
    :raises HevoConfigError: a literal parameter makes no sense.
    """

    def __init__(
        self,
        *,
        job_id: str | None = None,
        connection_id: str | None = None,
        poke_interval: float = 20,
        wait_for_job_max_attempts: int = 10,
        wait_for_job_interval: float = 5,
        **kwargs: Any,
    ) -> None:
        if job_id == "" and not was_unmapped(self):  # in a mapped task it is what another task did not return
            job_id = None
        super().__init__(
            job_id=job_id,
            connection_id=connection_or_default(connection_id),
            poke_interval=interval_of("poke_interval", poke_interval),
            wait_for_job_max_attempts=attempts_of("wait_for_job_max_attempts", wait_for_job_max_attempts),
            wait_for_job_interval=interval_of("wait_for_job_interval", wait_for_job_interval),
            **kwargs,
        )

    @property
    def hook(self) -> HevoPipelineHook:
        """A hook for the task's connection: use ``hevo_provider.hooks.HevoHook``."""
        from hevo_provider.vendor.hooks import HevoPipelineHook

        return HevoPipelineHook(self.connection_id)
