"""Calling systems through an issuer, and what it must never show."""

import socket

import pytest

from local.simulators.landscape import Landscape
from shared.core.problems import Problem
from shared.core.targets import Targets
from shared.transport.connection import Connection, Reply
from shared.transport.retries import READ

WRONG = "wrong-secret-4711"


def connected(landscape: Landscape, name: str = "fo", **changes: str) -> Connection:
    """Return a new connection, as a new process has it."""
    changed = {f"TARGETS__{name.upper()}__{field}": value for field, value in changes.items()}
    return Connection(Targets({**landscape.settings, **changed}).named(name))


def called(connection: Connection) -> Reply:
    return connection.call("GET", "/data", READ, run="r1")


def asked(landscape: Landscape) -> list[object]:
    """Return how the issuer answered each request for a token."""
    return [request.status for request in landscape.issuer.book.requests()]


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def whole_text(error: BaseException) -> str:
    """Return all that a log could show of an exception and of what caused it."""
    texts = []
    here: BaseException | None = error
    while here is not None:
        texts += [str(here), repr(here)]
        here = here.__cause__
    return "\n".join(texts)


def refused(landscape: Landscape, connection: Connection) -> Problem:
    """Return the problem of a call, which holds neither a secret nor a token, and came before anything was sent."""
    with pytest.raises(Problem) as caught:
        called(connection)
    problem = caught.value
    assert landscape.finance_operations.book.calls() == []
    text = whole_text(problem) + problem.answer().body.decode()
    identities = landscape.issuer.identities
    for secret in (identities.client_secret, identities.identity_header, WRONG, "eyJ", "Bearer"):
        assert secret not in text
    assert connection.target.name in problem.detail
    return problem
