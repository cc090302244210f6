"""What the person sees who is paged: one situation for each code, told in lines, ended with a short verdict."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException, AirflowTaskTimeout

from hevo_provider import codes
from hevo_provider.codes import Code
from hevo_provider.exceptions import HevoError, HevoServerError
from hevo_provider.hooks import HevoHook
from hevo_provider.models.enums import JobStatus
from hevo_provider.operators import HevoPipelineOperator
from hevo_provider.sandbox import Fault, Sandbox
from hevo_provider.sensors import HevoSensor
from hevo_provider.tasks.failure import Place, TellingFailures
from tests.stage.clock import VirtualClock
from tests.stage.failures import fails, told_by
from tests.stage.marks import in_both_modes, in_every_sensor_mode
from tests.stage.objects import add_shop, objects_operator
from tests.stage.sensors import RescheduledTaskInstance, sense
from tests.stage.tasks import TaskInstance, deferred, event_of, operator, play, run_in_triggerer

PACKAGE = Path(codes.__file__).parent
NAME = "Orders to Snowflake"


@dataclass(frozen=True)
class Stage:
    """Where a situation plays."""

    hevo: Sandbox
    ti: TaskInstance
    patch: pytest.MonkeyPatch

    def connection(self, **fields: Any) -> None:
        """Change fields of Airflow's connection."""
        usual = {
            "conn_type": "hevo",
            "host": self.hevo.url,
            "login": self.hevo.key,
            "password": self.hevo.secret,
        }
        self.patch.setenv("AIRFLOW_CONN_HEVO_AIRFLOW_CONN_ID", json.dumps(usual | fields))

    def runs(self, **parameters: Any) -> NoReturn:
        """Run the operator, which fails."""
        play(operator(**parameters), self.ti)
        raise AssertionError("it has not failed")

    def waits(self, **parameters: Any) -> NoReturn:
        """Run the sensor, which fails."""
        sense("deferrable", self.ti, **parameters)
        raise AssertionError("it has not failed")


Situation = Callable[[Stage], object]


def parsing(kind: Callable[..., object], **parameters: Any) -> Situation:
    return lambda _: kind(**{"task_id": "task", "pipeline_id": 7, **parameters})


def with_connection(**fields: Any) -> Situation:
    def situation(stage: Stage) -> None:
        stage.connection(**fields)
        stage.runs()

    return situation


def answered(fault: Fault) -> Situation:
    def situation(stage: Stage) -> None:
        stage.hevo.add_pipeline(7)
        stage.hevo.inject("*", fault, times=None)
        stage.runs()

    return situation


def with_pipeline(*, task: dict[str, Any] | None = None, **behaviour: Any) -> Situation:
    def situation(stage: Stage) -> None:
        stage.hevo.add_pipeline(7, name=NAME, **behaviour)
        stage.runs(**(task or {}))

    return situation


def beside_a_job(
    *, job_type: str = "INCREMENTAL", route: str = "", fault: Fault | None = None, **task: Any
) -> Situation:
    def situation(stage: Stage) -> None:
        stage.hevo.add_pipeline(7, name=NAME).start_job(job_type, ago=60, duration=1e6)
        if fault is not None:
            stage.hevo.inject(route, fault, times=None)
        stage.runs(**task)

    return situation


def _not_looked_up(stage: Stage) -> None:
    async def broken(_: str) -> NoReturn:
        raise RuntimeError("the database is locked")

    stage.patch.setattr("hevo_provider.hooks.get_async_connection", broken)
    stage.patch.setattr(HevoHook, "get_connection", lambda *_: 1 / 0)
    stage.runs()


def _unreachable(stage: Stage) -> None:
    stage.connection(host="http://127.0.0.1:9")
    stage.runs()


def _no_answer(stage: Stage) -> None:
    stage.connection(extra={"timeout": 0.05})
    answered(Fault.hang())(stage)


def _several(stage: Stage) -> None:
    for number in (4, 9):
        stage.hevo.add_pipeline(number, name=NAME)
    stage.runs(pipeline_id=None, pipeline_name=NAME)


def _no_such_object(stage: Stage) -> None:
    add_shop(stage.hevo)
    play(objects_operator(objects=["none-such"]), stage.ti)


def _not_loaded(stage: Stage) -> None:
    add_shop(stage.hevo).objects[1].status = "EXCLUDED"
    play(objects_operator(objects=["customers"]), stage.ti)


def _vanished(stage: Stage) -> None:
    stage.hevo.add_pipeline(7, name=NAME)
    stage.waits(job_id="of-another-pipeline")


def _outage(stage: Stage) -> None:
    stage.hevo.add_pipeline(7)
    stage.hevo.inject("*", Fault.status(502), times=None)
    stage.waits(api_outage_tolerance=60)


def _over_the_limit(stage: Stage) -> None:
    stage.hevo.add_pipeline(7)
    stage.hevo.inject("*", Fault.status(429), times=None)
    HevoHook(retry_limit=0).get_pipeline(7)


def _conflict(stage: Stage) -> None:
    job = stage.hevo.add_pipeline(7).start_job(ago=100, duration=1)
    HevoHook().cancel_job(7, job.id)


def _may_be_own(stage: Stage) -> None:
    stage.hevo.add_pipeline(7, name=NAME, sync_brings=["REFRESHER"], duration=1e6)
    stage.hevo.inject("sync_now", Fault.reset(after=True))
    stage.runs(on_active_job="cancel")


def _never_started(stage: Stage) -> None:
    stage.hevo.add_pipeline(7, name=NAME)
    stage.hevo.inject("sync_now", Fault.status(502), times=None)
    stage.runs()


def _no_active_job(stage: Stage) -> None:
    stage.hevo.add_pipeline(7, name=NAME)
    stage.waits()


def _refused_action(stage: Stage) -> None:
    stage.hevo.add_pipeline(7, name=NAME)
    stage.hevo.inject("sync_now", Fault.status(400))
    stage.runs()


def _stalled(stage: Stage) -> None:
    job = stage.hevo.add_pipeline(7, name=NAME).start_job(ago=60, duration=1e6)
    stale = {"job_id": job.id, "type": "INCREMENTAL", "status": "SOMETHING_NEW", "updated_ts": 1}
    stage.hevo.inject("get_job", Fault.json(stale), times=None)
    stage.runs(on_active_job="follow")


def _sensor_timed_out(stage: Stage) -> None:
    stage.hevo.add_pipeline(7, duration=None).start_job(appear_after=0)
    stage.waits(timeout=100)


def _killed(stage: Stage) -> None:
    stage.hevo.add_pipeline(7)
    task = operator(deferrable=False)

    def kill(_route: str) -> None:
        if task._call is not None:
            task._call._loop.call_soon_threadsafe(task._call._task.cancel)  # type: ignore[union-attr]

    stage.hevo.fault_source = kill
    play(task, stage.ti)


def _a_fault_of_our_own(stage: Stage) -> None:
    async def broken(*_: object) -> Any:
        raise ZeroDivisionError("a fault of our own")

    stage.hevo.add_pipeline(7, name=NAME)
    deferral = deferred(operator(), stage.ti)
    stage.patch.setattr("hevo_provider.runs.wait.Wait.until_done", broken)
    operator().execute_complete(stage.ti.context, run_in_triggerer(event_of(deferral.trigger())))


def _event(event: Any) -> Situation:
    return lambda stage: HevoSensor(task_id="task", pipeline_id=7).execute_complete(stage.ti.context, event)


SITUATIONS: dict[Code, Situation] = {
    codes.WRONG_PARAMETER: parsing(HevoPipelineOperator, poll_interval=0),
    codes.WHICH_PIPELINE: parsing(HevoPipelineOperator, pipeline_name=NAME),
    codes.NOT_RETURNED: parsing(HevoSensor, job_id="None"),
    codes.NO_SUCH_TIME: parsing(HevoSensor, completed_after="None"),
    codes.DO_NOT_GO_TOGETHER: parsing(HevoPipelineOperator, drop_and_load=True),
    codes.NO_SUCH_NAME: lambda stage: stage.runs(pipeline_id=None, pipeline_name="none such"),
    codes.SEVERAL_OF_THE_NAME: _several,
    codes.NO_SUCH_OBJECT: _no_such_object,
    codes.OBJECT_NOT_LOADED: _not_loaded,
    codes.NO_OBJECTS: lambda _: objects_operator(objects=[]),
    codes.MIXED_UP: parsing(HevoPipelineOperator, hevo_conn_id="hevo"),
    codes.NO_CONNECTION: lambda stage: stage.runs(connection_id="nowhere"),
    codes.CREDENTIALS_MISSING: with_connection(password=None),
    codes.WRONG_CONNECTION: with_connection(extra={"headers": "none"}),
    codes.WRONG_HOST: with_connection(host="https://user@us.hevodata.com"),
    codes.UNENCRYPTED: with_connection(host="http://us.hevodata.com"),
    codes.WRONG_CREDENTIALS: with_connection(password="a-secret\n"),
    codes.WRONG_FILE: with_connection(extra={"ca_file": "/none/such.pem"}),
    codes.NOT_LOOKED_UP: _not_looked_up,
    codes.REFUSED_KEY: answered(Fault.status(401)),
    codes.REFUSED_ROLE: answered(Fault.status(403)),
    codes.NOT_FOUND: lambda stage: stage.runs(),
    codes.VANISHED: _vanished,
    codes.OUTAGE: _outage,
    codes.NOT_REACHED: _unreachable,
    codes.NO_ANSWER: _no_answer,
    codes.SERVER_ERROR: answered(Fault.status(503)),
    codes.GATEWAY: answered(Fault.html(403)),
    codes.UNREADABLE: answered(Fault.html()),
    codes.OVER_THE_LIMIT: _over_the_limit,
    codes.REFUSED_REQUEST: answered(Fault.status(418)),
    codes.CONFLICT: _conflict,
    codes.NOT_READY: with_pipeline(status="DISABLED"),
    codes.REFUSED_ACTION: _refused_action,
    codes.BUSY: beside_a_job(),
    codes.NOT_TO_FOLLOW: beside_a_job(job_type="REFRESHER", on_active_job="follow"),
    codes.NOT_CANCELLED: beside_a_job(route="cancel_job", fault=Fault.status(400), on_active_job="cancel"),
    codes.MAY_BE_OWN: _may_be_own,
    codes.NEVER_STARTED: _never_started,
    codes.NO_JOB: with_pipeline(appear_after=1e6),
    codes.NO_ACTIVE_JOB: _no_active_job,
    codes.FAILED: with_pipeline(ends="FAILED"),
    codes.WITH_FAILURES: with_pipeline(ends="COMPLETED_WITH_FAILURES"),
    codes.CANCELLED: with_pipeline(ends="CANCELLED"),
    codes.SKIPPED: with_pipeline(ends="SKIPPED"),
    codes.DEFERRED: with_pipeline(ends="DEFERRED"),
    codes.DEFERRED_WITH_FAILURES: with_pipeline(ends="DEFERRED_WITH_FAILURES"),
    codes.STALLED: _stalled,
    codes.NOT_STARTED_IN_TIME: beside_a_job(on_active_job="wait", timeout=100),
    codes.NOT_ENDED_IN_TIME: with_pipeline(duration=None, task={"timeout": 100}),
    codes.SENSOR_TIMED_OUT: _sensor_timed_out,
    codes.KILLED: _killed,
    codes.UNKNOWN_EVENT: _event({"event": "of another version"}),
    codes.NOT_KNOWN: _event({"event": "timed_out", "pipeline_id": 7} | {"event": "start", "run": {"pipeline_id": 7}}),
    codes.UNEXPECTED: _a_fault_of_our_own,
}
AT_PARSE = {code for code in SITUATIONS if code.name.startswith("HEVO-1")} - {
    codes.NO_SUCH_NAME,
    codes.SEVERAL_OF_THE_NAME,
    codes.NO_SUCH_OBJECT,
    codes.OBJECT_NOT_LOADED,
}
OF_THE_HOOK = {codes.OVER_THE_LIMIT, codes.CONFLICT}  # which no task ends with


@pytest.fixture
def ti(clock: VirtualClock) -> RescheduledTaskInstance:
    """A task instance that may be a rescheduled sensor's."""
    return RescheduledTaskInstance(clock)


@pytest.fixture
def stage(hevo: Sandbox, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(hevo, ti, monkeypatch)


def failure_of(situation: Situation, stage: Stage) -> BaseException:
    with pytest.raises(BaseException) as failure:  # noqa: PT011 - which one is told by its code
        situation(stage)
    assert not isinstance(failure.value, AssertionError)
    return failure.value


def frames_of_ours(error: BaseException) -> list[str]:
    frames = traceback.extract_tb(error.__traceback__)
    return [frame.filename for frame in frames if Path(frame.filename).is_relative_to(PACKAGE)]


def test_there_is_a_situation_for_each_code() -> None:
    assert set(SITUATIONS) == set(codes.ALL.values())


def has_its_code_and_what_the_documentation_is_searched_for(error: BaseException, code: Code) -> bool:
    return str(error).endswith(f" {code}") and code.message in told_by(error)


@pytest.mark.parametrize("code", sorted(AT_PARSE | OF_THE_HOOK), ids=str)
def test_each_message_ends_with_its_code_and_says_what_the_documentation_is_searched_for(
    stage: Stage, code: Code
) -> None:
    error = failure_of(SITUATIONS[code], stage)

    assert has_its_code_and_what_the_documentation_is_searched_for(error, code), told_by(error)


@pytest.mark.parametrize("code", sorted(set(SITUATIONS) - AT_PARSE - OF_THE_HOOK), ids=str)
def test_each_task_ends_with_a_short_verdict_and_no_more(stage: Stage, story: Callable[[], str], code: Code) -> None:
    error = failure_of(SITUATIONS[code], stage)

    assert has_its_code_and_what_the_documentation_is_searched_for(error, code), told_by(error)
    assert str(error).startswith("Pipeline ")
    assert len(str(error)) <= 104  # what Airflow shows of a line at 1,440 pixels
    if not code.name.startswith("HEVO-1"):
        assert code.title in str(error)[:120]
    assert len(frames_of_ours(error)) <= 2
    assert "".join(traceback.format_exception(error)).count("Traceback") == 1
    told = story()
    assert str(error) in told
    for line in error.report.splitlines():  # type: ignore[attr-defined]
        assert line[:50] in told  # the rest may be on another line
    assert "\nWhat to do: " in told_by(error)


@in_both_modes
def test_all_that_is_known_of_a_failed_job_is_told_line_by_line(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, name=NAME, ends="FAILED")

    with pytest.raises(HevoError) as failure:
        play(operator(deferrable=deferrable), ti)

    (job,) = pipeline.jobs
    counters = "events_ingested 1000, events_loaded 986, events_failed 14, objects_success 1, objects_skipped 0, "
    counters += "objects_failed 2, duration 10 s"
    assert str(failure.value) == f"Pipeline '{NAME}' (7): its job ended FAILED. HEVO-701"
    assert failure.value.report.splitlines() == [
        f"Pipeline '{NAME}' (7): its job ended FAILED. HEVO-701",
        f"What happened: job {job.id} (INCREMENTAL) ended FAILED.",
        f"Pipeline: '{NAME}' (7), connection hevo_airflow_conn_id, host 127.0.0.1",
        f"Job: {job.id}",
        f"Counters: {counters}",
        "Failing objects: orders, customers",
        f"What to do: {codes.FAILED.advice}",
        f"Link: {hevo.url}/pipeline/7/overview",
    ]


def test_where_it_is_not_known_which_pipeline_is_meant_the_connection_is_told(ti: TaskInstance) -> None:
    task = operator(pipeline_id="{{ params.pipeline }}")
    task.pipeline_id = "the one with the orders"  # as it was rendered

    with pytest.raises(AirflowFailException) as failure:
        play(task, ti)

    assert "\nConnection: hevo_airflow_conn_id\n" in failure.value.report  # type: ignore[attr-defined]
    assert "\nPipeline: " not in failure.value.report  # type: ignore[attr-defined]


def test_what_is_wrong_with_a_parameter_is_a_line_of_its_own_where_it_would_be_cut_off(
    hevo: Sandbox, ti: TaskInstance
) -> None:
    hevo.add_pipeline(7, name=NAME)

    with pytest.raises(AirflowFailException) as failure:
        play(operator(pipeline_id=None, pipeline_name="Ordres to Snowflake"), ti)

    verdict, happened, *_ = failure.value.report.splitlines()  # type: ignore[attr-defined]
    assert verdict == "Pipeline 'Ordres to Snowflake': no pipeline has that name. HEVO-106"
    assert happened == f"What happened: No pipeline is called 'Ordres to Snowflake'. Close to it: '{NAME}'."


def test_a_long_name_does_not_push_the_verdict_off_the_screen(hevo: Sandbox, ti: TaskInstance) -> None:
    hevo.add_pipeline(7, name=f"{NAME} " * 20, ends="COMPLETED_WITH_FAILURES")

    with pytest.raises(HevoError) as failure:
        play(operator(), ti)

    assert codes.WITH_FAILURES.title in str(failure.value)[:120]
    assert f"{NAME} " * 20 in failure.value.report


def test_no_line_is_cut_off_at_the_edge_of_the_screen_and_no_word_is_lost() -> None:
    told: list[str] = []

    class Told:
        def error(self, message: str, /, *args: object) -> None:
            told.append(message % args)

        warning = error

    address = "https://us.hevodata.com/" + "a-long-path/" * 12
    place = Place(pipeline_id=7, pipeline_name=NAME, connection_id="hevo_airflow_conn_id", page=address)
    with pytest.raises(HevoError) as failure, TellingFailures(lambda _: place, Told()):
        raise HevoError("Hevo answered 503: " + "the service-level is low " * 20, code=codes.SERVER_ERROR)

    assert [line for line in told if len(line) > 104] == [f"    {address}"]  # what Airflow shows at 1,440 pixels
    assert told[0] == str(failure.value)
    assert " ".join(told).split() == failure.value.report.split()


def test_verdicts_are_short() -> None:
    assert max(len(code.title) for code in codes.ALL.values()) <= 50


@in_every_sensor_mode
def test_a_sensor_tells_its_time_out_in_the_same_words_in_every_mode(
    hevo: Sandbox, ti: TaskInstance, mode: str
) -> None:
    job = hevo.add_pipeline(7, duration=None).start_job(appear_after=0)

    with fails(BaseException, says=rf"^Pipeline 7: the sensor's time was over\. HEVO-803.*Job: {job.id}"):
        sense(mode, ti, timeout=100)


@in_every_sensor_mode
def test_a_skip_ends_with_its_code_too_and_is_no_error_in_the_log(
    hevo: Sandbox, ti: TaskInstance, story: Callable[[], str], mode: str
) -> None:
    with pytest.raises(BaseException, match=r"HEVO-303$"):
        sense(mode, ti, soft_fail=True)

    told = story()
    assert "What happened: Hevo answered 404" in told
    assert "[error" not in told
    assert "ERROR" not in told


def test_what_a_task_fails_with_for_good_carries_its_report_too(hevo: Sandbox, ti: TaskInstance) -> None:
    with pytest.raises(AirflowFailException) as failure:
        play(operator(), ti)

    assert "What to do: Compare pipeline_id with" in failure.value.report  # type: ignore[attr-defined]


def test_an_error_of_somebody_else_passes_as_it_is(
    hevo: Sandbox, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    hevo.add_pipeline(7)
    monkeypatch.setattr("hevo_provider.runs.start.Start.go", lambda _: 1 / 0)

    with pytest.raises(ZeroDivisionError):
        play(operator(), ti)


@pytest.mark.parametrize(
    ("raised", "soft_fail"), [(AirflowSkipException("a holiday"), False), (AirflowTaskTimeout("of a worker"), True)]
)
def test_a_skip_for_another_reason_is_not_told_as_the_sensors_time_out(
    hevo: Sandbox, ti: TaskInstance, raised: Exception, soft_fail: bool
) -> None:
    class OfSomebodyElse(HevoSensor):
        def poke(self, context: Any) -> NoReturn:
            raise raised

    with pytest.raises(AirflowSkipException) as skip:
        play(OfSomebodyElse(task_id="task", pipeline_id=7, deferrable=False, soft_fail=soft_fail), ti)

    assert "HEVO" not in str(skip.value)


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.CANCELLED])
def test_the_retry_of_a_failed_task_has_a_report_of_its_own(hevo: Sandbox, ti: TaskInstance, status: str) -> None:
    pipeline = hevo.add_pipeline(7, ends="FAILED")
    task = operator()
    with pytest.raises(HevoError):
        play(task, ti)
    pipeline.ends = status
    ti.next_try()

    with pytest.raises(HevoError) as failure:
        play(task, ti)

    assert pipeline.jobs[1].id in failure.value.report
    assert pipeline.jobs[0].id not in failure.value.report


@in_both_modes
def test_an_api_that_is_down_at_the_start_is_said_to_have_been_tried_and_for_how_long(
    hevo: Sandbox, ti: TaskInstance, deferrable: bool
) -> None:
    hevo.add_pipeline(7)
    hevo.inject("*", Fault.status(503), times=None)

    with fails(HevoServerError, says=r"What happened: Hevo answered 503 .*\. It was tried 4 times, over \d+ s\.\n"):
        play(operator(deferrable=deferrable), ti)
