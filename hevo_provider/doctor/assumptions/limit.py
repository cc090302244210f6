"""Hevo's limit, where the doctor has met it. It does not try to."""

from __future__ import annotations

from http import HTTPStatus

from hevo_provider.doctor.assumptions.finding import Finding, assumption, differs, holds, named, unseen
from hevo_provider.doctor.exchange import Exchange, Observations

ALLOWED = 100  # requests in any 60 seconds
_NOT_MET = "it was not met"
_WORDS = "rate limit exceeded"
_UNDER = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
}
_TOLD_IN = ("limit", "retry", "quota")


def _met(seen: Observations) -> list[Exchange]:
    return [each for each in seen.exchanges if each.is_over_the_limit]


@assumption(
    "limit",
    claims="100 requests in any 60 seconds",
    otherwise="Where others use the key too, less is left; requests_per_minute of the connection should say how much.",
)
def limit(seen: Observations) -> Finding:
    """After how many requests of the doctor the limit was met; headers may tell its size."""
    headers = {name: value for each in seen.exchanges for name, value in each.headers.items() if _tells_a_limit(name)}
    told = "".join(f"; {name}: {value}" for name, value in sorted(headers.items()))
    sizes = {int(value) for name, value in headers.items() if _is_a_size(name) and value.isascii() and value.isdigit()}
    if sizes:
        return (holds if sizes == {ALLOWED} else differs)(told.removeprefix("; "))
    met = _met(seen)
    if not met:
        return unseen(f"{_NOT_MET} with {len(seen.exchanges)} requests{told}")
    told = f"{met[0].sent_before} requests of the doctor in the minute before{told}"
    return unseen(f"it was met with {told}; others use the key, or it is lower")


@assumption(
    "limit-answer",
    claims="status 429, with or without `Retry-After`; the same words may come under",
    otherwise="It would not know the limit, and take the answer for a refusal or an outage.",
)
def limit_answer(seen: Observations) -> Finding:
    """What the answer over the limit looks like."""
    met = _met(seen)
    if not met:
        return unseen(_NOT_MET)
    answer = {
        f'{each.status}, Retry-After {each.headers.get("retry-after", "missing")}, "{each.words or "(no words)"}"'
        for each in met
    }
    known = all(
        each.status == HTTPStatus.TOO_MANY_REQUESTS or (each.status in _UNDER and _WORDS in each.words.lower())
        for each in met
    )
    return holds(named(answer)) if known else differs(named(answer))


def _is_a_size(name: str) -> bool:
    return name.endswith("limit")


def _tells_a_limit(name: str) -> bool:
    return any(part in name for part in _TOLD_IN)


ROWS = (limit, limit_answer)
