"""What Airflow is told about this provider. A plain dict: Airflow calls this in every process that starts."""

from __future__ import annotations

from typing import Any

from hevo_provider.vendor_conflict import tell_of_other_owner

_TEXT = {"type": ["string", "null"]}

CONNECTION_FORM: dict[str, Any] = {
    "connection-type": "hevo",
    "hook-class-name": "hevo_provider.hooks.HevoHook",
    "hook-name": "Hevo Data",
    "ui-field-behaviour": {
        "hidden-fields": ["schema"],
        "relabeling": {"host": "Region or host", "login": "API key", "password": "API secret"},
        "placeholders": {
            # Not needed, but the Test button of Airflow 3.3 answers "Bad Request" to a connection without one.
            "port": "443",
            "host": "us, us2, us-gcp, eu, eu2, in, asia, au - or a host such as us.hevodata.com",
            "login": "from Hevo's settings, API keys; log in to the region, such as https://us.hevodata.com",
            "password": "shown by Hevo once, when the key is made",
        },
    },
    "conn-fields": {
        "timeout": {
            "label": "Time-out",
            "description": "Seconds that one request may take; 30 if empty.",
            "schema": {"type": ["integer", "null"], "minimum": 1},
        },
        "headers": {
            "label": "Headers",
            "description": 'Sent with every request, as a JSON object: {"X-Team": "data"}.',
            "schema": {"type": ["object", "null"]},
        },
        "proxy": {
            "label": "Proxy",
            "description": "URL of an HTTP proxy to go through, such as http://proxy.example.com:3128.",
            "schema": _TEXT,
        },
        "requests_per_minute": {
            "label": "Requests per minute",
            "description": "Hevo's limit for this API key, which all who use it share; 100 if empty, unless Hevo's "
            "support has raised it. 0: no limit.",
            "schema": {"type": ["number", "null"], "minimum": 0},
        },
        "ca_file": {
            "label": "CA file",
            "description": "Path of a PEM file on workers and triggerers: the certificate authorities to trust instead "
            "of the system's.",
            "schema": _TEXT,
        },
        "relaxed_ca_checks": {
            "label": "Relaxed CA checks",
            "description": "Accept certificate authorities that do not keep to RFC 5280 in every detail, such as a "
            "company's own may not. Python 3.13 refuses them.",
            "schema": {"type": ["boolean", "null"], "default": False},
        },
        "client_cert": {
            "label": "Client certificate",
            "description": "Path of a PEM file on workers and triggerers, for a gateway that wants one (mTLS).",
            "schema": _TEXT,
        },
        "client_key": {
            "label": "Client key",
            "description": "Path of a PEM file with the certificate's key, unencrypted; empty if it is in the same "
            "file.",
            "schema": _TEXT,
        },
        "skip_tls_verification": {
            "label": "Skip TLS verification",
            "description": "Accept any certificate. The API key is then sent to whoever answers: not for production.",
            "schema": {"type": ["boolean", "null"], "default": False},
        },
        "link": {
            "label": "Pipeline link",
            "description": "Where the button of a task leads; https://{host}/pipeline/{pipeline_id}/overview if empty.",
            "schema": _TEXT,
        },
        "lineage_namespaces": {
            "label": "Lineage namespaces",
            "description": "OpenLineage namespaces of sources and destinations whose address Hevo does not tell, by "
            'their name or id: {"Warehouse": "snowflake://org-account"}.',
            "schema": {"type": ["object", "null"]},
        },
    },
}

_URIS = [
    {
        "schemes": ["hevo"],
        "handler": "hevo_provider.asset_uris.check_uri",
        "factory": "hevo_provider.asset_uris.create_asset",
        "to_openlineage_converter": "hevo_provider.asset_uris.to_openlineage",
    }
]


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, by Airflow's schema for it."""
    tell_of_other_owner()
    return {
        "package-name": "airflow-provider-hevo",
        "name": "Hevo Data",
        "description": "Run Hevo Data pipelines from Airflow and follow their jobs to the end.",
        "connection-types": [CONNECTION_FORM],
        "hooks": [{"integration-name": "Hevo Data", "python-modules": ["hevo_provider.hooks"]}],
        "operators": [{"integration-name": "Hevo Data", "python-modules": ["hevo_provider.operators"]}],
        "sensors": [{"integration-name": "Hevo Data", "python-modules": ["hevo_provider.sensors"]}],
        "triggers": [
            # Airflow lists them and does not import them: the second one needs Airflow 3.
            {"integration-name": "Hevo Data", "python-modules": ["hevo_provider.triggers", "hevo_provider.assets"]}
        ],
        # By the names that Airflow 3 and Airflow 2 have for them.
        "asset-uris": _URIS,
        "dataset-uris": _URIS,
        "extra-links": ["hevo_provider.links.HevoPipelineLink"],
        "integrations": [
            {
                "integration-name": "Hevo Data",
                "external-doc-url": "https://docs.hevodata.com/",
                "tags": ["service"],
            }
        ],
    }
