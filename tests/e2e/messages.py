"""
``make messages``: every message of docs/troubleshooting.md, as Airflow 3.3's log shows it at 1,440 pixels.

A real Airflow runs a task for each code, each against a sandbox of its own. The pictures are in
build/screenshots/messages; what a person could not read there is printed. Numbers of codes, such as ``701``, take only
those.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hevo_provider.codes import ALL, Code
from hevo_provider.sandbox import Fault, Request, Sandbox
from hevo_provider.sandbox.pipelines import SandboxPipeline
from tests.docs.pages import ROOT
from tests.e2e.airflow_api import wait_for
from tests.e2e.airflow_lab import AirflowLab
from tests.e2e.test_in_browser import LOG, chromium

PICTURES = ROOT / "build/screenshots/messages"
DAG, RUN = "messages", "all"
NAME = "Orders to Snowflake"
# What is refused when the DAG is parsed, and what only the hook's methods raise.
WITHOUT_LOG = {"HEVO-111", "HEVO-311", "HEVO-313"}

Stage = Callable[[Sandbox, SandboxPipeline], object]


def always(fault: Fault, route: str = "*") -> Stage:
    """Answer so each time."""
    return lambda hevo, _: hevo.inject(route, fault, times=None)


def having(**behaviour: Any) -> Stage:
    """Let the pipeline behave so."""

    def stage(_: Sandbox, pipeline: SandboxPipeline) -> None:
        for name, value in behaviour.items():
            setattr(pipeline, name, value)

    return stage


def busy(job_type: str = "INCREMENTAL") -> Stage:
    """Let a job run for long."""
    return lambda _, pipeline: pipeline.start_job(job_type, ago=60, duration=1e6)


def both(*stages: Stage) -> Stage:
    """Do all of it."""
    return lambda hevo, pipeline: [stage(hevo, pipeline) for stage in stages]


def down_once_started(hevo: Sandbox, _: SandboxPipeline) -> None:
    """Let Hevo be down from the start of a job on."""

    def on_request(request: Request) -> None:
        if request.route == "sync_now":
            hevo.inject("*", Fault.status(502), times=None)

    hevo.on_request = on_request


def stale(hevo: Sandbox, pipeline: SandboxPipeline) -> None:
    """Let a job have a status that nobody knows, since long."""
    job = pipeline.start_job(ago=60, duration=1e6)
    told = {"job_id": job.id, "type": "INCREMENTAL", "status": "SOMETHING_NEW", "updated_ts": 1}
    hevo.inject("get_job", Fault.json(told), times=None)


def excluded(_: Sandbox, pipeline: SandboxPipeline) -> None:
    """Let Hevo not load an object."""
    next(each for each in pipeline.objects if each.name == "customers").status = "EXCLUDED"


STAGES: dict[int, Stage] = {
    107: lambda hevo, _: hevo.add_pipeline(9, name=NAME),
    109: excluded,
    302: always(Fault.status(403)),
    303: lambda hevo, pipeline: hevo.pipelines.pop(pipeline.id),
    305: down_once_started,
    307: always(Fault.hang()),
    308: always(Fault.status(503)),
    309: always(Fault.html(403)),
    310: always(Fault.html()),
    312: always(Fault.status(418)),
    601: having(status="DISABLED"),
    602: always(Fault.status(400), "sync_now"),
    603: busy(),
    604: busy("REFRESHER"),
    605: both(busy(), always(Fault.status(403), "cancel_job")),
    606: both(
        having(sync_brings=["REFRESHER"], duration=1e6),
        lambda hevo, _: hevo.inject("sync_now", Fault.reset(after=True)),
    ),
    607: always(Fault.status(502), "sync_now"),
    608: having(appear_after=1e6),
    701: having(ends="FAILED"),
    702: having(ends="COMPLETED_WITH_FAILURES"),
    703: having(ends="CANCELLED"),
    704: having(ends="SKIPPED"),
    705: having(ends="DEFERRED"),
    706: having(ends="DEFERRED_WITH_FAILURES"),
    707: stale,
    801: busy(),
    802: having(duration=None),
    803: lambda _, pipeline: pipeline.start_job(appear_after=0, duration=1e6),
    804: always(Fault.hang(), "get_pipeline"),
}
CONNECTIONS: dict[int, dict[str, Any]] = {
    202: {"password": None},
    203: {"extra": '{"headers": "none"}'},
    204: {"host": "https://user@us.hevodata.com"},
    205: {"host": "http://us.hevodata.com"},
    206: {"password": "a-secret\n"},
    207: {"extra": '{"ca_file": "/none/such.pem"}'},
    301: {"password": "of-the-old-key"},
    306: {"host": "http://127.0.0.1:9"},
    307: {"extra": '{"timeout": 1}'},
}


def main(words: list[str]) -> int:
    """Take a picture of each message; return the exit status: whether each can be read."""
    wanted = [code for code in ALL.values() if not words or code.name.removeprefix("HEVO-") in words]
    shown = [code for code in wanted if code.name not in WITHOUT_LOG]
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="hevo-messages-") as folder, ExitStack() as sandboxes:
        hevos = {code: sandboxes.enter_context(Sandbox()) for code in shown}
        settings = {"AIRFLOW__CORE__PARALLELISM": "6", "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "100"}
        dags = Path(__file__).with_name("message_dags")
        with AirflowLab(Path(folder, "airflow"), dags, environment=settings) as lab:
            for code, hevo in hevos.items():
                set_up(lab, code, hevo)
            lab.api.trigger(DAG, RUN)
            if 804 in map(number_of, shown):
                kill(lab, next(hevo for code, hevo in hevos.items() if number_of(code) == 804))
            with chromium("window-size=1440,1300") as browser:
                faults = {code: look_at(lab, browser, code) for code in shown}
    for code, fault in faults.items():
        sys.stdout.write("".join(f"{code}: {each}\n" for each in fault))
    return 1 if any(faults.values()) else 0


def number_of(code: Code) -> int:
    """Return the number in a code's name."""
    return int(code.name.removeprefix("HEVO-"))


def set_up(lab: AirflowLab, code: Code, hevo: Sandbox) -> None:
    """Let a task's pipeline and connection be as its message wants them."""
    number = number_of(code)
    pipeline = hevo.add_pipeline(number, name=NAME, appear_after=1, duration=4)
    if number in STAGES:
        STAGES[number](hevo, pipeline)
    usual = {"host": hevo.url, "login": hevo.key, "password": hevo.secret}
    fields = {name: value for name, value in (usual | CONNECTIONS.get(number, {})).items() if value is not None}
    lab.api.add_connection(code.name, conn_type="hevo", **fields)


def kill(lab: AirflowLab, hevo: Sandbox) -> None:
    """Kill the task that waits for this sandbox's answer."""
    wait_for("HEVO-804 to ask", lambda: hevo.requests_of("get_pipeline"), timeout=300)
    lab.task_process(DAG, RUN, "HEVO-804").terminate()


def look_at(lab: AirflowLab, browser: Any, code: Code) -> list[str]:
    """Take the picture of a task's log when it has ended; return what is wrong with it."""
    lab.api.wait_task(DAG, RUN, code.name, timeout=500)
    entries = wait_for("the log", lambda: lab.api.log_entries(DAG, RUN, code.name))
    told = [entry.event for entry in entries if entry.level == "error"]
    wrong = [] if any(f" {code}" in line for line in told) else [f"not told: {told}"]
    browser.get(f"{lab.api.base_url}/dags/{DAG}/runs/{RUN}/tasks/{code.name}")
    try:
        wait_for("the lines", lambda: browser.find_elements("xpath", f"{LOG}//*[contains(., ' {code}')]"), timeout=15)
    except TimeoutError as error:
        wrong.append(f"not shown: {error}")
    assert browser.save_screenshot(str(PICTURES / f"{code}.png"))
    return wrong + [f"cut off: {line}" for line in told if is_cut_off(browser, line)]


def is_cut_off(browser: Any, line: str) -> bool:
    """Return whether a line goes on beyond the log's right edge where it comes first; it is the exception too."""
    script = """
        const list = document.querySelector("[data-testid='virtualized-list']"), range = document.createRange();
        const walk = document.createTreeWalker(list, NodeFilter.SHOW_TEXT);
        while (walk.nextNode() && walk.currentNode.data.trim() !== arguments[0].trim());
        if (!walk.currentNode.data) return false;
        range.selectNodeContents(walk.currentNode);
        return range.getBoundingClientRect().right > Math.min(innerWidth, list.getBoundingClientRect().right);
    """
    return bool(browser.execute_script(script, line))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
