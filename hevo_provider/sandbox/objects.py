"""What a pipeline replicates: its objects and their fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hevo_provider.sandbox.world import Checked, overridden


def column(name: str, source_type: str, destination_type: str, *, primary_key: bool = False) -> dict[str, Any]:
    """Build the JSON of one field of an object."""
    return {
        "source_name": name,
        "source_type": source_type,
        "destination_name": name.upper(),
        "destination_type": destination_type,
        "status": "ACTIVE",
        "primary_key": primary_key,
    }


def default_columns() -> list[dict[str, Any]]:
    """Return the fields that an object has unless a test gives it others."""
    return [
        column("id", "bigint", "NUMBER", primary_key=True),
        column("amount", "numeric(12,2)", "NUMBER(12,2)"),
        column("updated_at", "timestamptz", "TIMESTAMP_TZ"),
    ]


@dataclass
class SandboxObject(Checked):
    """A table (or collection, sheet ...) that a pipeline replicates."""

    id: str
    name: str
    schema: str = "public"
    database: str = "shop"
    status: str = "ACTIVE"
    replication_status: str = "REPLICATED"
    fields: list[dict[str, Any]] = field(default_factory=default_columns)
    override: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._complete = True

    def is_called(self, name: object) -> bool:
        """Tell whether that is a name of the object, be it with its schema."""
        shown = self.as_json(None, detail=True)
        place = shown.get("source_namespace") or {}
        return name in {self.name, f"{self.schema}.{self.name}", shown.get("object_name"), place.get("k0")}

    def as_json(self, prefix: str | None, *, detail: bool) -> dict[str, Any]:
        """Return the object as a list shows it, or with its fields."""
        table = f"{prefix}_{self.name}" if prefix else self.name
        data: dict[str, Any] = {
            "object_id": self.id,
            "source_namespace": {"k0": self.name, "k1": self.schema, "k2": self.database},
            "destination_namespace": {"k0": table, "k1": self.schema.upper(), "k2": "WAREHOUSE"},
            "field_count": len(self.fields),
            "status": self.status,
            "replication_status": self.replication_status,
        }
        if detail:
            data |= {
                "object_name": self.name,
                "destination_table_name": table,
                "load_mode": "MERGE",
                "fields": self.fields,
            }
        return overridden(data, self.override)
