"""The gate of a target, when what is said to it and what it says comes in any order, late, twice or never."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from shared.fanout import gate
from shared.fanout.gate import Answer, Gate, GateMessage
from tests.conftest import examples

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
LEASE = 1800.0
RUNS, LANES = "ab", 2
MOMENTS = [1, 20, 130, 800, 1000, 1799]


class Message(NamedTuple):
    kind: str
    said: GateMessage


class Told(NamedTuple):
    said: GateMessage
    answer: Answer


@dataclass
class Lane:
    """What a lane knows: its turn, whether it waits for what that brings, and until when it holds a place."""

    turn: int = 0
    waits: bool = False
    until: datetime | None = None


@dataclass
class Child:
    """A child of a run, whose id is its own; the next one begins only when this one is gone."""

    name: str
    lanes: dict[int, Lane] = field(default_factory=lambda: {one: Lane() for one in range(LANES)})


class Messages(RuleBasedStateMachine):
    """Whatever happens to the messages, no place is held by two, and none is lost for longer than a lease."""

    sent: Bundle[Message] = Bundle("sent")
    answers: Bundle[Told] = Bundle("answers")

    def __init__(self) -> None:
        super().__init__()
        self.places = 2
        self.now = NOW
        self.state = Gate()
        self.born: Counter[str] = Counter()
        self.children = {run: Child(f"{run}-0") for run in RUNS}

    @rule(target=sent, run=st.sampled_from(RUNS), lane=st.integers(0, LANES - 1), well=st.booleans())
    def ask(self, run: str, lane: int, *, well: bool) -> Message:
        """Ask, the first time or since the last ask has no answer, or since what it brought is used up."""
        mine = self.children[run].lanes[lane]
        mine.turn, mine.waits, mine.until = mine.turn + 1, True, None
        return self._sent("ask", GateMessage(self.children[run].name, lane, mine.turn), well=well)

    @rule(target=sent, run=st.sampled_from(RUNS), lane=st.integers(0, LANES - 1), well=st.booleans())
    def give_back(self, run: str, lane: int, *, well: bool) -> Message:
        mine = self.children[run].lanes[lane]
        mine.waits, mine.until = False, None
        return self._sent("give_back", GateMessage(self.children[run].name, lane, mine.turn), well=well)

    @rule(target=sent, run=st.sampled_from(RUNS), well=st.booleans())
    def leave(self, run: str, *, well: bool) -> Message:
        """End a child, well or badly; its parent or it says so, and another one begins."""
        gone = self.children[run].name
        self.born[run] += 1
        self.children[run] = Child(f"{run}-{self.born[run]}")
        return self._sent("leave", GateMessage(gone, 0, 0), well=well)

    def _sent(self, kind: str, said: GateMessage, *, well: bool) -> Message:
        """Send a message; if all is well it comes at once, and so does its answer."""
        message = Message(kind, said)
        if well:
            self._take(self._heard(message))
        return message

    # A message stays in its bundle: it may never come, and it may come again, after any other.
    @rule(target=answers, message=sent)
    def comes(self, message: Message) -> Told:
        return self._heard(message)

    def _heard(self, message: Message) -> Told:
        kind, said = message
        answer = Answer()
        if kind == "ask":
            self.state, answer = gate.ask(self.state, self.now, said, places=self.places, lease=LEASE)
        elif kind == "give_back":
            self.state = gate.give_back(self.state, self.now, said)
        else:
            self.state = gate.leave(self.state, self.now, run=said.run)
        self.state = Gate.read(self.state.data())
        return Told(said, answer)

    @rule(told=answers)
    def is_told(self, told: Told) -> None:
        self._take(told)

    def _take(self, told: Told) -> None:
        child = next((one for one in self.children.values() if one.name == told.said.run), None)
        mine = child.lanes[told.said.lane] if child else None
        if mine and mine.waits and mine.turn == told.said.turn and told.answer.chunks:
            mine.waits, mine.until = False, told.answer.until

    @rule(seconds=st.sampled_from(MOMENTS))
    def passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @invariant()
    def nobody_holds_what_another_one_has(self) -> None:
        believed = {
            f"{child.name}/{lane}"
            for child in self.children.values()
            for lane, mine in child.lanes.items()
            if mine.until and self.now < mine.until
        }
        held = {name for name, one in self.state.held.items() if self.now < one.until}
        assert believed <= held
        assert len(held) <= self.places

    def teardown(self) -> None:
        """A lease later, all places are free, whatever got lost."""
        self.now += timedelta(seconds=LEASE)
        for lane in range(self.places):
            self.state, told = gate.ask(
                self.state, self.now, GateMessage("new", lane, 1), places=self.places, lease=LEASE
            )
            assert told.chunks


TestMessages = Messages.TestCase
TestMessages.settings = settings(max_examples=examples(200), stateful_step_count=60)


@settings(max_examples=examples(60))
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_who_asks_gets_its_turn_in_any_order_and_with_repeats(seed: int, places: int) -> None:
    chance = Random(seed)  # noqa: S311 - an order, no secret
    state, now = Gate(), NOW
    lanes = {(run, lane): Lane() for run in "abc" for lane in range(3)}
    asks = dict.fromkeys(lanes, NOW)
    gives: dict[tuple[str, int], datetime] = {}
    had: Counter[tuple[str, int]] = Counter()
    for _ in range(1500):
        now += timedelta(seconds=1)
        messages: list[Message] = []
        for key, mine in lanes.items():
            if key in gives and gives[key] <= now:
                del gives[key]
                messages.append(Message("give_back", GateMessage(*key, mine.turn)))
                asks[key] = now
            if had[key] < 3 and key in asks and asks[key] <= now:
                mine.turn += 1
                messages.append(Message("ask", GateMessage(*key, mine.turn)))
        messages += chance.sample(messages, len(messages) // 2)
        chance.shuffle(messages)
        for kind, said in messages:
            key = said.run, said.lane
            if kind == "give_back":
                state = gate.give_back(state, now, said)
                continue
            state, told = gate.ask(state, now, said, places=places, lease=LEASE)
            if said.turn != lanes[key].turn or key in gives:
                continue
            if told.chunks:
                had[key] += 1
                gives[key] = now + timedelta(seconds=chance.randint(1, 4))
                del asks[key]
            else:
                asks[key] = now + timedelta(seconds=told.wait)
        assert len(state.held) <= places
        if not gives and all(had[key] == 3 for key in lanes):
            return
    raise AssertionError(f"somebody waits for ever: {had}")
