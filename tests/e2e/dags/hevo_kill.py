"""The DAGs of the tests in which something is killed: one task each, so that a run can be acted on by itself."""

from __future__ import annotations

import json
import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn

from airflow.providers.common.compat.sdk import DAG

from hevo_provider.operators import HevoPipelineOperator

MAPPED_OVER = Path(os.environ["AIRFLOW_HOME"], "mapped_over.json")  # what is written there, a test edits
PIPELINE = "{{ dag_run.conf['task'] }}"
RETRY_SOON: dict[str, Any] = {"retries": 1, "retry_delay": timedelta(seconds=1)}


class DiesBeforeDeferring(HevoPipelineOperator):
    """Its first worker is lost just after it has started the job."""

    def _defer_until_done(self, context: Any, run: Any) -> NoReturn:
        if context["ti"].try_number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        super()._defer_until_done(context, run)


with DAG("deferred", schedule=None, catchup=False):
    HevoPipelineOperator(task_id="task", pipeline_id=PIPELINE, poll_interval=1)

with DAG("blocking", schedule=None, catchup=False):
    HevoPipelineOperator(task_id="task", pipeline_id=PIPELINE, poll_interval=1, deferrable=False, **RETRY_SOON)

with DAG("limited", schedule=None, catchup=False):
    HevoPipelineOperator(task_id="task", pipeline_id=PIPELINE, poll_interval=1, execution_timeout=timedelta(seconds=15))

with DAG("dies_before_deferring", schedule=None, catchup=False):
    DiesBeforeDeferring(task_id="task", pipeline_id=PIPELINE, poll_interval=1, **RETRY_SOON)

for mode, deferrable in (("deferred", True), ("blocking", False)):
    with DAG(f"out_of_time_{mode}", schedule=None, catchup=False):
        HevoPipelineOperator(
            task_id="task", pipeline_id=PIPELINE, poll_interval=1, timeout=20, deferrable=deferrable, **RETRY_SOON
        )

with DAG("by_variable", schedule=None, catchup=False):
    HevoPipelineOperator(task_id="task", pipeline_id="{{ var.value.pipeline }}", poll_interval=1)

if MAPPED_OVER.exists():
    with DAG("mapped_by_file", schedule=None, catchup=False):
        HevoPipelineOperator.partial(task_id="task", poll_interval=1).expand(
            pipeline_id=json.loads(MAPPED_OVER.read_text(encoding="utf-8"))
        )
