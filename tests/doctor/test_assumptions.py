"""Each assumption alone: a pure function from what was seen to a finding."""

from __future__ import annotations

import json
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hevo_provider.doctor.anonymous import Veil, anonymous
from hevo_provider.doctor.assumptions import ALL, Finding, Verdict
from hevo_provider.doctor.exchange import Call, Exchange, Observations, Question, Sync, SyncJob
from hevo_provider.doctor.fields import SHAPES
from hevo_provider.doctor.report import rows_of, status_of, table
from hevo_provider.sandbox.like import read_alike

NOW = 1_800_000_000.0
HOLDS, DIFFERS, UNSEEN = Verdict.HOLDS, Verdict.DIFFERS, Verdict.UNSEEN
CHECKS = {each.fact: each.check for each in ALL}


def answer(call: Call, value: Any = None, status: int = 200, **options: Any) -> Exchange:
    """Return an answer, as one of Hevo's would be."""
    question = options.pop("question", None) or Question(
        call, options.pop("pipeline_id", 7), limit=options.pop("limit", 100)
    )
    headers = {"date": formatdate(NOW, usegmt=True), **options.pop("headers", {})}
    options = {"is_json": True, "at": NOW, "seconds": 0.1, **options}
    return Exchange(question, status=status, value=value, headers=headers, **options)


def page(call: Call, items: list[Any], *, cursor: str | None = None, **options: Any) -> Exchange:
    return answer(call, {"data": items, "has_more": cursor is not None, "next_cursor": cursor}, **options)


def job(number: int, *, ago: float = 100.0, took: float = 30.0, **fields: Any) -> dict[str, Any]:
    created = int((NOW - ago) * 1000)
    times = {"created_ts": created, "updated_ts": created + int(took * 1000), "duration": int(took * 1000)}
    job_id = f"00000000-0000-4000-8000-{number:012d}"
    return {"job_id": job_id, "type": "INCREMENTAL", "status": "COMPLETED", **times, **fields}


def found(fact: str, *exchanges: Exchange, **options: Any) -> Finding:
    return CHECKS[fact](Observations(exchanges, **options))


def synced(*jobs: SyncJob, **options: Any) -> Observations:
    sync_answer = options.pop("answer", answer(Call.SYNC, {"message": "Sync has been triggered"}))
    return Observations(
        sync=Sync(**{"answer": sync_answer, "shown_after": 9.0, "unseen_until": 7.0, **options, "jobs": jobs})
    )


def jobs_of(*jobs: dict[str, Any], **options: Any) -> Exchange:
    return page(Call.JOBS, list(jobs), **options)


CASES: dict[str, tuple[str, tuple[Exchange, ...], Verdict, str]] = {
    "TLS is told with its version": ("tls", (answer(Call.PIPELINES, tls="TLSv1.3"),), HOLDS, "TLSv1.3"),
    "plain http on loopback is not judged": ("tls", (answer(Call.PIPELINES),), UNSEEN, "loopback"),
    "a key that one call refuses": ("key", (answer(Call.PIPELINES, []), answer(Call.JOB, status=401)), DIFFERS, "job"),
    "a role that may not": ("role", (answer(Call.PIPELINES, []), answer(Call.OBJECTS, status=403)), DIFFERS, "objects"),
    "the limit under 403 is no role": (
        "role",
        (answer(Call.PIPELINES, []), answer(Call.OBJECTS, status=403, words="Request rate limit exceeded")),
        HOLDS,
        "may read",
    ),
    "a page where JSON should be": ("json", (answer(Call.JOBS, is_json=False),), DIFFERS, "jobs (200)"),
    "a gateway's page is no surprise": (
        "json",
        (answer(Call.JOBS, status=502, is_json=False), jobs_of()),
        HOLDS,
        "1 answer",
    ),
    "slow answers": ("latency", (answer(Call.JOBS, {}, seconds=31.0),), DIFFERS, "slowest 31000 ms"),
    "an answer that never came": ("latency", (Exchange(Question(Call.JOBS), failure="reset"),), DIFFERS, "reset"),
    "an answer that came at the second try": (
        "latency",
        (Exchange(Question(Call.JOBS), failure="reset"), answer(Call.JOBS, {}, question=Question(Call.JOBS))),
        HOLDS,
        "1 request had to be repeated",
    ),
    "a Date that is no date": ("date-header", (answer(Call.JOBS, headers={"date": "today"}),), DIFFERS, "1 of 1"),
    "a clock that is an hour off": ("clock-skew", (answer(Call.JOBS, at=NOW + 3600.0),), DIFFERS, "behind"),
    "a job from the future": ("clock-skew", (jobs_of(job(1, ago=-60.0)),), DIFFERS, "later than the Date"),
    "a list that is bare": ("list-words", (answer(Call.JOBS, [job(1)]),), DIFFERS, "jobs: (nothing) for data"),
    "a last page without words for more": ("list-words", (answer(Call.JOBS, {"data": [job(1)]}),), HOLDS, "1 list"),
    "a cursor under another word": (
        "list-words",
        (answer(Call.JOBS, {"data": [job(1)], "has_more": True, "page_token": "abc"}),),
        DIFFERS,
        "page_token for next_cursor",
    ),
    "20 items where no number was asked for": (
        "page-default",
        (jobs_of(*map(job, range(20)), question=Question(Call.JOBS, 7)),),
        DIFFERS,
        "20 jobs",
    ),
    "a page that is too large": ("page-limit", (jobs_of(job(1), job(2), limit=1),), DIFFERS, "2 jobs where 1"),
    "more without a cursor": (
        "cursors",
        (answer(Call.JOBS, {"data": [job(1)], "has_more": True, "next_cursor": None}),),
        DIFFERS,
        "without a cursor",
    ),
    "a cursor that leads to the same page": (
        "cursors",
        (
            jobs_of(job(1), cursor="next"),
            jobs_of(job(1), question=Question(Call.JOBS, 7, limit=100, cursor="next")),
        ),
        DIFFERS,
        "items of the one before",
    ),
    "a cursor that leads to an empty page": (
        "cursors",
        (jobs_of(job(1), cursor="next"), jobs_of(question=Question(Call.JOBS, 7, limit=100, cursor="next"))),
        DIFFERS,
        "or none",
    ),
    "newest first": ("order-of-jobs", (jobs_of(job(2, ago=10.0), job(1, ago=90.0)),), HOLDS, "newest first"),
    "oldest first": ("order-of-jobs", (jobs_of(job(1, ago=90.0), job(2, ago=10.0)),), DIFFERS, "oldest first"),
    "jobs of one moment have no order": ("order-of-jobs", (jobs_of(job(1), job(2)),), UNSEEN, "two jobs"),
    "a pipeline that is another one alone": (
        "get-pipeline",
        (page(Call.PIPELINES, [{"id": 7}]), answer(Call.PIPELINE, {"id": 8})),
        DIFFERS,
        "another one",
    ),
    "an object that is found by its name": (
        "object-path",
        (answer(Call.OBJECT, status=404), answer(Call.OBJECT_BY_NAME, {"object_id": "a"})),
        HOLDS,
        "found by its name",
    ),
    "an object that is not found": ("object-path", (answer(Call.OBJECT, status=404),), DIFFERS, "404"),
    "a job id that is a number": (
        "ids",
        (page(Call.PIPELINES, [{"id": 7}]), jobs_of({"job_id": 5})),
        DIFFERS,
        "job_id",
    ),
    "a pipeline id that is a text": ("ids", (page(Call.PIPELINES, [{"id": "7"}]),), DIFFERS, "id of a pipeline (text)"),
    "times as texts": (
        "time-units",
        (jobs_of(job(1, created_ts="2027-01-15T08:00:00Z")),),
        DIFFERS,
        "text in created_ts",
    ),
    "times in microseconds": ("time-units", (jobs_of(job(1, updated_ts=int(NOW * 1e6))),), DIFFERS, "microseconds"),
    "a time of 1970": ("time-units", (jobs_of(job(1, updated_ts=12)),), DIFFERS, "no time of our days in updated_ts"),
    "durations in seconds": ("duration-units", (jobs_of(job(1, duration=30)),), DIFFERS, "seconds, by 1 job"),
    "durations that fit nothing": ("duration-units", (jobs_of(job(1, duration=7)),), UNSEEN, "in any unit"),
    "jobs that overlap": ("one-job", (jobs_of(job(2, ago=90.0), job(1, ago=100.0)),), DIFFERS, "1 job of 2"),
    "a skipped job overlaps nobody": (
        "one-job",
        (jobs_of(job(3, ago=50.0), job(2, ago=90.0, status="SKIPPED"), job(1, ago=100.0)),),
        HOLDS,
        "none of 2",
    ),
    "a job of eight days": (
        "job-length",
        (jobs_of(job(1, ago=9 * 86400.0, took=8 * 86400.0)),),
        DIFFERS,
        "longest 8 d",
    ),
    "deferred jobs are a normal day": ("deferred", (jobs_of(job(1, status="DEFERRED")),), HOLDS, "1 of 1 job"),
    "the limit under 400": (
        "limit-answer",
        (answer(Call.JOBS, status=400, words="Request rate limit exceeded"),),
        HOLDS,
        "400, Retry-After missing",
    ),
    "a limit in other words under 503": (
        "limit-answer",
        (answer(Call.JOBS, status=503, words="too many requests"),),
        DIFFERS,
        "too many requests",
    ),
    "a header that tells the limit": (
        "limit",
        (answer(Call.JOBS, {}, headers={"x-ratelimit-limit": "50"}),),
        DIFFERS,
        "x-ratelimit-limit: 50",
    ),
    "a header that tells the limit of the contract": (
        "limit",
        (answer(Call.JOBS, {}, headers={"x-ratelimit-limit": "100", "x-ratelimit-remaining": "3"}),),
        HOLDS,
        "x-ratelimit-remaining: 3",
    ),
}


@pytest.mark.parametrize(("fact", "exchanges", "verdict", "words"), CASES.values(), ids=CASES)
def test_an_assumption_is_judged_by_what_was_seen(
    fact: str, exchanges: tuple[Exchange, ...], verdict: Verdict, words: str
) -> None:
    finding = found(fact, *exchanges)

    assert (finding.verdict, words in finding.seen) == (verdict, True), finding


def test_a_certificate_that_is_not_checked_is_not_called_trusted() -> None:
    assert found("tls", answer(Call.PIPELINES, tls="TLSv1.3"), certificate_checked=False).verdict is UNSEEN


SYNCS: dict[str, tuple[str, Observations, Verdict, str]] = {
    "200": ("sync-answer", synced(), HOLDS, "200"),
    "204": ("sync-answer", synced(answer=answer(Call.SYNC, status=204, is_json=False)), HOLDS, "204"),
    "a job id": ("sync-answer", synced(answer=answer(Call.SYNC, {"job_id": "a"})), DIFFERS, "200 with job_id"),
    "202": ("sync-answer", synced(answer=answer(Call.SYNC, {}, 202)), DIFFERS, "202"),
    "a web page": ("sync-answer", synced(answer=answer(Call.SYNC, is_json=False, words="<html>")), DIFFERS, "<html>"),
    "late": ("sync-shows", synced(unseen_until=40.0, shown_after=50.0), DIFFERS, "between 40 and 50 s"),
    "soon": ("sync-shows", synced(unseen_until=0.0, shown_after=1.0), HOLDS, "between 0 and 1 s"),
    "historical first": ("sync-type", synced(SyncJob("HISTORICAL"), SyncJob("INCREMENTAL")), HOLDS, "HISTORICAL, then"),
    "another type": ("sync-type", synced(SyncJob("REFRESHER")), DIFFERS, "REFRESHER"),
    "no type": ("sync-type", synced(SyncJob(None)), DIFFERS, "(none)"),
    "an unknown state": ("sync-states", synced(SyncJob("RESYNC", ((9.0, "WARMING_UP"),))), DIFFERS, "WARMING_UP"),
    "a job that comes back": (
        "sync-states",
        synced(SyncJob("INCREMENTAL", ((9.0, "FAILED"), (20.0, "IN_PROGRESS"), (30.0, "COMPLETED")))),
        DIFFERS,
        "FAILED at 9 s, IN_PROGRESS at 20 s",
    ),
    "not asked for": ("sync-answer", Observations(), UNSEEN, "--sync"),
}


@pytest.mark.parametrize(("fact", "seen", "verdict", "words"), SYNCS.values(), ids=SYNCS)
def test_a_sync_is_judged_by_what_was_measured(fact: str, seen: Observations, verdict: Verdict, words: str) -> None:
    finding = CHECKS[fact](seen)

    assert (finding.verdict, words in finding.seen) == (verdict, True), finding


def test_where_nothing_was_seen_no_row_holds_and_the_status_is_2() -> None:
    rows = rows_of(Observations())

    assert {row.finding.verdict for row in rows} == {UNSEEN}
    assert status_of(rows) == 2


NAMES = sorted({name.partition(".")[0] for shape in SHAPES.values() for name in shape.fields})
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["COMPLETED", "DEFERRED"])
)
ANY = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | st.sampled_from(NAMES), inner, max_size=3)
    ),
    max_leaves=6,
)
ITEMS = st.lists(st.dictionaries(st.sampled_from(NAMES), ANY, max_size=8), max_size=3)
ANSWERS = st.builds(
    lambda call, items, other, status: answer(
        call,
        {"data": items, "has_more": True, **other} if call in {Call.JOBS, Call.PIPELINES, Call.OBJECTS} else other,
        status,
    ),
    st.sampled_from(Call),
    ITEMS,
    st.dictionaries(st.sampled_from([*NAMES, "next_cursor"]), ANY, max_size=6),
    st.sampled_from([200, 204, 400, 403, 404, 429, 502]),
)


@settings(max_examples=50, deadline=None)
@given(exchanges=st.lists(ANSWERS, max_size=8))
def test_no_answer_is_too_odd_to_be_judged_written_down_and_played(
    tmp_path_factory: pytest.TempPathFactory, exchanges: list[Exchange]
) -> None:
    seen = Observations(tuple(exchanges))

    rows = rows_of(seen)
    text = anonymous(seen, rows, Veil(seen, "us.hevodata.com"))

    assert table(rows, is_terminal=False).count("API.md:") == len(ALL)
    assert set(json.loads(text)["rows"]) == set(CHECKS)
    file = tmp_path_factory.mktemp("odd") / "seen.json"
    file.write_text(text, encoding="utf-8")
    assert set(read_alike(file).pipelines) <= set(range(1, 101))


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"form": 99}', "\xff", '{"form": 1, "pipelines": 7}', "[" * 100_000]
)
def test_a_file_that_no_doctor_has_written_is_refused(content: str, tmp_path: Path) -> None:
    file = tmp_path / "seen.json"
    file.write_bytes(content.encode("latin1"))

    with pytest.raises(ValueError, match=r"is not what python -m hevo_provider\.doctor|and this version reads"):
        read_alike(file)
