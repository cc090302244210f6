"""``python -m hevo_provider.sandbox``: serve the demo data set on loopback until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from hevo_provider.sandbox.demo import add_demo_pipelines, describe
from hevo_provider.sandbox.like import Alike, read_alike
from hevo_provider.sandbox.requests import Request
from hevo_provider.sandbox.sandbox import Sandbox

_DEFAULT_PORT = 8123
_LAST_PORT = 65535


def loopback_address(text: str) -> str:
    """
    Check an address to listen on.

    :raises argparse.ArgumentTypeError: the sandbox would be reachable from elsewhere.
    """
    try:
        if text == "localhost" or ipaddress.ip_address(text).is_loopback:
            return text
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text} is not a loopback address; the sandbox is for this machine only")


def port_number(text: str) -> int:
    """Read a port, 0 to 65535."""
    if not text.isdecimal() or int(text) > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"{text} is no port: it must be a number from 0 to {_LAST_PORT}")
    return int(text)


def positive(text: str) -> float:
    """Read a factor greater than 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number greater than 0")
    return number


def build_parser() -> argparse.ArgumentParser:
    """Build the command line, with the demo's pipelines in its help."""
    pipelines: list[str] = []
    describe(pipelines.append)
    parser = argparse.ArgumentParser(
        prog="python -m hevo_provider.sandbox",
        description="A local Hevo with a demo data set, to try DAGs against.",
        epilog="pipelines:\n" + "\n".join(pipelines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", type=loopback_address, default="127.0.0.1", help="loopback address (%(default)s)")
    parser.add_argument("--port", type=port_number, default=_DEFAULT_PORT, help="0 takes a free one (%(default)s)")
    parser.add_argument("--speed", type=positive, default=1.0, help="let jobs show and end this many times faster")
    parser.add_argument(
        "--like", metavar="FILE", type=Path, help="answer as the account did that the doctor's --json FILE tells of"
    )
    parser.add_argument("--quiet", action="store_true", help="no line per request")
    return parser


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def log_request(request: Request) -> None:
    """Print one line about a request."""
    at = datetime.fromtimestamp(request.at, UTC).strftime("%H:%M:%S")
    job = f"  job {request.job_id}" if request.job_id else ""
    say(f"{at} {request.status or '---'} {request.method:<5} {request.path}{job}")


def announce(hevo: Sandbox) -> None:
    """Print where the sandbox is, what it holds, and how Airflow is connected to it."""
    say(f"A local Hevo listens on {hevo.url}")
    if isinstance(hevo, Alike):
        say(f"  {len(hevo.pipelines)} pipelines, like those that the doctor saw")
    else:
        describe(say)
    say(f"Watch it, and let things go wrong: {hevo.url}/")
    say("Connect Airflow to it:")
    say(
        "  airflow connections add hevo_airflow_conn_id --conn-type hevo"
        f" --conn-host {hevo.url} --conn-login {hevo.key} --conn-password {hevo.secret}"
    )


async def serve(hevo: Sandbox) -> None:
    """Serve until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with hevo:
        announce(hevo)
        await stop.wait()
    say("The local Hevo has stopped")


def _sandbox(options: argparse.Namespace) -> Sandbox:
    if options.like is not None:
        return read_alike(options.like, host=options.host, port=options.port)
    hevo = Sandbox(host=options.host, port=options.port)
    add_demo_pipelines(hevo, speed=options.speed)
    return hevo


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = build_parser().parse_args(arguments)
    try:
        hevo = _sandbox(options)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    hevo.recording = False
    if not options.quiet:
        hevo.on_request = log_request
    try:
        asyncio.run(serve(hevo))
    except OSError as error:
        sys.stderr.write(f"Cannot listen on {options.host}:{options.port}: {error.strerror}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
