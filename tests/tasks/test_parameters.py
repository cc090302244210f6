"""What a DAG's author writes: refused where it makes no sense, literals at once, rendered values before any request."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import jinja2
import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, BaseOperator
from hypothesis import given
from hypothesis import strategies as st

from hevo_provider.exceptions import HevoConfigError
from hevo_provider.models.ids import job_id_of, pipeline_id_of
from hevo_provider.models.job import JobType
from hevo_provider.models.pipeline import PipelineAction
from hevo_provider.operators import HevoPipelineOperator
from hevo_provider.sandbox import Sandbox
from hevo_provider.sensors import HevoSensor
from tests.stage.failures import fails, told_by
from tests.stage.marks import in_both_modes
from tests.stage.tasks import TaskInstance, operator, play

Task = HevoPipelineOperator | HevoSensor


def sensor(**parameters: Any) -> HevoSensor:
    return HevoSensor(task_id="task", **{"pipeline_id": 7, **parameters})


def rendered(task: Task, *, native: bool = False, **values: Any) -> Task:
    """Render a task's templates as a worker does before it executes the task."""
    with DAG("dag", schedule=None, render_template_as_native_obj=native) as dag:
        dag.add_task(task)
    task.render_template_fields(cast("Any", values))
    return task


# Literals, when the DAG is parsed


class Int64:
    """A number as numpy has it: no int, but good for an index."""

    def __index__(self) -> int:
        return 7


SEVENS = [7, 7.0, "7", " 7 ", "7.0", Decimal(7), Decimal("7.0"), Fraction(7), Int64()]


@pytest.mark.parametrize("value", SEVENS, ids=lambda value: type(value).__name__)
def test_a_pipelines_id_may_be_a_number_of_any_type_or_its_text(value: Any) -> None:
    assert pipeline_id_of(value) == 7
    assert operator(pipeline_id=value).pipeline_id is value


@pytest.mark.parametrize(
    "wrong",
    [
        {"pipeline_id": 0},
        {"pipeline_id": -7},
        {"pipeline_id": True},
        {"pipeline_id": 7.5},
        {"pipeline_id": float("inf")},
        {"pipeline_id": float("nan")},
        {"pipeline_id": Decimal("sNaN")},
        {"pipeline_id": 1e300},
        {"pipeline_id": 2.0**53},
        {"pipeline_id": "7.5"},
        {"pipeline_id": [7]},
        {"pipeline_id": None},
        {"pipeline_id": ""},
        {"pipeline_id": "orders"},
        {"pipeline_id": "7/actions/resync"},
        {"action": "SYNC"},
        {"action": None},
        {"action": PipelineAction.RESYNC, "job_type": "EVERYTHING"},
        {"job_type": ""},
        {"connection_id": ""},
        {"connection_id": None},
        {"poll_interval": 0},
        {"poll_interval": "15"},
        {"poll_interval": float("nan")},
        {"retry_limit": 0},
        {"retry_limit": 1.5},
        {"retry_limit": True},
        {"timeout": 0},
        {"timeout": timedelta(0)},
        {"api_outage_tolerance": -1},
        {"on_active_job": "abort"},
        {"drop_and_load": True},
        {"action": "RESYNC", "drop_and_load": "False"},
        {"deferrable": "False"},
        {"wait_for_completion": None},
        {"accept_completed_with_failures": 1},
        {"ensure_new_job": "no"},
        {"cancel_on_kill": "no"},
        {"durable": "no"},
    ],
    ids=str,
)
def test_an_operator_that_makes_no_sense_is_refused_when_the_dag_is_parsed(wrong: dict[str, Any]) -> None:
    with pytest.raises(HevoConfigError) as refusal:
        operator(**wrong)

    name, value = list(wrong.items())[-1]
    assert name in told_by(refusal.value)
    assert repr(value) in told_by(refusal.value) or value is True


@pytest.mark.parametrize(
    "wrong",
    [
        {"pipeline_id": 0},
        {"job_id": ""},
        {"job_id": "None"},
        {"job_id": "../x"},
        {"completed_after": "soon"},
        {"job_type": None},
        {"job_type": "EVERYTHING"},
        {"connection_id": " "},
        {"poke_interval": 0},
        {"wait_for_job_max_attempts": 0},
        {"wait_for_job_interval": 0},
        {"wait_for_job_initial_delay": -1},
        {"deferrable": "False"},
        {"accept_completed_with_failures": 1},
        {"api_outage_tolerance": -1},
    ],
    ids=str,
)
def test_a_sensor_that_makes_no_sense_is_refused_when_the_dag_is_parsed(wrong: dict[str, Any]) -> None:
    with fails(HevoConfigError, says=next(iter(wrong))):
        sensor(**wrong)


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"ensure_new_job": False, "on_active_job": "fail"}, 'on_active_job="fail" goes with ensure_new_job=True only'),
        ({"job_type": "RESYNC"}, "job_type RESYNC goes with another action than SYNC_NOW"),
        ({"action": "RESYNC", "job_type": "INCREMENTAL"}, "job_type INCREMENTAL goes with another action than RESYNC"),
        ({"poke_interval": 5}, "poke_interval is no parameter of HevoPipelineOperator: it is called poll_interval"),
        ({"hevo_conn_id": "hevo"}, "hevo_conn_id is no parameter of HevoPipelineOperator: it is called connection_id"),
    ],
)
def test_what_contradicts_itself_or_is_called_otherwise_is_refused_when_the_dag_is_parsed(
    parameters: dict[str, Any], says: str
) -> None:
    with fails(HevoConfigError, says=says):
        operator(**parameters)


@pytest.mark.parametrize("name", ["poll_interval", "hevo_conn_id"])
def test_what_a_sensor_calls_otherwise_is_refused_when_the_dag_is_parsed(name: str) -> None:
    with fails(HevoConfigError, says=f"{name} is no parameter of HevoSensor: it is called "):
        sensor(**{name: 5})


@pytest.mark.parametrize(
    "parameters",
    [
        {"job_type": "RESYNC", "on_active_job": "follow"},
        {"job_type": "RESYNC", "ensure_new_job": False},
        {"job_type": "REFRESHER"},
        {"job_type": "HISTORICAL"},
        {"action": "{{ params.action }}", "job_type": "INCREMENTAL"},
    ],
)
def test_a_type_that_may_come_about_is_not_refused(parameters: dict[str, Any]) -> None:
    operator(**parameters)


def test_what_only_templates_contradict_fails_the_task_for_good_before_any_request(
    hevo: Sandbox, ti: TaskInstance
) -> None:
    task = operator(action="{{ params.action }}", job_type="INCREMENTAL")
    task.action = "RESYNC"

    with fails(AirflowFailException, says="goes with another action than RESYNC"):
        task.execute(ti.context)

    assert hevo.requests == []


def test_members_and_their_names_mean_the_same(ti: TaskInstance) -> None:
    names = operator(action="resync", job_type="Resync_With_Drop_And_Load", drop_and_load=True)
    members = operator(action=PipelineAction.RESYNC, job_type=JobType.RESYNC_WITH_DROP_AND_LOAD, drop_and_load=True)

    assert names._ordered(ti.context) == members._ordered(ti.context)


def test_durations_can_be_time_deltas() -> None:
    task = operator(timeout=timedelta(hours=2), poll_interval=timedelta(minutes=1))

    assert (task.timeout, task.poll_interval) == (7200, 60)


# Templates


def test_the_template_fields_are_those_of_the_documentation() -> None:
    assert set(HevoPipelineOperator.template_fields) == {
        "pipeline_id",
        "pipeline_name",
        "connection_id",
        "action",
        "job_type",
    }
    assert {"pipeline_id", "job_id", "completed_after"} <= set(HevoSensor.template_fields)


@in_both_modes
@pytest.mark.parametrize("native", [False, True])
def test_an_operator_runs_with_what_its_templates_render_to(
    hevo: Sandbox, ti: TaskInstance, monkeypatch: pytest.MonkeyPatch, native: bool, deferrable: bool
) -> None:
    pipeline = hevo.add_pipeline(7, restarting_for=20)
    connection = {"conn_type": "hevo", "host": hevo.url, "login": hevo.key, "password": hevo.secret}
    monkeypatch.setenv("AIRFLOW_CONN_HEVO_EU", json.dumps(connection))
    monkeypatch.delenv("AIRFLOW_CONN_HEVO_AIRFLOW_CONN_ID")
    task = operator(
        pipeline_id="{{ pipeline }}",
        action="{{ action }}",
        job_type="{% if drop %}RESYNC_WITH_DROP_AND_LOAD{% endif %}",
        connection_id="hevo_{{ region }}",
        drop_and_load=True,
        deferrable=deferrable,
    )

    job_id = play(rendered(task, native=native, pipeline=7, action="RESYNC", drop=True, region="eu"), ti)

    assert [(job.id, job.type) for job in pipeline.jobs] == [(job_id, "RESYNC_WITH_DROP_AND_LOAD")]


@in_both_modes
@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("job_id", [None, "1234567890123"])
def test_a_sensor_runs_with_what_its_templates_render_to(
    hevo: Sandbox, ti: TaskInstance, native: bool, deferrable: bool, job_id: str | None
) -> None:
    pipeline = hevo.add_pipeline(7)
    job = pipeline.start_job(ago=100, duration=10)
    if job_id is not None:
        pipeline._by_id[job_id] = job
        job.id = job_id
    task = sensor(pipeline_id="{{ pipeline }}", job_id="{{ job }}", deferrable=deferrable)

    assert play(rendered(task, native=native, pipeline=7, job=job.id), ti) == job.id


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    ("parameters", "values", "message"),
    [
        ({"pipeline_id": "{{ x }}"}, {"x": "orders"}, "pipeline_id must be a positive whole number, not 'orders'"),
        ({"pipeline_id": "{{ x }}"}, {"x": ""}, "pipeline_id must be a positive whole number, not "),
        ({"pipeline_id": "{{ x }}"}, {"x": None}, "pipeline_id must be a positive whole number, not '?None"),
        ({"pipeline_id": "{{ x }}"}, {"x": "7?drop_and_load=true"}, "pipeline_id must be a positive whole number"),
        ({"pipeline_id": "{{ x }}"}, {"x": "{{ x }}"}, "pipeline_id must be a positive whole number"),
        ({"action": "{{ x }}"}, {"x": "DELETE"}, "action must be one of SYNC_NOW, RESYNC, not 'DELETE'"),
        ({"action": "{{ x }}", "drop_and_load": True}, {"x": "SYNC_NOW"}, "drop_and_load goes with the action RESYNC"),
        ({"job_type": "{{ x }}"}, {"x": "EVERYTHING"}, "job_type must be one of INCREMENTAL, "),
        ({"connection_id": "{{ x }}"}, {"x": " "}, "connection_id must name an Airflow connection"),
    ],
)
def test_rendered_values_that_make_no_sense_fail_the_task_for_good_before_any_request(
    hevo: Sandbox, ti: TaskInstance, native: bool, parameters: dict[str, Any], values: dict[str, Any], message: str
) -> None:
    hevo.add_pipeline(7)

    with fails(AirflowFailException, says=message):
        play(rendered(operator(**parameters), native=native, **values), ti)

    assert hevo.requests == []


@in_both_modes
@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    "value", [None, "None", "", "  ", "../x", "..", "x/../../y", "x?y=z", "x%2f..", "x#y", "a b", "x\nGET /", "{{ x }}"]
)
def test_a_job_id_that_is_none_fails_the_sensor_for_good_before_any_request(
    hevo: Sandbox, ti: TaskInstance, native: bool, deferrable: bool, value: str | None
) -> None:
    hevo.add_pipeline(7).start_job(appear_after=0)
    task = sensor(job_id="{{ value }}", deferrable=deferrable)

    with fails(AirflowFailException, says="job_id"):
        play(rendered(task, native=native, value=value), ti)

    assert hevo.requests == []


@given(st.text())
def test_a_job_id_never_leaves_its_place_in_a_path(text: str) -> None:
    try:
        job_id = job_id_of(text)
    except HevoConfigError:
        return
    assert job_id == text
    assert not set(job_id) & set("/?#%\\ \r\n\t\0")
    assert job_id.strip(".")


@given(st.one_of(st.integers(), st.text(), st.floats(), st.booleans(), st.none()))
def test_a_pipeline_id_is_a_positive_number_or_refused(value: object) -> None:
    try:
        pipeline_id = pipeline_id_of(value)
    except HevoConfigError:
        return
    assert type(pipeline_id) is int
    assert pipeline_id > 0
    assert Decimal(str(value)) == pipeline_id


# Values that only another task knows


def test_the_output_of_another_task_can_be_a_parameter() -> None:
    with DAG("dag", schedule=None):
        before: Any = BaseOperator(task_id="before")
        task: Any = operator(pipeline_id=before.output, job_type=before.output["job_type"])
        wait = HevoSensor(task_id="wait", pipeline_id=7, job_id=task.output)

    assert task.upstream_task_ids == {"before"}
    assert wait.upstream_task_ids == {"task"}


def mapped(kind: type[Task], **values: list[Any]) -> Any:
    with DAG("dag", schedule=None):
        return kind.partial(task_id="task").expand(**values)


def test_an_operator_can_be_mapped_over_pipelines(hevo: Sandbox, ti: TaskInstance) -> None:
    pipelines = [hevo.add_pipeline(7), hevo.add_pipeline(8)]
    task = mapped(HevoPipelineOperator, pipeline_id=[7, "{{ 4 * 2 }}"])

    for value, pipeline in zip([7, "{{ 4 * 2 }}"], pipelines, strict=True):
        each = task.unmap({"pipeline_id": value})
        each.render_template_fields({})
        assert play(each, ti) == pipeline.jobs[0].id


def test_a_sensor_can_be_mapped_over_jobs(hevo: Sandbox, ti: TaskInstance) -> None:
    pipeline = hevo.add_pipeline(7)
    jobs = [pipeline.start_job(ago=100, duration=10), pipeline.start_job(ago=50, duration=10)]
    with DAG("dag", schedule=None):
        task: Any = HevoSensor.partial(task_id="task", pipeline_id=7).expand(job_id=[job.id for job in jobs])

    assert [play(task.unmap({"job_id": job.id}), ti) for job in jobs] == [job.id for job in jobs]


@pytest.mark.parametrize("name", ["job_id", "completed_after"])
def test_a_sensor_that_is_mapped_over_none_follows_no_other_job(hevo: Sandbox, ti: TaskInstance, name: str) -> None:
    hevo.add_pipeline(7).start_job(appear_after=0)
    with DAG("dag", schedule=None):
        task: Any = HevoSensor.partial(task_id="task", pipeline_id=7).expand(**{name: [None]})

    with fails(AirflowFailException, says=f"{name} rendered to None"):
        play(task.unmap({name: None}), ti)

    assert hevo.requests == []


@pytest.mark.parametrize("value", ["orders", 0, None])
def test_a_mapped_value_that_makes_no_sense_fails_its_task_for_good_before_any_request(
    hevo: Sandbox, ti: TaskInstance, value: Any
) -> None:
    task = mapped(HevoPipelineOperator, pipeline_id=[value]).unmap({"pipeline_id": value})

    with fails(AirflowFailException, says="pipeline_id must be a positive whole number"):
        play(task, ti)

    assert hevo.requests == []


def test_a_list_where_one_job_is_meant_is_told_with_a_way_out(hevo: Sandbox, ti: TaskInstance) -> None:
    sensor = HevoSensor(task_id="task", pipeline_id=7)
    sensor.job_id = ["a", "b"]  # type: ignore[assignment] # as a template renders that stands for a mapped task's output

    with fails(AirflowFailException, says=r"returned a list\. Map the sensor over it .* or choose one"):
        play(sensor, ti)


@pytest.mark.parametrize(
    "given", [{"job_id": None}, {"completed_after": None}, {"job_id": None, "completed_after": None}]
)
@pytest.mark.parametrize("is_row", [False, True], ids=["partial", "expand_kwargs"])
def test_none_that_somebody_wrote_means_the_default(
    hevo: Sandbox, ti: TaskInstance, given: dict[str, Any], is_row: bool
) -> None:
    job = hevo.add_pipeline(7).start_job(appear_after=0, duration=60)
    with DAG("dag", schedule=None):
        task: Any = HevoSensor.partial(task_id="task", **({} if is_row else given))
        mapped = task.expand_kwargs([{"pipeline_id": 7, **given}]) if is_row else task.expand(pipeline_id=[7])

    assert play(mapped.unmap({"pipeline_id": 7, **(given if is_row else {})}), ti) == job.id


@pytest.mark.parametrize(
    ("kind", "wrong", "message"),
    [
        (HevoPipelineOperator, {"poll_interval": 0}, "poll_interval must be above 0"),
        (HevoPipelineOperator, {"on_active_job": "nonsense"}, "on_active_job must be one of"),
        (HevoPipelineOperator, {"on_deferred": "nonsense"}, "on_deferred must be one of"),
        (HevoSensor, {"on_deferred": "nonsense"}, "on_deferred must be one of"),
        (HevoSensor, {"on_deferred": "continue"}, 'on_deferred="continue" is not for a sensor'),
        (HevoPipelineOperator, {"deferrable": "False"}, "deferrable must be True or False"),
        (HevoSensor, {"wait_for_job_max_attempts": 0}, "wait_for_job_max_attempts must be"),
    ],
)
def test_a_wrong_plain_parameter_of_a_mapped_task_fails_it_for_good(
    hevo: Sandbox, ti: TaskInstance, kind: Any, wrong: dict[str, Any], message: str
) -> None:
    with DAG("dag", schedule=None):
        mapped = kind.partial(task_id="task", **wrong).expand(pipeline_id=[7])

    with fails(AirflowFailException, says=message):
        play(mapped.unmap({"pipeline_id": 7}), ti)

    assert hevo.requests == []


STRICT = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=True)


def test_a_time_that_a_run_does_not_have_is_named_with_one_that_every_run_has(
    ti: TaskInstance, story: Callable[[], str]
) -> None:
    sensor = HevoSensor(task_id="task", pipeline_id=7, completed_after="{{ data_interval_end }}")

    with fails(AirflowFailException, says=r"data_interval_end \| default\(dag_run\.run_after\)") as failure:
        sensor.render_template_fields(ti.context, STRICT)

    before, after = story().split("::endgroup::")  # what Airflow has folded up until then
    assert "HEVO-104" not in before
    assert "HEVO-104" in after
    frames = traceback.extract_tb(failure.value.__traceback__)
    assert len([frame for frame in frames if "hevo_provider" in Path(frame.filename).parts]) <= 2


@pytest.mark.parametrize(
    "given", [{"pipeline_id": "{{ data_interval_end }}"}, {"pipeline_id": 7, "completed_after": "{{ since }}"}]
)
def test_what_else_cannot_be_rendered_is_not_told_as_a_time(ti: TaskInstance, given: dict[str, Any]) -> None:
    with pytest.raises(jinja2.UndefinedError):
        HevoSensor(task_id="task", **given).render_template_fields(ti.context, STRICT)
