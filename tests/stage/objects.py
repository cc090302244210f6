"""A pipeline with a few objects, and the operator that resyncs some of them."""

from __future__ import annotations

from typing import Any

from hevo_provider.operators import HevoResyncObjectsOperator
from hevo_provider.sandbox import Sandbox
from hevo_provider.sandbox.pipelines import SandboxPipeline


def objects_operator(**parameters: Any) -> HevoResyncObjectsOperator:
    return HevoResyncObjectsOperator(task_id="task", **{"pipeline_id": 7, **parameters})


def add_shop(hevo: Sandbox) -> SandboxPipeline:
    """Add a pipeline with orders, customers and invoices, and a few more."""
    pipeline = hevo.add_pipeline(7)
    for name, schema in (("custom_fields", "public"), ("orders", "archive"), ("Orders", "legacy")):
        pipeline.add_object(name, schema=schema)
    return pipeline


def ids(pipeline: SandboxPipeline, *names: str) -> list[str]:
    """Return the ids of objects by schema and name, or by name."""
    return [each.id for name in names for each in pipeline.objects if name in {each.name, f"{each.schema}.{each.name}"}]


def asked_for(hevo: Sandbox) -> list[list[str]]:
    """Return the ids of the objects of each call that Hevo did not answer with 400: it may want other words."""
    objects = hevo.pipelines[7].objects

    def ids_in(body: dict[str, list[str]]) -> list[str]:
        named = [each.id for name in body.get("objects", ()) for each in objects if each.is_called(name)]
        return body.get("object_ids", named)

    return [ids_in(request.body) for request in hevo.requests_of("resync_objects") if request.status != 400]
