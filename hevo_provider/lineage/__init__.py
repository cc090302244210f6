"""
What a run read and wrote, and what others call it.

``names`` says what OpenLineage calls a system and a table, in pure functions, for lineage and for the assets of tables.
``facets`` asks Hevo for a pipeline and its objects and makes OpenLineage's words of them; an operator imports it when
OpenLineage's listener asks, and not before.
"""
