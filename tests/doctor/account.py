"""An account that keeps the contract, its moods, and the doctor's command run against it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hevo_provider.doctor.__main__ import main
from hevo_provider.doctor.assumptions import Verdict
from hevo_provider.sandbox import Sandbox
from hevo_provider.sandbox.like import Alike, ListManner, Manner
from hevo_provider.sandbox.limit import Limit
from tests.stage.clock import VirtualClock

KEY, SECRET = "the-doctors-key", "the-doctors-secret"
LISTS = ("pipelines", "jobs", "job objects", "objects")


@dataclass(frozen=True)
class Mood:
    """
    One way in which an account differs from the contract, and the facts that tell it.

    :param manner: how it answers.
    :param pipeline: options of its pipelines.
    :param differs: the facts that must be told to differ.
    :param seen: words that must be in what was seen of some of them.
    """

    manner: Manner
    pipeline: dict[str, Any]
    differs: tuple[str, ...] = ()
    seen: tuple[tuple[str, str], ...] = ()


def _under_other_words() -> dict[str, ListManner]:
    return {name: ListManner(("items", "page.more", "page.next_token"), default=10) for name in LISTS}


MOODS = {
    "contract kept": Mood(Manner(), {}),
    "order reversed": Mood(Manner(), {"order": "asc"}, ("order-of-jobs",), (("order-of-jobs", "oldest first"),)),
    "no order": Mood(Manner(), {"order": "shuffled"}, ("order-of-jobs",), (("order-of-jobs", "no order"),)),
    "units in seconds": Mood(
        Manner(moments="seconds", durations="seconds"),
        {},
        ("time-units", "duration-units"),
        (("time-units", "seconds in created_ts"), ("duration-units", "seconds")),
    ),
    "unknown statuses": Mood(
        Manner(),
        {
            "job_status_names": {"COMPLETED": "ARCHIVED"},
            "fields": {"status": "HIBERNATING"},
            "job_type_names": {"INCREMENTAL": "DELTA"},
        },
        ("pipeline-statuses", "job-statuses", "job-types"),
        (("pipeline-statuses", "HIBERNATING"), ("job-statuses", "ARCHIVED"), ("job-types", "DELTA")),
    ),
    "lists under other words": Mood(
        Manner(lists=_under_other_words()),
        {},
        ("list-words",),
        (("list-words", "items for data"), ("list-words", "page.next_token for next_cursor")),
    ),
    "pages of 20": Mood(
        Manner(lists={name: ListManner(default=10, most=20) for name in LISTS}),
        {},
        ("page-limit",),
        (("page-limit", "20 jobs where 100 were asked for"),),
    ),
    "no Date": Mood(Manner(has_date=False), {}, ("date-header",), (("date-header", "missing"),)),
    "Hevo's clock ahead": Mood(Manner(skew=300.0), {}, ("clock-skew",), (("clock-skew", "ahead"),)),
    "the limit met": Mood(
        Manner(limit=Limit(10, retry_after=40)),
        {},
        (),
        (("limit-answer", "429, Retry-After 40"), ("limit-answer", "Request rate limit exceeded")),
    ),
    "the limit met under another status": Mood(
        Manner(limit=Limit(10, status=418)),
        {},
        ("limit-answer",),
        (("limit-answer", "418, Retry-After missing"),),
    ),
    "fields missing, changed and new": Mood(
        Manner(
            fields={
                "job": {"events_loaded": ["missing"], "objects_failed": ["text"], "warehouse_credits": ["number"]},
                "pipeline": {"schedule.sync_type": ["missing"], "team": ["object"]},
            },
        ),
        {},
        ("job-fields", "pipeline-fields"),
        (
            ("job-fields", "missing: events_loaded"),
            ("job-fields", "objects_failed (text, not number)"),
            ("pipeline-fields", "missing: schedule.sync_type"),
            ("new-fields", "job: warehouse_credits"),
            ("new-fields", "pipeline: team"),
        ),
    ),
    "a role that may not see objects": Mood(Manner(statuses={"objects": 403}), {}, ("role",), (("role", "objects"),)),
    "400 for what is not there": Mood(
        Manner(statuses={"missing pipeline": 400, "missing job": 410}),
        {},
        ("pipeline-404", "job-404"),
        (("pipeline-404", "400"), ("job-404", "410")),
    ),
}


@contextmanager
def account(mood: Mood, clock: VirtualClock, **options: Any) -> Iterator[Alike]:
    """Serve an account of twelve pipelines, of which one has more jobs than go on a page."""
    options = {"key": KEY, "secret": SECRET, **options}
    with Alike(mood.manner, clock=clock.now, seed=7, **options) as hevo:
        hevo.has_page = False  # what the API's host has at a pipeline's address is one of the doctor's questions
        for number in range(1, 13):
            pipeline = hevo.add_pipeline(number, **{"appear_after": 8.0, "duration": 30.0, **mood.pipeline})
            for job in range(130 if number == 1 else 3):
                pipeline.start_job(ago=3600.0 * (job + 1), appear_after=0.0)
        yield hevo


@dataclass(frozen=True)
class Told:
    """What the command told: its exit status, the verdict and what was seen by fact, and what it wrote."""

    status: int
    verdicts: dict[str, str]
    seen: dict[str, str]
    out: str
    err: str

    def differing(self) -> set[str]:
        return {fact for fact, verdict in self.verdicts.items() if verdict == Verdict.DIFFERS}


class Doctor:
    """Runs the command against an account."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, hevo: Sandbox, *arguments: str, stdin: str = "") -> Told:
        self._monkeypatch.setenv("HEVO_API_KEY", hevo.key)
        self._monkeypatch.setenv("HEVO_API_SECRET", hevo.secret)
        self._monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        self._capsys.readouterr()
        status = main(["--host", hevo.url, *arguments])
        out, err = self._capsys.readouterr()
        rows = [row_of(line) for line in out.splitlines() if "API.md:" in line]
        return Told(status, {name: told for told, name, _ in rows}, {name: seen for _, name, seen in rows}, out, err)


def row_of(line: str) -> tuple[str, str, str]:
    """Return verdict, fact and what was seen of one line of the table."""
    verdict = next(verdict.value for verdict in Verdict if line.startswith(verdict.value))
    name, place, rest = line.removeprefix(verdict).split(maxsplit=2)
    assert place.startswith("API.md:")
    return verdict, name, rest


def written(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8"))


def without(words: Sequence[str], text: str) -> None:
    for word in words:
        assert word.lower() not in text.lower(), word
