"""Where the vendor's package has its models of objects: names only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hevo_provider.vendor.names import names_in

if TYPE_CHECKING:
    from hevo_provider.vendor.enums import FieldStatus, ObjectLoadMode, ObjectStatus, ReplicationStatus
    from hevo_provider.vendor.models import Namespace, ObjectField, PaginatedObjectsResponse, PipelineObject

__all__ = [
    "FieldStatus",
    "Namespace",
    "ObjectField",
    "ObjectLoadMode",
    "ObjectStatus",
    "PaginatedObjectsResponse",
    "PipelineObject",
    "ReplicationStatus",
]
__getattr__ = names_in(__name__, __all__)
