"""The sandbox's demo data, as the doctor sees them: what a newcomer tries things on keeps the contract."""

from __future__ import annotations

from hevo_provider.sandbox import Sandbox
from hevo_provider.sandbox.demo import add_demo_pipelines
from tests.doctor.account import Doctor
from tests.stage.clock import VirtualClock


def test_the_doctor_finds_no_difference_between_the_demo_data_and_the_contract(
    doctor: Doctor, clock: VirtualClock
) -> None:
    with Sandbox(clock=clock.now) as hevo:
        add_demo_pipelines(hevo)
        clock.advance(3600)

        told = doctor(hevo)

    assert told.differing() == set(), told.out
    assert told.status == 0
    assert "new-fields" in told.verdicts
    assert "latency_alert" not in told.seen["new-fields"]


def test_nor_when_a_sync_is_measured(doctor: Doctor, clock: VirtualClock) -> None:
    with Sandbox(clock=clock.now) as hevo:
        add_demo_pipelines(hevo)

        told = doctor(hevo, "--sync", "1", stdin="yes\n")

    assert told.differing() == set(), told.out
    assert len(hevo.pipelines[1].jobs_started_by_api) == 1
