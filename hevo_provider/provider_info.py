"""What Airflow is told about this provider. A plain dict: Airflow calls this in every process that starts."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Return the provider's metadata, by Airflow's schema for it."""
    return {
        "package-name": "airflow-provider-hevo",
        "name": "Hevo Data",
        "description": "Run Hevo Data pipelines from Airflow and follow their jobs to the end.",
        "connection-types": [{"connection-type": "hevo", "hook-class-name": "hevo_provider.hooks.HevoHook"}],
        "hooks": [{"integration-name": "Hevo Data", "python-modules": ["hevo_provider.hooks"]}],
        "operators": [{"integration-name": "Hevo Data", "python-modules": ["hevo_provider.operators"]}],
        "sensors": [{"integration-name": "Hevo Data", "python-modules": ["hevo_provider.sensors"]}],
        "triggers": [{"integration-name": "Hevo Data", "python-modules": ["hevo_provider.triggers"]}],
        "integrations": [
            {
                "integration-name": "Hevo Data",
                "external-doc-url": "https://docs.hevodata.com/",
                "tags": ["service"],
            }
        ],
    }
