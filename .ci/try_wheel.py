"""
See what a user sees after ``pip install``: run by the Python of a virtual environment with the wheel and Airflow only.

The provider is listed with all its parts, and every example DAG loads.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "example_dags"
PARTS = ("connection-types", "hooks", "operators", "sensors", "triggers", "extra-links", "integrations")

with tempfile.TemporaryDirectory() as home:
    dags = shutil.copytree(EXAMPLES, Path(home) / "dags")
    os.environ |= {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
    }
    airflow = Path(sys.executable).with_name("airflow")
    subprocess.run([airflow, "db", "migrate"], check=True, capture_output=True)
    subprocess.run([airflow, "providers", "get", "airflow-provider-hevo"], check=True)

    from airflow.dag_processing.dagbag import DagBag
    from airflow.providers_manager import ProvidersManager

    import hevo_provider

    assert Path(hevo_provider.__file__).is_relative_to(sys.prefix), hevo_provider.__file__
    provider = ProvidersManager().providers["airflow-provider-hevo"]
    assert provider.version == hevo_provider.__version__, provider
    assert all(provider.data.get(part) for part in PARTS), provider

    from hevo_provider.doctor.contract import facts

    assert facts(), "API.md is not in the wheel"

    import airflow_provider_hevo

    shipped = Path(airflow_provider_hevo.__file__).with_name("example_dags")
    assert shipped.is_relative_to(sys.prefix), shipped
    assert {file.name for file in shipped.glob("*.py")} == {file.name for file in dags.glob("*.py")}, shipped

    bag = DagBag(dags)
    assert not bag.import_errors, bag.import_errors
    files = {Path(dag.fileloc).name for dag in bag.dags.values()}
    assert files == {file.name for file in dags.glob("*.py")}, files
    sys.stdout.write(f"{len(files)} example DAGs load from the wheel {hevo_provider.__version__}.\n")
