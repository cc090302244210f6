"""
How Hevo is asked. Nothing here knows of Airflow.

``calls`` has one method for each call of the API; ``transport`` sends a request until it is answered, through the
``gate``; ``replies`` turns what comes back into data or a precise exception, and ``failures`` what does not come back
into words; ``access`` holds where Hevo is and what must never be told; ``shared`` is one client for all who wait.
"""

from __future__ import annotations

from hevo_provider.client.calls import ActionReply, HevoAsyncClient, JobReply, JobsReply

__all__ = ["ActionReply", "HevoAsyncClient", "JobReply", "JobsReply"]
