"""The slots of a target: so many calls at a time, and only as long as they may be sent."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest

from shared.core import clock
from shared.core.durations import LONGEST_CHUNK
from shared.core.outcome import Ending
from shared.core.problems import NotReady, Throttled
from shared.execution.waiting import STORE_PAUSE
from shared.fanout import arrivals, batch_records
from shared.fanout.batch_records import ChunkLayout, ChunkPlan, Payload
from shared.fanout.deciding import ChunkContext
from shared.fanout.sending import SliceResult, Slots, Turn, send_slice
from shared.policy.cached_reader import CachedReader
from shared.policy.document import put_policy
from shared.policy.rules import Rule, Rules
from shared.runs import records
from shared.runs.spec import RunSpec
from shared.storage.base import Record
from shared.storage.sqlite import SqliteStore
from shared.systems.operations import BatchOperation, OperationResponse, Part
from tests.conftest import TurnedClock
from tests.unit.fanout.test_chunks import RUN, Server, batch

LONGEST = 60.0
"""Real seconds for what another thread does at once."""


class Store(SqliteStore):
    """Notes what is read, and is away for some keys."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.away: set[str] = set()
        self.on_read: dict[str, threading.Event] = {}
        self.on_intent: dict[int, threading.Event] = {}

    def create(self, key: str, data: bytes) -> str:
        found = super().create(key, data)
        for chunk, event in self.on_intent.items():
            if key.endswith(f"{chunk:05}.intent"):
                event.set()
        return found

    def read(self, key: str) -> Record | None:
        if key in self.away:
            raise NotReady("The store is away.")
        if key in self.on_read:
            self.on_read[key].set()
        return super().read(key)


@dataclass
class Slot:
    """Slots, and the batch whose chunks they send: chunk 0 has the operation 0, and so on."""

    turned: TurnedClock
    store: Store
    server: Server = field(default_factory=Server)
    in_order: bool = False
    run: str = RUN
    lease: timedelta = timedelta(minutes=30)
    slots: int = 1
    brief: bool = False

    def send(self, *turns: Turn, chunks: int = 6) -> SliceResult:
        payloads = [
            Payload(
                operations=[
                    BatchOperation(place=one, id=str(one), method="POST", url="lines", text=f'{{"id":"{one}"}}')
                ]
            )
            for one in range(chunks)
        ]
        plan = ChunkPlan(chunks=[ChunkLayout(operations=[one]) for one in range(chunks)])
        told = batch(in_order=self.in_order)
        batch_records.write_batch(self.store, self.run, told, plan, lambda chunk: payloads[chunk].data())
        now = clock.now()
        fixed = {"ticket": "t", "function": "batch", "system": "business-central", "shape": "operations"}
        more = {"target": "bc", "origin": "http", "actor": "key", "base": "", "created": now, "run": self.run}
        spec = RunSpec.model_validate({**fixed, **more, "give_up": now + timedelta(hours=1)})
        context = ChunkContext(self.store, CachedReader(self.store), spec, told, -1, self.server)
        return send_slice(context, turns, Slots(self.slots, now + self.lease, brief=self.brief))

    @property
    def sent(self) -> list[str]:
        return [one for call in self.server.sent for one in call]


@pytest.fixture
def slot(tmp_path: Path, turned: TurnedClock) -> Slot:
    return Slot(turned, Store(str(tmp_path / "store.db")))


def turns(*chunks: int) -> list[Turn]:
    return [Turn(chunk, 0) for chunk in chunks]


@dataclass
class Counting(Server):
    """Counts the calls in flight; the first ones end once there is one in each slot, and another chunk is read."""

    slots: int = 1
    in_flight: int = 0
    most: int = 0
    next_is_read: threading.Event = field(default_factory=threading.Event)
    waited: bool = True
    lock: threading.Lock = field(default_factory=threading.Lock)
    all_in_flight: threading.Event = field(default_factory=threading.Event)

    def send(self, texts: Sequence[str], part: Part, *, continues: bool, snapshot: bool) -> Sequence[OperationResponse]:
        with self.lock:
            self.in_flight += 1
            self.most = max(self.most, self.in_flight)
            if self.most == self.slots:
                self.all_in_flight.set()
        self.waited = self.all_in_flight.wait(LONGEST) and self.next_is_read.wait(LONGEST) and self.waited
        with self.lock:
            given = super().send(texts, part, continues=continues, snapshot=snapshot)
            self.in_flight -= 1
        return given


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_so_many_calls_are_in_flight_and_another_chunk_is_read_meanwhile(slot: Slot, slots: int) -> None:
    server = slot.server = Counting(slots=slots)
    slot.slots = slots
    slot.store.on_read[f"runs/{RUN}/payload/{slots}"] = server.next_is_read
    result = slot.send(*turns(0, 1, 2, 3, 4, 5))
    assert server.waited
    assert server.most == slots
    assert sorted(result.ended) == list(range(6))
    assert sorted(slot.sent) == ["0", "1", "2", "3", "4", "5"]
    assert not result.waits
    assert not result.stops


def test_a_second_delivery_sends_nothing_again(slot: Slot) -> None:
    slot.send(*turns(0, 1))
    assert sorted(slot.send(*turns(0, 1)).ended) == [0, 1]
    assert sorted(slot.sent) == ["0", "1"]


class Busy(Server):
    """Too busy for the first chunk."""

    def send(self, texts: Sequence[str], part: Part, *, continues: bool, snapshot: bool) -> Sequence[OperationResponse]:
        given = super().send(texts, part, continues=continues, snapshot=snapshot)
        if part.ids == ("0",):
            raise Throttled("Busy.", members={"retryAfter": 5})
        return given


def test_a_chunk_that_follows_one_that_waits_is_left(slot: Slot) -> None:
    slot.server = Busy()
    result = slot.send(Turn(0, 0), Turn(1, 0, [0]), Turn(2, 0, [1]), Turn(3, 0))
    assert result.ended == [3]
    assert result.waits[0].number == 1
    assert sorted(slot.sent) == ["0", "3"]


def test_in_order_nothing_is_sent_after_what_failed(slot: Slot) -> None:
    slot.in_order, slot.server.bad = True, {"1"}
    result = slot.send(Turn(0, 0), Turn(1, 0, [0]), Turn(2, 0, [1]))
    assert (result.ended, result.stops) == ([0, 1], True)
    assert slot.sent == ["0", "1"]


@dataclass
class Slow(Server):
    """Each call takes some seconds."""

    seconds: float = 0.0
    turned: TurnedClock = field(default_factory=TurnedClock)

    def send(self, texts: Sequence[str], part: Part, *, continues: bool, snapshot: bool) -> Sequence[OperationResponse]:
        given = super().send(texts, part, continues=continues, snapshot=snapshot)
        self.turned.turn(self.seconds)
        return given


@pytest.mark.parametrize(("seconds", "most"), [(0.1, 6), (11.0, 3), (31.0, 1), (700.0, 1)])
def test_a_slice_ends_after_half_a_minute(slot: Slot, seconds: float, most: int) -> None:
    slot.server = Slow(seconds=seconds, turned=slot.turned, hold=timedelta(minutes=12, seconds=10))
    result = slot.send(*turns(0, 1, 2, 3, 4, 5))
    assert len(result.ended) == most
    assert not result.waits
    assert sorted(slot.sent) == sorted(str(one) for one in result.ended)


@pytest.mark.parametrize(
    ("run", "ago", "brief", "ended"),
    [("other", 0, False, 2), (RUN, 0, False, 6), ("other", 61, False, 6), (RUN, 0, True, 2)],
)
def test_a_slice_is_brief_while_another_batch_may_wait_for_a_slot(
    slot: Slot,
    run: str,
    ago: int,
    brief: bool,  # noqa: FBT001 - pytest passes it by name
    ended: int,
) -> None:
    fixed = {"ticket": "t", "function": "batch", "system": "business-central", "shape": "operations"}
    more = {"target": "bc", "origin": "http", "actor": "key", "base": "", "run": run}
    spec = RunSpec.model_validate({**fixed, **more, "created": clock.now(), "give_up": clock.now()})
    for _ in range(2):
        arrivals.note(slot.store, spec)
    slot.turned.turn(ago)
    slot.brief = brief
    assert len(slot.send(*turns(0, 1, 2, 3, 4, 5)).ended) == ended


@dataclass
class Denying(Server):
    """While the first call is in progress, and the next chunk is ready to be sent, the policy changes."""

    slot: Slot | None = None
    next_is_ready: threading.Event = field(default_factory=threading.Event)

    def send(self, texts: Sequence[str], part: Part, *, continues: bool, snapshot: bool) -> Sequence[OperationResponse]:
        assert self.slot
        given = super().send(texts, part, continues=continues, snapshot=snapshot)
        assert self.next_is_ready.wait(LONGEST)
        put_policy(self.slot.store, Rules(rules=[Rule(name="no", action="deny")]), 0, "month end", "key")
        self.slot.turned.turn(1)
        return given


def test_a_chunk_that_was_prepared_before_the_policy_changed_is_not_sent(slot: Slot) -> None:
    server = slot.server = Denying(slot=slot, hold=timedelta(minutes=12, seconds=10))
    slot.store.on_intent[1] = server.next_is_ready
    assert sorted(slot.send(Turn(0, 0), Turn(1, 0)).ended) == [0, 1]
    assert slot.sent == ["0"]
    part = records.read_part(slot.store, RUN, 1)
    assert part
    assert [one.outcome.ending for one in part.ended] == [Ending.SKIPPED]


def test_nothing_is_begun_in_a_slot_that_could_be_lost_meanwhile(slot: Slot) -> None:
    slot.lease = LONGEST_CHUNK - timedelta(seconds=1)
    result = slot.send(*turns(0, 1))
    assert (result.ended, result.waits, slot.sent) == ([], {}, [])


def test_of_a_chunk_whose_record_can_not_be_read_only_that_one_waits(slot: Slot) -> None:
    slot.store.away.add(f"runs/{RUN}/payload/0")
    result = slot.send(*turns(0, 1))
    assert result.ended == [1]
    assert result.waits[0].number == 0
    # Somebody may have looked at the clock meanwhile, which takes a moment.
    left = (result.waits[0].until - clock.now()).total_seconds()
    assert STORE_PAUSE - 1 <= left <= STORE_PAUSE


def test_a_store_that_does_not_say_whether_others_came_keeps_no_slot(slot: Slot) -> None:
    slot.store.away.add("arrivals/bc")
    with pytest.raises(NotReady):
        slot.send(*turns(0, 1, 2, 3, 4, 5))
    # Before others could matter, two were sent; who had prepared another one waits, and who looks for more fails.
    assert len(slot.sent) == 2
    slot.store.away.clear()
    assert sorted(slot.send(*turns(0, 1, 2, 3, 4, 5)).ended) == list(range(6))
    assert sorted(slot.sent) == ["0", "1", "2", "3", "4", "5"]


def test_after_a_defect_no_other_chunk_is_begun(slot: Slot) -> None:
    slot.store.create(f"runs/{RUN}/outcomes/0", b"not a record")
    with pytest.raises(ValueError, match="PartResult"):
        slot.send(Turn(0, 0), *(Turn(one, 0, [0]) for one in range(1, 6)))
    assert slot.sent == []
