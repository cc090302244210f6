"""
Whether the vendor's own package is installed beside this one.

Both can be: its files come first, so DAGs that import ``airflow.hevo`` run on it, wholly, until it is uninstalled.
So one can move over a DAG at a time; but nobody should have to guess which of the two a DAG runs on.
"""

from __future__ import annotations

import logging
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

log = logging.getLogger(__name__)

OURS = Path(__file__).with_name("vendor_paths") / "airflow" / "hevo"


def other_owner() -> Path | None:
    """Return the folder of another package that ``airflow.hevo`` is imported from; None if it is from this one."""
    if "airflow" not in sys.modules:
        return None
    spec = find_spec("airflow.hevo")
    folders = [] if spec is None else list(spec.submodule_search_locations or ())
    return Path(folders[0]) if folders and Path(folders[0]) != OURS else None


@cache
def tell_of_other_owner() -> None:
    """Say once per process whose ``airflow.hevo`` is, if it is not this package's."""
    folder = other_owner()
    if folder is not None:
        log.warning(
            "Another package owns airflow.hevo (%s). DAGs that import airflow.hevo run on that package and not on "
            "airflow-provider-hevo; DAGs that import hevo_provider do not depend on it. To move the others over, "
            "uninstall it: their imports will then find airflow-provider-hevo.",
            folder,
        )
