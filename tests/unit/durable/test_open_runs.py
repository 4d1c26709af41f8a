"""What a run needs that is open in the store and not at work in the engine; how long a call waits between two looks."""

import asyncio
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.api import start, status
from shared.core.problems import NotReady
from shared.durable.engine import Phase
from shared.durable.open_runs import Need, RunView, needed
from shared.policy import switches
from shared.storage.base import Page, Record
from shared.storage.sqlite import SqliteStore
from tests.conftest import TurnedClock

SEEN = st.builds(
    RunView,
    phase=st.sampled_from(Phase),
    begun=st.booleans(),
    over=st.booleans(),
    young=st.booleans(),
    waited_for=st.booleans(),
    late=st.booleans(),
)


@given(SEEN)
def test_a_run_at_work_is_left_alone_and_no_other_is_open_for_ever(seen: RunView) -> None:
    found = needed(seen)
    started = seen.waited_for and not (seen.begun or seen.late)
    assert (found is Need.NOTHING) == (
        seen.phase.is_alive or (seen.phase is Phase.MISSING and seen.young and not seen.over and not started)
    )
    assert (found is Need.FORGET) == (seen.over and not seen.phase.is_alive)


@given(SEEN)
def test_only_what_never_began_and_is_not_late_is_started(seen: RunView) -> None:
    if needed(seen) is Need.START:
        assert (seen.phase, seen.begun, seen.late, seen.over) == (Phase.MISSING, False, False, False)


@given(SEEN)
def test_a_run_that_the_engine_may_not_know_of_yet_is_never_closed(seen: RunView) -> None:
    """On Azure Storage a run may begin before its instance can be read: of 16 calls at once, one closed it."""
    if needed(seen) is Need.CLOSE and seen.phase is Phase.MISSING:
        assert not seen.young


@given(st.floats(0, 1000))
def test_a_call_waits_a_twentieth_of_what_it_has_waited(waited: float) -> None:
    pause = start.pause(waited)
    assert 0.004 <= pause <= 0.15
    assert pause <= max(0.004, waited / 20) + 1e-9


class Hanging:
    """A store that doesn't answer."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def read(self, key: str) -> Record | None:
        self.over.wait(10)
        raise NotReady(key)

    def create(self, key: str, data: bytes) -> str:
        raise NotImplementedError

    def create_from(self, key: str, pieces: Iterable[bytes]) -> str:
        raise NotImplementedError

    def replace(self, key: str, data: bytes, etag: str) -> str:
        raise NotImplementedError

    def delete(self, key: str, etag: str | None = None) -> None:
        raise NotImplementedError

    def list(self, prefix: str, after: str | None = None, limit: int = 1000) -> Page:
        raise NotImplementedError


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    store = Hanging()
    yield store
    store.over.set()


def test_a_store_that_hangs_is_not_ready_however_often_it_is_asked(hanging: Hanging) -> None:
    for _ in range(3):
        with pytest.raises(NotReady, match="store does not answer"):
            asyncio.run(asyncio.wait_for(status.store_answers(hanging, 0.05), 5))


def test_a_run_that_is_closed_sends_nothing_and_is_not_cancelled(tmp_path: Path, turned: TurnedClock) -> None:
    store = SqliteStore(str(tmp_path / "store.db"))
    halt = switches.halt(store, "r1", "terminated")
    turned.turn(1)
    assert switches.halt(store, "r1", "lost") == halt
    assert not switches.is_cancelled(store, "r1")
    with pytest.raises(Exception, match="run-closed"):
        switches.refuse_stopped(store.read, "fo", "r1")
    switches.cancel(store, "r1", "No longer.", "anna")
    halted = switches.halted(store.read, "r1")
    assert halted is not None
    assert (halted.how, halted.cancelled, halted.reason) == ("terminated", True, "No longer.")
