"""What ``--json`` writes: how the account answers, and nothing that says whose it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from hevo_provider.doctor.anonymous import LARGEST
from hevo_provider.sandbox import Fault
from hevo_provider.sandbox.like import Manner
from hevo_provider.sandbox.limit import Limit
from tests.doctor.account import MOODS, Doctor, Mood, account, written
from tests.stage.clock import VirtualClock

WELL = MOODS["contract kept"]
OWN = ("acme", "initech", "jane.doe", "globex", "customers_of_acme", "warehouse-of-initech", "shop_db")


def an_account_with_names(job_status_names: dict[str, str] | None = None, **own: object) -> Mood:
    fields = {
        "source": {
            "id": 4711,
            "name": "customers_of_acme",
            "connector_id": 4712,
            "source_type": "POSTGRES",
            "config": {"host": "db.globex.example.com", "acme_option": "shop_db"},
        },
        "destination": {
            "id": 4713,
            "name": "warehouse-of-initech",
            "connector_id": 4714,
            "destination_type": "SNOWFLAKE",
            "status": "ACTIVE",
        },
        "created_by_email": "jane.doe@acme.example.com",
        "updated_by_email": "jane.doe@acme.example.com",
    }
    behaviour = {"name": "Acme orders", "job_status_names": job_status_names, "fields": {**fields, **own}}
    return Mood(Manner(), behaviour)


def test_no_name_id_host_or_address_of_the_account_is_in_the_file(
    doctor: Doctor, clock: VirtualClock, tmp_path: Path
) -> None:
    file = tmp_path / "seen.json"
    with account(an_account_with_names(), clock) as hevo:
        hevo.pipelines[1].add_object("acme_invoices", schema="globex", database="shop_db")
        hevo.inject("get_object", Fault.status(400, body={"message": "acme_invoices of jane.doe@acme.example.com"}))
        told = doctor(hevo, "--json", str(file), "--sync", "2", stdin="y\n")

    text = file.read_text(encoding="utf-8").lower()
    assert told.status == 1
    for own in (*OWN, "acme_invoices", "127.0.0.1", f":{hevo.port}", "example.com", "4711", "4712", "4713", "4714"):
        assert own not in text, own
    ids = {job.id for pipeline in hevo.pipelines.values() for job in pipeline.jobs}
    ids |= {each.id for pipeline in hevo.pipelines.values() for each in pipeline.objects}
    assert not [each for each in ids if each in text]
    assert not re.search(r"[0-9a-f]{8}-[0-9a-f]{4}|@|\d{10}", text)  # a UUID, an address, a moment


@pytest.mark.parametrize(
    "word", ["Acme orders", "jane.doe@acme.example.com", "customers_of_acme", "ACME", "ACME_SPECIAL", "db.globex.com"]
)
def test_a_name_of_the_account_where_a_word_of_the_api_should_be_is_replaced(
    word: str, doctor: Doctor, clock: VirtualClock, tmp_path: Path
) -> None:
    file = tmp_path / "seen.json"
    with account(an_account_with_names({"COMPLETED": word}), clock) as hevo:
        told = doctor(hevo, "--json", str(file))

    assert told.verdicts["job-statuses"] == "differs"
    assert word.lower() not in file.read_text(encoding="utf-8").lower()
    assert {job["status"] for pipeline in written(file)["pipelines"] for job in pipeline["jobs"]} == {"WORD_1"}


def test_unknown_words_and_names_of_the_api_are_kept(doctor: Doctor, clock: VirtualClock, tmp_path: Path) -> None:
    file = tmp_path / "seen.json"
    mood = an_account_with_names({"COMPLETED": "THROTTLED_BY_SOURCE"}, retention={"days": 3})
    with account(mood, clock) as hevo:
        doctor(hevo, "--json", str(file))

    seen = written(file)
    assert {job["status"] for pipeline in seen["pipelines"] for job in pipeline["jobs"]} == {"THROTTLED_BY_SOURCE"}
    assert seen["fields"]["pipeline"]["retention"] == ["object"]


def test_of_what_the_limit_says_only_plain_words_are_kept(doctor: Doctor, clock: VirtualClock, tmp_path: Path) -> None:
    file = tmp_path / "seen.json"
    words = "Request rate limit exceeded for user jane.doe of Acme"
    with account(Mood(Manner(limit=Limit(10, words=words)), {}), clock) as hevo:
        told = doctor(hevo, "--json", str(file))

    assert words in told.out
    assert written(file)["limit"]["words"].endswith("Request rate limit exceeded for user … of …")


def test_a_large_account_makes_a_file_of_at_most_64_kib(doctor: Doctor, clock: VirtualClock, tmp_path: Path) -> None:
    file = tmp_path / "seen.json"
    with account(WELL, clock) as hevo:
        for number in range(13, 120):
            fields: dict[str, Any] = {f"field_{n}_{'x' * 40}": n for n in range(60)}
            hevo.add_pipeline(number, fields=fields)
        for number in range(1, 6):
            for age in range(200):
                hevo.pipelines[number].start_job(ago=3600.0 * (age + 1), appear_after=0.0)
        doctor(hevo, "--json", str(file))

    assert 20_000 < len(file.read_bytes()) <= LARGEST
    assert max(len(pipeline["jobs"]) for pipeline in written(file)["pipelines"]) > 10


def test_the_file_is_json_that_says_which_version_wrote_it(doctor: Doctor, clock: VirtualClock, tmp_path: Path) -> None:
    file = tmp_path / "seen.json"
    with account(WELL, clock) as hevo:
        told = doctor(hevo, "--json", str(file))

    seen = json.loads(file.read_text(encoding="utf-8"))
    assert (seen["form"], seen["rows"]) == (1, told.verdicts)
