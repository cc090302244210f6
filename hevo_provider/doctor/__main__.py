"""``python -m hevo_provider.doctor``: the command. Exit status 0 all that was seen holds, 1 not all, 2 nothing seen."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from hevo_provider.clock import Clock, process_clock
from hevo_provider.doctor import way_in
from hevo_provider.doctor.anonymous import Veil, anonymous
from hevo_provider.doctor.asker import MOST_REQUESTS, Asker, NoMoreRequestsError
from hevo_provider.doctor.exchange import Observations, Sync
from hevo_provider.doctor.measure import measure_sync
from hevo_provider.doctor.observe import NothingSeenError, observe
from hevo_provider.doctor.progress import Progress
from hevo_provider.doctor.redaction import Redaction
from hevo_provider.doctor.report import rows_of, status_of, table
from hevo_provider.doctor.way_in import WayIn
from hevo_provider.exceptions import HevoConfigError, HevoError
from hevo_provider.models.ids import pipeline_id_of

NOTHING_SEEN = 2


def build_parser() -> argparse.ArgumentParser:
    """Build the command line. Key and secret are no part of it: others see the arguments of a process."""
    parser = argparse.ArgumentParser(
        prog="python -m hevo_provider.doctor",
        description="Hold what airflow-provider-hevo assumes of Hevo's API against your account. "
        f"Reads only, with at most {MOST_REQUESTS} requests.",
        epilog="exit status: 0 all that was seen holds, 1 something differs, 2 nothing could be seen",
    )
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--connection", metavar="ID", help="an Airflow connection, such as hevo_airflow_conn_id")
    where.add_argument(
        "--host",
        help=f"a region, a host or a URL; key and secret are {way_in.KEY} and {way_in.SECRET} of the environment",
    )
    parser.add_argument(
        "--sync",
        metavar="PIPELINE",
        type=_pipeline_id,
        help="also sync this pipeline, once you say yes, and measure it",
    )
    parser.add_argument(
        "--json", metavar="FILE", type=Path, help="write what was seen, without names, ids and hosts, for a bug report"
    )
    return parser


def _pipeline_id(text: str) -> int:
    try:
        return pipeline_id_of(text)
    except HevoConfigError:
        raise argparse.ArgumentTypeError("the id of a pipeline is a positive whole number") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    options = build_parser().parse_args(arguments)
    try:
        return _run(options)
    except _NothingToTellError as error:
        sys.stderr.write(f"{error}\n")
        return NOTHING_SEEN


def _run(options: argparse.Namespace) -> int:
    _check_writable(options.json)
    way = _way_in(options)
    struck_out = Redaction(way.access)
    progress = Progress(sys.stderr)
    try:
        seen = asyncio.run(examine(way, options.sync, progress, process_clock()))
    except NothingSeenError as error:
        raise _NothingToTellError(struck_out(str(error))) from None
    except KeyboardInterrupt:
        raise _NothingToTellError("Interrupted.") from None
    finally:
        progress.clear()
    rows = rows_of(seen)
    text = table(rows, is_terminal=sys.stdout.isatty(), colour="NO_COLOR" not in os.environ)
    sys.stdout.write(struck_out(text))
    if seen.cut_short:
        sys.stderr.write(f"Not all was asked: {struck_out(seen.cut_short)}.\n")
    if options.json is not None:
        _write(options.json, struck_out(anonymous(seen, rows, Veil(seen, way.access.host))))
    return status_of(rows)


class _NothingToTellError(Exception):
    """There is nothing to report on, or no way to do so. The message says why."""


def _way_in(options: argparse.Namespace) -> WayIn:
    try:
        if options.connection is not None:
            return way_in.by_connection(options.connection)
        return way_in.by_host(options.host, os.environ)
    except HevoError as error:
        raise _NothingToTellError(str(error)) from None
    except ImportError:
        raise _NothingToTellError("--connection needs Airflow, which is not installed here: use --host.") from None


def _check_writable(file: Path | None) -> None:
    """Find out before anything is asked whether the file's folder is there."""
    if file is not None and (file.is_dir() or not file.parent.is_dir()):
        raise _NothingToTellError(f"Cannot write {file}: there is no such folder, or it is one.")


def _write(file: Path, content: str) -> None:
    try:
        file.write_text(content, encoding="utf-8")
    except OSError as error:
        raise _NothingToTellError(f"Cannot write {file}: {error.strerror}.") from None


async def examine(way: WayIn, sync: int | None, progress: Progress, clock: Clock) -> Observations:
    """
    Ask, and if it was wished and confirmed, sync.

    :param sync: the pipeline to sync; None for none.
    :returns: all that was seen.
    :raises NothingSeenError: nothing was.
    """
    cut_short, measured = "", None
    async with Asker(way.access, timeout=way.timeout, clock=clock, on_request=progress) as asker:
        try:
            await observe(asker)
        except NoMoreRequestsError as error:
            cut_short = str(error)
        if sync is not None:
            progress.clear()
            confirmed = await asyncio.to_thread(_confirmed, sync)
            measured = await measure_sync(asker, sync) if confirmed else Sync(why_not="not sent: you did not say yes")
    checked = way.access.request_kwargs.get("ssl") is not False
    return Observations(tuple(asker.exchanges), checked, way.own_page, measured, cut_short)


def _confirmed(pipeline_id: int) -> bool:
    """Ask on stderr whether to sync, because stdout is the table's; only y or yes is one."""
    sys.stderr.write(f"Start a sync of pipeline {pipeline_id} now, and follow it to its end? [y/N] ")
    sys.stderr.flush()
    said = sys.stdin.readline()
    if not sys.stdin.isatty():  # else the terminal has ended the line
        sys.stderr.write("\n")
    return said.strip().lower() in {"y", "yes"}


if __name__ == "__main__":
    sys.exit(main())
