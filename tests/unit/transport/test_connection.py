"""The one way out: what is repeated, how often, after which pause; and where no call ever goes."""

import gzip
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st
from requests.auth import AuthBase

from local.simulators.finance_operations.server import FinanceOperations
from local.simulators.landscape import Landscape
from shared.core import clock
from shared.core.problems import (
    AccessDenied,
    AnswerNotUnderstood,
    ItemProblem,
    NoAnswer,
    TargetBusy,
    TargetUnreachable,
    Throttled,
    TooLate,
)
from shared.core.targets import Target, Targets
from shared.systems.finance_operations.actions import Requeueing
from shared.systems.finance_operations.requests import Requeue
from shared.transport.connection import Connection, Reply
from shared.transport.deadline import finish_by
from shared.transport.renewed import RenewedAuth
from shared.transport.retries import LONGEST_PATIENCE, READ, WRITE, Repeats, retry_after
from shared.transport.session import USER_AGENT
from tests.conftest import TurnedClock

ACTION = "/data/BatchJobs/Microsoft.Dynamics.DataEntities.SetBatchJobToWaiting"
KINDS = pytest.mark.parametrize("repeats", [READ, WRITE], ids=["read", "write"])


@pytest.fixture(scope="module")
def running() -> Iterator[Landscape]:
    """Serve systems that live by whatever clock the code in this process lives by."""
    with Landscape(clock.now) as landscape:
        yield landscape


@pytest.fixture
def landscape(running: Landscape, turned: TurnedClock) -> Landscape:
    assert turned.slept == []
    running.finance_operations.reset()
    running.issuer.reset()
    return running


@pytest.fixture
def fo(landscape: Landscape) -> FinanceOperations:
    return landscape.finance_operations


@pytest.fixture
def connection(landscape: Landscape) -> Connection:
    return Connection(Targets(landscape.settings).named("fo"))


@pytest.fixture
def job(fo: FinanceOperations) -> int:
    return fo.jobs.add()


def called(connection: Connection, job: int, repeats: Repeats) -> Reply:
    """Read the job, or requeue it."""
    if repeats is READ:
        return connection.call("GET", f"/data/BatchJobs({job})", READ, run="r1")
    return connection.call("POST", ACTION, WRITE, run="r1", content={"batchJobId": job})


def statuses(fo: FinanceOperations) -> list[object]:
    return [call.status for call in fo.book.calls()]


def state(fo: FinanceOperations, job: int) -> str:
    found = fo.jobs.get(job)
    assert found is not None
    return found.status


class Unsigned(AuthBase):
    """Leaves requests as they are."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


@dataclass
class Received:
    """A request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Scripted:
    """A server that answers what a test tells it, one answer after the other, the last one for ever."""

    port: int
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    ports: set[int] = field(default_factory=set)
    """The callers' ports: one a connection."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connection(self, **more: object) -> Connection:
        return Connection(target(self.url, **more), Unsigned())


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    scripted: ClassVar[Scripted]

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.scripted.ports.add(self.client_address[1])
        self.scripted.received.append(Received(self.command, self.path, headers, body))
        answers = self.scripted.answers
        status, more, content = answers.pop(0) if len(answers) > 1 else answers[0]
        self.send_response(status)
        length = {} if "Transfer-Encoding" in more else {"Content-Length": str(len(content))}
        for name, value in {**length, **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        is_cut = int(more.get("Content-Length", "0")) > len(content)
        self.close_connection = is_cut or more.get("Connection") == "close"

    do_GET = do_POST = answer  # noqa: N815 - the library's names

    def log_message(self, *_: object) -> None:
        """Stay silent."""


@pytest.fixture
def scripted(turned: TurnedClock) -> Iterator[Scripted]:
    assert turned.slept == []

    class Bound(Handler):
        pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bound) as server:
        Bound.scripted = Scripted(server.server_port, [(200, {}, b"{}")])
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Bound.scripted
        server.shutdown()
        thread.join()


def target(url: str, **more: object) -> Target:
    fields = {"name": "fo", "system": "finance-operations", "url": url, "auth": "managed-identity"}
    return Target.model_validate({**fields, **more})


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.mark.parametrize(("repeats", "pauses"), [(READ, 2), (WRITE, 0)], ids=["read", "write"])
def test_what_never_left_is_read_three_times_and_written_once_and_then_unreachable(
    turned: TurnedClock, repeats: Repeats, pauses: int
) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    with pytest.raises(TargetUnreachable, match="fo can't be reached") as caught:
        called(Connection(target(url), Unsigned()), 1, repeats)
    assert len(turned.slept) == pauses
    assert url not in caught.value.detail


@KINDS
def test_a_system_whose_certificate_nobody_vouches_for_gets_nothing(
    landscape: Landscape, turned: TurnedClock, repeats: Repeats
) -> None:
    with pytest.raises(TargetUnreachable, match="SSLError"):
        called(Connection(target(landscape.issuer.url), Unsigned()), 1, repeats)
    assert turned.slept == []
    assert landscape.issuer.book.requests() == []


def test_a_certificate_of_the_targets_own_authority_is_trusted(landscape: Landscape) -> None:
    trusted = target(landscape.issuer.url, ca_file=str(landscape.ca_file))
    assert Connection(trusted, Unsigned()).call("GET", "/", READ, run="r1").status == 404


@pytest.mark.parametrize(("after", "expected"), [(False, "Error"), (True, "Waiting")])
def test_a_write_that_may_have_arrived_is_never_repeated(
    connection: Connection, fo: FinanceOperations, job: int, *, after: bool, expected: str
) -> None:
    fo.faults.add("cut", kind="action", after=after)
    with pytest.raises(NoAnswer):
        called(connection, job, WRITE)
    assert statuses(fo) == ["cut"]
    assert state(fo, job) == expected


def test_a_write_on_a_connection_that_was_kept_is_never_repeated_either(
    connection: Connection, fo: FinanceOperations, job: int
) -> None:
    called(connection, job, WRITE)
    fo.faults.add("cut", kind="action")
    with pytest.raises(NoAnswer):
        called(connection, job, WRITE)
    assert statuses(fo) == [200, "cut"]


@pytest.mark.parametrize(("cuts", "expected"), [(1, ["cut", 200]), (2, ["cut", "cut", 200]), (None, ["cut"] * 3)])
def test_a_read_that_got_no_answer_is_repeated_twice(
    connection: Connection, fo: FinanceOperations, job: int, cuts: int | None, expected: list[object]
) -> None:
    fo.faults.add("cut", times=cuts)
    if cuts:
        assert called(connection, job, READ).status == 200
    else:
        with pytest.raises(NoAnswer):
            called(connection, job, READ)
    assert statuses(fo) == expected


@pytest.mark.parametrize(("repeats", "count"), [(READ, 3), (WRITE, 1)], ids=["read", "write"])
def test_an_answer_that_takes_too_long_is_none(landscape: Landscape, job: int, repeats: Repeats, count: int) -> None:
    fo = landscape.finance_operations
    hurried = Targets({**landscape.settings, "TARGETS__FO__READ_TIMEOUT": "0.05"}).named("fo")
    fo.faults.add("hold", times=None)
    with pytest.raises(NoAnswer):
        called(Connection(hurried), job, repeats)
    assert len(fo.book.calls()) == count
    fo.faults.release(cut=True)


def test_what_could_not_be_over_in_time_is_not_sent(landscape: Landscape, turned: TurnedClock) -> None:
    fo, connection = landscape.finance_operations, Connection(Targets(landscape.settings).named("fo"))
    job, longest = fo.jobs.add(), connection.target.longest_call
    with finish_by(turned.now() + longest):
        assert called(connection, job, WRITE).status == 200
    with finish_by(turned.now() + longest - timedelta(microseconds=1)):
        with pytest.raises(TooLate):
            called(connection, job, WRITE)
        with pytest.raises(TargetUnreachable) as caught:
            called(connection, job, READ)
    assert not isinstance(caught.value, TooLate)
    assert statuses(fo) == [200]


def test_a_token_that_takes_too_long_leaves_no_time_to_send(landscape: Landscape, turned: TurnedClock) -> None:
    class SlowAuth(AuthBase):
        def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
            turned.turn(61)
            return request

    fo, target = landscape.finance_operations, Targets(landscape.settings).named("fo")
    with finish_by(turned.now() + target.longest_call + timedelta(minutes=1)), pytest.raises(TooLate):
        called(Connection(target, SlowAuth()), fo.jobs.add(), WRITE)
    assert statuses(fo) == []


def test_a_call_that_was_turned_away_is_repeated_with_a_new_token_only_if_there_is_time(
    landscape: Landscape, turned: TurnedClock
) -> None:
    fo, connection = landscape.finance_operations, Connection(Targets(landscape.settings).named("fo"))
    job = fo.jobs.add()
    called(connection, job, READ)
    fo.reset()
    fo.faults.add("status", status=401, times=1)
    landscape.issuer.reset()
    auth = connection._auth  # noqa: SLF001 - what takes its time here is the second token
    assert isinstance(auth, RenewedAuth)
    replace = auth.tokens.replace

    def slowly(refused: str) -> str:
        turned.turn(61)
        return replace(refused)

    auth.tokens.replace = slowly  # type: ignore[method-assign] # as above
    ends = turned.now() + connection.target.longest_call + timedelta(minutes=1)
    with finish_by(ends), pytest.raises(TooLate):
        called(connection, job, WRITE)
    assert statuses(fo) == [401]


@pytest.mark.parametrize("fault", ["cut", "busy"])
def test_a_reading_is_repeated_only_as_long_as_it_can_be_over_in_time(
    landscape: Landscape, turned: TurnedClock, fault: str
) -> None:
    fo, connection = landscape.finance_operations, Connection(Targets(landscape.settings).named("fo"))
    job = fo.jobs.add()
    if fault == "cut":
        fo.faults.add("cut", times=None)
    else:
        fo.faults.add("status", status=503, retry_after=7, times=None)
    with finish_by(turned.now() + connection.target.longest_call + timedelta(seconds=0.3 if fault == "cut" else 10)):
        if fault == "cut":
            with pytest.raises(NoAnswer):
                called(connection, job, READ)
        else:
            assert called(connection, job, READ).status == 503
    assert len(statuses(fo)) == 2


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("told", "pause"),
    [
        ({"retry_after": 7}, 7),
        ({"retry_after": 7, "retry_after_as_date": True}, 7),
        ({"retry_after": 0}, 0),
        ({}, 2),
    ],
)
def test_a_system_that_asks_for_patience_gets_it_from_a_read(
    landscape: Landscape, turned: TurnedClock, status: int, told: dict[str, object], pause: int
) -> None:
    fo, connection = landscape.finance_operations, Connection(Targets(landscape.settings).named("fo"))
    fo.faults.add("status", status=status, **told)
    assert called(connection, fo.jobs.add(), READ).status == 200
    assert statuses(fo) == [status, 200]
    assert turned.slept == [pause]


@pytest.mark.parametrize("status", [429, 503])
def test_the_patience_of_a_read_ends_after_three_repeats_with_the_answer_as_it_is(
    connection: Connection, fo: FinanceOperations, turned: TurnedClock, job: int, status: int
) -> None:
    fo.faults.add("status", status=status, retry_after=1, times=None)
    assert called(connection, job, READ).status == status
    assert statuses(fo) == [status] * 4
    assert turned.slept == [1, 1, 1]
    assert state(fo, job) == "Error"


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("told", [{}, {"retry_after": 0}, {"retry_after": 1}, {"retry_after": 7}])
def test_a_write_that_is_turned_away_is_answered_at_once(
    landscape: Landscape, turned: TurnedClock, status: int, told: dict[str, object]
) -> None:
    """Whoever holds the claim waits; so a sending has an end that its claim can promise."""
    fo, connection = landscape.finance_operations, Connection(Targets(landscape.settings).named("fo"))
    fo.faults.add("status", status=status, times=None, **told)
    job = fo.jobs.add()
    assert called(connection, job, WRITE).status == status
    assert (statuses(fo), turned.slept, state(fo, job)) == ([status], [], "Error")
    with pytest.raises(Throttled) as caught:
        Requeueing(connection, Requeue(batch_job_id=job), "r1").send()
    assert caught.value.members["retryAfter"] == told.get("retry_after", 2)
    assert (len(statuses(fo)), turned.slept) == (2, [])


@KINDS
@pytest.mark.parametrize("as_date", [False, True])
def test_a_wait_longer_than_ten_seconds_is_the_runs(
    connection: Connection, fo: FinanceOperations, turned: TurnedClock, job: int, repeats: Repeats, *, as_date: bool
) -> None:
    fo.faults.add("throttle", retry_after=11, retry_after_as_date=as_date)
    reply = called(connection, job, repeats)
    assert (reply.status, statuses(fo), turned.slept) == (429, [429], [])
    assert reply.headers["retry-after"]


@pytest.mark.parametrize("as_date", [False, True])
def test_a_wait_of_ten_seconds_is_the_reads_own(
    connection: Connection, fo: FinanceOperations, turned: TurnedClock, job: int, *, as_date: bool
) -> None:
    fo.faults.add("throttle", retry_after=10, retry_after_as_date=as_date)
    assert called(connection, job, READ).status == 200
    assert turned.slept == [LONGEST_PATIENCE]


@pytest.mark.parametrize(
    ("value", "pause"),
    [
        *[
            ("-5", 2.0),
            ("soon", 2.0),
            ("1.5", 2.0),
            ("0x10", 2.0),
            ("1, 2", 2.0),
            ("", 2.0),
            ("NaN", 2.0),
            ("\xb2", 2.0),
        ],
        *[("Mon, 23 Nov 2026 06:00:00 GMT", 0.0), ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0), ("32 Foo 2026", 2.0)],
        *[("Mon, 23 Nov 2026 07:00:04 GMT", 4.0), ("Mon, 23 Nov 2026 08:00:04 +0100", 4.0)],
        *[("Mon, 23 Nov 2026 07:00:04 -0000", 2.0), ("Fri, 31 Dec 99999 23:59:59 GMT", 2.0)],
        *[("9" * 9, None), ("9" * 400, 2.0), ("99999999999999999999", 2.0), ("Fri, 31 Dec 9999 23:59:59 GMT", None)],
    ],
)
def test_an_absurd_retry_after_is_met_with_sense(
    scripted: Scripted, turned: TurnedClock, value: str, pause: float | None
) -> None:
    scripted.answers = [(503, {"Retry-After": value}, b""), (200, {}, b"{}")]
    reply = called(scripted.connection(), 1, READ)
    assert (reply.status, turned.slept) == ((200, [pause]) if pause is not None else (503, []))
    scripted.answers = [(503, {"Retry-After": value}, b"")]
    with pytest.raises(Throttled):
        Requeueing(scripted.connection(), Requeue(batch_job_id=1), "r1").send()


@given(st.integers(0, 10**9 - 1))
def test_a_pause_in_seconds_is_that_many_and_a_day_at_most(seconds: int) -> None:
    assert retry_after(str(seconds)) == retry_after(f" {seconds} ") == min(seconds, 86_400)


@pytest.mark.usefixtures("turned")
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("86400", 86_400),
        ("86401", 86_400),
        ("Tue, 24 Nov 2026 06:59:59 GMT", 86_399),
        ("Tue, 24 Nov 2026 07:00:01 GMT", 86_400),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
    ],
)
def test_a_pause_is_a_day_at_most(value: str, seconds: int) -> None:
    assert retry_after(value) == seconds


@KINDS
@pytest.mark.parametrize("status", [400, 403, 404, 408, 409, 425, 500, 502, 504])
def test_no_other_status_is_repeated(
    connection: Connection, fo: FinanceOperations, turned: TurnedClock, job: int, repeats: Repeats, status: int
) -> None:
    fo.faults.add("status", status=status, retry_after=1, times=None)
    assert called(connection, job, repeats).status == status
    assert (statuses(fo), turned.slept) == ([status], [])


def test_each_of_the_budgets_is_its_own(connection: Connection, fo: FinanceOperations, job: int) -> None:
    for _ in range(2):
        fo.faults.add("cut")
        fo.faults.add("throttle", retry_after=1)
    fo.faults.add("status", status=503, retry_after=1)
    assert called(connection, job, READ).status == 200
    assert statuses(fo) == ["cut", 429, "cut", 429, 503, 200]


def test_a_write_that_was_turned_away_and_then_cut_is_not_repeated(
    connection: Connection, fo: FinanceOperations, job: int
) -> None:
    fo.faults.add("throttle", retry_after=1)
    fo.faults.add("cut", after=True)
    assert called(connection, job, WRITE).status == 429
    with pytest.raises(NoAnswer):
        called(connection, job, WRITE)
    assert statuses(fo) == [429, "cut"]


@pytest.mark.parametrize(("halves", "count"), [(1, 2), (2, 3), (3, 3)])
def test_a_read_is_repeated_when_its_body_breaks_off(scripted: Scripted, halves: int, count: int) -> None:
    half = (200, {"Content-Length": "100"}, b'{"value": [')
    scripted.answers = [*[half] * halves, (200, {}, b"{}")]
    if halves < 3:
        assert called(scripted.connection(), 1, READ).body == b"{}"
    else:
        with pytest.raises(NoAnswer):
            called(scripted.connection(), 1, READ)
    assert len(scripted.received) == count


def test_half_an_answer_is_none(scripted: Scripted) -> None:
    scripted.answers = [(200, {"Content-Length": "100"}, b'{"IsSuccess": true')]
    with pytest.raises(NoAnswer) as caught:
        called(scripted.connection(), 1, WRITE)
    assert len(scripted.received) == 1
    assert "IsSuccess" not in str(caught.value)


@KINDS
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_f3_a_redirect_ran_nothing_and_is_not_followed(scripted: Scripted, repeats: Repeats, status: int) -> None:
    scripted.answers = [(status, {"Location": "/elsewhere"}, b"")]
    with pytest.raises(AccessDenied, match=f"redirected the call .{status}."):
        called(scripted.connection(), 1, repeats)
    assert len(scripted.received) == 1


@KINDS
def test_d4_an_answer_that_drips_is_none(
    landscape: Landscape, fo: FinanceOperations, job: int, turned: TurnedClock, repeats: Repeats
) -> None:
    assert turned.slept == []
    fo.faults.add("drip", pause=0.02, times=None)
    known = Targets(landscape.settings).named("fo")
    slow = Connection(known.model_copy(update={"connect_timeout": 0.05, "read_timeout": 0.2}))
    began = time.monotonic()
    with pytest.raises(NoAnswer, match="did not end in time"):
        called(slow, job, repeats)
    assert time.monotonic() - began < 5
    assert len(fo.book.calls(job=job)) == repeats.no_answer + 1


PACKED = gzip.compress(b'{"a":' + b"1" * 1000 + b"}")


@pytest.mark.parametrize(("pieces", "ends"), [(7, True), (1000, True), (7, False)])
def test_an_answer_in_chunks_is_read_to_its_end_or_is_none(scripted: Scripted, pieces: int, *, ends: bool) -> None:
    cut = [PACKED[at : at + pieces] for at in range(0, len(PACKED), pieces)]
    body = b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in cut) + (b"0\r\n\r\n" if ends else b"")
    headers = {"Transfer-Encoding": "chunked", "Content-Encoding": "gzip", "Connection": "close"}
    scripted.answers = [(200, headers, body)]
    if ends:
        assert len(called(scripted.connection(), 1, WRITE).body) == 1006
    else:
        with pytest.raises(NoAnswer):
            called(scripted.connection(), 1, WRITE)


def test_d4_an_answer_that_is_too_large_when_unpacked_is_none(
    landscape: Landscape, fo: FinanceOperations, job: int
) -> None:
    fo.faults.add("bomb")
    known = Targets(landscape.settings).named("fo")
    with pytest.raises(NoAnswer, match=r"more than TARGETS__FO__ANSWER_BYTES \(1000000\)"):
        called(Connection(known.model_copy(update={"answer_bytes": 1_000_000})), job, WRITE)


def test_d2_a_target_has_its_share_of_the_threads(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.transport.bulkhead.share", lambda: 2)
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(4) as threads:

        def hang() -> None:
            peer, _ = server.accept()
            with peer:
                peer.recv(65536)
                done.wait(10)

        hanging = [threads.submit(hang) for _ in range(2)]
        slow = Connection(target(f"http://127.0.0.1:{server.getsockname()[1]}", read_timeout=20), Unsigned())
        pending: list[Future[Any]] = [*hanging, *(threads.submit(called, slow, 1, WRITE) for _ in range(2))]
        for repeats in (READ, WRITE):
            with pytest.raises(TargetBusy):
                _eventually_busy(slow, repeats)
        assert called(scripted.connection(), 1, READ).status == 200
        done.set()
        wait(pending, 10)


def _eventually_busy(slow: Connection, repeats: Repeats) -> None:
    """Call once both places are taken."""
    until = time.monotonic() + 5
    while slow._bulkhead._places._value and time.monotonic() < until:  # noqa: SLF001 - it can't be seen otherwise
        threading.Event().wait(0.01)
    called(slow, 1, repeats)


def test_g6_a_link_that_is_no_url_is_not_understood(scripted: Scripted) -> None:
    with pytest.raises(AnswerNotUnderstood):
        scripted.connection().read("https://[x]/y", run="r")
    assert scripted.received == []


def test_a_redirect_to_another_origin_gets_no_token(connection: Connection, fo: FinanceOperations, job: int) -> None:
    fo.faults.add("redirect", times=None)
    with pytest.raises(AccessDenied):
        called(connection, job, READ)
    assert {f"http://{call.host}" for call in fo.book.calls()} == {fo.url}


@pytest.mark.parametrize(
    "link",
    [
        *["http://evil.example/data", "https://evil.example/data", "HTTP://EVIL.EXAMPLE", "http://[::1]:{port}/"],
        *["https://127.0.0.1:{port}/data", "http://127.0.0.1/data", "http://127.0.0.1:1/data"],
        *["http://user@127.0.0.1:{port}/", "http://user:pass@127.0.0.1:{port}/", "http://@127.0.0.1:{port}/"],
        *["http://127.0.0.1:{port}@evil.example/", "http://evil.example#@127.0.0.1:{port}/"],
        *["http://127.0.0.1:{port}\\@evil.example/", "http://127.0.0.1:{port}.evil.example/", "http://localhost:{port}/"],
        *[" http://evil.example/", "\thttp://evil.example/", "ht\ntp://evil.example/", "http:\t//evil.example/"],
        *["ftp://127.0.0.1:{port}/", "file:///etc/passwd", "javascript:alert(1)", "data:,x", "\\\\evil.example\\a"],
    ],
)  # fmt: skip
def test_a_link_to_another_origin_is_not_followed(scripted: Scripted, link: str) -> None:
    with pytest.raises(AnswerNotUnderstood, match="another origin"):
        scripted.connection().call("GET", link.replace("{port}", str(scripted.port)), READ, run="r1")
    assert scripted.received == []


@pytest.mark.parametrize(
    "link",
    [
        "//evil.example/a",
        "///evil.example/a",
        "/\\evil.example/a",
        "http:evil.example/a",
        "/@evil/a",
    ],
)
def test_a_link_that_only_looks_foreign_stays_at_home(scripted: Scripted, link: str) -> None:
    assert scripted.connection().call("GET", link, READ, run="r1").status == 200
    assert [one.headers["host"] for one in scripted.received] == [f"127.0.0.1:{scripted.port}"]


def test_a_link_on_the_same_origin_is_followed_as_given(scripted: Scripted) -> None:
    connection = scripted.connection()
    connection.call("GET", f"{scripted.url}/data/BatchJobs?$skiptoken=a%20b", READ, run="r1")
    connection.call("GET", "BatchJobs?$skip=1", READ, run="r1")
    assert [one.path for one in scripted.received] == ["/data/BatchJobs?$skiptoken=a%20b", "/BatchJobs?$skip=1"]


@pytest.mark.parametrize(
    ("home", "link"),
    [
        ("https://h.example", "https://H.EXAMPLE/data?a=b"),
        ("https://h.example", "HTTPS://h.example:443/data?a=b"),
        ("https://H.Example:443", "https://h.example/data?a=b"),
        ("http://localhost", "http://LOCALHOST:80/data?a=b"),
        ("https://h.example:8443/base", "https://h.Example:8443/data?a=b"),
    ],
)
def test_the_same_origin_in_another_spelling_is_at_home(home: str, link: str) -> None:
    """Microsoft's own links have other capitals than people type."""
    assert Connection(target(home), Unsigned())._url(home, link).endswith("/data?a=b")  # noqa: SLF001 - no such host is there


def test_reads_and_writes_share_one_pool_of_connections(scripted: Scripted) -> None:
    connection = scripted.connection()
    for repeats in (READ, WRITE, READ, WRITE):
        called(connection, 1, repeats)
    assert len(scripted.received) == 4
    assert len(scripted.ports) == 1


def test_a_path_is_below_the_targets_address(scripted: Scripted) -> None:
    below = Connection(target(f"{scripted.url}/base/"), Unsigned())
    below.call("GET", "/data", READ, run="r1")
    assert [one.path for one in scripted.received] == ["/base/data"]


@given(st.text(alphabet="/\\@:#?.%[]htps\t\n evil127.0") | st.text())
@example("http://h.example:8\\@evil/")
@example("http://h.example:8#@evil/")
def test_no_link_at_all_leads_elsewhere(link: str) -> None:
    home = Connection(target("https://h.example:8"), Unsigned())
    try:
        url = requests.Request("GET", home._url(home.target.url, link)).prepare().url  # noqa: SLF001 - thousands of calls would be slow
    except (AnswerNotUnderstood, requests.exceptions.InvalidURL, ValueError):
        return
    assert url is not None
    assert (urlsplit(url).scheme, urlsplit(url).netloc) == ("https", "h.example:8")


def test_the_environment_changes_nothing(connection: Connection, job: int, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = f"http://127.0.0.1:{closed_port()}"
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, nowhere)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, "/no/such/bundle.pem")
    assert called(connection, job, READ).status == 200
    assert called(connection, job, WRITE).status == 200


def test_another_bundle_in_the_environment_makes_nothing_trusted(
    landscape: Landscape, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(landscape.ca_file))
    with pytest.raises(TargetUnreachable):
        Connection(target(landscape.issuer.url), Unsigned()).call("GET", "/", READ, run="r1")


@KINDS
def test_cookies_are_not_kept(scripted: Scripted, repeats: Repeats) -> None:
    scripted.answers = [(503, {"Set-Cookie": "ARRAffinity=1; Path=/"}, b""), (200, {"Set-Cookie": "a=b"}, b"{}")]
    connection = scripted.connection()
    for _ in range(3):
        called(connection, 1, repeats)
    assert len(scripted.received) == (4 if repeats is READ else 3)
    assert [one for one in scripted.received if "cookie" in one.headers] == []


def test_every_call_says_who_calls_and_for_which_run(scripted: Scripted) -> None:
    connection = scripted.connection()
    connection.call("GET", "/a", READ, run="r1", headers={"OData-Version": "4.0"})
    connection.call("POST", "/b", WRITE, run="r2", content={"batchJobId": 2**63 - 1})
    read, write = scripted.received
    assert [one.headers["user-agent"] for one in (read, write)] == [USER_AGENT, USER_AGENT]
    assert [one.headers["accept"] for one in (read, write)] == ["application/json"] * 2
    assert [one.headers["x-correlation-id"] for one in (read, write)] == ["r1", "r2"]
    assert read.headers["x-ms-client-request-id"] != write.headers["x-ms-client-request-id"]
    assert (read.headers.get("content-type"), read.headers["odata-version"], read.body) == (None, "4.0", b"")
    assert (write.method, write.headers["content-type"]) == ("POST", "application/json")
    assert write.body == b'{"batchJobId": 9223372036854775807}'


def test_a_reply_as_text_holds_no_body(scripted: Scripted) -> None:
    scripted.answers = [(200, {"Content-Type": "application/json"}, b'"hunter2"')]
    reply = scripted.connection().call("GET", "/", READ, run="r1")
    assert reply.json == "hunter2"
    assert reply.headers["content-type"] == "application/json"
    assert "hunter2" not in repr(reply)


@pytest.mark.parametrize(
    ("effect", "status", "reason"),
    [
        ("status", 401, "access-denied"),
        ("status", 403, "access-denied"),
        ("throttle", 429, "throttled"),
        ("status", 502, "target-unreachable"),
        ("login", None, "access-denied"),
        ("cut", None, "outcome-unknown"),
    ],
)
def test_a_call_that_fails_is_logged(
    fo: FinanceOperations,
    connection: Connection,
    job: int,
    effect: str,
    status: int | None,
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "nightshift")
    fo.faults.add(effect, kind="action", times=None, status=status if effect == "status" else None)  # type: ignore[arg-type]  # it is one of the effects
    with suppress(ItemProblem):
        called(connection, job, WRITE)
    seen = f" status={status}" if status else ""
    assert set(caplog.messages) == {f"call-failed target=fo run=r1 reason={reason}{seen}"}


def test_a_call_that_has_to_wait_for_others_of_this_app_is_not_logged(
    connection: Connection, job: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "nightshift")
    monkeypatch.setattr("shared.transport.bulkhead.share", lambda: 0)
    with pytest.raises(TargetBusy):
        called(Connection(connection.target), job, READ)
    assert caplog.messages == []
