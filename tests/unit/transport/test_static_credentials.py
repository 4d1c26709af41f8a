"""Credentials that a setting holds as they stand: what is sent of them, how often, and where they never show."""

import http.server
import logging
import socket
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import ClassVar

import pytest
import requests

from shared.core.problems import AccessDenied, NoAnswer, Problem, TargetUnreachable
from shared.core.targets import Target, Targets
from shared.transport.connection import Connection, Reply
from shared.transport.credentials import auth_for
from shared.transport.retries import READ, WRITE, Repeats
from tests.conftest import TurnedClock

USER = "démo"
PASSWORD = "pässword:of-4711-€"
TOKEN = "token-of-4711"
BASIC = {"AUTH": "basic", "USERNAME": USER, "PASSWORD": PASSWORD}
BEARER = {"AUTH": "bearer", "TOKEN": TOKEN}
NONE = {"AUTH": "none"}
SIGNED = b64encode(f"{USER}:{PASSWORD}".encode()).decode()

KINDS = pytest.mark.parametrize("credential", [NONE, BASIC, BEARER], ids=["none", "basic", "bearer"])
REPEATS = pytest.mark.parametrize("repeats", [READ, WRITE], ids=["read", "write"])


@dataclass
class Engine:
    """A server that notes what each call carries, and answers the statuses it is told, the last one for ever."""

    port: int
    statuses: list[int] = field(default_factory=lambda: [200])
    received: list[list[str]] = field(default_factory=list)
    """The values of `Authorization`, a call each."""

    def target(self, credential: dict[str, str]) -> Target:
        return target(f"http://127.0.0.1:{self.port}/engine-rest", credential)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine: ClassVar[Engine]

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.engine.received.append(self.headers.get_all("Authorization", []))
        statuses = self.engine.statuses
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        if not status:
            self.close_connection = True
            return
        self.send_response(status)
        # As an engine with its filter for Basic answers: an empty body, and a challenge.
        self.send_header("Content-Length", "0")
        if status == HTTPStatus.UNAUTHORIZED:
            self.send_header("WWW-Authenticate", 'Basic realm="default"')
        if status == HTTPStatus.FOUND:
            self.send_header("Location", f"http://localhost:{self.engine.port}/elsewhere")
        self.end_headers()

    do_GET = do_POST = answer  # noqa: N815 - the library's names

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def engine(turned: TurnedClock) -> Iterator[Engine]:
    assert turned.slept == []

    class Bound(Handler):
        pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bound) as server:
        Bound.engine = Engine(server.server_port)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Bound.engine
        server.shutdown()
        thread.join()


def target(url: str, credential: dict[str, str]) -> Target:
    fields = {"SYSTEM": "camunda", "URL": url, **credential}
    return Targets({f"TARGETS__ENGINE__{name}": value for name, value in fields.items()}).named("engine")


def called(target: Target, repeats: Repeats = READ) -> Reply:
    method, content = ("GET", None) if repeats is READ else ("POST", {"retries": 1})
    return Connection(target).call(method, "/job/retries", repeats, run="r1", content=content)


def whole_text(error: BaseException) -> str:
    """Return all that a log could show of an exception and of what caused it."""
    texts = []
    here: BaseException | None = error
    while here is not None:
        texts += [str(here), repr(here)]
        here = here.__cause__
    return "\n".join(texts)


def shows_no_secret(text: str) -> bool:
    return not any(secret in text for secret in (PASSWORD, TOKEN, SIGNED))


@REPEATS
@pytest.mark.parametrize(
    ("credential", "sent"),
    [(NONE, []), (BASIC, [f"Basic {SIGNED}"]), (BEARER, [f"Bearer {TOKEN}"])],
    ids=["none", "basic", "bearer"],
)
def test_what_is_sent(engine: Engine, credential: dict[str, str], sent: list[str], repeats: Repeats) -> None:
    assert called(engine.target(credential), repeats).status == 200
    assert engine.received == [sent]


def test_a_name_and_a_password_are_sent_in_utf_8(engine: Engine) -> None:
    called(engine.target(BASIC))
    [[sent]] = engine.received
    assert b64decode(sent.removeprefix("Basic ")).decode("utf-8").split(":", 1) == [USER, PASSWORD]


def test_the_example_of_the_standard_is_met(engine: Engine) -> None:
    """RFC 7617, 2.1: the user `test` with the password `123£` in UTF-8."""
    called(engine.target({"AUTH": "basic", "USERNAME": "test", "PASSWORD": "123£"}))
    assert engine.received == [["Basic dGVzdDoxMjPCow=="]]


@KINDS
def test_a_netrc_file_adds_nothing(
    engine: Engine, credential: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    called(engine.target(credential))
    assert b64encode(b"somebody:else").decode() not in str(engine.received)
    assert [len(sent) for sent in engine.received] == [0 if credential is NONE else 1]
    # Nor does it where a session would look into that file.
    request = requests.Request("GET", engine.target(credential).url, auth=auth_for(engine.target(credential)))
    sent = requests.Session().prepare_request(request).headers.get("Authorization")
    assert engine.received == [[sent] if sent else []]


@KINDS
@REPEATS
def test_a_401_is_an_answer_and_nothing_is_sent_again(
    engine: Engine, credential: dict[str, str], repeats: Repeats, turned: TurnedClock
) -> None:
    engine.statuses = [401, 200]
    assert called(engine.target(credential), repeats).status == 401
    assert len(engine.received) == 1
    assert turned.slept == []


@KINDS
@REPEATS
def test_a_401_for_ever_costs_one_call(engine: Engine, credential: dict[str, str], repeats: Repeats) -> None:
    engine.statuses = [401]
    assert called(engine.target(credential), repeats).status == 401
    assert len(engine.received) == 1


@KINDS
def test_the_next_call_after_a_401_is_signed_as_before(engine: Engine, credential: dict[str, str]) -> None:
    engine.statuses = [401, 200]
    connection = Connection(engine.target(credential))
    assert [connection.call("GET", "/job", READ, run="r1").status for _ in range(2)] == [401, 200]
    assert engine.received[0] == engine.received[1]


@pytest.mark.parametrize("credential", [BASIC, BEARER], ids=["basic", "bearer"])
def test_a_secret_goes_nowhere_else(engine: Engine, credential: dict[str, str]) -> None:
    engine.statuses = [302]
    with pytest.raises(AccessDenied):
        called(engine.target(credential))
    assert len(engine.received) == 1


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@KINDS
@REPEATS
def test_no_problem_and_no_log_holds_a_secret(
    engine: Engine, credential: dict[str, str], repeats: Repeats, caplog: pytest.LogCaptureFixture
) -> None:
    engine.statuses = [0]
    with caplog.at_level(logging.DEBUG):
        problems: list[Problem] = []
        for one in (engine.target(credential), target(f"http://127.0.0.1:{closed_port()}", credential)):
            with pytest.raises(Problem) as caught:
                called(one, repeats)
            problems.append(caught.value)
    assert [type(problem) for problem in problems] == [NoAnswer, TargetUnreachable]
    for problem in problems:
        assert shows_no_secret(whole_text(problem) + problem.answer().body.decode())
    assert shows_no_secret(caplog.text)


@KINDS
def test_what_signs_holds_its_secret_back(engine: Engine, credential: dict[str, str]) -> None:
    auth = auth_for(engine.target(credential))
    assert shows_no_secret(str(auth) + repr(auth))
