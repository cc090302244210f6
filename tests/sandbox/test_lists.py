"""Pages, cursors and order."""

from __future__ import annotations

import pytest

from hevo_provider.sandbox import Sandbox
from tests.sandbox.caller import Caller


def walk(call: Caller, path: str) -> list[list[dict[str, object]]]:
    """Follow the cursors from a list's first page to its last."""
    pages, page = [], call.get(path).json
    while page["has_more"]:
        pages.append(page["data"])
        page = call.get(f"{path}&cursor={page['next_cursor']}").json
    assert page["next_cursor"] is None
    return [*pages, page["data"]]


def test_pages_hold_each_job_once_and_newest_first(hevo: Sandbox, call: Caller) -> None:
    pipeline = hevo.add_pipeline(7)
    jobs = [pipeline.start_job(ago=1000.0 - n) for n in range(5)]

    pages = walk(call, "/7/jobs?limit=2")

    assert [len(page) for page in pages] == [2, 2, 1]
    assert [job["job_id"] for page in pages for job in page] == [job.id for job in reversed(jobs)]


def test_a_new_job_does_not_shift_the_next_page(hevo: Sandbox, call: Caller) -> None:
    pipeline = hevo.add_pipeline(7)
    oldest, newest = pipeline.start_job(ago=200.0), pipeline.start_job(ago=100.0)

    first = call.get("/7/jobs?limit=1").json
    pipeline.start_job(ago=50.0)
    second = call.get(f"/7/jobs?limit=1&cursor={first['next_cursor']}").json

    assert [first["data"][0]["job_id"], second["data"][0]["job_id"]] == [newest.id, oldest.id]


def test_the_order_can_be_ascending(hevo: Sandbox, call: Caller) -> None:
    pipeline = hevo.add_pipeline(7, order="asc")
    jobs = [pipeline.start_job(ago=1000.0 - n) for n in range(3)]

    assert [job["job_id"] for job in call.get("/7/jobs").data] == [job.id for job in jobs]


def test_a_shuffled_list_still_holds_each_job_once(hevo: Sandbox, call: Caller) -> None:
    pipeline = hevo.add_pipeline(7, order="shuffled")
    jobs = [pipeline.start_job(ago=1000.0 - n) for n in range(10)]

    found = [str(job["job_id"]) for page in walk(call, "/7/jobs?limit=3") for job in page]

    assert sorted(found) == sorted(job.id for job in jobs)
    assert found != [job.id for job in jobs]
    assert found != [job.id for job in reversed(jobs)]


def test_a_page_may_hold_less_than_was_asked_for(hevo: Sandbox, call: Caller) -> None:
    hevo.max_page = 2
    for number in range(3):
        hevo.add_pipeline(number)

    page = call.get("?limit=100").json

    assert [pipeline["id"] for pipeline in page["data"]] == [0, 1]
    assert page["has_more"] is True


@pytest.mark.parametrize("query", ["limit=101", "limit=0", "limit=-1", "limit=many", "limit=²", "cursor=nonsense"])
def test_a_limit_or_cursor_that_is_not_valid(hevo: Sandbox, call: Caller, query: str) -> None:
    hevo.add_pipeline(7)

    answer = call.get(f"/7/jobs?{query.replace('²', '%C2%B2')}")

    assert answer.status == 400
    assert answer.json["error"] == "Bad Request"


@pytest.mark.parametrize("path", ["/7/objects", "/7/jobs/{job}/objects"])
def test_objects_are_paged_too(hevo: Sandbox, call: Caller, path: str) -> None:
    job = hevo.add_pipeline(7).start_job(ago=60.0)

    pages = walk(call, path.format(job=job.id) + "?limit=2")

    assert [len(page) for page in pages] == [2, 1]


@pytest.mark.parametrize(
    "path", ["/8", "/x", "/%37", "/" + "7" * 5000, "/7/jobs/none", "/7/objects/none", "/7/nothing", "/7/actions/fly"]
)
def test_what_is_not_there_is_answered_404(hevo: Sandbox, call: Caller, path: str) -> None:
    hevo.add_pipeline(7)

    answer = call.get(path)

    assert answer.status == 404
    assert answer.json["error"] == "Not Found"


def test_an_encoded_slash_reaches_no_other_endpoint(hevo: Sandbox, call: Caller) -> None:
    job = hevo.add_pipeline(7).start_job(ago=60.0)

    assert call.get(f"/7/jobs/..%2Fjobs%2F{job.id}").status == 404
