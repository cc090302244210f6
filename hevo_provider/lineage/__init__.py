"""What a run read and wrote, for OpenLineage. Nothing of it is loaded before OpenLineage asks."""
