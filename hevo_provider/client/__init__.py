"""
How Hevo is asked. Nothing here knows of Airflow. ``hevo_provider/API.md`` says what Hevo answers, and how sure that is.

``calls`` has one method for each call of the API. ``transport`` sends a request until it is answered: when the
``budget`` lets it, at the ``pace`` that Hevo's limit allows, and through the ``gate``. ``responses`` turns an answer
into data or a precise exception, ``failures`` a missing answer into words. ``access`` holds where Hevo is and how to
get in, and ``redaction`` strikes out what of that must not show. ``shared`` is one client for all who wait.
"""

from __future__ import annotations

from hevo_provider.client.calls import ActionReply, ActionResponse, Answered, HevoAsyncClient

__all__ = ["ActionReply", "ActionResponse", "Answered", "HevoAsyncClient"]
