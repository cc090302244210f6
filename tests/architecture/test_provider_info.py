"""What Airflow learns about this provider: checked by Airflow's own rules, and by its providers manager."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import airflow
import pytest
from airflow.providers_manager import ProviderInfo, ProvidersManager
from jsonschema import validate  # type: ignore[import-untyped]

from hevo_provider import __version__
from hevo_provider.compat import connection_form_fields
from hevo_provider.connection import ConnectionSettings
from hevo_provider.hooks import HevoHook
from hevo_provider.links import HevoPipelineLink
from hevo_provider.provider_info import CONNECTION_FORM, get_provider_info

IS_AIRFLOW_2 = airflow.__version__.startswith("2.")
# The libraries that Airflow 2 makes its forms with use what others have deprecated.
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning")] if IS_AIRFLOW_2 else []

PACKAGE = "airflow-provider-hevo"
SCHEMAS = Path(str(airflow.__file__)).parent
READS_METADATA = hasattr(ProvidersManager, "_to_api_format")  # Airflow 3.2 and later: no need to import hooks for forms
LISTS_METADATA = hasattr(ProvidersManager, "iter_connection_type_hook_ui_metadata")  # Airflow 3.3 and later
WITHOUT_FAB = "the 'flask_appbuilder' package is not installed"  # what Airflow 3.0 says of every hook with a form


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch, story: Callable[[], str]) -> Iterator[Any]:
    """Airflow's providers manager as it is when a process starts, with this provider only."""
    monkeypatch.setattr(ProvidersManager, "_initialized", False)
    manager = object.__new__(ProvidersManager)
    ProvidersManager.__init__(manager)
    is_package = ("package",) if IS_AIRFLOW_2 else ()
    provider = ProviderInfo(__version__, get_provider_info(), *is_package)
    monkeypatch.setattr(manager, "_provider_dict", {PACKAGE: provider})
    manager._initialized_cache["list"] = True
    yield manager
    told = "".join(line for line in story().splitlines() if WITHOUT_FAB not in line)
    assert "hevo" not in told, f"Airflow complains about the provider: {told}"


def fields_of(manager: Any) -> dict[str, Any]:
    widgets = manager.connection_form_widgets.items()
    return {widget.field_name: widget.field for name, widget in widgets if name.startswith("extra__hevo__")}


def test_it_is_a_plain_dict_that_airflow_accepts() -> None:
    info = get_provider_info()

    validate(info, json.loads((SCHEMAS / "provider_info.schema.json").read_text()))
    assert json.loads(json.dumps(info)) == info


def test_all_that_it_names_is_there() -> None:
    info = get_provider_info()
    modules = [
        name for kind in ("hooks", "operators", "sensors", "triggers") for name in info[kind][0]["python-modules"]
    ]
    classes = [CONNECTION_FORM["hook-class-name"], *info["extra-links"]]

    for module in modules:
        if not (IS_AIRFLOW_2 and module == "hevo_provider.assets"):
            import_module(module)
    for path in classes:
        module, name = path.rsplit(".", 1)
        assert isinstance(getattr(import_module(module), name), type)


def test_the_connection_type_is_in_the_list_under_a_name_for_people(manager: Any) -> None:
    manager.initialize_providers_hooks()
    hooks = manager.iter_connection_type_hook_ui_metadata() if LISTS_METADATA else [manager._hooks_lazy_dict["hevo"]]

    assert [hook.hook_name for hook in hooks if hook.connection_type == "hevo"] == ["Hevo Data"]


def test_the_form_says_what_goes_where_and_has_nothing_superfluous(manager: Any) -> None:
    behaviour = manager.field_behaviours["hevo"] if READS_METADATA else HevoHook.get_ui_field_behaviour()

    assert behaviour["relabeling"] == {"host": "Region or host", "login": "API key", "password": "API secret"}
    # Airflow 3.3 answers "Bad Request" to the test of a connection without a port.
    assert behaviour["hidden_fields"] == (["schema"] if READS_METADATA else ["schema", "port"])
    assert set(behaviour["placeholders"]) == {"host", "port", "login", "password"}
    assert behaviour["placeholders"]["port"] == "443"
    regions, _ = behaviour["placeholders"]["host"].split(" - ")
    assert regions == "us, us2, us-gcp, eu, eu2, in, asia, au"


def test_the_link_on_tasks_is_registered(manager: Any) -> None:
    assert manager.extra_links_class_names == [f"{HevoPipelineLink.__module__}.{HevoPipelineLink.__name__}"]


# Where forms come from, by version


if READS_METADATA:

    def test_the_form_in_it_is_one_that_airflow_accepts() -> None:
        schema = json.loads((SCHEMAS / "provider.yaml.schema.json").read_text())

        validate([CONNECTION_FORM], schema["properties"]["connection-types"])

    def test_the_form_of_a_new_airflow_has_fields_of_its_own(manager: Any) -> None:
        fields = fields_of(manager)

        assert {name: field["schema"]["title"] for name, field in fields.items()} == {
            "timeout": "Time-out",
            "headers": "Headers",
            "proxy": "Proxy",
            "requests_per_minute": "Requests per minute",
            "ca_file": "CA file",
            "relaxed_ca_checks": "Relaxed CA checks",
            "client_cert": "Client certificate",
            "client_key": "Client key",
            "skip_tls_verification": "Skip TLS verification",
            "link": "Pipeline link",
            "lineage_namespaces": "Lineage namespaces",
        }
        assert all(field["description"] for field in fields.values())


if IS_AIRFLOW_2:

    def test_the_form_of_airflow_2_has_the_same_fields(manager: Any) -> None:
        fields = fields_of(manager)

        assert fields.keys() == CONNECTION_FORM["conn-fields"].keys()
        for name, field in fields.items():
            assert field.args[0] == CONNECTION_FORM["conn-fields"][name]["label"]
            assert field.kwargs["description"] == CONNECTION_FORM["conn-fields"][name]["description"]

    @pytest.mark.parametrize(
        ("typed", "read"),
        [
            ({}, (None, {}, {})),
            ({"timeout": "45", "skip_tls_verification": "y"}, (45, {}, {"ssl": False})),
            ({"headers": '{"X-Team": "data"}', "proxy": ""}, (None, {"X-Team": "data"}, {})),
        ],
    )
    def test_what_is_typed_into_the_form_of_airflow_2_is_what_the_hook_reads(
        typed: dict[str, str], read: tuple[object, ...]
    ) -> None:
        from werkzeug.datastructures import MultiDict  # type: ignore[import-not-found,unused-ignore]
        from wtforms import Form  # type: ignore[import-untyped,unused-ignore]

        form = type("ConnectionForm", (Form,), connection_form_fields())(MultiDict(typed))
        assert form.validate()
        extra = {name: value for name, value in form.data.items() if value != ""}  # as Airflow 2 does

        connection = SimpleNamespace(host="us", port=None, schema=None, login="key", password="secret")
        settings = ConnectionSettings.of(connection, extra)
        access = settings.access
        assert (settings.timeout, dict(access.headers), dict(access.request_kwargs)) == read
