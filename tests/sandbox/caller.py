"""A clock that tests turn, and the plainest client there is: the standard library's."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hevo_provider.sandbox import Sandbox


class VirtualClock:
    """Epoch seconds that only pass when a test says so."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        return self.json["data"]


class Caller:
    """Sends requests below ``/api/v1/pipelines`` with the sandbox's credentials, each on a connection of its own."""

    def __init__(
        self,
        hevo: Sandbox,
        timeout: float = 5.0,
        *,
        root: str = "/api/v1/pipelines",
        authorization: str | None = None,
    ) -> None:
        self.hevo = hevo
        self.timeout = timeout
        self.root = root
        self.authorization = authorization

    def __call__(self, method: str, path: str = "", body: object = None, *, authorization: str | None = None) -> Reply:
        authorization = self.authorization if authorization is None else authorization
        if authorization is None:
            pair = f"{self.hevo.key}:{self.hevo.secret}"
            authorization = "Basic " + base64.b64encode(pair.encode()).decode()
        connection = http.client.HTTPConnection(self.hevo.host, self.hevo.port, timeout=self.timeout)
        try:
            content = None if body is None else json.dumps(body)
            target = path if path.startswith("/api/") else f"{self.root}{path}"
            connection.request(method, target, content, {"Authorization": authorization})
            response = connection.getresponse()
            return Reply(response.status, dict(response.headers.items()), response.read())
        finally:
            connection.close()

    def get(self, path: str = "") -> Reply:
        return self("GET", path)

    def post(self, path: str, body: object = None) -> Reply:
        return self("POST", path, body)
