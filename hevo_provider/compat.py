"""
What Airflow 2.11, 3.0 to 3.2 and 3.3 do differently: one function for each, and nothing of it anywhere else.

What common-compat has a word for (imports, the asynchronous look-up of a connection) is taken from there. It knows
nothing of what follows. This module is loaded with every DAG file, so it imports Airflow only inside of functions.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import aclosing, contextmanager, suppress
from datetime import datetime
from inspect import signature, unwrap
from typing import Any, Protocol, TypeVar

RUN_MARK_KEY = "hevo_run_mark"  # the XCom that tells one deferral of a task from others
RUN_TOKEN_KEY = "hevo_run_token"  # noqa: S105 - its name in version 1.0.0, which reads like a secret and is none
JOB_ID_KEY = "hevo_job_id"  # the XCom with the job's id, from when it is known


# Operators


def is_expanded_over(operator: Any, name: str) -> bool:
    """
    Return whether a mapped task is expanded over a parameter by its name: ``.expand(name=…)``.

    Airflow does not tell that to the operator which a worker makes of a mapped one, but its DAG still has the mapped
    one. A value from ``.partial(…)`` or from a row of ``.expand_kwargs(…)`` does not count: the author wrote it, also
    where it is None.
    """
    if not was_unmapped(operator) or operator.dag is None:
        return False
    values = getattr(getattr(operator.dag.get_task(operator.task_id), "expand_input", None), "value", None)
    return isinstance(values, dict) and name in values


def was_unmapped(operator: Any) -> bool:
    """Return whether a worker has made the operator of a mapped one: all its parameters are values then."""
    return bool(getattr(operator, "_BaseOperator__from_mapped", False))


def is_resumed(context: Any) -> bool:
    """Return whether a worker goes on with a task that was deferred; Airflow 3 tells only its own task runner."""
    ti = context["ti"]
    told = getattr(ti, "_ti_context_from_server", None)
    return getattr(ti if told is None else told, "next_method", None) is not None


def execute_from_within(operator: Any, execute: Callable[..., Any], context: Any) -> Any:
    """
    Call an ``execute`` of an operator from within another method of it, or from one that overrides it.

    Airflow 2 takes that for a call by another operator: it warns, and fails where ``allow_nested_operators=False``. So
    the call gets the argument by which it knows its own calls. Airflow 3 knows which operator is at work.

    :param execute: a bound method.
    """
    try:
        from airflow.models.baseoperator import _sentinel  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        return execute(context)
    return execute(context, **{f"{type(operator).__name__}__sentinel": _sentinel})


def task_store_of(context: Any) -> Any:
    """Return what survives a task's tries: ``task_state_store``, which came with Airflow 3.3. None before."""
    return context.get("task_state_store")


def first_poke_of(context: Any) -> datetime | None:
    """
    Return when a rescheduled sensor was first rescheduled in this try: its processes remember nothing.

    A retry searches anew, as it does in the other modes. Airflow 3 tells this, and forgets what was before a retry; in
    Airflow 2 it stands in the database, by try.

    :returns: None if it has not been, so that this is its first poke.
    """
    ti = context["ti"]
    if hasattr(ti, "get_first_reschedule_date"):
        date: datetime | None = ti.get_first_reschedule_date(context)
        return date
    from airflow.models.taskreschedule import TaskReschedule
    from airflow.utils.session import create_session

    with create_session() as session:
        first = (
            session.query(TaskReschedule.start_date)
            .filter_by(dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index)
            .filter_by(try_number=ti.try_number)
            .order_by(TaskReschedule.id)
            .first()
        )
    return None if first is None else first.start_date


def has_an_event(outlet: object) -> bool:
    """
    Return whether an outlet is an asset, whose event a task can add to. An alias has no event of its own.

    Airflow 3 can also name an asset by a reference, ``Asset.ref(name=…)``.
    """
    from airflow.providers.common.compat.sdk import Asset

    if isinstance(outlet, Asset):
        return True
    try:
        from airflow.sdk.definitions.asset import AssetRef
    except ImportError:
        return False
    return isinstance(outlet, AssetRef)


def check_that_tasks_have_retry_policies() -> None:
    """
    Refuse to go on where a task has none.

    :raises ImportError: this Airflow is older than 3.3.
    """
    try:
        from airflow.sdk.definitions import retry_policy  # noqa: F401
    except ImportError:
        raise ImportError("hevo_provider.retries needs Airflow 3.3: before, tasks have no retry policies.") from None


def is_alias(outlet: object) -> bool:
    """Return whether an outlet stands for assets that only the task itself can name."""
    from airflow.providers.common.compat.sdk import AssetAlias

    return isinstance(outlet, AssetAlias)


def uris_have_slashes() -> bool:
    """Return whether the parts of a table's name are parts of an asset's path, as Airflow 3 wants them."""
    try:
        import airflow.sdk  # noqa: F401
    except ImportError:
        return False
    return True


# Triggers


def triggers_are_told_of_a_kill() -> bool:
    """Return whether Airflow calls a trigger's ``on_kill``: from 3.3 on. Before, a kill is a bare cancellation."""
    from airflow.triggers.base import BaseTrigger

    return hasattr(BaseTrigger, "on_kill")


def needs_a_worker(operator: Any) -> bool:
    """
    Return whether a task cannot start in the triggerer.

    A task can from Airflow 3.3 on, which renders templates there. A mapped one cannot (3.3.2), nor can one with
    callbacks before or after its work: only a worker calls these.
    """
    from airflow.triggers.base import BaseTrigger

    if not hasattr(BaseTrigger, "render_template_fields") or was_unmapped(operator):
        return True
    hooks = ("on_execute_callback", "_pre_execute_hook", "_post_execute_hook")
    return any(getattr(operator, name, None) for name in hooks)


def is_known_as_a_sensors(task_instance: Any) -> bool:
    """Return whether a trigger's task is known to be a sensor. Airflow 2 tells a trigger that, Airflow 3 does not."""
    return "Sensor" in str(getattr(task_instance, "operator", ""))


async def push_from_triggerer(task_instance: Any, values: Mapping[str, Any]) -> None:
    """
    Push XComs of a task that has no worker now, as a worker would: through Airflow's supervisor and its XCom backend.

    Not with the event that ends the task: 3.3.2 encodes those twice, so that other tasks read the JSON of a text.

    :param task_instance: the trigger's.
    :raises Exception: whatever Airflow raises where it cannot keep them.
    """
    from airflow.providers.common.compat.sdk import XCom
    from asgiref.sync import sync_to_async

    ti = task_instance
    place = {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": _map_index_of(ti)}

    def push() -> None:
        for key, value in values.items():
            XCom.set(key=key, value=value, **place)

    await sync_to_async(push)()


def _map_index_of(ti: Any) -> int:
    return -1 if ti.map_index is None else ti.map_index


async def is_still_waited_for(
    task_instance: Any, *, trigger_id: int | None, marks: Mapping[str, str | None], waits_for_end: bool
) -> bool:
    """
    Return whether a deferred task still waits for its trigger, or a user, or a time-out of Airflow's own, ended that.

    A cancelled trigger proves nothing: a triggerer that stalled finds its work taken over when it wakes, and Airflow
    3.3 then calls ``on_kill`` of triggers whose tasks are alive and well. So Airflow is asked what became of the task.

    :param task_instance: the trigger's.
    :param trigger_id: the trigger's.
    :param marks: what the worker pushed to XCom before it deferred, by key; None where it could not.
    :param waits_for_end: False for a task that only wants the job's id: it may have succeeded by itself.
    :raises Exception: whatever Airflow raises where it cannot be asked.
    """
    state, still_ours = await _ask_airflow(task_instance, trigger_id, marks)
    if still_ours and state in {"deferred", "up_for_retry", "up_for_reschedule"}:
        return True
    # "success" may be a user's word, or the task's own once it has its id.
    return not waits_for_end and state in {"success", "scheduled", "queued", "running"}


async def _ask_airflow(ti: Any, trigger_id: int | None, marks: Mapping[str, str | None]) -> tuple[str | None, bool]:
    from asgiref.sync import sync_to_async

    try:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
        from airflow.sdk.execution_time.xcom import XCom
    except ImportError:
        return await sync_to_async(_read_row)(ti, trigger_id)

    def ask() -> tuple[str | None, bool]:
        map_index = _map_index_of(ti)
        states = RuntimeTaskInstance.get_task_states(
            dag_id=ti.dag_id, task_ids=[ti.task_id], run_ids=[ti.run_id], map_index=map_index
        )
        of_run = states.get(ti.run_id, {})
        state = of_run.get(ti.task_id if map_index < 0 else f"{ti.task_id}_{map_index}")
        of_task = {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": map_index}
        return state, all(XCom.get_one(key=key, **of_task) == mark for key, mark in marks.items() if mark is not None)

    return await sync_to_async(ask)()


def _read_row(ti: Any, trigger_id: int | None) -> tuple[str | None, bool]:
    """Airflow 2: no ``on_kill``, but the database is at hand. SQLite reuses trigger ids, so the try counts too."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        row = (
            session.query(TaskInstance.state, TaskInstance.trigger_id, TaskInstance.try_number)
            .filter_by(dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index)
            .one_or_none()
        )
    if row is None:
        return None, False
    return row.state, (row.trigger_id, row.try_number) == (trigger_id, ti.try_number)


# Assets


def check_that_events_start_dags() -> None:
    """
    Refuse to go on where an event cannot start a DAG.

    :raises ImportError: this is Airflow 2.
    """
    try:
        from airflow.triggers.base import BaseEventTrigger  # noqa: F401
    except ImportError:
        raise ImportError(
            "hevo_provider.assets needs Airflow 3: earlier versions cannot start a DAG from an event. "
            "HevoSensor waits for a job that something else has started on Airflow 2 too."
        ) from None


def asset_store_of(trigger: Any, asset: str | None) -> Any:
    """
    Return what an asset keeps for its watchers: ``asset_state_store``, which came with Airflow 3.3. None before.

    :param asset: name of the asset; None where the trigger is for one only.
    """
    store = getattr(trigger, "asset_state_store", None)
    if store is not None and asset is not None:
        from airflow.sdk import Asset

        with suppress(KeyError):  # the trigger was put on another asset, which then has its own store
            store = store[Asset.ref(name=asset)]
    return store


class _Delivered(Protocol):
    async def delivered(self) -> None: ...


T = TypeVar("T", bound=_Delivered)


def shared_stream_of(rounds: Callable[[], AsyncGenerator[T, None]]) -> Any:
    """
    Return what Airflow 3.3 shares between triggers, and tells when their events are in its database.

    :param rounds: makes the items; each is told when what came of it has arrived.
    """
    from airflow.triggers.shared_stream import AdvanceItem, SharedStreamProducer

    class Producer(SharedStreamProducer):
        async def open_stream(self) -> AsyncIterator[tuple[T, T]]:
            async with aclosing(rounds()) as items:
                async for item in items:
                    yield item, item

        async def advance(self, batch: Sequence[AdvanceItem]) -> None:
            for item in batch:
                if not item.outcome.failed:
                    await item.broker_payload.delivered()

    return Producer()


# The connection form, which Airflow before 3.2 asks the hook for; later ones read the provider's metadata


@contextmanager
def as_a_command() -> Iterator[None]:
    """
    Let connections be looked up as Airflow's own commands do it: in the database too.

    Outside of a task Airflow 3 asks for them in the environment and in secrets backends only, unless the process says
    that it is one of Airflow's own; ``airflow connections test`` says so by this variable. Airflow 2 does not read it.
    """
    name = "_AIRFLOW_PROCESS_CONTEXT"
    before = os.environ.get(name)
    os.environ[name] = "server"
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before


def connection_form_fields() -> dict[str, Any]:
    """Return the form's own fields, which Airflow stores in the connection's extra."""
    # Only Airflow 2 is sure to have these two; a later one puts something in their place when it calls this.
    from flask_appbuilder.fieldwidgets import (  # type: ignore[import-not-found,unused-ignore]
        BS3TextAreaFieldWidget,
        BS3TextFieldWidget,
    )
    from wtforms import BooleanField, IntegerField, StringField  # type: ignore[import-untyped,unused-ignore]
    from wtforms.validators import Optional  # type: ignore[import-untyped,unused-ignore]

    from hevo_provider.provider_info import CONNECTION_FORM

    def field(label: str, description: str, schema: dict[str, Any]) -> Any:
        kind = schema["type"][0]
        if kind == "boolean":
            return BooleanField(label, default=schema["default"], description=description)
        if kind == "integer":
            return IntegerField(label, [Optional()], description=description, widget=BS3TextFieldWidget())
        widget = BS3TextAreaFieldWidget() if kind == "object" else BS3TextFieldWidget()
        return StringField(label, [Optional()], description=description, widget=widget)

    return {name: field(**parts) for name, parts in CONNECTION_FORM["conn-fields"].items()}


def connection_form_behaviour() -> dict[str, Any]:
    """Return what becomes of the fields that every connection has. Their Test button works without a port."""
    from hevo_provider.provider_info import CONNECTION_FORM

    behaviour = {name.replace("-", "_"): value for name, value in CONNECTION_FORM["ui-field-behaviour"].items()}
    return behaviour | {"hidden_fields": [*behaviour["hidden_fields"], "port"]}


# A DAG that is run in a test


def store_dag(dag: Any) -> None:
    """Put a DAG into Airflow's database, of no bundle: ``dag.test()`` reads it from there, and the assets it names."""
    try:
        from airflow.models.dagbundle import DagBundleModel
    except ImportError:  # Airflow 2
        dag.sync_to_db()
        return
    from airflow.utils.session import create_session

    bundle = "tests"
    with create_session() as session:
        session.add(DagBundleModel(name=bundle))
    try:
        from airflow.dag_processing import dagbag as module  # 3.2 and later
    except ImportError:
        from airflow.models import dagbag as module  # type: ignore[no-redef,unused-ignore]
    dag.relative_fileloc = dag.relative_fileloc or dag.fileloc  # which 3.0 knows of files of a bundle alone
    bag: Any = module.DagBag(os.devnull)
    bag.bag_dag(dag)
    if hasattr(bag, "sync_to_db"):  # 3.0
        bag.sync_to_db(bundle, None)
    else:
        module.sync_bag_to_db(bag, bundle, None)


def dag_test(dag: Any, conf: Mapping[str, Any] | None, logical_date: datetime | None) -> Any:
    """
    Run a DAG to its end by ``dag.test()``.

    :returns: Airflow's DAG run.
    """
    name = next(name for name in ("logical_date", "execution_date") if name in signature(dag.test).parameters)
    date = {} if logical_date is None else {name: logical_date}
    return dag.test(run_conf=None if conf is None else dict(conf), **date)


def states_and_xcoms_of(dag: Any, run: Any) -> tuple[dict[str, str | None], dict[str, dict[str, Any]]]:
    """Return the states of a run's tasks, in the order of the DAG, and what they have pushed, by task and key."""
    from airflow.models import xcom as models
    from airflow.utils.session import create_session

    Row: Any = getattr(models, "XComModel", None) or models.XCom  # noqa: N806 - the second is Airflow 2's
    order = list(dag.task_ids)
    instances = sorted(run.get_task_instances(), key=lambda ti: (order.index(ti.task_id), ti.map_index))
    states = {name_of_instance(ti): None if ti.state is None else str(ti.state) for ti in instances}
    xcoms: dict[str, dict[str, Any]] = {name: {} for name in states}
    with create_session() as session:
        columns = (
            Row.task_id,
            Row.map_index,
            Row.key,
            Row.value,
        )  # a whole row of Airflow 2 has read its value already
        for row in session.query(*columns).filter_by(dag_id=run.dag_id, run_id=run.run_id):
            xcoms.setdefault(name_of_instance(row), {})[row.key] = Row.deserialize_value(row)
    return states, xcoms


def name_of_instance(ti: Any) -> str:
    """Return the name of a task instance, or of what belongs to one: the task's id, if mapped with its index."""
    return str(ti.task_id) if ti.map_index < 0 else f"{ti.task_id}[{ti.map_index}]"


@contextmanager
def listening_to_tasks(dag: Any, on_begin: Callable[[], object]) -> Iterator[dict[str, str]]:
    """
    Note what is logged while ``dag.test()`` runs each task of a DAG, and its trigger: they run one after the other.

    :param on_begin: called when a try of a task begins.
    :returns: the logs, by name of the task; they grow.
    """
    from airflow.providers.common.compat.sdk import AirflowTaskTimeout

    logs: dict[str, str] = {}
    running: list[str] = []

    def write(logger: str, level: str, text: str) -> None:
        if running and not logger.startswith(_AIRFLOWS_OWN):
            logs[running[-1]] += f"{level} - {text}\n"

    globals_of_test = unwrap(type(dag).test).__globals__
    run_task = globals_of_test["_run_task"]

    def listened_to(*, ti: Any, **more: Any) -> Any:
        running.append(name_of_instance(ti))
        logs.setdefault(running[-1], "")
        on_begin()
        try:
            return run_task(ti=ti, **more)
        except (Exception, AirflowTaskTimeout) as error:  # Airflow 2 raises what its runner in Airflow 3 logs
            write("", "ERROR", f"{type(error).__name__}: {error}")
            if isinstance(error, Exception):
                raise
            raise RuntimeError(str(error)) from error  # a time-out, which would end dag.test() and the test with it
        finally:
            running.pop()

    globals_of_test["_run_task"] = listened_to
    try:
        with _told_by_logging(write), _told_by_structlog(write):
            yield logs
    finally:
        globals_of_test["_run_task"] = run_task


# Of what Airflow logs while it runs a task: its server's part, and that of dag.test().
_AIRFLOWS_OWN = ("airflow.api_fastapi", "airflow.sdk.definitions.dag", "airflow.models", "airflow.assets", "httpx")


@contextmanager
def _told_by_logging(write: Callable[[str, str, str], None]) -> Iterator[None]:
    """Hand on what is logged by Python's ``logging``: in Airflow 2 all, in Airflow 3 what a DAG's own code logs so."""
    seen: list[logging.LogRecord] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if not any(record is each for each in seen[-1:]):
                seen.append(record)
                write(record.name, record.levelname, self.format(record))

    handler = Handler(logging.INFO)
    loggers = [logging.getLogger(name) for name in (None, "airflow.task")]  # the second may keep it to itself
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(min(logger.level, logging.INFO))
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)


@contextmanager
def _told_by_structlog(write: Callable[[str, str, str], None]) -> Iterator[None]:
    """Hand on what is logged by structlog: in Airflow 3 what operators and triggers log, and the task runner."""
    try:
        import structlog
    except ImportError:  # Airflow 2
        yield
        return

    def listen(logger: Any, _: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        text = str(line.get("event"))
        error = line.get("exc_info")
        error = sys.exc_info()[1] if error is True else error[1] if isinstance(error, tuple) else error
        if isinstance(error, BaseException):
            text += "\n" + "".join(traceback.format_exception(error)).rstrip()
        name = line.get("logger") or line.get("logger_name") or getattr(logger, "name", None) or ""
        write(str(name), str(line.get("level", "info")).upper(), text)
        return line

    processors: Any = structlog.get_config()["processors"]  # the list that all loggers share
    processors.insert(len(processors) - 1, listen)  # before the one that writes
    try:
        yield
    finally:
        processors.remove(listen)
