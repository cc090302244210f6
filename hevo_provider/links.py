"""
The button "Hevo pipeline" on a task: it leads to the pipeline's page in Hevo's web UI.

The task pushes the address to XCom before it waits for anything, so the button works while the task is deferred. Where
it starts in the triggerer, its trigger does so.
Airflow 2 asks for it in the web server, Airflow 3 in the worker: neither has to look up the connection for it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow.providers.common.compat.sdk import BaseOperatorLink

from hevo_provider import codes
from hevo_provider.exceptions import HevoConfigError

if TYPE_CHECKING:
    from hevo_provider.connection import ConnectionSettings

PAGE_KEY = "hevo_pipeline_page"
USUAL_PATH = "/pipeline/{pipeline_id}/overview"


class HevoPipelineLink(BaseOperatorLink):
    """A task's link to its pipeline in Hevo."""

    name = "Hevo pipeline"

    @property
    def xcom_key(self) -> str:
        """Where Airflow 3 keeps the address: where the task has put it already."""
        return PAGE_KEY

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - Airflow passes both by name
        """Return the address that the task has pushed; empty if it has not come that far."""
        from airflow.providers.common.compat.sdk import XCom

        page = XCom.get_value(key=PAGE_KEY, ti_key=ti_key)
        return page if isinstance(page, str) else ""


def page_of(settings: ConnectionSettings, pipeline_id: int) -> str:
    """
    Return the address of a pipeline's page in Hevo's web UI.

    Hevo documents none for its present product, so the connection's extra may hold another pattern (``link``).

    :raises HevoConfigError: the pattern makes no address that a browser may be sent to.
    """
    api = urlsplit(settings.access.base_url)
    pattern = settings.link or f"{api.scheme}://{{host}}{USUAL_PATH}"
    if not isinstance(pattern, str):
        raise HevoConfigError('"link" in the connection\'s extra must be a text.', code=codes.WRONG_CONNECTION)
    page = pattern.strip().replace("{host}", api.netloc).replace("{pipeline_id}", str(pipeline_id))
    try:
        parts = urlsplit(page)
        leads_somewhere = parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        leads_somewhere = False
    if not leads_somewhere or re.search(r"[\s{}\\<>\"]", page):  # not shown: it may hold credentials
        raise HevoConfigError(
            '"link" in the connection\'s extra must make an http(s) address without credentials; it may hold {host} '
            "and {pipeline_id}.",
            code=codes.WRONG_CONNECTION,
        )
    return page
