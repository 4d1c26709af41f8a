"""What all simulated systems have: a book of what took effect, and calls that go wrong.

They are reached in place of the network: below them all is the product's own, up to the last look at the clock.
"""

import io
import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

import requests
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPResponse
from urllib3.exceptions import ConnectTimeoutError, ProtocolError

from shared.core import clock
from tests.simulation.actors import Died, step

Fault = Literal[
    "well",
    "throttled",
    "unreachable",
    "cut",
    "lost",
    "late",
    "very late",
    "broken",
    "broken after",
    "killed before",
    "killed after",
    "killed late",
]
"""What becomes of a call that changes something. Cut: it never arrived, and nobody knows; lost: its answer is; late: it
takes effect when nobody waits for it any more; broken: the system answers 500 when it has done a part of it, or all of
it; killed: its sender dies."""
FAULTS: tuple[Fault, ...] = get_args(Fault)
_LATE = {"late": 40, "very late": 590, "killed late": 590}
"""Seconds after which it takes effect; a target's time for late effects is ten minutes."""


@dataclass(frozen=True)
class Answer:
    """The response of a system."""

    status: int
    content: object = None
    headers: dict[str, str] = field(default_factory=dict)

    def response(self, request: requests.PreparedRequest) -> requests.Response:
        """Return it as the network would have brought it."""
        body = b"" if self.content is None else json.dumps(self.content).encode()
        headers = {"Content-Type": "application/json", **self.headers}
        told = requests.Response()
        told.status_code, told.headers = self.status, CaseInsensitiveDict(headers)
        told.raw = HTTPResponse(io.BytesIO(body), headers=headers, status=self.status, preload_content=False)
        told.url, told.request = request.url or "", request
        return told


@dataclass(frozen=True)
class Effect:
    """A line of the book: a run's call took effect on an item that showed this failure."""

    run: str
    item: str
    failure: int
    episode: str | None = None


@dataclass
class Message:
    """A request, as a system reads it."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    content: Any

    @property
    def run(self) -> str:
        """The run that sent it."""
        return self.headers["X-Correlation-ID"]


class System:
    """A system whose book is the judge.

    Attributes:
        items: The ids of all that it has.
        book: What took effect, whoever called.
        faults: What becomes of the next calls that change something.
    """

    def __init__(self, items: Sequence[str]) -> None:
        self.items = tuple(items)
        self.book: list[Effect] = []
        self.faults: deque[Fault] = deque()
        self._pending: list[tuple[datetime, Callable[[], Answer]]] = []

    def get(self, request: requests.PreparedRequest) -> requests.Response:
        """Get a request that has left."""
        self.come_to()
        path, _, query = (request.url or "").partition("?")
        content = json.loads(request.body) if request.body else None
        answer = self.answer(Message(request.method or "", path, query, request.headers, content))
        step()
        return answer.response(request)

    def come_to(self) -> None:
        """Do what is due by now."""
        for due, act in list(self._pending):
            if due <= clock.now():
                self._pending.remove((due, act))
                act()

    def answer(self, message: Message) -> Answer:
        raise NotImplementedError

    def fail_again(self) -> None:
        """Let all that was done fail anew, where there is such a thing."""

    def meddle(self) -> None:
        """Let somebody else change what a run looks at to find out what its call did."""

    def change(self, act: Callable[[], Answer], part: Callable[[], object]) -> Answer:
        """Do what a call asks for, unless it goes wrong; `part` does only some of it."""
        fault = self.faults.popleft() if self.faults else "well"
        if fault == "throttled":
            return Answer(429, {}, {"Retry-After": "20"})
        if fault == "unreachable":
            raise requests.exceptions.ConnectTimeout(ConnectTimeoutError("nobody is there"))
        if fault in _LATE:
            self._pending.append((clock.now() + timedelta(seconds=_LATE[fault]), act))
        elif fault.startswith("broken"):
            act() if fault == "broken after" else part()
            return Answer(500, {"error": {"code": "Unknown", "message": "The connection was lost."}})
        elif fault in ("well", "lost", "killed after"):
            answer = act()
        if fault == "well":
            return answer
        step()
        if fault.startswith("killed"):
            raise Died
        raise requests.exceptions.ConnectionError(ProtocolError("the connection broke"))
