"""The import paths of the vendor's manual: from a wheel, from an editable install, and beside the vendor's package."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sysconfig
import venv
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest
from hatchling.build import build_editable, build_wheel

ROOT = Path(__file__).parents[2]
MODULES = ("hooks", "models.job", "models.pipeline", "operators", "sensor", "trigger")

# A DAG as the vendor's manual teaches to write it.
DAG = """
from airflow.hevo.hooks import HevoObjectHook, HevoPipelineHook
from airflow.hevo.models.job import Job, JobStatus, JobType
from airflow.hevo.models.pipeline import Pipeline, PipelineAction, PipelineStatus
from airflow.hevo.operators import HevoOperator, HevoPipelineOperator
from airflow.hevo.sensor import HevoSensor
from airflow.hevo.trigger import HevoTrigger
from airflow.providers.common.compat.sdk import DAG

with DAG("manual", schedule=None) as dag:
    sync = HevoPipelineOperator(
        task_id="sync",
        pipeline_id=123,
        action=PipelineAction.SYNC_NOW,
        job_type=JobType.INCREMENTAL,
        deferrable=True,
        wait_for_completion=True,
        poll_interval=10,
        accept_completed_with_failures=False,
        ensure_new_job=True,
        connection_id="hevo_production",
    )
    resync = HevoPipelineOperator(
        task_id="resync",
        pipeline_id=123,
        action=PipelineAction.RESYNC,
        poll_interval=30,
        accept_completed_with_failures=True,
        drop_and_load=False,
        retry_limit=10,
    )
    trigger_only = HevoOperator(task_id="trigger_only", pipeline_id=456, deferrable=False, wait_for_completion=False)
    wait = HevoSensor(task_id="wait", pipeline_id=456, job_id=trigger_only.output)
    sync >> resync >> trigger_only >> wait

from hevo_provider import hooks, operators, triggers

assert isinstance(sync, operators.HevoPipelineOperator)
assert issubclass(HevoPipelineHook, hooks.HevoHook) and issubclass(HevoObjectHook, hooks.HevoHook)
assert issubclass(HevoTrigger, triggers.HevoJobTrigger)
assert JobType.RESYNC == "RESYNC" and JobStatus.COMPLETED.is_terminal and PipelineStatus.INITIALIZED
assert Job.__name__ == "Job" and Pipeline.__name__ == "Pipeline"
print(json.dumps(sorted(dag.task_ids)))
"""

# Where each module would come from, and what Airflow's log says about it.
WHERE = f"""
import airflow
from importlib.util import find_spec
from hevo_provider.provider_info import get_provider_info

get_provider_info()
print(json.dumps({{name: find_spec("airflow.hevo." + name).origin for name in {MODULES!r}}}))
"""

Files = Mapping[str, str]


# What makes this possible: Airflow looks for the parts of its package in every folder of sys.path.
OPEN_PACKAGE = '__path__ = __import__("pkgutil").extend_path(__path__, __name__)'


class Environment:
    """A virtual environment with a stand-in for Airflow, where packages come and go as an installer moves them."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=False, symlinks=True)
        (self.site,) = folder.glob("lib/python*/site-packages")
        self.python = folder / "bin" / "python"
        self.install({"airflow/__init__.py": OPEN_PACKAGE})

    def use_real_airflow(self) -> None:
        """Put the Airflow of this test run in the place of the stand-in."""
        self.uninstall(["airflow/__init__.py"])
        outer = [sysconfig.get_path(name) for name in ("purelib", "platlib")]
        (self.site / "outer.pth").write_text("\n".join(dict.fromkeys(outer)))

    def install_wheel(self, wheel: Path) -> list[str]:
        with ZipFile(wheel) as archive:
            archive.extractall(self.site)
            return archive.namelist()

    def install(self, files: Files) -> list[str]:
        for name, text in files.items():
            (self.site / name).parent.mkdir(parents=True, exist_ok=True)
            (self.site / name).write_text(text)
        return list(files)

    def uninstall(self, names: list[str]) -> None:
        for name in names:
            (self.site / name).unlink()
            for folder in (self.site / name).parents:
                left = (file for file in folder.rglob("*") if file.is_file() and file.suffix != ".pyc")
                if folder == self.site or any(left):
                    break
                shutil.rmtree(folder)

    def run(self, code: str) -> tuple[object, str]:
        """Run code: what its last line says, as JSON, and what it wrote to its log."""
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [str(self.python), "-c", "import json, logging\nlogging.basicConfig()\n" + code]
        answer = subprocess.run(  # noqa: S603
            command, env=environment, cwd=self.site.parent, capture_output=True, text=True, check=False
        )
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout.splitlines()[-1]), answer.stdout + answer.stderr


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Build this package, as a wheel or for an editable install."""

    @cache
    def wheel(kind: str) -> Path:
        folder = tmp_path_factory.mktemp(kind)
        here = Path.cwd()
        os.chdir(ROOT)
        try:
            name = (build_wheel if kind == "wheel" else build_editable)(str(folder))
        finally:
            os.chdir(here)
        return folder / name

    return wheel


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    return Environment(tmp_path / "venv")


def vendor(*, package: bool = True) -> Files:
    """Make a stand-in for the vendor's package: the same files, and more, that need each other."""
    needs = "from airflow.hevo.models.job import MARK\n"
    files = {f"airflow/hevo/{name.replace('.', '/')}.py": needs for name in MODULES}
    files |= {"airflow/hevo/models/job.py": "MARK = 'vendor'\n", "airflow/hevo/client.py": needs}
    if package:
        files |= {"airflow/hevo/__init__.py": "", "airflow/hevo/models/__init__.py": ""}
    return files


def owners(answer: object) -> set[str]:
    """Tell whose the modules are."""
    assert isinstance(answer, dict)
    return {"ours" if "vendor_paths" in origin else "the vendor's" for origin in answer.values()}


def test_airflow_looks_for_its_parts_in_every_folder_of_the_path() -> None:
    spec = find_spec("airflow")

    assert spec is not None
    assert spec.origin is not None
    assert OPEN_PACKAGE in Path(spec.origin).read_text()


@pytest.mark.e2e
def test_a_dag_written_after_the_vendors_manual_loads(environment: Environment, build: Callable[[str], Path]) -> None:
    environment.use_real_airflow()
    environment.install_wheel(build("wheel"))

    tasks, log = environment.run(DAG)

    assert tasks == ["resync", "sync", "trigger_only", "wait"]
    assert "Another package" not in log


@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_the_paths_are_there_once_this_package_is_installed(
    environment: Environment, build: Callable[[str], Path], kind: str
) -> None:
    environment.install_wheel(build(kind))

    where, log = environment.run(WHERE)

    assert owners(where) == {"ours"}
    assert "Another package" not in log


@pytest.mark.parametrize("kind", ["wheel", "editable"])
@pytest.mark.parametrize("order", ["before", "after"])
def test_beside_the_vendors_package_its_dags_run_on_it_wholly_and_the_log_says_so(
    environment: Environment, build: Callable[[str], Path], kind: str, order: str
) -> None:
    if order == "before":
        environment.install(vendor())
    environment.install_wheel(build(kind))
    if order == "after":
        environment.install(vendor())

    where, log = environment.run(WHERE)
    mark, _ = environment.run("from airflow.hevo import client, operators, sensor\nprint(json.dumps(operators.MARK))")

    assert owners(where) == {"the vendor's"}
    assert mark == "vendor"
    assert "Another package owns airflow.hevo" in log
    assert "uninstall it" in log


@pytest.mark.parametrize("order", ["before", "after"])
def test_once_the_vendors_package_is_removed_its_dags_run_on_this_one(
    environment: Environment, build: Callable[[str], Path], order: str
) -> None:
    names = environment.install(vendor()) if order == "before" else []
    environment.install_wheel(build("wheel"))
    names = names or environment.install(vendor())

    environment.uninstall(names)

    where, log = environment.run(WHERE)
    assert owners(where) == {"ours"}
    assert "Another package" not in log


def test_once_this_package_is_removed_the_vendors_is_whole(
    environment: Environment, build: Callable[[str], Path]
) -> None:
    names = environment.install_wheel(build("wheel"))
    environment.install(vendor())

    environment.uninstall(names)

    mark, _ = environment.run("from airflow.hevo import client, operators, sensor\nprint(json.dumps(operators.MARK))")
    assert mark == "vendor"


def test_a_vendors_package_without_init_files_is_whole_too(
    environment: Environment, build: Callable[[str], Path]
) -> None:
    environment.install_wheel(build("wheel"))
    environment.install(vendor(package=False))

    where, log = environment.run(WHERE)
    mark, _ = environment.run("from airflow.hevo import client, operators, sensor\nprint(json.dumps(operators.MARK))")

    assert owners(where) == {"the vendor's"}
    assert mark == "vendor"
    assert "Another package owns airflow.hevo" in log


def test_no_file_of_this_package_lies_where_another_may_put_its_own(build: Callable[[str], Path]) -> None:
    with ZipFile(build("wheel")) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}

    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "hevo_provider",
        "airflow_provider_hevo",
        "airflow_provider_hevo.pth",
    }


def test_the_vendors_paths_hold_nothing_but_names() -> None:
    for file in (ROOT / "hevo_provider" / "vendor_paths").rglob("*.py"):
        names = {each.id for each in ast.walk(ast.parse(file.read_text())) if isinstance(each, ast.Name)}
        code = [each for each in ast.parse(file.read_text()).body if not isinstance(each, ast.ImportFrom | ast.Assign)]

        assert names <= {"TYPE_CHECKING", "__all__", "__getattr__", "__name__", "__path__", "names_in", "path_of"}, file
        assert [type(each) for each in code] == [ast.Expr, ast.If], file  # what it is, and `if TYPE_CHECKING:`
