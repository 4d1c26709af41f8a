"""Careful waves: the pure decisions, and a run that follows them in a world of its own."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.core import clock
from shared.core.outcome import Ending, Outcome, Recovery, RecoveryResult
from shared.core.problems import AttemptsUsedUp
from shared.recovery import watch, waves
from shared.recovery.progress import Progress
from shared.recovery.progress import read as read_progress
from shared.recovery.watch import RecoverySource, Step
from shared.recovery.waves import Candidate, CauseState, CauseView
from shared.runs import records, wave_record
from shared.runs.needs import book
from shared.runs.records import ItemResult, PartResult, RunItem
from shared.runs.spec import RunSpec
from shared.storage.sqlite import SqliteStore
from tests.conftest import TurnedClock

NOW = datetime.fromisoformat("2026-11-24T02:00:00Z")
RUN = "20261124-00000000000000000000"
RECOVERIES = st.lists(st.sampled_from([None, *Recovery]), max_size=30)
CAP = 5


def out(size: int = 5, **more: object) -> CauseState:
    return CauseState.model_validate({"size": size, "wave": 1, "sent": NOW, **more})


@given(RECOVERIES, st.integers(0, 3600), st.integers(1, 2000))
def test_a_wave_is_judged_by_what_has_ended(recoveries: list[Recovery | None], seconds: int, size: int) -> None:
    good, bad = (recoveries.count(one) for one in (Recovery.RECOVERED, Recovery.FAILED_AGAIN))
    settled = None not in recoveries or (good + bad and seconds >= 600)
    now = NOW + timedelta(seconds=seconds)
    after, text = waves.judged(out(size), CauseView(recoveries), now)
    if not settled:
        assert (after, text) == (out(size), None)
    elif good + bad and bad * 2 >= good + bad:
        assert (after.wave, after.stopped) == (None, now)
        assert text
    else:
        assert (after.wave, after.stopped, after.size) == (None, None, size * 4 if good else size)
        assert text is None


@given(RECOVERIES, st.integers(0, 1799))
def test_a_probe_goes_on_only_where_it_recovered(recoveries: list[Recovery | None], seconds: int) -> None:
    good, bad = (recoveries.count(one) for one in (Recovery.RECOVERED, Recovery.FAILED_AGAIN))
    settled = None not in recoveries or (good + bad and seconds >= 600)
    after, text = waves.judged(out(5, stopped=NOW), CauseView(recoveries), NOW + timedelta(seconds=seconds))
    assert (after.wave is None) == bool(settled)
    assert (after.stopped is None) == bool(settled and good > bad) == bool(text)
    assert after.size == 5


@given(st.integers(0, 9), st.integers(0, 9))
def test_f4_where_the_history_is_hidden_what_is_gone_has_not_failed(gone: int, bad: int) -> None:
    seen = CauseView([Recovery.GONE] * gone + [Recovery.FAILED_AGAIN] * bad, hidden=gone)
    after, text = waves.judged(out(5), seen, NOW)
    assert (after.stopped is not None) == bool(gone + bad and bad * 2 >= gone + bad)
    if after.stopped is None:
        assert (after.size, text) == (20 if gone else 5, None)
    after, text = waves.judged(out(5, stopped=NOW), seen, NOW)
    assert (after.stopped is None) == (gone > bad)
    assert ("can't be read" in str(text)) == (gone > bad)


@given(st.lists(st.integers(0, 6)), st.integers(1, 40))
def test_a_wave_is_spread_over_as_many_groups_as_there_are(groups: list[int], size: int) -> None:
    candidates = [Candidate(str(place), "", (str(group),)) for place, group in enumerate(groups)]
    chosen = waves.spread(candidates, Counter(), size)
    assert len(chosen) == len(set(chosen)) == min(size, len(groups))
    assert len({one.group for one in chosen}) == min(size, len(set(groups)))
    tried = Counter(one.group for one in chosen)
    rest = [one for one in candidates if one not in chosen]
    # Nobody comes second while a group that has somebody left was not tried at all.
    assert all(tried[one.group] >= max(tried.values()) - 1 for one in rest)


def test_only_a_probe_or_a_mended_cause_takes_what_failed_again() -> None:
    again = [Candidate(str(number), "") for number in range(7)]
    assert waves.wave(CauseState(), [], again, Counter()) == []
    assert waves.wave(CauseState(stopped=NOW), [], again, Counter()) == again[:1]
    assert waves.wave(CauseState(went_on=True), [], again, Counter()) == again[:5]
    assert waves.wave(CauseState(stopped=NOW), again[3:], again[:2], Counter()) == again[3:4]


@dataclass
class World:
    """Items that fail while their cause is broken, and a run that tries them as careful waves want.

    `mended` is when each cause was mended, by its name; `takes` is how many seconds an execution takes.
    """

    turned: TurnedClock
    store: SqliteStore
    items: dict[str, Candidate]
    mended: dict[str, datetime] = field(default_factory=dict)
    takes: float = 150
    gone: set[str] = field(default_factory=set)
    slow: set[str] = field(default_factory=set)
    executions: list[tuple[datetime, str, int]] = field(default_factory=list)
    attempts: Counter[str] = field(default_factory=Counter)
    recovered: dict[str, datetime] = field(default_factory=dict)
    most_steps: int = 900

    def of(self, spec: RunSpec, progress: Progress) -> Iterable[tuple[str, RecoveryResult]]:
        """Tell what became of the open items."""
        waiting = progress.open_items
        episodes = {item: one.episode for item, one in waiting.items()}
        return self.became(spec, episodes, min(one.sent for one in waiting.values()))

    def run(self, hours: float) -> Progress:
        """Carry the run out from its first step to its end, as the orchestrator does."""
        spec = self._order(hours)
        tasks = [RunItem(id=one, operation={}, episode="old") for one in self.items]
        records.write_spec(self.store, spec, tasks)
        tries = 0
        for turn in count():
            assert turn < self.most_steps
            step = Step(f"{turn:06}", tries, cancelled=False, answered=False)
            told = watch.step(self.store, spec, step, RecoverySource(self.of, lambda _, task: self.items[task.id]))
            if "over" in told:
                return read_progress(self.store, RUN)[0]
            if "wait" in told:
                self.turned.turn(told["wait"])
                tries += 1
            else:
                self._send(told["wave"])
                tries = 0
        raise AssertionError("it never ended")

    def became(
        self, spec: RunSpec, watched: Mapping[str, str | None], since: datetime
    ) -> Iterable[tuple[str, RecoveryResult]]:
        assert since <= self.turned.now()
        assert spec.run == RUN
        sent = {item: begun for begun, item, _ in self.executions}
        for item in watched:
            end = sent[item] + timedelta(seconds=self.takes)
            if item in self.slow:
                yield item, RecoveryResult()
            elif item in self.gone:
                yield item, RecoveryResult(recovery=Recovery.GONE, reason="gone")
            elif end > self.turned.now():
                yield item, RecoveryResult()
            elif end >= self.mended.get(self.items[item].cause, datetime.max.replace(tzinfo=end.tzinfo)):
                self.recovered.setdefault(item, end)
                yield item, RecoveryResult(recovery=Recovery.RECOVERED, reason="well")
            else:
                yield item, RecoveryResult(recovery=Recovery.FAILED_AGAIN, reason="again")

    def _send(self, number: int) -> None:
        [wave] = [one for one in read_progress(self.store, RUN)[0].sent if one.number == number]
        tasks = list(wave_record.items_of(self.store, RUN, wave))
        for place, part in enumerate(wave.parts):
            some = tasks[place * wave.size :][: wave.size]
            records.write_part(self.store, RUN, part, PartResult(ended=[self._sent(task.id, number) for task in some]))

    def _sent(self, item: str, number: int) -> ItemResult:
        if self.attempts[item] >= CAP:
            return ItemResult(id=item, outcome=Outcome.of(AttemptsUsedUp("too often")))
        self.attempts[item] += 1
        self.executions.append((self.turned.now(), item, number))
        return ItemResult(id=item, outcome=Outcome(ending=Ending.DONE, reason="done", sent=True), episode="old")

    def _order(self, hours: float) -> RunSpec:
        now = self.turned.now()
        until = now + timedelta(hours=hours)
        told = {
            "run": RUN,
            "ticket": "t",
            "function": "nightly_requeue",
            "system": "finance-operations",
            "shape": "items",
        }
        told |= {"shape": "items", "target": "fo", "origin": "timer", "actor": "timer", "base": ""}
        return RunSpec.model_validate(
            {**told, "created": now, "give_up": until, "waves_until": until, "waves": "careful"}
        )


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(str(tmp_path / "store.db"))


def alike(number: int, groups: int = 1, cause: str = "") -> dict[str, Candidate]:
    return {f"{cause}{one}": Candidate(f"{cause}{one}", cause, (str(one % groups),)) for one in range(number)}


@pytest.mark.parametrize("groups", [1, 500])
def test_what_is_broken_for_all_costs_five_executions_and_one_a_probe(
    turned: TurnedClock, store: SqliteStore, groups: int
) -> None:
    world = World(turned, store, alike(4000, groups))
    began = turned.now()
    progress = world.run(hours=4)
    probes = len(world.executions) - 5
    assert 5 <= probes <= 8
    times = [when for when, _, _ in world.executions[4:]]
    assert min(later - former for former, later in pairwise(times)) >= waves.PROBE
    assert len({world.items[item].group for _, item, _ in world.executions[:5]}) == min(groups, 5)
    assert watch.rest_of(progress, "").problem == "cause-stopped"
    assert progress.left == {"": 4000 - len(world.executions)}
    assert turned.now() - began <= timedelta(hours=4, minutes=1)
    assert progress.notes[0].text.startswith("Stopped")


@pytest.mark.slow
@settings(max_examples=6)
@given(minutes=st.integers(1, 180))
def test_once_it_is_mended_all_recover_within_two_hours(tmp_path_factory: pytest.TempPathFactory, minutes: int) -> None:
    turned = TurnedClock()
    before = clock._clock  # noqa: SLF001 - put back as it was
    clock.use(turned)
    try:
        store = SqliteStore(str(tmp_path_factory.mktemp("world") / "store.db"))
        mended = turned.now() + timedelta(minutes=minutes)
        world = World(turned, store, alike(4000, 500), {"": mended})
        progress = world.run(hours=6)
    finally:
        clock.use(before)
    assert len(world.recovered) == 4000
    assert max(world.recovered.values()) - mended <= timedelta(hours=2)
    assert not any(progress.left.values())
    stops = [note for note in progress.notes if note.text.startswith("Stopped")]
    assert len(stops) == len(progress.notes) - len(stops)


def test_each_cause_goes_by_itself(turned: TurnedClock, store: SqliteStore) -> None:
    items = {**alike(300, cause="broken"), **alike(300, cause="mended")}
    world = World(turned, store, items, {"mended": turned.now()})
    progress = world.run(hours=2)
    tried = Counter(world.items[item].cause for _, item, _ in world.executions)
    assert tried["mended"] == 300
    assert tried["broken"] <= 5 + 4
    assert {note.cause for note in progress.notes} == {"broken"}


def test_f6_two_causes_that_stop_in_one_wave_have_two_notes(turned: TurnedClock, store: SqliteStore) -> None:
    items = {**alike(50, cause="no mail"), **alike(50, cause="no disk")}
    progress = World(turned, store, items).run(hours=1)
    stops = [note for note in progress.notes if note.text.startswith("Stopped")]
    assert {note.cause for note in stops} == {"no mail", "no disk"}
    assert len({note.at for note in stops}) == 1


def test_a_cause_that_stops_needs_a_person_from_that_step_on(turned: TurnedClock, store: SqliteStore) -> None:
    items = {**alike(50, cause="no mail"), **alike(50, cause="no disk")}
    began = turned.now()
    World(turned, store, items, {"no mail": began + timedelta(hours=1)}).run(hours=6)
    # One goes on once it is mended; the other stays.
    (need,) = book.current(store)
    assert (need.kind, need.about, need.count) == ("cause-stopped", f"{RUN}\nno disk", 50)
    assert need.text.startswith("Stopped: 5 of the 5")
    assert need.since - began <= timedelta(minutes=15)


def test_a_delivery_that_died_before_it_told_is_told_by_the_next(turned: TurnedClock, store: SqliteStore) -> None:
    World(turned, store, alike(50)).run(hours=1)
    book.settle_all(store, book.current(store))
    progress, _ = read_progress(store, RUN)
    turn, _, tries = progress.step.partition("-")
    step = Step(f"{turn}-{tries}", 0, cancelled=False, answered=False)
    watch.step(store, records.read_spec(store, RUN), step, RecoverySource(lambda *_: (), lambda *_: Candidate("", "")))
    assert [need.kind for need in book.current(store)] == ["cause-stopped"]


def test_a_single_job_that_fails_every_time_gets_no_more_than_its_attempts(
    turned: TurnedClock, store: SqliteStore
) -> None:
    world = World(turned, store, alike(1))
    progress = world.run(hours=12)
    assert len(world.executions) == CAP
    assert progress.watched["0"].became.recovery is Recovery.FAILED_AGAIN


def test_long_runners_are_waited_for_before_more_are_tried(turned: TurnedClock, store: SqliteStore) -> None:
    world = World(turned, store, alike(100), takes=3 * 3600)
    world.run(hours=4)
    assert len(world.executions) == 5 + 1


def test_what_is_gone_counts_for_neither_side(turned: TurnedClock, store: SqliteStore) -> None:
    items = alike(40)
    world = World(turned, store, items, {"": turned.now()}, gone={str(one) for one in range(12)})
    world.run(hours=4)
    sizes = Counter(number for _, _, number in world.executions)
    assert [sizes[number] for number in sorted(sizes)] == [5, 5, 5, 20, 5]


def test_a_step_that_comes_twice_answers_the_same(turned: TurnedClock, store: SqliteStore) -> None:
    world = World(turned, store, alike(30))
    spec = world._order(4)  # noqa: SLF001 - the test's own
    records.write_spec(store, spec, [RunItem(id=one, operation={}) for one in world.items])
    ways = RecoverySource(world.of, lambda _, task: world.items[task.id])
    step = Step("000000", 0, cancelled=False, answered=False)
    first, again = (watch.step(store, spec, step, ways) for _ in range(2))
    assert first == again
    assert [wave.number for wave in read_progress(store, RUN)[0].sent] == [1]


def test_a_wave_whose_answer_got_lost_goes_out_all_the_same(turned: TurnedClock, store: SqliteStore) -> None:
    """The step was written, but who asked never heard: asked again, it names the same wave."""
    world = World(turned, store, alike(12))
    spec = world._order(4)  # noqa: SLF001 - the test's own
    records.write_spec(store, spec, [RunItem(id=one, operation={}) for one in world.items])
    ways = RecoverySource(world.of, lambda _, task: world.items[task.id])
    first = watch.step(store, spec, Step("000000-000000", 0, cancelled=False, answered=False), ways)
    again = watch.step(store, spec, Step("000000-000001", 1, cancelled=False, answered=False), ways)
    assert first == again
    assert read_progress(store, RUN)[0].left == {"": 7}


def test_a_probe_that_runs_on_and_on_does_not_end_the_probing(turned: TurnedClock, store: SqliteStore) -> None:
    world = World(turned, store, alike(50))
    world.slow = {"5"}
    world.run(hours=4)
    assert len(world.executions) >= 5 + 5
