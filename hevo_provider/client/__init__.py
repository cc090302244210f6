"""
How Hevo is asked. Nothing here knows of Airflow. ``hevo_provider/API.md`` says what Hevo answers, and how sure that is.

``calls`` has one method for each call of the API; ``transport`` sends a request until it is answered, through the
``gate``; ``responses`` turns what comes back into data or a precise exception, and ``failures`` what does not come back
into words; ``access`` holds where Hevo is and how to get in, and ``redaction`` strikes out what of that must not show;
``shared`` is one client for all who wait.
"""

from __future__ import annotations

from hevo_provider.client.calls import ActionReply, ActionResponse, Answered, HevoAsyncClient

__all__ = ["ActionReply", "ActionResponse", "Answered", "HevoAsyncClient"]
