"""Defects that reviews have found, each with the test that keeps it mended."""

import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from pydantic import ValidationError

from shared.core.outcome import Ending, Outcome
from shared.core.problems import AccessDenied, Problem, Throttled
from shared.core.settings import Settings
from shared.core.targets import Target, Targets
from shared.execution import bookmarks
from shared.execution.waiting import RetryLater, retry_later
from shared.runs.claims import Claim
from shared.runs.spec import RunSpec, Window
from shared.storage.base import Store
from shared.storage.sqlite import SqliteStore
from shared.systems.finance_operations.action import read_action
from shared.systems.finance_operations.failures import _list_path
from shared.transport.connection import Connection, Reply
from shared.transport.entra import BearerAuth
from shared.transport.retries import WRITE, retry_after
from shared.validation.request import Preference
from tests.conftest import TurnedClock

NOW = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)
DONE = Outcome(ending=Ending.DONE, reason="Done.", sent=True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return SqliteStore(str(tmp_path / "store.db"))


def spec(sweep: Window) -> RunSpec:
    return RunSpec(
        run="r",
        ticket="t",
        function="sweep",
        system="finance-operations",
        shape="items",
        target="fo",
        origin="http",
        actor="key",
        base="",
        created=NOW,
        give_up=NOW,
        sweep=sweep,
    )


def test_settle_returns_its_own_outcome(store: Store, turned: TurnedClock) -> None:
    mine = Claim(store, "fo", "1", "r1", timedelta(minutes=3))
    mine.take()
    mine.mark_sent("e")
    turned.turn(0.5)  # the other instance's clock is half a second ahead
    Claim(store, "fo", "1", "r2", timedelta(minutes=3)).take()
    turned.turn(-0.4)
    assert mine.settle(DONE).ending is Ending.DONE


@pytest.mark.usefixtures("turned")
@pytest.mark.parametrize("depth", [198, 300])
def test_a_deep_answer_can_be_kept(store: Store, depth: int) -> None:
    body = f'{{"IsSuccess": true, "ExceptionDetails": {"[" * depth}{"]" * depth}}}'.encode()
    claim = Claim(store, "fo", "1", "r1", timedelta(minutes=3))
    claim.take()
    claim.mark_sent("e")
    claim.settle(read_action(Reply(200, {}, body), 1))
    Claim(store, "fo", "1", "r2", timedelta(minutes=3)).take()


@pytest.mark.usefixtures("turned")
def test_a_sweep_of_the_future_does_not_end_all_sweeps(store: Store) -> None:
    bookmarks.remember_sweep(store, spec(Window(until=NOW + timedelta(days=1000))))
    assert (bookmarks.last_sweep(store, "fo") or NOW) <= NOW


@pytest.mark.usefixtures("turned")
def test_a_narrow_sweep_hides_nothing_before_it(store: Store) -> None:
    bookmarks.remember_sweep(store, spec(Window(since=NOW - timedelta(minutes=5))))
    assert bookmarks.last_sweep(store, "fo") is None


def test_a_window_is_asked_for_in_utc() -> None:
    at = datetime.fromisoformat("2026-11-23T08:00:00+01:00")
    assert "2026-11-23T07:00:00Z" in _list_path(at, at).replace("%3A", ":")


class Unsigned(requests.auth.AuthBase):
    """Leaves requests as they are."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


@pytest.mark.parametrize("location", ["http://[", "https://[::1:x]/", "\xff\xfe", "https://a\uff0fb/"])
def test_an_odd_redirect_is_no_answer(location: str) -> None:
    raw = location.encode("latin-1") if max(location) <= "\xff" else location.encode()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def run() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(b"HTTP/1.1 302 X\r\nLocation: " + raw + b"\r\nContent-Length: 0\r\n\r\n")

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        target = Target.model_validate(
            {
                "name": "fo",
                "system": "finance-operations",
                "auth": "managed-identity",
                "url": f"http://127.0.0.1:{server.getsockname()[1]}",
            }
        )
        with pytest.raises(AccessDenied):
            Connection(target, Unsigned()).call("POST", "/x", WRITE, run="r", content={})
        thread.join(5)


@pytest.mark.usefixtures("turned")
def test_a_retry_after_at_the_end_of_time() -> None:
    seconds = retry_after("Fri, 31 Dec 9999 23:59:59 -1200")
    throttled = Throttled("x", members={"retryAfter": seconds})
    assert retry_later(throttled, datetime(2100, 1, 1, tzinfo=UTC), 0) == RetryLater(86_400)
    assert retry_later(throttled, NOW + timedelta(hours=23), 0) is None


def test_a_long_preference_takes_no_time() -> None:
    began = time.process_time()
    Preference.read('"' + '\\"' * 8000)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "answered",
    [
        {"access_token": "x", "expires_in": 1e30},
        {"error": "x", "error_codes": ["y"]},
        {"error": "x", "error_codes": 5},
        AttributeError(),
        RecursionError(),
        KeyError("a"),
    ],
)
def test_an_odd_issuer_is_a_problem(monkeypatch: pytest.MonkeyPatch, answered: object) -> None:
    auth = BearerAuth(
        Target.model_validate(
            {
                "name": "fo",
                "system": "finance-operations",
                "url": "https://h",
                "auth": "client-secret",
                "tenant": "t",
                "client_id": "c",
                "client_secret": "s",
            }
        )
    )

    def ask(**_: bool) -> object:
        if isinstance(answered, Exception):
            raise answered
        return answered

    monkeypatch.setattr(auth, "_ask", ask)
    with pytest.raises(Problem):
        auth(requests.Request("GET", "https://h/").prepare())


@pytest.mark.parametrize("name", ["SWEEP_AT", "SWEEP_UNTIL", "SWEEP_TIME_ZONE"])
def test_no_setting_is_quoted(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Settings.read({name: "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_quiet_is_not_quoted() -> None:
    t = {"SYSTEM": "finance-operations", "URL": "https://h", "AUTH": "managed-identity", "QUIET": "hunter2"}
    assert "hunter2" not in Targets({f"TARGETS__FO__{n}": v for n, v in t.items()}).off["fo"]
