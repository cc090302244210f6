"""How the API is reached: TLS, key and role, JSON, latency, and Hevo's clock."""

from __future__ import annotations

from http import HTTPStatus
from statistics import median

from hevo_provider.client.responses import milliseconds_of
from hevo_provider.doctor.assumptions.finding import Finding, assumption, counted, differs, holds, named, unseen
from hevo_provider.doctor.exchange import Call, Exchange, Observations
from hevo_provider.doctor.fields import SHAPES
from hevo_provider.doctor.reading import fields_of, in_seconds, items

GRANTED = 30.0  # seconds that the provider gives one request
LARGEST_SKEW = 60.0  # seconds
AHEAD = 5.0  # seconds by which a time may be later than the Date that it came with
_NOTHING_ASKED = "nothing was answered"
_BESIDE_THE_API = {Call.PAGE, Call.MISSING_PAGE}


def _of_the_api(seen: Observations) -> list[Exchange]:
    return [each for each in seen.exchanges if each.call not in _BESIDE_THE_API]


@assumption(
    "tls",
    claims="over TLS with a certificate that is trusted",
    otherwise="It would refuse to connect, or with skip_tls_verification send the key to whoever answers.",
)
def tls(seen: Observations) -> Finding:
    """Whether answers came over checked TLS."""
    versions = named(each.tls for each in seen.exchanges if each.tls)
    if not versions:
        return unseen("plain http, which only a loopback address is sent")
    if not seen.certificate_checked:
        return unseen(f"{versions}, but the connection says skip_tls_verification")
    return holds(f"{versions}, the certificate is trusted")


@assumption(
    "key",
    claims="401 for a wrong key",
    otherwise="Tasks would fail, or take a wrong key for weather and wait.",
)
def key(seen: Observations) -> Finding:
    """Whether the key is taken by every call."""
    if not seen.exchanges:
        return unseen(_NOTHING_ASKED)
    refused = [each.call for each in _of_the_api(seen) if each.status == HTTPStatus.UNAUTHORIZED]
    if refused:
        return differs(f"401 for {named(refused)}, though the key lists pipelines")
    return holds(f"the key is taken by {counted(len({each.call for each in _of_the_api(seen)}), 'kind')} of call")


@assumption(
    "role",
    claims="a key whose role may not do this",
    otherwise="Tasks would fail and say that the key may be wrong.",
)
def role(seen: Observations) -> Finding:
    """Whether the key's role may do what was asked."""
    if not seen.exchanges:
        return unseen(_NOTHING_ASKED)
    refused = [
        each.call for each in _of_the_api(seen) if each.status == HTTPStatus.FORBIDDEN and not each.is_over_the_limit
    ]
    refused = [call for call in refused if call not in {each.call for each in seen.well(*refused)}]
    if refused:
        return differs(f"403: the role of this key may not ask for {named(refused)}")
    answer = seen.sync.answer if seen.sync else None
    starts = "it may start a sync" if answer and answer.status and answer.status < 300 else ""  # noqa: PLR2004
    return holds(f"it may read all that was asked for; {starts or 'whether it may start a sync, only --sync shows'}")


@assumption(
    "json",
    claims="Every answer with a body is JSON",
    otherwise="It would take the answer for a gateway's, and repeat the request until it gives up.",
)
def json(seen: Observations) -> Finding:
    """Whether the answers could be decoded."""
    with_body = [each for each in _of_the_api(seen) if each.status not in {None, HTTPStatus.NO_CONTENT}]
    answered = [each for each in with_body if (each.status or 0) < HTTPStatus.INTERNAL_SERVER_ERROR]  # gateways' pages
    other = [each for each in answered if not each.is_json]
    if other:
        statuses = named(f"{each.call} ({each.status})" for each in other)
        return differs(f"{len(other)} of {counted(len(answered), 'answer')} no JSON: {statuses}")
    return holds(counted(len(answered), "answer")) if answered else unseen(_NOTHING_ASKED)


@assumption(
    "latency",
    claims="within 30 seconds",
    otherwise="It would give requests up that Hevo is still at work on; the connection's timeout can be raised.",
)
def latency(seen: Observations) -> Finding:
    """Whether answers come in the time that a request has."""
    if not seen.exchanges:
        return unseen(_NOTHING_ASKED)
    times = [each.seconds for each in seen.exchanges if each.status is not None]
    failed = [each for each in _of_the_api(seen) if each.status is None]
    answered = {each.question for each in seen.exchanges if each.status is not None}
    if any(each.question not in answered for each in failed):
        return differs(f"{counted(len(failed), 'request')} without an answer: {named(each.failure for each in failed)}")
    told = f"median {median(times) * 1000:.0f} ms, slowest {max(times) * 1000:.0f} ms of {len(times)}"
    told += f"; {counted(len(failed), 'request')} had to be repeated" if failed else ""
    return differs(told) if max(times) >= GRANTED else holds(told)


@assumption(
    "date-header",
    claims="Every answer has a Date header",
    otherwise="A job that was created just before a task's call could be taken for its own: nothing tells them apart.",
)
def date_header(seen: Observations) -> Finding:
    """Whether Hevo's clock comes with each answer."""
    answered = [each for each in _of_the_api(seen) if each.status is not None]
    without = [each for each in answered if milliseconds_of(each.headers.get("date")) is None]
    if without:
        return differs(f"missing or unreadable in {len(without)} of {counted(len(answered), 'answer')}")
    return holds(f"in all of {counted(len(answered), 'answer')}") if answered else unseen(_NOTHING_ASKED)


@assumption(
    "clock-skew",
    claims="differ by less than a minute",
    otherwise="completed_after would miss jobs or take too old ones, and a task could refuse its own job as too old.",
)
def clock_skew(seen: Observations) -> Finding:
    """Whether Hevo's clock agrees with ours, and with the times that it tells."""
    skews, ahead = [], 0.0
    for each in _of_the_api(seen):
        date = milliseconds_of(each.headers.get("date"))
        if date is not None:
            # Whole seconds, told some time before the answer was here: half a second later on average.
            skews.append(date / 1000 + 0.5 - (each.at - each.seconds / 2))
            ahead = max(ahead, _latest_in(each, seen) - date / 1000)
    if not skews:
        return unseen("no answer has a Date header")
    told = f"Hevo's clock is {abs(median(skews)):.1f} s {'ahead' if median(skews) > 0 else 'behind'}"
    if ahead > AHEAD:
        return differs(f"{told}, and a time in an answer is {ahead:.0f} s later than the Date that it came with")
    return differs(told) if abs(median(skews)) >= LARGEST_SKEW else holds(told)


def _latest_in(exchange: Exchange, seen: Observations) -> float:
    """Return the latest time in an answer, seconds since the epoch; 0 if there is none."""
    shape = next((shape for shape in SHAPES.values() if exchange.call in shape.calls), None)
    if shape is None or not exchange.is_well:
        return 0.0
    only = Observations((exchange,), seen.certificate_checked)
    told = (fields_of(item, shape.inside) for _, item in items(only, exchange.call))
    moments = (in_seconds(value) for fields in told for name, value in fields if name.endswith("_ts"))
    return max((moment for moment in moments if moment is not None), default=0.0)


ROWS = (tls, key, role, json, latency, date_header, clock_skew)
