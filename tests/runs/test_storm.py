"""Far more tasks start at the same time than Hevo's limit allows."""

from __future__ import annotations

from typing import Literal

import pytest

from hevo_provider.sandbox import Limit
from tests.stage.storm import LONGEST_HELD, MOST_STARTS, STARTED_WITHIN, TASKS, Storm


# That one request is sent again whatever the status is shown in client/test_over_the_limit.py: here each header comes
# once, with a status of its own. `make bench-limit` plays each status with each header.
@pytest.mark.parametrize(("status", "retry_after"), [(403, 7), (429, None), (503, "room")])
def test_all_are_started_in_little_more_than_the_limit_takes_and_none_fails(
    status: int, retry_after: int | Literal["room"] | None
) -> None:
    storm = Storm(Limit(status=status, retry_after=retry_after))

    storm.play()

    created = storm.jobs_created_after
    assert storm.failed == []
    assert len(created) == TASKS
    assert created[-1] <= STARTED_WITHIN
    assert storm.most_worker_starts <= MOST_STARTS
    assert storm.longest_held <= LONGEST_HELD


def test_beside_it_each_wait_is_asked_for_at_least_once_in_three_even_rounds() -> None:
    storm = Storm(Limit(), waits=100)

    storm.play()

    assert storm.failed == []
    assert len(storm.jobs_created_after) == TASKS
    assert storm.waits.most_rounds <= 3
