"""Ids of pipelines, jobs and objects: what may stand in the path of a request."""

from __future__ import annotations

import re

from hevo_provider.exceptions import HevoConfigError

# An id goes into the path of a URL: nothing that could lead to another path, or into a log line, is one.
ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.:~-]{0,127}"


def pipeline_id_of(value: object) -> int:
    """
    Return the id as a number.

    :raises HevoConfigError: it is not a positive whole number.
    """
    number = int(value) if isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,18}\s*", value) else value
    if not isinstance(number, int) or isinstance(number, bool) or number <= 0:
        raise HevoConfigError(f"pipeline_id must be a positive whole number, not {value!r}.")
    return number


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
            "(.expand(job_id=…)) or choose one."
        )
    if not isinstance(value, str) or value.strip() in {"", "None"}:
        raise HevoConfigError(f"job_id is {value!r}: the task that should have returned the job's id did not.")
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
