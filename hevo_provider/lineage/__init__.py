"""
What a run read and wrote, for OpenLineage. An operator imports this when OpenLineage's listener asks, and not before.

``facets`` asks Hevo for a pipeline and its objects and makes OpenLineage's words of them; ``names`` says what
OpenLineage calls a system and a table, in pure functions.
"""

from __future__ import annotations

from hevo_provider.lineage.facets import HevoJobRunFacet, HevoPipelineJobFacet, Lineage, lineage_of

__all__ = ["HevoJobRunFacet", "HevoPipelineJobFacet", "Lineage", "lineage_of"]
