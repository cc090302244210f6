"""
What an import costs on top of ``airflow.sdk``, in CPU: ``python -m benchmarks.imports [MODULE …]``.

DAG files import operators again and again, in every process that parses them; nothing else has loaded their modules.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module

from benchmarks.stage import say

OURS_AND_HEAVY = ("aiohttp", "hevo_provider.client", "hevo_provider.triggers", "hevo_provider.models.answers")


def main() -> None:
    """Import the modules, and say how long that kept a CPU busy."""
    modules = sys.argv[1:]
    if modules != ["hevo_provider"]:
        import airflow.sdk

        # Lazy attributes that any DAG file has loaded.
        _ = airflow.sdk.BaseOperator, airflow.sdk.BaseSensorOperator, airflow.sdk.DAG
    before = set(sys.modules)
    began = time.process_time()
    for module in modules:
        import_module(module)
    took = time.process_time() - began
    new = set(sys.modules) - before
    say({"cpu": took, "modules": len(new), "heavy": sorted(new & set(OURS_AND_HEAVY))})


if __name__ == "__main__":
    main()
