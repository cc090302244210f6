"""
What an error means for a task: one table, and every loop asks it.

================  ==============================  ==============================  ======================================
error             a start, before Hevo has        a wait, before Hevo has         after Hevo has answered the task well,
                  answered the task well          answered the task well          in whatever process
================  ==============================  ==============================  ======================================
outage            fails; a retry may mend it      endured like after an answer    endured for ``api_outage_tolerance``,
                                                                                  then fails
over the limit    tried again later               endured like after an answer    endured until the task's time is over
refused           fails for good                  fails for good                  endured for 30 s, then fails for good
missing           fails for good                  endured for 1 min, then fails   endured for 5 min, then fails
no connection     fails; a retry may mend it      fails; a retry may mend it      endured for 5 min, then fails
wrong connection  fails for good                  fails for good                  endured for 5 min, then fails for good
wrong parameter   fails for good                  fails for good                  fails for good
================  ==============================  ==============================  ======================================

The rule behind it: where Hevo has not answered this task well yet, in this try or an earlier one, a refusal or a 404 in
its own words may be the plain truth, and a wrong key is told in the first second. Once Hevo has answered, the same
answer is a stumble: keys are rotated, gateways restart, Airflow's database is out for a moment. It is endured alike by
a start that is resumed, a retry, a waiting trigger and a poke. To endure means: a loop in the triggerer, or in a worker
that waits itself, asks again; a worker that only starts leaves, and has the triggerer ask again.

Over the limit Hevo is well, and there are more requests than it takes: that is no outage, nor part of one, however long
it lasts. What ends such a wait is the task's own time.

What an error means for the one POST is another matter, whether it was applied: see :mod:`hevo_provider.runs.start`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus

from hevo_provider.exceptions import (
    HevoAPIError,
    HevoAuthError,
    HevoConfigError,
    HevoConnectionError,
    HevoConnectionNotFoundError,
    HevoError,
    HevoHopelessError,
    HevoNotFoundError,
    HevoRateLimitError,
    HevoResponseError,
    HevoTransportError,
)


class Meaning(Enum):
    """What stands in the way."""

    OUTAGE = auto()  # no answer, 5xx, a gateway's own words, an answer that cannot be read
    OVER_THE_LIMIT = auto()  # too many requests: nothing was applied
    REFUSED = auto()  # 401 or 403 in Hevo's own words
    MISSING = auto()  # 404 in Hevo's own words, or 400 and the like for an id that is none of its own
    NO_CONNECTION = auto()  # Airflow says that it has none of this name: or its database or secrets backend stumbled
    WRONG_CONNECTION = auto()  # there is one, and it cannot be used
    HOPELESS = auto()  # a wrong parameter, and what is no answer at all


@dataclass(frozen=True, slots=True)
class Row:
    """
    One row of the table.

    :param start_endures: whether a start endures it that Hevo has not answered yet.
    :param wait_endures: the same of a wait.
    :param wait_endures_for: seconds for which a wait endures it that was not answered; None: as after an answer.
    :param endured_for: seconds for which it is endured after that; None: as long as any outage.
    :param fails_for_good: whether a task that fails with it is not tried again.
    """

    start_endures: bool = False
    wait_endures: bool = False
    wait_endures_for: float | None = None
    endured_for: float | None = None
    fails_for_good: bool = False


UNSEEN_TOLERANCE = 60.0  # seconds: a job that is given to a sensor by its id shows within 5 to 15
MISSING_TOLERANCE = 300.0  # seconds: lists and gateways lag by seconds, a deployment of either takes minutes
REFUSAL_TOLERANCE = 30.0  # seconds: a key that is rotated is refused for as long as it takes to paste the new one

TABLE: Mapping[Meaning, Row] = {
    Meaning.OUTAGE: Row(wait_endures=True),
    Meaning.OVER_THE_LIMIT: Row(start_endures=True, wait_endures=True),
    Meaning.REFUSED: Row(endured_for=REFUSAL_TOLERANCE, fails_for_good=True),
    Meaning.MISSING: Row(
        wait_endures=True, wait_endures_for=UNSEEN_TOLERANCE, endured_for=MISSING_TOLERANCE, fails_for_good=True
    ),
    Meaning.NO_CONNECTION: Row(endured_for=MISSING_TOLERANCE),
    Meaning.WRONG_CONNECTION: Row(endured_for=MISSING_TOLERANCE, fails_for_good=True),
    Meaning.HOPELESS: Row(endured_for=0.0, fails_for_good=True),
}

_KINDS: tuple[tuple[type[HevoError], Meaning], ...] = (  # the most special first
    (HevoConnectionNotFoundError, Meaning.NO_CONNECTION),
    (HevoConnectionError, Meaning.WRONG_CONNECTION),
    (HevoAuthError, Meaning.REFUSED),
    (HevoNotFoundError, Meaning.MISSING),
    (HevoRateLimitError, Meaning.OVER_THE_LIMIT),
    (HevoTransportError, Meaning.OUTAGE),
    (HevoResponseError, Meaning.OUTAGE),
    (HevoAPIError, Meaning.OUTAGE),
    (HevoConfigError, Meaning.HOPELESS),
    (HevoHopelessError, Meaning.HOPELESS),
)


# What Hevo may say of an id that is none of its own, instead of 404.
_NO_SUCH_THING = {HTTPStatus.BAD_REQUEST, HTTPStatus.GONE, HTTPStatus.UNPROCESSABLE_ENTITY}


def meaning_of(error: HevoError) -> Meaning | None:
    """Return what an error stands for; None for one that is a verdict about a run."""
    found = next((meaning for kind, meaning in _KINDS if isinstance(error, kind)), None)
    if found is Meaning.OUTAGE and isinstance(error, HevoAPIError) and error.status in _NO_SUCH_THING:
        return Meaning.MISSING
    return found


def may_pass(error: HevoError, *, knows_hevo: bool, starts: bool = False) -> bool:
    """
    Return whether to ask again rather than to fail.

    :param knows_hevo: whether Hevo has answered this task well before.
    :param starts: whether it keeps a run from its start, and not from its end.
    """
    meaning = meaning_of(error)
    if meaning is None:
        return False
    row = TABLE[meaning]
    if knows_hevo:
        return row.endured_for != 0.0
    return row.start_endures if starts else row.wait_endures


def endured_for(meaning: Meaning, *, knows_hevo: bool) -> float | None:
    """Return the seconds for which a wait endures what is in its way; None: as long as any outage."""
    row = TABLE[meaning]
    return row.endured_for if knows_hevo or row.wait_endures_for is None else row.wait_endures_for


def fails_for_good(error: HevoError) -> bool:
    """Return whether another try of the task would not mend it: parameters, connection, credentials, no pipeline."""
    meaning = meaning_of(error)
    return meaning is not None and TABLE[meaning].fails_for_good
