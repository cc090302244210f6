"""Ids of pipelines, jobs and objects: what may stand in the path of a request."""

from __future__ import annotations

import re
from typing import SupportsIndex, SupportsInt

from hevo_provider import codes
from hevo_provider.exceptions import HevoConfigError

# An id goes into the path of a URL: nothing that could lead to another path, or into a log line, is one.
ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.:~-]{0,127}"

_TOO_LARGE = 10**18  # for an id that anybody has seen; Hevo counts them
_EXACT = 2**53  # from here on a float may be another number than the one it was made of


def pipeline_id_of(value: object) -> int:
    """
    Return the id as a number.

    :param value: a number of whatever type, or its text: what a database, pandas or a JSON file makes of 7 is numpy's
        int64, a Decimal, 7.0 or "7.0".
    :raises HevoConfigError: it is not a positive whole number.
    """
    # As a rule, and in each poll, it is a plain number; to compare it with a protocol takes 25 µs.
    number = value if type(value) is int else _whole(value)
    if number is None or not 0 < number < _TOO_LARGE:
        raise HevoConfigError(f"pipeline_id must be a positive whole number, not {value!r}.")
    return number


def pipeline_name_of(value: object) -> str:
    """
    Return the name of a pipeline.

    :raises HevoConfigError: it is no text, empty, or the text "None".
    """
    if not isinstance(value, str) or value.strip() in {"", "None"}:
        raise HevoConfigError(f"pipeline_name must be the name of a pipeline, not {value!r}.")
    return value.strip()


def check_that_one_is_given(pipeline_id: object, pipeline_name: object) -> None:
    """
    Refuse a pipeline that is given by id and by name, or by neither.

    :raises HevoConfigError: both are given, or neither.
    """
    what = "Exactly one of pipeline_id and pipeline_name says which pipeline is meant"
    if pipeline_id is None and pipeline_name is None:
        raise HevoConfigError(
            f"pipeline_id must be a positive whole number, not None. {what}: neither is given.",
            code=codes.WHICH_PIPELINE,
        )
    if pipeline_id is not None and pipeline_name is not None:
        raise HevoConfigError(f"{what}: both are given.", code=codes.WHICH_PIPELINE)


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        digits = re.fullmatch(r"\s*([0-9]{1,18})(?:\.0+)?\s*", value)
        return None if digits is None else int(digits[1])
    try:
        if isinstance(value, SupportsIndex):
            return value.__index__()
        if isinstance(value, float) and abs(value) > _EXACT:
            return None
        if isinstance(value, SupportsInt):
            return int(value) if int(value) == value and int(value) < _EXACT else None
    except (TypeError, ValueError, ArithmeticError):  # an array of several, NaN, infinity
        pass
    return None


def job_id_of(value: object) -> str:
    """
    Return the id of a job, sure to stay within its place in a URL.

    :raises HevoConfigError: it is empty, the text "None", or no id of Hevo.
    """
    if isinstance(value, int) and not isinstance(value, bool):  # an id of digits, rendered as a native object
        value = str(value)
    if isinstance(value, list | tuple):
        raise HevoConfigError(
            "job_id is a list: the task that should have returned one job's id returned a list. Map the sensor over it "
            "(.expand(job_id=…)) or choose one.",
            code=codes.NOT_RETURNED,
        )
    if not isinstance(value, str) or value.strip() in {"", "None"}:
        raise HevoConfigError(
            f"job_id is {value!r}: the task that should have returned the job's id did not.", code=codes.NOT_RETURNED
        )
    if not re.fullmatch(ID_PATTERN, value):
        raise HevoConfigError(f"job_id is not an id of Hevo: {value!r}.")
    return value


def object_id_of(value: object) -> str:
    """
    Return the id of an object, sure to stay within its place in a URL.

    :raises HevoConfigError: it is no id of Hevo.
    """
    if not isinstance(value, str) or not re.fullmatch(ID_PATTERN, value):
        raise HevoConfigError(f"object_id is not an id of Hevo: {value!r}.")
    return value
