"""
What a task logs when it fails: a short verdict, and then, line by line, what the person who is paged needs.

The lines are logged before the exception is raised. The exception's own text is only the verdict with its code: Airflow
logs it at the far end of a long line, and after it the frames of this package, which do not help to find out what is
wrong with a pipeline. So it is raised anew, without these frames and without the exceptions that led to it. What they
said is in the lines.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, cast

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
)

from hevo_provider import codes
from hevo_provider.exceptions import HevoError, HevoTimeIsOverError, with_code


class Logger(Protocol):
    """Where a failure is logged: Airflow's loggers."""

    def warning(self, message: str, /, *args: Any) -> Any:
        """Log why a task is skipped."""

    def error(self, message: str, /, *args: Any) -> Any:
        """Log why a task fails."""


LONGEST_NAME = 40  # characters of a pipeline's name in a verdict, of whose first 120 every one counts
WIDEST_LINE = 100  # characters; Airflow 3.3 shows 104 of a line at 1,440 pixels, and cuts off the rest
HAPPENED = "What happened"
TO_DO = "What to do"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """
    Where a task has failed, as far as it knows.

    :param pipeline_id: the pipeline.
    :param pipeline_name: its name.
    :param connection_id: the Airflow connection.
    :param host: where that leads.
    :param page: the address of the pipeline's page in Hevo's web UI.
    :param job_id: the job.
    """

    pipeline_id: int | None = None
    pipeline_name: str | None = None
    connection_id: str | None = None
    host: str | None = None
    page: str | None = None
    job_id: str | None = None

    @property
    def lines(self) -> dict[str, str]:
        """Pipeline, connection and host, on a line."""
        host = "" if self.host is None else f", host {self.host}"
        connection = "" if self.connection_id is None else f"{self.connection_id}{host}"
        if self.pipeline is None:
            return {"Connection": connection}
        return {"Pipeline": f"{self.pipeline}, connection {connection}" if connection else self.pipeline}

    @property
    def pipeline(self) -> str | None:
        """The pipeline's name and id, for a line."""
        if self.pipeline_name is None:
            return None if self.pipeline_id is None else str(self.pipeline_id)
        name = repr(self.pipeline_name)
        return name if self.pipeline_id is None else f"{name} ({self.pipeline_id})"


@dataclass(frozen=True, slots=True)
class Report:
    """
    What a task says of its failure.

    :param verdict: pipeline and verdict, short.
    :param lines: the rest, by heading.
    """

    verdict: str
    lines: tuple[tuple[str, str], ...]

    @property
    def all_lines(self) -> tuple[str, ...]:
        """Return the verdict, and a line for each heading."""
        return (self.verdict, *(f"{heading}: {said}" for heading, said in self.lines))

    @property
    def logged_lines(self) -> tuple[str, ...]:
        """Return what is logged: the verdict in one piece, for searches, and the rest no wider than a screen."""
        verdict, *rest = self.all_lines
        return (verdict, *(part for line in rest for part in _wrapped(line)))


def _wrapped(line: str) -> list[str]:
    """Return a line in parts, of which none is cut off; what may be copied, such as an address, stays whole."""
    return textwrap.wrap(line, WIDEST_LINE, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def report_of(error: HevoError, place: Place) -> Report:
    """Return what is said of an error."""
    happened = error.text.removeprefix(f"Pipeline {place.pipeline_id}: ")
    if error.tries > 1:
        happened = f"{happened.rstrip('.')}. It was tried {error.tries} times, over {error.tried_for:.0f} s."
    # What the DAG says wrong is named by its message, where a title could not; if that fits on a line.
    is_short = error.code.group == 1 and len(_verdict(place, happened, error)) <= WIDEST_LINE
    own = dict(error.lines)
    lines = {
        HAPPENED: own.pop(HAPPENED, None) or (None if is_short else happened),
        **place.lines,
        "Job": own.pop("Job", place.job_id),
    }
    to_do = own.pop(TO_DO, error.code.advice.replace("`", ""))
    lines |= {**own, TO_DO: to_do, "Link": place.page}
    said = tuple((heading, text) for heading, text in lines.items() if text)
    return Report(_verdict(place, happened if is_short else error.code.title, error), said)


def _verdict(place: Place, words: str, error: HevoError) -> str:
    return with_code(f"{_who(place)}{words}", error.code)


def _who(place: Place) -> str:
    """Return which pipeline a verdict is about, at its beginning."""
    name = place.pipeline_name
    if name is not None and len(name) > LONGEST_NAME:
        place = Place(pipeline_id=place.pipeline_id, pipeline_name=f"{name[: LONGEST_NAME - 1]}…")
    return "" if place.pipeline is None else f"Pipeline {place.pipeline}: "


class TellingFailures:
    """
    A block of a task's entry point, whose errors are told in lines and raised as one short verdict.

    What another try would not mend becomes an ``AirflowFailException``; other errors stay what they are. Those that are
    not of Hevo pass.

    :param place: returns where the task has failed.
    :param logger: where it is logged.
    :param is_timed_out: whether an Airflow exception is a sensor's time-out that its base class has raised.
    """

    def __init__(
        self,
        place: Callable[[HevoError], Place],
        logger: Logger,
        *,
        is_timed_out: Callable[[BaseException], bool] = lambda _: False,
    ) -> None:
        self._place = place
        self._log = logger
        self._is_timed_out = is_timed_out

    def __enter__(self) -> None:
        """Begin the block."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """
        Tell an error of the block, and raise what the task ends with.

        :raises HevoError: or an exception of Airflow, with the verdict.
        """
        if error is None:
            return
        said = next((each for each in _chain(error) if isinstance(each, HevoError)), None)
        if said is None and self._is_timed_out(error):
            said = HevoTimeIsOverError(str(error), code=codes.SENSOR_TIMED_OUT)
        if said is not None:
            raise self._ending_of(error, said) from None

    def _ending_of(self, error: BaseException, said: HevoError) -> BaseException:
        """Tell the failure, and return what the task ends with."""
        from hevo_provider.runs.error_table import fails_for_good

        report = report_of(said, self._place(said))
        tell = self._log.warning if isinstance(error, AirflowSkipException) else self._log.error
        for line in report.logged_lines:
            tell("%s", line)
        ending: Any
        if error is not said:
            ending = type(error)(report.verdict)
        elif fails_for_good(said):
            ending = AirflowFailException(report.verdict)
        else:
            ending = said.saying(report.verdict)
        ending.report = "\n".join(report.all_lines)
        return cast("BaseException", ending)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Return an error and those that it was raised for."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ if isinstance(link, AirflowException) or not isinstance(link, Exception) else None
