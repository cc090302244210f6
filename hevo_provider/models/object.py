"""Objects (tables and the like) of a pipeline, and how a job fared with each of them."""

from __future__ import annotations

from hevo_provider.models.answers import Answer, Id, Number, Page, Word

__all__ = [
    "LEFT_OUT_STATUSES",
    "Field",
    "JobObject",
    "JobObjectPage",
    "Namespace",
    "PipelineObject",
    "PipelineObjectPage",
]

# Of objects and fields that are not loaded (API.md, object-statuses). The last two are of older revisions.
LEFT_OUT_STATUSES = frozenset({"DELETED", "DISABLED", "INACCESSIBLE", "INACTIVE", "EXCLUDED", "SKIPPED"})


class Namespace(Answer):
    """Where an object lives: ``k0`` is the table, ``k1`` the schema, ``k2`` the database."""

    k0: str | None = None
    k1: str | None = None
    k2: str | None = None


class Field(Answer):
    """A field of an object, in the source and in the destination."""

    source_name: str | None = None
    source_type: str | None = None
    destination_name: str | None = None
    destination_type: str | None = None
    status: Word | None = None
    primary_key: bool | None = None


class PipelineObject(Answer):
    """An object of a pipeline. Only the detail call tells its name, its destination table and its fields."""

    object_id: Id
    source_namespace: Namespace | None = None
    destination_namespace: Namespace | None = None
    field_count: Number | None = None
    status: Word | None = None
    replication_status: str | None = None
    object_name: str | None = None
    destination_table_name: str | None = None
    load_mode: str | None = None
    fields: tuple[Field, ...] | None = None

    @property
    def is_left_out(self) -> bool:
        """Whether Hevo does not load the object: it is excluded, or gone."""
        return self.status in LEFT_OUT_STATUSES

    @property
    def names(self) -> tuple[str, ...]:
        """What it is called in the source: as Hevo calls it, ``table``, ``schema.table``, ``database.schema.table``."""
        place = self.source_namespace
        parts = [part for part in ((place.k2, place.k1, place.k0) if place is not None and place.k0 else ()) if part]
        names = [] if self.object_name is None else [self.object_name]
        return (*names, *(".".join(parts[start:]) for start in reversed(range(len(parts)))))


class PipelineObjectPage(Page):
    """One page of a pipeline's objects."""

    data: tuple[PipelineObject, ...]


class JobObject(Answer):
    """How a job fared with one object. ``rows`` is what an older revision of the API has for ``rows_processed``."""

    object_id: str | None = None
    name: str | None = None
    object_name: str | None = None
    rows: Number | None = None
    rows_processed: Number | None = None
    rows_failed: Number | None = None
    status: Word | None = None


class JobObjectPage(Page):
    """One page of a job's objects."""

    data: tuple[JobObject, ...]
