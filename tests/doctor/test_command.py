"""The doctor's command: what it needs, what it asks, what it writes where, and its exit status."""

from __future__ import annotations

import io
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from hevo_provider import __version__
from hevo_provider.doctor.__main__ import build_parser, main
from hevo_provider.doctor.exchange import Observations
from hevo_provider.doctor.progress import Progress
from hevo_provider.doctor.report import rows_of, table
from hevo_provider.links import USUAL_PATH
from hevo_provider.sandbox import Fault
from hevo_provider.sandbox.like import Alike
from tests.doctor.account import KEY, MOODS, SECRET, Doctor, account
from tests.stage.airflow_home import copy_migrated_database
from tests.stage.clock import VirtualClock

ROOT = Path(__file__).parents[2]
WELL = MOODS["contract kept"]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_key_and_secret_cannot_be_given_as_arguments() -> None:
    options = {option for action in build_parser()._actions for option in action.option_strings}

    assert options == {"-h", "--help", "--connection", "--host", "--sync", "--json"}


@pytest.mark.parametrize("arguments", [[], ["--host", "us", "--connection", "hevo"], ["--host", "us", "--sync", "x"]])
def test_arguments_that_make_no_sense_are_refused_with_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)

    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize("missing", ["HEVO_API_KEY", "HEVO_API_SECRET"])
def test_without_key_or_secret_in_the_environment_it_says_which_and_ends_with_2(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEVO_API_KEY", KEY)
    monkeypatch.setenv("HEVO_API_SECRET", SECRET)
    monkeypatch.delenv(missing)

    assert main(["--host", "us"]) == 2
    out, err = capsys.readouterr()
    assert (out, missing in err) == ("", True)


FAILURES: dict[str, tuple[Callable[[Alike], None], str]] = {
    "a wrong key": (lambda hevo: setattr(hevo, "unauthorized", True), "Hevo refuses the key (401"),
    "a role that may not list": (lambda h: h.inject("*", Fault.status(403), times=None), "may not list pipelines (403"),
    "a web page": (lambda hevo: hevo.inject("*", Fault.html(), times=None), "is not Hevo's API"),
    "a redirect": (
        lambda h: h.inject("*", Fault.redirect("https://example.com/"), times=None),
        "leads elsewhere (302)",
    ),
    "no answer": (lambda hevo: hevo.inject("*", Fault.reset(), times=None), "the connection to 127.0.0.1 failed"),
    "a limit without end": (
        lambda h: h.inject("*", Fault.status(429, headers={"Retry-After": "1"}), times=None),
        "Hevo's limit was met again and again",
    ),
    "a gateway without Hevo": (lambda hevo: hevo.inject("*", Fault.html(502), times=None), "502"),
}


@pytest.mark.parametrize(("fail", "words"), FAILURES.values(), ids=FAILURES)
def test_where_nothing_could_be_seen_it_says_why_and_ends_with_2(
    fail: Callable[[Alike], None], words: str, doctor: Doctor, clock: VirtualClock, tmp_path: Path
) -> None:
    file = tmp_path / "seen.json"
    with account(WELL, clock) as hevo:
        fail(hevo)
        told = doctor(hevo, "--json", str(file))

    assert (told.status, told.out, file.exists()) == (2, "", False)
    assert words in told.err


def test_a_host_that_nobody_listens_at_ends_with_2(doctor: Doctor, clock: VirtualClock) -> None:
    with account(WELL, clock) as hevo:
        pass

    told = doctor(hevo)

    assert told.status == 2
    assert "nothing listens there" in told.err


def test_credentials_are_not_sent_unencrypted_over_a_network(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEVO_API_KEY", KEY)
    monkeypatch.setenv("HEVO_API_SECRET", SECRET)

    assert main(["--host", "http://us.hevodata.com"]) == 2
    assert "unencrypted" in capsys.readouterr().err


def test_one_answer_that_fails_is_asked_for_again(doctor: Doctor, clock: VirtualClock) -> None:
    with account(WELL, clock) as hevo:
        hevo.inject("list_jobs", Fault.html(502))
        hevo.inject("get_pipeline", Fault.reset())
        told = doctor(hevo)

    assert told.differing() == set()
    assert len(hevo.requests_of("get_pipeline")) == 7  # five pipelines, one that is not there, and one again
    assert "1 request had to be repeated" in told.seen["latency"]


def test_an_account_without_pipelines_is_no_difference(clock: VirtualClock, doctor: Doctor) -> None:
    with Alike(WELL.manner, clock=clock.now) as hevo:
        told = doctor(hevo)

    assert told.differing() == set()
    assert told.verdicts["order-of-jobs"] == "could not be seen"


def test_the_connection_of_an_airflow_is_used_with_its_headers(
    clock: VirtualClock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with account(WELL, clock) as hevo:
        extra = {"headers": {"X-Gateway": "open sesame"}, "link": "https://pages.example.com/{pipeline_id}"}
        connection = {"conn_type": "hevo", "host": hevo.url, "login": KEY, "password": SECRET, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_MY_HEVO", json.dumps(connection))
        status = main(["--connection", "my_hevo"])

    assert status == 0
    assert {request.headers["X-Gateway"] for request in hevo.requests if request.route != "unknown"} == {"open sesame"}
    assert "the connection has a link of its own" in capsys.readouterr().out


def test_a_connection_that_is_not_there_ends_with_2(capsys: pytest.CaptureFixture[str], airflow_database: None) -> None:
    assert main(["--connection", "no_such_connection"]) == 2
    assert "no_such_connection" in capsys.readouterr().err


@pytest.mark.e2e
def test_a_connection_that_was_added_to_airflows_database_is_found(clock: VirtualClock, tmp_path: Path) -> None:
    database = tmp_path / "airflow.db"
    copy_migrated_database(database)
    with account(WELL, clock) as hevo, closing(sqlite3.connect(database)) as airflow:
        hevo.unauthorized = True
        airflow.execute(
            "INSERT INTO connection (conn_id, conn_type, host, login, password, is_encrypted, is_extra_encrypted) "
            "VALUES ('my_hevo', 'hevo', ?, ?, ?, FALSE, FALSE)",
            (hevo.url, KEY, SECRET),
        )
        airflow.commit()
        done = subprocess.run(
            [sys.executable, "-m", "hevo_provider.doctor", "--connection", "my_hevo"],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "AIRFLOW_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    assert "Hevo refuses the key (401" in done.stderr
    assert done.returncode == 2


def test_with_a_host_nothing_of_airflow_is_loaded(clock: VirtualClock) -> None:
    code = (
        "import sys; from hevo_provider.doctor.__main__ import main; status = main(sys.argv[1:])\n"
        "print(status, [name for name in sys.modules if name.split('.')[0] == 'airflow'])"
    )
    with account(WELL, clock) as hevo:
        hevo.unauthorized = True
        environment = {"PATH": os.environ["PATH"], "HEVO_API_KEY": KEY, "HEVO_API_SECRET": SECRET}
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", code, "--host", hevo.url],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )

    assert done.stdout == "2 []\n"


@pytest.mark.parametrize("said", ["", "\n", "n\n", "yess\n", "no\n", "Y e s\n", "1\n"])
def test_anything_but_yes_sends_nothing(said: str, doctor: Doctor, clock: VirtualClock) -> None:
    with account(WELL, clock) as hevo:
        told = doctor(hevo, "--sync", "2", stdin=said)

    assert {request.method for request in hevo.requests} == {"GET"}
    assert "sync of pipeline 2" in told.err
    assert told.verdicts["sync-answer"] == "could not be seen"
    assert "you did not say yes" in told.seen["sync-answer"]


@pytest.mark.parametrize("said", ["y\n", "yes\n", " YES \n", "y"])
def test_yes_starts_one_sync_and_measures_it_to_its_end(said: str, doctor: Doctor, clock: VirtualClock) -> None:
    with account(WELL, clock) as hevo:
        told = doctor(hevo, "--sync", "2", stdin=said)

    assert [(request.method, request.path) for request in hevo.requests if request.method != "GET"] == [
        ("POST", "/api/v1/pipelines/2/actions/sync-now")
    ]
    assert told.seen["sync-answer"].startswith("200 ")
    assert "between 7 and 9 s" in told.seen["sync-shows"]  # the sandbox shows it after 8
    assert told.seen["sync-type"].startswith("INCREMENTAL")
    assert re.match(r"IN_PROGRESS at 9 s, COMPLETED at 3\d s", told.seen["sync-states"])
    assert len(hevo.requests) <= 60


def test_a_job_that_takes_hours_is_followed_as_far_as_sixty_requests_reach(doctor: Doctor, clock: VirtualClock) -> None:
    with account(WELL, clock) as hevo:
        hevo.pipelines[2].duration = None
        told = doctor(hevo, "--sync", "2", stdin="y\n")

    assert len(hevo.requests) == 60
    assert "1 job had not ended when the doctor stopped" in told.seen["sync-states"]


def test_a_job_that_never_shows_is_told(doctor: Doctor, clock: VirtualClock) -> None:
    with account(WELL, clock) as hevo:
        hevo.pipelines[2].appear_after = 3600.0
        told = doctor(hevo, "--sync", "2", stdin="y\n")

    assert told.verdicts["sync-shows"] == "differs"
    assert "no new job within 12" in told.seen["sync-shows"]


def test_no_sync_is_sent_beside_a_job_that_is_active(doctor: Doctor, clock: VirtualClock) -> None:
    with account(WELL, clock) as hevo:
        hevo.pipelines[2].duration = None
        hevo.pipelines[2].start_job(appear_after=0.0)
        told = doctor(hevo, "--sync", "2", stdin="y\n")

    assert hevo.requests_of("sync_now") == []
    assert "a job of the pipeline is active" in told.seen["sync-answer"]


def test_a_sync_whose_answer_is_lost_is_not_sent_again(doctor: Doctor, clock: VirtualClock) -> None:
    with account(WELL, clock) as hevo:
        hevo.inject("sync_now", Fault.reset(after=True))
        told = doctor(hevo, "--sync", "2", stdin="y\n")

    assert len(hevo.requests_of("sync_now")) == 1
    assert "no answer" in told.seen["sync-answer"]
    assert told.verdicts["sync-shows"] == "holds"


def test_the_job_of_a_sync_that_a_gateway_answered_is_found(doctor: Doctor, clock: VirtualClock) -> None:
    with account(WELL, clock) as hevo:
        hevo.inject("sync_now", Fault.html(502, after=True))
        told = doctor(hevo, "--sync", "2", stdin="y\n")

    assert told.verdicts["sync-answer"] == "differs"
    assert told.verdicts["sync-shows"] == "holds"


def test_a_sync_that_is_refused_is_told_in_hevos_words(doctor: Doctor, clock: VirtualClock) -> None:
    with account(WELL, clock) as hevo:
        hevo.pipelines[2].status = "DISABLED"
        told = doctor(hevo, "--sync", "2", stdin="y\n")

    assert "400" in told.seen["sync-answer"]
    assert "cannot run" in told.seen["sync-answer"]
    assert "Hevo refused the sync" in told.seen["sync-shows"]


def test_a_file_that_cannot_be_written_is_told_before_anything_is_asked(
    doctor: Doctor, clock: VirtualClock, tmp_path: Path
) -> None:
    with account(WELL, clock) as hevo:
        told = doctor(hevo, "--json", str(tmp_path / "nowhere" / "seen.json"))

    assert (told.status, hevo.requests) == (2, [])
    assert "Cannot write" in told.err


def test_where_nobody_watches_there_is_no_colour_no_bar_and_each_row_is_one_whole_line(
    doctor: Doctor, clock: VirtualClock
) -> None:
    long_name = "a_field_with_a_name_that_is_longer_than_any_terminal_is_wide_" * 2
    with account(WELL, clock) as hevo:
        hevo.pipelines[1].fields[long_name] = 1
        told = doctor(hevo)

    assert "\x1b" not in told.out + told.err
    assert told.err == ""
    assert long_name in told.seen["new-fields"]
    assert len({line.index("API.md:") for line in told.out.splitlines() if "API.md:" in line}) == 1


def test_in_a_terminal_rows_are_wrapped_to_its_width_and_coloured() -> None:
    rows = rows_of(Observations())

    text = table(rows, is_terminal=True, width=120)

    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    assert "\x1b[" in text
    assert max(map(len, plain.splitlines())) <= 120
    assert table(rows, is_terminal=True, width=120, colour=False) == plain


def test_a_bar_is_shown_where_stderr_is_a_terminal_and_taken_away() -> None:
    stream = Terminal()
    progress = Progress(stream)

    progress(12, "jobs")
    progress.clear()

    assert "12 of at most 60 requests, asking for jobs" in stream.getvalue()
    assert stream.getvalue().endswith("\r\x1b[K")


def test_no_bar_is_shown_elsewhere() -> None:
    stream = io.StringIO()

    Progress(stream)(12, "jobs")

    assert stream.getvalue() == ""


PAGES = {
    "only the pipeline's": ({"/pipeline/1/overview": 200}, 404, "holds"),
    "none": ({}, 404, "differs"),
    "one for every address": ({}, 200, "could not be seen"),
}


@pytest.mark.parametrize(("known", "others", "verdict"), PAGES.values(), ids=PAGES)
def test_a_pipelines_page_is_told_from_one_that_cannot_be(
    known: dict[str, int], others: int, verdict: str, doctor: Doctor, clock: VirtualClock
) -> None:
    with account(WELL, clock) as hevo:
        paths = iter(["/pipeline/1/overview", "/elsewhere"])
        api = hevo.fault_source
        hevo.fault_source = lambda route: (
            Fault.html(known.get(next(paths), others)) if route == "unknown" else api(route) if api else None
        )
        told = doctor(hevo)

    assert told.verdicts["page-address"] == verdict
    pages = [request for request in hevo.requests if request.route == "unknown"]
    assert pages[0].path == USUAL_PATH.format(pipeline_id=1)
    assert all("Authorization" not in request.headers for request in pages)
    assert {request.headers["User-Agent"] for request in hevo.requests} == {f"airflow-provider-hevo/{__version__}"}


def test_credentials_go_to_the_api_alone_and_no_redirect_is_followed(doctor: Doctor, clock: VirtualClock) -> None:
    with Alike(clock=clock.now) as elsewhere, account(WELL, clock) as hevo:
        hevo.inject("list_objects", Fault.redirect(f"{elsewhere.url}/api/v1/pipelines/1/objects"), times=None)
        told = doctor(hevo)

    assert elsewhere.connections_opened == 0
    assert "302" in told.seen["list-objects"]
