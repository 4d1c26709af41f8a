"""The gate of a target, when what is said to it and what it says comes in any order, late, twice or never."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from shared.fanout import gate
from shared.fanout.gate import Answer, Gate, GateMessage, Request
from tests.conftest import examples

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
LEASE = 1800.0
RUNS = "abc"
MOMENTS = [1, 20, 130, 800, 1000, 1799]


class Message(NamedTuple):
    kind: str
    said: GateMessage
    wants: int = 0


class Told(NamedTuple):
    said: GateMessage
    answer: Answer


@dataclass
class Child:
    """A child of a run, whose id is its own; the next one begins only when this one is gone.

    It knows its turn, whether it waits for what that brings, and which slots it has until when.
    """

    name: str
    turn: int = 0
    waits: bool = False
    slots: int = 0
    until: datetime | None = None


class Messages(RuleBasedStateMachine):
    """Whatever happens to the messages, no slot is held by two, and none is lost for longer than a lease."""

    sent: Bundle[Message] = Bundle("sent")
    answers: Bundle[Told] = Bundle("answers")

    def __init__(self) -> None:
        super().__init__()
        self.places = 3
        self.now = NOW
        self.state = Gate()
        self.born: Counter[str] = Counter()
        self.children = {run: Child(f"{run}-0") for run in RUNS}

    @rule(target=sent, run=st.sampled_from(RUNS), wants=st.integers(1, 3), well=st.booleans())
    def ask(self, run: str, wants: int, *, well: bool) -> Message:
        """Ask, the first time or since the last ask has no answer, or since what it brought is used up."""
        mine = self.children[run]
        mine.turn, mine.waits, mine.until = mine.turn + 1, True, None
        return self._sent("ask", GateMessage(mine.name, mine.turn), wants, well=well)

    @rule(target=sent, run=st.sampled_from(RUNS), well=st.booleans())
    def give_back(self, run: str, *, well: bool) -> Message:
        mine = self.children[run]
        mine.waits, mine.until = False, None
        return self._sent("give_back", GateMessage(mine.name, mine.turn), well=well)

    @rule(target=sent, run=st.sampled_from(RUNS), well=st.booleans())
    def leave(self, run: str, *, well: bool) -> Message:
        """End a child, well or badly; its parent or it says so, and another one begins."""
        gone = self.children[run].name
        self.born[run] += 1
        self.children[run] = Child(f"{run}-{self.born[run]}")
        return self._sent("leave", GateMessage(gone, 0), well=well)

    def _sent(self, kind: str, said: GateMessage, wants: int = 0, *, well: bool) -> Message:
        """Send a message; if all is well it comes at once, and so does its answer."""
        message = Message(kind, said, wants)
        if well:
            self._take(self._heard(message))
        return message

    # A message stays in its bundle: it may never come, and it may come again, after any other.
    @rule(target=answers, message=sent)
    def comes(self, message: Message) -> Told:
        return self._heard(message)

    def _heard(self, message: Message) -> Told:
        kind, said, wants = message
        answer = Answer()
        if kind == "ask":
            self.state, answer = gate.ask(self.state, self.now, said, Request(wants, self.places, LEASE))
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
        mine = next((one for one in self.children.values() if one.name == told.said.run), None)
        if mine and mine.waits and mine.turn == told.said.turn and told.answer.slots:
            mine.waits, mine.slots, mine.until = False, told.answer.slots, told.answer.until

    @rule(seconds=st.sampled_from(MOMENTS))
    def passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @invariant()
    def nobody_holds_what_another_one_has(self) -> None:
        held = {name: one.slots for name, one in self.state.held.items() if self.now < one.until}
        for child in self.children.values():
            if child.until and self.now < child.until:
                assert held.get(child.name) == child.slots
        assert sum(held.values()) <= self.places

    def teardown(self) -> None:
        """A lease later, all places are free, whatever got lost."""
        self.now += timedelta(seconds=LEASE)
        request = Request(self.places, self.places, LEASE)
        self.state, told = gate.ask(self.state, self.now, GateMessage("new", 1), request)
        assert told.slots == self.places


TestMessages = Messages.TestCase
TestMessages.settings = settings(max_examples=examples(200), stateful_step_count=60)


@settings(max_examples=examples(60))
@given(st.integers(0, 2**32), st.integers(1, 4))
def test_who_asks_gets_its_turn_in_any_order_and_with_repeats(seed: int, places: int) -> None:
    chance = Random(seed)  # noqa: S311 - an order, no secret
    state, now = Gate(), NOW
    runs = {run: Child(run) for run in "abcdef"}
    asks = dict.fromkeys(runs, NOW)
    gives: dict[str, datetime] = {}
    had: Counter[str] = Counter()
    for _ in range(1500):
        now += timedelta(seconds=1)
        messages: list[Message] = []
        for name, mine in runs.items():
            if name in gives and gives[name] <= now:
                del gives[name]
                messages.append(Message("give_back", GateMessage(name, mine.turn)))
                asks[name] = now
            if had[name] < 3 and name in asks and asks[name] <= now:
                mine.turn += 1
                messages.append(Message("ask", GateMessage(name, mine.turn), chance.randint(1, 4)))
        messages += chance.sample(messages, len(messages) // 2)
        chance.shuffle(messages)
        for kind, said, wants in messages:
            name = said.run
            if kind == "give_back":
                state = gate.give_back(state, now, said)
                continue
            state, told = gate.ask(state, now, said, Request(wants, places, LEASE))
            if said.turn != runs[name].turn or name in gives:
                continue
            if told.slots:
                had[name] += 1
                gives[name] = now + timedelta(seconds=chance.randint(1, 4))
                del asks[name]
            else:
                asks[name] = now + timedelta(seconds=told.wait)
        assert sum(one.slots for one in state.held.values()) <= places
        if not gives and all(had[name] == 3 for name in runs):
            return
    raise AssertionError(f"somebody waits for ever: {had}")
