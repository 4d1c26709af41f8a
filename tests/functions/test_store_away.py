"""D3: the blob store is away: nobody answers at its address, or somebody who never says a word."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
import requests

from local.azurite import free_ports
from local.stack import Machine
from tests.functions.calling import NO_TIMERS, REQUEUE, Caller, problem, together

pytestmark = pytest.mark.slow

ACCOUNT = "AccountName=devstoreaccount1;AccountKey=bm9ib2R5;DefaultEndpointsProtocol=http"


@contextmanager
def silence() -> Iterator[int]:
    """Accept connections and never answer; give the port."""
    accepted: list[socket.socket] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as server:

        def accept() -> None:
            while True:
                try:
                    accepted.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    for one in accepted:
        one.close()


@contextmanager
def refusal() -> Iterator[int]:
    """Give a port at which nobody listens."""
    yield free_ports(1)[0]


@pytest.fixture(
    scope="module",
    params=[pytest.param(refusal, id="refused"), pytest.param(silence, id="silent", marks=pytest.mark.slow)],
)
def lonely(request: pytest.FixtureRequest) -> Iterator[Caller]:
    with request.param() as port:
        storage = f"{ACCOUNT};BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1"
        with Machine({"STORE": "blob", "AzureWebJobsStorage": storage, **NO_TIMERS}) as machine:
            yield Caller(machine)


def timed(answer: requests.Response, begun: float) -> float:
    problem(answer, 503, "not-ready")
    return time.monotonic() - begun


def test_d3_health_says_within_five_seconds_that_the_store_is_away(lonely: Caller) -> None:
    begun = time.monotonic()
    assert timed(requests.get(f"{lonely.url}/health", timeout=30), begun) < 5


def test_d3_calls_are_503_within_ten_seconds_also_several_at_once(lonely: Caller) -> None:
    begun = time.monotonic()
    answers = together(4, lambda number: lonely.post(REQUEUE, {"batchJobId": number + 1}))
    assert max(timed(answer, begun) for answer in answers) < 10
    assert not lonely.system.book.calls(kind="action")
