"""Key and secret are in nothing that the doctor writes, whatever the server plays back and in whatever spelling."""

from __future__ import annotations

import html
import json
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path
from urllib.parse import quote

import pytest

from hevo_provider.client.access import Access, Credentials
from hevo_provider.doctor.redaction import Redaction
from hevo_provider.sandbox import Fault
from tests.doctor.account import MOODS, Doctor, account
from tests.stage.clock import VirtualClock

KEY, SECRET = 'key-"Zürich"/%', "s3cr3t \\ & ☃ <quoted>"
PLAIN = (KEY, SECRET, f"{KEY}:{SECRET}")


def spellings() -> list[str]:
    forms = []
    for text in PLAIN:
        raw = text.encode()
        forms += [text, text.upper(), text[::-1], quote(text, safe=""), quote(text, safe="").lower(), repr(text)[1:-1]]
        forms += [json.dumps(text)[1:-1], html.escape(text), raw.hex(), raw.hex().upper()]
        forms += [b64encode(raw).decode(), urlsafe_b64encode(raw).decode().rstrip("=")]
    return forms


@pytest.mark.parametrize("spelled", spellings())
def test_every_spelling_is_struck_out_of_a_text(spelled: str) -> None:
    struck_out = Redaction(Access("https://us.hevodata.com", Credentials(KEY, SECRET)))

    assert struck_out(f"before {spelled} after") == "before *** after"


def test_a_text_without_secrets_stays_as_it_is() -> None:
    struck_out = Redaction(Access("https://us.hevodata.com", Credentials(KEY, SECRET)))

    assert struck_out("holds  order-of-jobs  API.md:37 newest first") == "holds  order-of-jobs  API.md:37 newest first"


def test_what_a_server_plays_back_is_in_no_output(doctor: Doctor, clock: VirtualClock, tmp_path: Path) -> None:
    file = tmp_path / "seen.json"
    secret = "TheSecretThatLooksLikeAWord"
    key = "TheKeyThatLooksLikeAWord"
    token = b64encode(f"{key}:{secret}".encode()).decode()
    with account(MOODS["contract kept"], clock, key=key, secret=secret) as hevo:
        pipeline = hevo.pipelines[1]
        pipeline.fields |= {"status": secret, secret: 1, "load_mode": key, "name": token}
        for job in hevo.pipelines[2].jobs:
            job.override = {"type": b64encode(secret.encode()).decode().rstrip("="), key: token}
        hevo.inject("list_objects", Fault.status(400, body={"message": f"{key} {secret} {token}"}), times=None)
        hevo.inject("get_object", Fault.raw(token.encode()), times=None)
        hevo.inject("sync_now", Fault.status(409, body={"message": secret}, headers={"X-RateLimit-Limit": key}))
        told = doctor(hevo, "--sync", "2", "--json", str(file), stdin="y\n")

    everything = told.out + told.err + file.read_text(encoding="utf-8")
    for form in (secret, key, token, b64encode(secret.encode()).decode().rstrip("=")):
        assert form.lower() not in everything.lower()
    assert told.status == 1


def test_an_error_that_ends_the_command_holds_no_secret(doctor: Doctor, clock: VirtualClock) -> None:
    with account(MOODS["contract kept"], clock) as hevo:
        played_back = f"{hevo.key} {hevo.secret[::-1]} {hevo.secret.encode().hex()}"
        hevo.inject("*", Fault.status(403, body={"message": played_back}), times=None)
        told = doctor(hevo)

    assert told.status == 2
    assert "***" in told.err
    for form in played_back.split():
        assert form not in told.err
