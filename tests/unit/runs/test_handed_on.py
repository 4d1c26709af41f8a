"""What a run left is sent again once: retries, nights and deaths in every order, with one book as the judge.

Each actor stops before each step of the store, as a process may pause there for any time. Which actor goes on, which
one dies and how much time passes is drawn.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.core import clock
from shared.core.problems import HandedOn, RunOpen
from shared.runs import creation, handed_on, records
from shared.runs.creation import Make, StartedRun, Wanted
from shared.runs.handed_on import Follow, Handing, Join, Take, decide
from shared.runs.idempotency import KeyRecord
from shared.runs.records import RunItem
from shared.runs.spec import RunSpec
from shared.storage.base import Page, Record, Store
from shared.storage.sqlite import SqliteStore
from tests.conftest import TurnedClock, examples

SOURCE = "20261123-00000000000000000000"
ITEMS = ("a", "b", "c", "d")


def spec_of(key: KeyRecord) -> RunSpec:
    return RunSpec(
        run=key.run,
        ticket=key.ticket,
        function="batch",
        system="business-central",
        shape="operations",
        target="bc",
        origin="http",
        actor="key",
        base="https://night.example",
        created=key.created,
        give_up=key.created,
    )


def handing(run: str, mark: str, *items: str) -> Handing:
    return Handing(key=KeyRecord(run=run, ticket="t", fingerprint=mark, created=clock.now()), items=list(items))


@pytest.mark.parametrize(
    ("wanted", "mark", "named", "found"),
    [
        ("cd", "m3", True, Take),
        ("cd", "m3", False, Take),
        # The same request joins; another one goes on with what that run left.
        ("ab", "m1", True, Join),
        ("ab", "m1", False, Join),
        ("ab", "m3", True, Follow),
        ("a", "m3", True, Follow),
        ("ab", "m3", False, Follow),
        # Without names, what is free is taken.
        ("abcd", "m3", False, Take),
        ("abcd", "m1", False, Take),
    ],
)
def test_who_comes_second_joins_or_follows(wanted: str, mark: str, found: type[object], *, named: bool) -> None:
    decided = decide([handing("r1", "m1", "a", "b")], list(wanted), mark, "e", named=named)
    assert type(decided) is found
    if isinstance(decided, Take):
        assert decided.items == set(wanted) - {"a", "b"}


@pytest.mark.parametrize(
    ("wanted", "mark", "named", "found"),
    [
        # Nobody took any: who asks finds out why none can be sent.
        ("cd", "m3", False, Take),
        ("cd", "m3", True, Take),
        # What can't be sent is as if it was not asked for.
        ("abcd", "m1", False, Join),
        ("abcd", "m1", True, Join),
        ("abcd", "m3", False, Follow),
    ],
)
def test_c5_who_wants_what_cannot_be_sent(wanted: str, mark: str, found: type[object], *, named: bool) -> None:
    """C5: it is not taken."""
    taken = [handing("r1", "m1", "a", "b")]
    decided = decide(taken, list(wanted), mark, "e", named=named, select=lambda _: frozenset())
    assert type(decided) is found
    if isinstance(decided, Take):
        assert (decided.items, decided.free) == (frozenset(), frozenset("cd"))


def test_c5_only_what_can_be_sent_is_taken() -> None:
    """C5: the rest stays free."""
    decided = decide([], list("abc"), "m", "e", named=False, select=lambda free: free - {"b"})
    assert isinstance(decided, Take)
    assert (decided.items, decided.free) == (frozenset("ac"), frozenset("abc"))


@pytest.mark.parametrize(("wanted", "named"), [("ac", True), ("bc", True), ("ac", False)])
def test_what_several_runs_took_is_told(wanted: str, *, named: bool) -> None:
    taken = [handing("r1", "m1", "a", "b"), handing("r2", "m2", *("c" if not named else "d"))]
    with pytest.raises(HandedOn, match="r1") as caught:
        decide(taken, list(wanted), "m3", "e", named=named)
    assert caught.value.run == "r1"


@given(
    st.lists(st.tuples(st.frozensets(st.sampled_from(ITEMS), min_size=1), st.sampled_from("xyz"), st.booleans())),
)
def test_no_item_is_ever_taken_twice(requests: list[tuple[frozenset[str], str, bool]]) -> None:
    taken: list[Handing] = []
    for number, (wanted, mark, named) in enumerate(requests):
        try:
            found = decide(taken, sorted(wanted), mark, "", named=named)
        except HandedOn:
            continue
        if isinstance(found, Take):
            taken.append(handing(f"r{number}", mark, *found.items))
        assert max(Counter(item for one in taken for item in one.items).values(), default=0) <= 1


@dataclass
class World:
    """What is stored, and what was sent of it."""

    store: Store
    book: list[str] = field(default_factory=list)
    left: dict[str, set[str]] = field(default_factory=dict)


class Paused(Exception):  # noqa: N818 - no error: the actor goes on later
    """The actor has made all the steps that it may make now."""


@dataclass
class Replayed:
    """A store whose first steps are known; further ones are made only as far as the actor is let on.

    So a call of the product is begun again from its start, makes the steps that it made before without the store, and
    goes one step further: a coroutine for code that has none.
    """

    store: Store
    known: list[object] = field(default_factory=list)
    at: int = 0
    may: int = 0

    def _step(self, name: str, *given: object) -> object:
        if self.at < len(self.known):
            found = self.known[self.at]
        elif self.may:
            self.may -= 1
            try:
                found = getattr(self.store, name)(*given)
            except Exception as error:  # noqa: BLE001 - it is raised again each time
                found = error
            self.known.append(found)
        else:
            raise Paused
        self.at += 1
        if isinstance(found, Exception):
            raise found
        return found

    def create(self, key: str, data: bytes) -> str:
        return str(self._step("create", key, data))

    def create_from(self, key: str, pieces: Iterable[bytes]) -> str:
        return self.create(key, b"".join(pieces))

    def read(self, key: str) -> Record | None:
        found = self._step("read", key)
        assert found is None or isinstance(found, Record)
        return found

    def replace(self, key: str, data: bytes, etag: str) -> str:
        return str(self._step("replace", key, data, etag))

    def delete(self, key: str, etag: str | None = None) -> None:
        self._step("delete", key, etag)

    def list(self, prefix: str, after: str | None = None, limit: int = 1000) -> Page:
        found = self._step("list", prefix, after, limit)
        assert isinstance(found, Page)
        return found


@dataclass
class Retry:
    """A call that retries items: it takes them over, and starts its run, which sends them; it may die anywhere."""

    world: World
    mark: str
    wanted: frozenset[str]
    named: bool
    number: int
    store: Replayed = field(init=False)
    key: KeyRecord = field(init=False)
    is_over: bool = False

    def __post_init__(self) -> None:
        self.store = Replayed(self.world.store)
        run = f"20261123-{self.number:020}"
        self.key = KeyRecord(run=run, ticket="t", fingerprint=self.mark, created=clock.now())

    def step(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Go on by one step of the store."""
        if self.is_over:
            return
        self.store.at, self.store.may = 0, 1
        monkeypatch.setattr("shared.runs.idempotency.without_key", lambda _: self.key)
        try:
            self._all()
        except Paused:
            return
        except (HandedOn, RunOpen):
            pass
        self.is_over = True

    def _all(self) -> None:
        wanted = Wanted(SOURCE, sorted(self.wanted), self.named)
        started = creation.take_over(self.store, None, self.mark, wanted, self._prepare)
        if isinstance(started, StartedRun):
            self._start(started.spec)

    def _prepare(self, items: frozenset[str]) -> Make:
        def make(key: KeyRecord) -> tuple[RunSpec, list[RunItem] | None]:
            return spec_of(key), [RunItem(id=one, operation={"x": 1}) for one in sorted(items)]

        return make

    def _start(self, spec: RunSpec) -> None:
        start(self.store, self.world, spec.run)


def start(store: Store, world: World, run: str) -> None:
    """Start a recorded run, as `open_runs.start_recorded` does; its run sends once."""
    if handed_on.confirm(store, SOURCE, run) and run not in world.left:
        items = [item.id for item in records.all_run_items(world.store, run)]
        world.left[run] = set(items)
        world.book += items


@given(st.data())
def test_a1_to_a3_no_interleaving_of_retries_nights_and_deaths_sends_twice(data: st.DataObject) -> None:
    before, turned = clock._clock, TurnedClock()  # noqa: SLF001 - put back as it was
    clock.use(turned)
    try:
        with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
            world = World(SqliteStore(str(Path(folder) / "store.db")))
            _interleave(data, world, turned, monkeypatch)
            assert max(Counter(world.book).values(), default=0) <= 1
    finally:
        clock.use(before)


def _interleave(data: st.DataObject, world: World, turned: TurnedClock, monkeypatch: pytest.MonkeyPatch) -> None:
    actors: list[Retry] = []
    selections = st.frozensets(st.sampled_from(ITEMS), min_size=1)
    for number in range(data.draw(st.integers(5, examples(60)), label="steps")):
        match data.draw(st.sampled_from(["call", "step", "step", "step", "die", "pause", "tick"])):
            case "call" if len(actors) < 6:
                mark = data.draw(st.sampled_from("xy"))
                # The same request selects the same items.
                known = next((one for one in actors if one.mark == mark), None)
                wanted = known.wanted if known else data.draw(selections)
                named = known.named if known else data.draw(st.booleans())
                actors.append(Retry(world, mark, wanted, named, number))
            case "step" if actors:
                actor = data.draw(st.sampled_from(actors))
                for _ in range(data.draw(st.integers(1, 4))):
                    actor.step(monkeypatch)
            case "die" if actors:
                actors.remove(data.draw(st.sampled_from(actors)))
            case "pause":
                turned.turn(data.draw(st.sampled_from([1, 60, 901, 90_000])))
            case "tick":
                _tick(world)


def _tick(world: World) -> None:
    """Start what was recorded, and not started."""
    for key in world.store.list(records.OPEN).keys:
        run = key.removeprefix(records.OPEN)
        if records.known_spec(world.store, run):
            start(world.store, world, run)


@settings(max_examples=examples(700))
@given(st.lists(st.sampled_from(["a", "a", "a", "b", "b", "b", "pause", "tick"]), max_size=40))
@example(["a", "a", "pause", "b", "b", *["a"] * 8, *["b"] * 12])
def test_a1_two_calls_for_the_same_items_never_both_send(schedule: list[str]) -> None:
    """The narrow places: a call that was taken for dead comes back, or stores its run while it is given up."""
    before, turned = clock._clock, TurnedClock()  # noqa: SLF001 - put back as it was
    clock.use(turned)
    try:
        with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
            world = World(SqliteStore(str(Path(folder) / "store.db")))
            both = {name: Retry(world, name, frozenset("ab"), named=True, number=ord(name)) for name in "ab"}
            for step in schedule:
                if step == "pause":
                    turned.turn(901)
                elif step == "tick":
                    _tick(world)
                else:
                    both[step].step(monkeypatch)
            assert max(Counter(world.book).values(), default=0) <= 1
    finally:
        clock.use(before)


@pytest.mark.usefixtures("turned")
def test_items_of_a_call_that_died_are_free_again_after_a_while(tmp_path: Path, turned: TurnedClock) -> None:
    store = SqliteStore(str(tmp_path / "store.db"))
    key = KeyRecord(run="r1", ticket="t", fingerprint="x", created=clock.now())
    found = handed_on.look(store, SOURCE, ["a"], "x", named=True)
    assert isinstance(found, Take)
    assert handed_on.take(store, SOURCE, found, key)
    assert not handed_on.take(store, SOURCE, found, key)
    second = handed_on.look(store, SOURCE, ["a"], "y", named=True)
    assert isinstance(second, Follow)
    with pytest.raises(RunOpen):
        handed_on.free_again(store, SOURCE, second.handing)
    turned.turn(timedelta(minutes=15).total_seconds())
    handed_on.free_again(store, SOURCE, second.handing)
    assert isinstance(handed_on.look(store, SOURCE, ["a"], "y", named=True), Take)
    # The call that was taken for dead comes back: its run must not start.
    assert not handed_on.confirm(store, SOURCE, "r1")
