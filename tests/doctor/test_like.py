"""``python -m hevo_provider.sandbox --like FILE``: a sandbox that answers as the account of the file did."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hevo_provider.sandbox.__main__ import main
from hevo_provider.sandbox.like import Alike, Manner, read_alike
from hevo_provider.sandbox.limit import Limit
from tests.doctor.account import MOODS, SECRET, Doctor, account, written
from tests.sandbox.caller import Caller
from tests.stage.clock import VirtualClock


def test_the_command_serves_what_the_doctor_saw(doctor: Doctor, clock: VirtualClock, tmp_path: Path) -> None:
    file = tmp_path / "seen.json"
    with account(MOODS["lists under other words"], clock) as hevo:
        doctor(hevo, "--json", str(file))

    command = [sys.executable, "-m", "hevo_provider.sandbox", "--port", "0", "--quiet", "--like", str(file)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:  # noqa: S603
        assert process.stdout is not None
        port = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert port is not None
        said = next(line for line in process.stdout if "pipelines" in line)
        answer = Caller(Alike(port=int(port[1]))).get("").json
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)

    assert "12 pipelines, like those that the doctor saw" in said
    assert (len(answer["items"]), answer["page"]["more"]) == (10, True)
    assert process.returncode == 0


@pytest.mark.parametrize("content", [None, "nonsense"])
def test_the_command_says_what_is_wrong_with_a_file(
    content: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "seen.json"
    if content is not None:
        file.write_text(content, encoding="utf-8")

    assert main(["--like", str(file)]) == 1
    assert str(file) in capsys.readouterr().err


def test_jobs_are_played_with_their_types_statuses_ages_and_lengths(
    doctor: Doctor, clock: VirtualClock, tmp_path: Path
) -> None:
    file = tmp_path / "seen.json"
    with account(MOODS["contract kept"], clock) as hevo:
        hevo.pipelines[2].start_job("REFRESHER", ago=90.0, appear_after=0.0, duration=60.0, ends="DEFERRED")
        doctor(hevo, "--json", str(file))

    with read_alike(file, clock=clock.now) as alike:
        newest = Caller(alike).get("/2/jobs?limit=1").data[0]

    assert (newest["type"], newest["status"], newest["duration"]) == ("REFRESHER", "DEFERRED", 60_000)
    assert 90.0 <= clock.now() - newest["created_ts"] / 1000 <= 150.0  # the doctor took a while


def test_a_sync_is_played_as_it_was_measured(doctor: Doctor, clock: VirtualClock, tmp_path: Path) -> None:
    file = tmp_path / "seen.json"
    with account(MOODS["contract kept"], clock) as hevo:
        hevo.action_answer = 204
        pipeline = hevo.pipelines[2]
        pipeline.appear_after, pipeline.duration, pipeline.ends = 20.0, 50.0, "COMPLETED_WITH_FAILURES"
        pipeline.job_type_names = {"INCREMENTAL": "HISTORICAL"}
        measured = doctor(hevo, "--sync", "2", "--json", str(file), stdin="y\n")

    with read_alike(file, clock=clock.now) as alike:
        played = doctor(alike, "--sync", "2", stdin="y\n")

    assert measured.seen["sync-answer"].startswith("204")
    for fact in ("sync-answer", "sync-shows", "sync-type", "sync-states"):
        assert played.verdicts[fact] == measured.verdicts[fact]
    assert "between 19 and 21 s" in played.seen["sync-shows"]
    assert played.seen["sync-type"].startswith("HISTORICAL")
    assert "COMPLETED_WITH_FAILURES" in played.seen["sync-states"]


def test_the_limit_lets_requests_through_again_once_a_minute_has_passed(clock: VirtualClock) -> None:
    with Alike(
        Manner(limit=Limit(2, status=503, retry_after=7, words="Request rate limit exceeded")), clock=clock.now
    ) as hevo:
        call = Caller(hevo)
        statuses = [call.get().status for _ in range(3)]
        refused = call.get()
        clock.advance(60.0)

        assert statuses == [200, 200, 503]
        assert refused.headers["Retry-After"] == "7"
        assert refused.json["message"] == "Request rate limit exceeded"
        assert call.get().status == 200


def test_the_sandboxs_own_credentials_are_needed_not_the_accounts(
    doctor: Doctor, clock: VirtualClock, tmp_path: Path
) -> None:
    file = tmp_path / "seen.json"
    with account(MOODS["contract kept"], clock) as hevo:
        doctor(hevo, "--json", str(file))

    assert read_alike(file).secret != SECRET
    assert written(file)["pipelines"]
