"""
Every name of the vendor's package: where its stand-in is, and what to use instead.

A module of ``airflow.hevo`` holds nothing but the list of its names. One is looked up here when it is imported from
that module, and Airflow's warning for what a provider deprecates is given then: once per process and name.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

OURS = "hevo_provider"
FOLDER = "vendor_paths"


class Name(NamedTuple):
    """
    A name of the vendor's package.

    :param home: the module, below ``hevo_provider``, that holds what stands in for it.
    :param instead: what to use, below ``hevo_provider``.
    :param hint: what else there is to know, in a few words.
    """

    home: str
    instead: str
    hint: str = ""


def _models(instead: str, *names: str, hint: str = "") -> dict[str, Name]:
    return dict.fromkeys(names, Name("vendor.models", instead, hint))


def _enums(instead: str, *names: str, hint: str = "its values are texts there") -> dict[str, Name]:
    return dict.fromkeys(names, Name("vendor.enums", instead, hint))


NAMES: dict[str, Name] = {
    "HevoOperator": Name("vendor.operators", "operators.HevoPipelineOperator"),
    "HevoPipelineOperator": Name("vendor.operators", "operators.HevoPipelineOperator"),
    "HevoSensor": Name("vendor.sensors", "sensors.HevoSensor"),
    "HevoTrigger": Name("vendor.triggers", "triggers.HevoJobTrigger"),
    "BaseHevoHook": Name("vendor.hooks", "hooks.HevoHook"),
    "HevoPipelineHook": Name("vendor.hooks", "hooks.HevoHook"),
    "HevoObjectHook": Name("vendor.hooks", "hooks.HevoHook"),
    "JobType": Name("models.enums", "models.job.JobType"),
    "JobStatus": Name("models.enums", "models.job.JobStatus"),
    "PipelineAction": Name("models.enums", "models.pipeline.PipelineAction"),
    "PipelineStatus": Name("models.enums", "models.pipeline.PipelineStatus"),
    **_models("models.job.Job", "Job"),
    **_models("hooks.HevoHook", "PaginatedJobsResponse", hint="its list_jobs() walks through all pages"),
    **_models("models.pipeline.Pipeline", "Pipeline"),
    **_models("hooks.HevoHook", "PaginatedPipelinesResponse", hint="its list_pipelines() walks through all pages"),
    **_models("models.pipeline.Pipeline", "Source", hint="its field source"),
    **_models("models.pipeline.Pipeline", "Destination", hint="its field destination"),
    **_models("models.pipeline.Pipeline", "Schedule", hint="its field schedule"),
    **_models("models.pipeline.Pipeline", "FailureHandlingPolicy", hint="its field failure_handling_policy"),
    **_models("models.pipeline.Pipeline", "LatencyAlert", hint="its field latency_alert"),
    **_models("models.pipeline.Pipeline", "SourceSchemaStatus", hint="its field source_schema_status"),
    **_models("models.object.PipelineObject", "PipelineObject"),
    **_models("models.object.Field", "ObjectField"),
    **_models("models.object.Namespace", "Namespace"),
    **_models("hooks.HevoHook", "PaginatedObjectsResponse", hint="its list_objects() walks through all pages"),
    **_models("models.answers.Answer", "BaseResponse"),
    **_enums("models.job.JobStatus", "JobCompletionStatus", hint="the job's own status, which has is_terminal"),
    **_enums("models.pipeline.Pipeline", "SyncType", "ReplicationType", "SchemaEvolution"),
    **_enums("models.pipeline.Pipeline", "LoadMode", "PipelineLoadMode"),
    **_enums("operators.HevoPipelineOperator", "ResyncMode", hint="its parameter drop_and_load"),
    **_enums("models.object.PipelineObject", "ObjectLoadMode", "ObjectStatus", "ReplicationStatus"),
    **_enums("models.object.Field", "FieldStatus"),
}

_TOLD: set[str] = set()  # names of which this process has warned


def names_in(module: str, names: Sequence[str]) -> Callable[[str], Any]:
    """
    Make the ``__getattr__`` of one of the vendor's modules.

    :param module: its name.
    :param names: what it has.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        entry, path = NAMES[name], f"{module}.{name}"
        if path not in _TOLD:
            from airflow.exceptions import AirflowProviderDeprecationWarning

            _TOLD.add(path)
            hint = f" ({entry.hint})" if entry.hint else ""
            message = f"{path} is deprecated: use {OURS}.{entry.instead} instead{hint}."
            warnings.warn(message, AirflowProviderDeprecationWarning, stacklevel=2)
        return getattr(import_module(f"{OURS}.{entry.home}"), name)

    return find


def path_of(package: str, own: Iterable[str]) -> list[str]:
    """
    Return the folders in which one of the vendor's packages looks for its modules.

    Beside a package of the vendor's whose folders have no ``__init__.py`` ours is found before theirs. Then the modules
    in theirs come first all the same: nobody runs on a mixture.

    :param package: its name.
    :param own: its folder here.
    """
    parent, _, name = package.rpartition(".")
    others = [Path(folder) for folder in sys.modules[parent].__path__ if Path(folder).parents[1].name != FOLDER]
    return [*(str(folder / name) for folder in others if (folder / name).is_dir()), *own]
