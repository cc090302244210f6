"""``python -m hevo_provider.sandbox``: the demo data set and its command."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest

from hevo_provider.sandbox import Sandbox
from hevo_provider.sandbox.__main__ import build_parser, main
from hevo_provider.sandbox.demo import DEMO_PIPELINES, FLEET, add_demo_pipelines
from tests.sandbox.caller import Caller, VirtualClock


def test_every_demo_pipeline_is_served(hevo: Sandbox, call: Caller) -> None:
    add_demo_pipelines(hevo)

    served = {pipeline["id"]: pipeline["name"] for pipeline in call.get("?limit=100").data}

    assert served == {demo.id: demo.name for demo in (*DEMO_PIPELINES, *FLEET)}


@pytest.mark.parametrize(
    ("pipeline_id", "ends"), [(1, "COMPLETED"), (2, "COMPLETED_WITH_FAILURES"), (3, "FAILED"), (10, "DEFERRED")]
)
def test_demo_jobs_end_as_described(
    hevo: Sandbox, call: Caller, clock: VirtualClock, pipeline_id: int, ends: str
) -> None:
    add_demo_pipelines(hevo, speed=2.0)
    call.post(f"/{pipeline_id}/actions/sync-now")

    clock.advance(3.0)

    assert hevo.pipelines[pipeline_id].jobs[0].status == ends


@pytest.mark.parametrize(("pipeline_id", "refusal"), [(5, 400), (7, 409)])
def test_demo_pipelines_that_cannot_be_started(hevo: Sandbox, call: Caller, pipeline_id: int, refusal: int) -> None:
    add_demo_pipelines(hevo)

    assert call.post(f"/{pipeline_id}/actions/sync-now").status == refusal


def test_the_demos_scheduled_pipeline_starts_by_itself(hevo: Sandbox, clock: VirtualClock) -> None:
    add_demo_pipelines(hevo)

    clock.advance(61.0)

    assert [job.started_by for job in hevo.pipelines[6].jobs] == ["schedule"]


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.2", "example.com", "::"])  # noqa: S104 - must be refused
def test_the_command_listens_on_loopback_only(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["--host", address])

    assert "not a loopback address" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--speed", "0", "0 is no number greater than 0"),
        ("--speed", "fast", "fast is no number greater than 0"),
        ("--port", "70000", "70000 is no port: it must be a number from 0 to 65535"),
        ("--port", "-1", "is no port"),
        ("--port", "http", "http is no port"),
    ],
)
def test_a_value_that_makes_no_sense_is_told(
    option: str, value: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args([f"{option}={value}"])

    assert message in capsys.readouterr().err


def test_the_help_lists_the_pipelines() -> None:
    text = build_parser().format_help()

    assert all(demo.name in text for demo in DEMO_PIPELINES)


def test_a_port_that_is_taken_ends_the_command(hevo: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--port", str(hevo.port)]) == 1
    assert "Cannot listen" in capsys.readouterr().err


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_told_to_stop(stop: signal.Signals) -> None:
    command = [sys.executable, "-m", "hevo_provider.sandbox", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:  # noqa: S603
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        while "airflow connections add" not in lines[-1]:
            assert lines[-1], "the command ended too early"
            lines.append(process.stdout.readline())
        port = re.search(r"127\.0\.0\.1:(\d+)", lines[0])
        assert port is not None
        assert Caller(Sandbox(port=int(port[1]))).get("/1").status == 200
        process.send_signal(stop)
        rest, _ = process.communicate(timeout=10)

    assert "200 GET   /api/v1/pipelines/1" in rest
    assert rest.splitlines()[-1] == "The local Hevo has stopped"
    assert process.returncode == 0
