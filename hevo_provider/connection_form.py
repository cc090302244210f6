"""The connection form of Airflow before 3.2, which asks the hook for it. Later ones read the provider's metadata."""

from __future__ import annotations

from typing import Any

from hevo_provider.provider_info import CONNECTION_TYPE


def widgets() -> dict[str, Any]:
    """Return the form's own fields, which Airflow stores in the connection's extra."""
    # Only Airflow 2 is sure to have these two; a later one puts something in their place when it calls this.
    from flask_appbuilder.fieldwidgets import (  # type: ignore[import-not-found,unused-ignore]
        BS3TextAreaFieldWidget,
        BS3TextFieldWidget,
    )
    from wtforms import BooleanField, IntegerField, StringField  # type: ignore[import-untyped,unused-ignore]
    from wtforms.validators import Optional  # type: ignore[import-untyped,unused-ignore]

    def field(label: str, description: str, schema: dict[str, Any]) -> Any:
        kind = schema["type"][0]
        if kind == "boolean":
            return BooleanField(label, default=schema["default"], description=description)
        if kind == "integer":
            return IntegerField(label, [Optional()], description=description, widget=BS3TextFieldWidget())
        widget = BS3TextAreaFieldWidget() if kind == "object" else BS3TextFieldWidget()
        return StringField(label, [Optional()], description=description, widget=widget)

    return {name: field(**parts) for name, parts in CONNECTION_TYPE["conn-fields"].items()}


def behaviour() -> dict[str, Any]:
    """Return what becomes of the fields that every connection has."""
    return {name.replace("-", "_"): value for name, value in CONNECTION_TYPE["ui-field-behaviour"].items()}
