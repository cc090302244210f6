"""
A sandbox that answers as an account did: from the file that ``python -m hevo_provider.doctor --json FILE`` writes.

It is made of the sandbox as it is, and of what that account did otherwise: the words of its lists, sizes and order of
pages, units of time, fields that were missing, new or of another type, statuses, its limit. What the file does not tell
(names, ids, texts) is the sandbox's own. Not played: ids of another form, and latency.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hevo_provider.sandbox.api import Answer, Call
from hevo_provider.sandbox.faults import Fault, error_body
from hevo_provider.sandbox.jobs import TERMINAL_STATUSES
from hevo_provider.sandbox.limit import Limit
from hevo_provider.sandbox.pipelines import PIPELINE_STATUSES, RUNNABLE_STATUS, SandboxPipeline
from hevo_provider.sandbox.sandbox import Sandbox

FORM = 1  # of the file
_NAMES = ("data", "has_more", "next_cursor")
_PER_SECOND = {"seconds": 1.0, "milliseconds": 1e3, "microseconds": 1e6, "minutes": 1 / 60}
_OK, _NOT_FOUND, _SECOND_HUNDRED = 200, 404, 300
_CALL_OF_ROUTE = {
    "list_pipelines": "pipelines",
    "get_pipeline": "pipeline",
    "list_jobs": "jobs",
    "get_job": "job",
    "list_job_objects": "job objects",
    "list_objects": "objects",
    "get_object": "object",
}
_THING_OF_CALL = {
    "pipelines": "pipeline",
    "pipeline": "pipeline",
    "jobs": "job",
    "job": "job",
    "job objects": "object of a job",
    "objects": "listed object",
    "object": "object",
}
_DURATIONS = ("duration", "min_latency", "max_latency", "mean_latency")
_STAND_INS: Mapping[str, Any] = {
    "text": "text",
    "number": 1,
    "true or false": True,
    "list": [],
    "object": {},
    "null": None,
}


@dataclass(frozen=True)
class ListManner:
    """
    How one kind of list comes.

    :param names: of the items, of whether there are more, and of the cursor; a dot leads into an inner object, an
        empty one leaves the field out.
    :param default: items a page unless a number is asked for.
    :param most: items a page at most.
    """

    names: tuple[str, str, str] = _NAMES
    default: int | None = None
    most: int | None = None


@dataclass(frozen=True)
class Manner:
    """
    How an account answers, where that is not the sandbox's own way.

    :param lists: by the call that answers them: ``pipelines``, ``jobs``, ``job objects``, ``objects``.
    :param moments: the unit of times since the epoch; ``durations`` that of durations and latencies.
    :param fields: of ``pipeline``, ``job``, ``listed object``, ``object``, ``object of a job``: the kinds of value
        that each field has, by its name; a dot leads into an inner object. ``missing`` leaves the field out.
    :param statuses: HTTP statuses other than 200, by call; ``missing pipeline`` and ``missing job`` replace the 404.
    :param has_date: whether answers have a ``Date`` header.
    :param skew: seconds by which the ``Date`` header is ahead of the clock.
    :param limit: of requests; None for none.
    """

    lists: Mapping[str, ListManner] = field(default_factory=dict)
    moments: str = "milliseconds"
    durations: str = "milliseconds"
    fields: Mapping[str, Mapping[str, list[str]]] = field(default_factory=dict)
    statuses: Mapping[str, int] = field(default_factory=dict)
    has_date: bool = True
    skew: float = 0.0
    limit: Limit | None = None


class Alike(Sandbox):
    """
    A sandbox with manners.

    :param manner: how it answers.
    :param options: as :class:`Sandbox` takes them.
    """

    manner = Manner()

    def __init__(self, manner: Manner | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.manner = manner or Manner()
        self.fault_source = self._next_fault

    def answer(self, call: Call) -> Answer:
        """Do what a request asks for, and word the answer as that account does."""
        name = _CALL_OF_ROUTE.get(call.route, call.route)
        refused = self.manner.statuses.get(name)
        if refused is not None:
            return Answer(refused, error_body(refused, "This account may not"))
        answer = super().answer(self._sized(call, self.manner.lists.get(name)))
        if answer.status == _NOT_FOUND:
            status = self.manner.statuses.get(f"missing {name}", _NOT_FOUND)
            return replace(answer, status=status)
        if answer.status != _OK or name not in _THING_OF_CALL:
            return answer
        return replace(answer, data=self._worded(name, answer.data))

    def _sized(self, call: Call, manner: ListManner | None) -> Call:
        if manner is None:
            return call
        asked = call.query.get("limit", "" if manner.default is None else str(manner.default))
        if asked.isdigit() and manner.most is not None:
            asked = str(min(int(asked), manner.most))
        return replace(call, query={**call.query, "limit": asked}) if asked else call

    def _worded(self, name: str, data: dict[str, Any]) -> dict[str, Any]:
        kinds = self.manner.fields.get(_THING_OF_CALL[name], {})
        if "next_cursor" not in data:
            return self._reworded(data, kinds)
        worded: dict[str, Any] = {}
        items = [self._reworded(item, kinds) for item in data["data"]]
        names = self.manner.lists.get(name, ListManner()).names
        for wanted, value in zip(names, (items, data["has_more"], data["next_cursor"]), strict=True):
            outer, _, inner = wanted.rpartition(".")
            (worded.setdefault(outer, {}) if outer else worded).update({inner: value} if inner else {})
        return worded

    def _reworded(self, item: dict[str, Any], kinds: Mapping[str, list[str]]) -> dict[str, Any]:
        """Return an item with that account's units and fields."""
        item = {name: self._in_units(name, value) for name, value in item.items()}
        for name, seen in kinds.items():
            outer, _, inner = name.rpartition(".")
            for fields in _within(item, outer):
                _suit(fields, inner, seen, self._stand_in(inner, seen))
        return item

    def _stand_in(self, name: str, kinds: list[str]) -> Any:
        """Return a value of one of the kinds, a moment of today where it has to be one."""
        kind = next((kind for kind in kinds if kind != "null" and kind in _STAND_INS), "null")
        if kind == "number" and name.endswith("_ts"):
            return int(self.clock() * _PER_SECOND[self.manner.moments])
        return copy(_STAND_INS[kind])

    def _in_units(self, name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {inner: self._in_units(inner, each) for inner, each in value.items()}
        if not isinstance(value, int) or isinstance(value, bool):
            return value
        if name.endswith("_ts"):
            return int(value / 1000 * _PER_SECOND[self.manner.moments])
        return int(value / 1000 * _PER_SECOND[self.manner.durations]) if name in _DURATIONS else value

    def _next_fault(self, route: str) -> Fault | None:  # noqa: ARG002 - for all routes alike
        if not self.manner.has_date:
            return Fault.with_headers({"Date": None})
        return Fault.with_headers({"Date": self._date()}) if self.manner.skew else None

    def _refusal(self, now: float) -> Fault | None:
        refusal = self._window.refusal(self.limit or self.manner.limit, now, self.foreign_requests)
        if refusal is None or self.manner.has_date:
            return refusal
        return replace(refusal, headers={**refusal.headers, "Date": None})

    def _date(self) -> str:
        from email.utils import formatdate

        return formatdate(int(self.clock() + self.manner.skew), usegmt=True)


def read_alike(file: Path, **options: Any) -> Alike:
    """
    Return a sandbox that answers as the account of a doctor's file did.

    :param options: as :class:`Sandbox` takes them.
    :raises ValueError: it is no such file. The message says so.
    """
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        if told["form"] != FORM:
            raise ValueError(f"{file} is of the form {told['form']}, and this version reads {FORM}")
        hevo = Alike(_manner(told), **options)
        for number, pipeline in enumerate(told["pipelines"], 1):
            _add_pipeline(hevo, number, pipeline, told)
    except (KeyError, TypeError, AttributeError, RecursionError, UnicodeDecodeError, json.JSONDecodeError):
        raise ValueError(f"{file} is not what python -m hevo_provider.doctor --json writes") from None
    return hevo


def _manner(told: dict[str, Any]) -> Manner:
    reached, limit = told["reached"], told["limit"]
    statuses = {call: [status for status in seen if status != _OK] for call, seen in told["statuses"].items()}
    return Manner(
        lists={
            call: ListManner(tuple(each["names"]), each["default"], each["most"])
            for call, each in told["lists"].items()
        },
        moments=told["units"]["moments"] or "milliseconds",
        durations=told["units"]["durations"] or "milliseconds",
        fields=told["fields"],
        statuses={
            call: seen[0] for call, seen in statuses.items() if seen and _is_played(call, told["statuses"][call])
        },
        has_date=reached["date"] == "always",
        skew=float(reached["skew_s"] or 0.0),
        limit=None
        if limit is None
        else Limit(max(1, limit["after"]), limit["status"], limit["retry_after"], limit["words"]),
    )


def _is_played(call: str, statuses: list[int]) -> bool:
    """Return whether each answer of a call had the status: one that once stumbled was no way of the account."""
    return len(statuses) == 1 and (call in _THING_OF_CALL or call.startswith("missing "))


def _add_pipeline(hevo: Alike, number: int, told: dict[str, Any], account: dict[str, Any]) -> None:
    words = dict(told["words"])
    sync = account["sync"] or {}
    plain = SandboxPipeline(hevo._world, number).as_json()  # noqa: SLF001 - for the inner objects that words go into
    fields: dict[str, Any] = {}
    for name, word in words.items():
        outer, _, inner = name.rpartition(".")
        if outer:
            value = fields.setdefault(outer, dict(plain[outer]) if isinstance(plain[outer], dict) else {})
            value[inner] = word
        elif name != "status" or word not in PIPELINE_STATUSES:
            fields[name] = word
    order = {"oldest first": "asc", "no order": "shuffled"}.get(account["order"] or "", "desc")
    # Of a status that the sandbox does not know, nothing is known but that the pipeline cannot run.
    status = "DISABLED" if "status" in fields else words.get("status", RUNNABLE_STATUS)
    pipeline = hevo.add_pipeline(number, status=status, order=order, fields=fields)  # type: ignore[arg-type]
    for job in reversed(told["jobs"]):
        _add_job(pipeline, job)
    for listed, seen in zip(pipeline.objects, told["objects"], strict=False):
        listed.status = seen["status"] or listed.status
        listed.replication_status = seen["replication_status"] or listed.replication_status
    if sync.get("shown_after_s") is not None:
        _sync_alike(hevo, pipeline, sync)


def _add_job(pipeline: SandboxPipeline, told: dict[str, Any]) -> None:
    age, took = told["age_s"] or 0.0, told["took_s"] or 0.0
    job = pipeline.start_job(ago=age, appear_after=0.0, duration=min(took, max(age, 0.0)))
    job.status_override = told["status"]
    if told["type"]:
        job.override["type"] = told["type"]


def _sync_alike(hevo: Alike, pipeline: SandboxPipeline, told: dict[str, Any]) -> None:
    if told["status"] is not None and _OK <= told["status"] < _SECOND_HUNDRED:
        hevo.action_answer = told["status"]
    pipeline.appear_after = (told["unseen_until_s"] + told["shown_after_s"]) / 2
    for job in told["jobs"][:1]:
        pipeline.job_type_names = {"INCREMENTAL": job["type"] or "INCREMENTAL"}
        pipeline.duration = job["states"][-1][0] if job["states"] else None
        end = job["states"][-1][1] if job["states"] else "COMPLETED"
        if end in TERMINAL_STATUSES:
            pipeline.ends = end
        else:
            pipeline.job_status_names = {pipeline.ends: end}


def _within(item: dict[str, Any], outer: str) -> list[dict[str, Any]]:
    """Return the objects whose fields are meant: the item, an inner object, or those of an inner list."""
    if not outer:
        return [item]
    inner = item.get(outer)
    if isinstance(inner, dict):
        item[outer] = dict(inner)
        return [item[outer]]
    if isinstance(inner, list):
        item[outer] = [dict(each) if isinstance(each, dict) else each for each in inner]
        return [each for each in item[outer] if isinstance(each, dict)]
    return []


def _suit(fields: dict[str, Any], name: str, kinds: list[str], stand_in: Any) -> None:
    """Give a field a value of one of the kinds; the value that it has stays if it is of one."""
    if "missing" in kinds:
        fields.pop(name, None)
    elif name not in fields or _kind_of(fields[name]) not in kinds:
        fields[name] = stand_in


def _kind_of(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    kinds: dict[type, str] = {str: "text", int: "number", float: "number", list: "list", dict: "object"}
    return kinds.get(type(value), "")
