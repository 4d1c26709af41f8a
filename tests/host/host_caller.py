"""Plain ways to speak to a host."""

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from local.host.host import Host

PATIENCE = 20.0


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever was answered
        return json.loads(self.body)


class Caller:
    """Speaks HTTP to a host, without the conveniences that would hide what the host does."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.port = int(host.url.rsplit(":", 1)[1])

    def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,  # noqa: ANN401 - bytes, an iterator of them, or anything to be sent as JSON
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            data = body if body is None or isinstance(body, (bytes, Iterator)) else json.dumps(body).encode()
            connection.request(method, path, data, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def raw(self, text: str) -> Answer:
        """Send a request as it is written."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as connection:
            connection.sendall(text.encode("latin-1"))
            response = http.client.HTTPResponse(connection, method=text.split(" ", 1)[0])
            response.begin()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def start(self, orchestrator: str, instance: str, value: object = None, query: str = "") -> Answer:
        return self("POST", f"/api/start/{orchestrator}/{instance}{query}", json.dumps(value).encode())

    def state(self, instance: str) -> Any:  # noqa: ANN401 - JSON
        return self("GET", f"/api/state/{instance}").json

    def ended(self, instance: str) -> Any:  # noqa: ANN401 - JSON
        """Return an instance's state once it has ended."""
        ends = {"COMPLETED", "FAILED", "TERMINATED"}
        return until(lambda: s if (s := self.state(instance))["status"] in ends else None)

    def output(self, instance: str) -> Any:  # noqa: ANN401 - JSON
        state = self.ended(instance)
        assert state["status"] == "COMPLETED", state
        return json.loads(state["output"])


def until[T](condition: Callable[[], T | None], patience: float = PATIENCE) -> T:
    """Return what `condition` finds, waiting for it a bounded time."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
    return found
