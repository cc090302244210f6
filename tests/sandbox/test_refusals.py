"""What does not exist is refused: a misspelt word would leave a user's test green for the wrong reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hevo_provider.sandbox import Fault, Sandbox


@pytest.mark.parametrize(
    ("write", "kind", "message"),
    [
        (lambda hevo: hevo.add_pipeline(8, ends="COMPLETE"), ValueError, "'COMPLETE'; did you mean 'COMPLETED'?"),
        (lambda hevo: setattr(hevo.pipelines[7], "ends", "FAILD"), ValueError, "did you mean 'FAILED'?"),
        (
            lambda hevo: hevo.pipelines[7].start_job(ends="DONE"),
            ValueError,
            "has ended 'DONE'",
        ),
        (lambda hevo: setattr(hevo.pipelines[7].start_job(), "ends", "FAIL"), ValueError, "did you mean 'FAILED'?"),
        (lambda hevo: hevo.pipelines[7].start_job().end("IN_PROGRESS"), ValueError, "'IN_PROGRESS'"),
        (lambda hevo: hevo.add_pipeline(8, status="DISABLE"), ValueError, "did you mean 'DISABLED'?"),
        (lambda hevo: setattr(hevo.pipelines[7], "status", "PAUSED"), ValueError, "no pipeline status 'PAUSED'"),
        (lambda hevo: hevo.pipelines[7].start_job("RESINC"), ValueError, "did you mean 'RESYNC'?"),
        (lambda hevo: hevo.add_pipeline(8, sync_brings=["HISTORIC"]), ValueError, "did you mean 'HISTORICAL'?"),
        (lambda hevo: hevo.add_pipeline(8, job_type_names={"RESINC": "X"}), ValueError, "did you mean 'RESYNC'?"),
        (lambda hevo: hevo.add_pipeline(8, job_status_names={"DONE": "X"}), ValueError, "'DONE'"),
        (lambda hevo: hevo.add_pipeline(8, order="ascending"), ValueError, "no order 'ascending'"),
        (lambda hevo: setattr(hevo, "resync_body", "drop"), ValueError, "'drop'"),
        (lambda hevo: hevo.add_pipeline(8, durration=3), TypeError, "durration"),
        (lambda hevo: hevo.pipelines[7].add_object("orders", statuss="BLOCKED"), TypeError, "statuss"),
        (lambda hevo: setattr(hevo, "unauthorised", True), AttributeError, "did you mean 'unauthorized'?"),
        (lambda hevo: setattr(hevo.pipelines[7], "end", "FAILED"), AttributeError, "did you mean 'ends'?"),
        (lambda hevo: setattr(hevo.pipelines[7].start_job(), "event_loaded", 0), AttributeError, "'events_loaded'?"),
        (lambda hevo: setattr(hevo.pipelines[7].objects[0], "state", "BLOCKED"), AttributeError, "'status'?"),
        (lambda hevo: setattr(hevo, "limit", 10), TypeError, "10 is no Limit"),
        (lambda hevo: hevo.inject("sync_now", 503), TypeError, "503 is no Fault"),
        (lambda hevo: hevo.inject("sync_now"), ValueError, "no fault to inject"),
        (lambda hevo: hevo.inject("sync_now", Fault.reset(), times=0), ValueError, "no fault to inject"),
        (lambda hevo: hevo.inject("syncnow", Fault.reset()), ValueError, "did you mean 'sync_now'?"),
        (lambda hevo: hevo.clear_faults("syncnow"), ValueError, "did you mean 'sync_now'?"),
        (lambda hevo: hevo.requests_of("syncnow"), ValueError, "did you mean 'sync_now'?"),
        (
            lambda _: Fault("hangs"),  # type: ignore[arg-type]
            ValueError,
            "did you mean 'hang'?",
        ),
        (lambda _: Fault.status(5030), ValueError, "5030 is no HTTP status"),
    ],
)
def test_what_does_not_exist_is_refused(
    hevo: Sandbox, write: Callable[[Any], object], kind: type[Exception], message: str
) -> None:
    hevo.add_pipeline(7)

    with pytest.raises(kind) as refusal:
        write(hevo)

    assert message in str(refusal.value)


def test_what_hevo_may_add_one_day_can_still_be_played(hevo: Sandbox) -> None:
    pipeline = hevo.add_pipeline(
        7, fields={"status": "ARCHIVED", "shard": 3}, job_status_names={"FAILED": "REJECTED"}, ends="FAILED"
    )
    job = pipeline.start_job(ago=60)

    assert (pipeline.as_json()["status"], pipeline.as_json()["shard"]) == ("ARCHIVED", 3)
    assert (job.as_json(hevo.clock())["status"], job.active) == ("REJECTED", False)
