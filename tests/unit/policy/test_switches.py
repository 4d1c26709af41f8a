"""What people may change while runs are under way: the stop switch, the policy, and a run's cancelling."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from shared.core.problems import Cancelled, NotReady, PolicyChanged, Stopped
from shared.policy import document, switches
from shared.policy.cached_reader import CachedReader
from shared.policy.rules import Rules
from shared.policy.switches import refuse_stopped
from shared.storage.base import Record, Store
from shared.storage.sqlite import SqliteStore
from tests.conftest import ROOT, TurnedClock
from tests.unit.execution.simulated import SteppedStore, Steps

TWO = Rules.model_validate({"rules": [{"name": "a", "action": "deny"}, {"name": "b", "action": "allow", "cap": 2}]})


@pytest.fixture
def store(tmp_path: Path, turned: TurnedClock) -> Store:
    assert turned.slept == []
    return SqliteStore(str(tmp_path / "store.db"))


def refused(store: Store, target: str, run: str = "r1") -> str:
    """Return who stopped or cancelled it, and why; nothing if nobody has."""
    try:
        refuse_stopped(store.read, target, run)
    except (Stopped, Cancelled) as problem:
        return problem.detail
    return ""


def test_nothing_is_stopped_at_first(store: Store) -> None:
    assert switches.stops(store).stopped == {}
    assert refused(store, "fo") == ""


def test_a_target_is_stopped_until_it_is_resumed(store: Store, turned: TurnedClock) -> None:
    told = switches.stop(store, "fo", "Month's end.", "anna")
    assert refused(store, "fo") == "Stopped by anna: Month's end."
    assert refused(store, "other") == ""
    assert switches.stops(store) == told
    assert (told.stopped["fo"].actor, told.stopped["fo"].at) == ("anna", turned.now())
    assert switches.resume(store, "fo").stopped == {}
    assert refused(store, "fo") == ""


def test_everything_is_stopped_apart_from_each_target(store: Store) -> None:
    switches.stop(store, "fo", "Of fo.", "anna")
    switches.stop(store, None, "Of all.", "ben")
    assert (refused(store, "fo"), refused(store, "other")) == ("Stopped by ben: Of all.",) * 2
    switches.resume(store, None)
    assert (refused(store, "fo"), refused(store, "other")) == ("Stopped by anna: Of fo.", "")


def test_to_resume_a_target_does_not_resume_everything(store: Store) -> None:
    switches.stop(store, None, "Of all.", "ben")
    assert set(switches.resume(store, "fo").stopped) == {"*"}
    assert refused(store, "fo") != ""


def test_what_is_stopped_again_has_the_last_reason(store: Store) -> None:
    switches.stop(store, "fo", "First.", "anna")
    switches.stop(store, "fo", "Second.", "ben")
    assert refused(store, "fo") == "Stopped by ben: Second."


def test_to_resume_what_is_not_stopped_changes_nothing(store: Store) -> None:
    assert switches.resume(store, "fo").stopped == {}
    assert switches.resume(store, None).stopped == {}


def test_of_many_that_stop_and_resume_at_once_none_is_lost(store: Store) -> None:
    switches.stop(store, "resumed", "Before.", "anna")
    gate = threading.Barrier(9)

    def change(number: int) -> None:
        gate.wait(30)
        if number:
            switches.stop(store, f"t{number}", "At once.", "anna")
        else:
            switches.resume(store, "resumed")

    with ThreadPoolExecutor(9) as threads:
        list(threads.map(change, range(9)))
    assert set(switches.stops(store).stopped) == {f"t{number}" for number in range(1, 9)}


@pytest.mark.parametrize("first", [False, True])
def test_a_stop_between_the_steps_of_another_is_not_lost(store: Store, *, first: bool) -> None:
    if not first:
        switches.stop(store, "before", "Before.", "anna")

    def meddle() -> None:
        switches.stop(store, "between", "Between.", "ben")

    steps = Steps(at=2, do=meddle)
    told = switches.stop(SteppedStore(store, steps), "fo", "Meanwhile.", "anna")
    assert {"fo", "between"} <= set(told.stopped)
    assert switches.stops(store) == told


def test_a_cancelled_run_is_cancelled_alone(store: Store) -> None:
    switches.cancel(store, "r1", "No longer.", "anna")
    assert switches.is_cancelled(store, "r1")
    assert not switches.is_cancelled(store, "r2")
    assert "cancelled" in refused(store, "fo", "r1")
    assert refused(store, "fo", "r2") == ""


def test_to_cancel_twice_keeps_the_first_reason(store: Store) -> None:
    switches.cancel(store, "r1", "First.", "anna")
    before = store.read("runs/r1/halt")
    switches.cancel(store, "r1", "Second.", "ben")
    assert store.read("runs/r1/halt") == before
    assert before is not None
    assert json.loads(before.data)["reason"] == "First."


def test_what_is_stopped_and_cancelled_is_stopped(store: Store) -> None:
    switches.cancel(store, "r1", "No longer.", "anna")
    switches.stop(store, "fo", "Month's end.", "anna")
    with pytest.raises(Stopped):
        refuse_stopped(store.read, "fo", "r1")


def counting(store: Store) -> tuple[CachedReader, Steps]:
    steps = Steps()
    return CachedReader(SteppedStore(store, steps)), steps


def test_what_was_read_is_believed_for_half_a_second_and_no_longer(store: Store, turned: TurnedClock) -> None:
    watch, steps = counting(store)
    assert watch.read("control/stop") is None
    switches.stop(store, "fo", "Now.", "anna")
    turned.turn(0.499)
    assert watch.read("control/stop") is None
    assert steps.taken == 1
    turned.turn(0.001)
    found = watch.read("control/stop")
    assert found == store.read("control/stop")
    assert found is not None
    assert steps.taken == 2


def test_a_stop_takes_effect_within_half_a_second(store: Store, turned: TurnedClock) -> None:
    watch, _ = counting(store)
    refuse_stopped(watch.read, "fo", "r1")
    switches.stop(store, None, "Now.", "anna")
    turned.turn(0.5)
    with pytest.raises(Stopped):
        refuse_stopped(watch.read, "fo", "r1")


def test_each_record_is_believed_by_itself_and_reading_prolongs_nothing(store: Store, turned: TurnedClock) -> None:
    watch, steps = counting(store)
    for _ in range(10):
        watch.read("a")
        watch.read("b")
        turned.turn(0.1)
    assert steps.taken == 4


def test_a_clock_that_goes_back_makes_nothing_believed_for_longer(store: Store, turned: TurnedClock) -> None:
    watch, steps = counting(store)
    watch.read("a")
    turned.turn(-3600)
    watch.read("a")
    assert steps.taken == 2


def test_what_could_not_be_read_is_not_believed(store: Store) -> None:
    def fail() -> None:
        raise NotReady("The store is away.")

    steps = Steps(at=1, do=fail)
    watch = CachedReader(SteppedStore(store, steps))
    with pytest.raises(NotReady):
        watch.read("a")
    assert watch.read("a") is None
    assert steps.taken == 2


def test_threads_share_what_was_read(store: Store) -> None:
    watch, steps = counting(store)
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: watch.read("a"), range(200))) == {None}
    assert steps.taken == 1


def test_a_watch_forgets_what_it_believes_no_longer(store: Store, turned: TurnedClock) -> None:
    watch, _ = counting(store)
    for number in range(1000):
        watch.read(f"runs/{number}/cancel")
        turned.turn(0.1)
    assert len(watch._held) < 10  # noqa: SLF001 - its memory is the point


def policy_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None) -> None:
    file = tmp_path / "policy.json"
    if text is not None:
        file.write_text(text, "utf-8")
    monkeypatch.setattr(document, "_FIRST_POLICY", file)


def test_the_first_policy_is_that_of_the_deployed_file(store: Store) -> None:
    told = document.current_policy(store.read)
    deployed = Rules.model_validate(json.loads((ROOT / "policy.json").read_text("utf-8")))
    assert (told.version, told.actor, told.changed, told.rules) == (0, "deployment", None, deployed)


def test_a_file_of_rules_is_the_policy_until_somebody_changes_it(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy_file(tmp_path, monkeypatch, TWO.model_dump_json())
    assert document.current_policy(store.read).rules == TWO
    document.put_policy(store, Rules(), 0, "Away with it.", "anna")
    assert (document.current_policy(store.read).rules, document.current_policy(store.read).version) == (Rules(), 1)


def test_without_the_file_nothing_is_allowed(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No rules would mean that nothing is denied."""
    policy_file(tmp_path, monkeypatch, None)
    with pytest.raises(NotReady, match=r"policy\.json is missing"):
        document.current_policy(store.read)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"rules": [{}]}', '{"rule": []}', '{"rules": [], "rules": []}'])
def test_a_file_that_is_no_policy_is_not_ready(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    policy_file(tmp_path, monkeypatch, text)
    with pytest.raises(NotReady, match=r"policy\.json"):
        document.current_policy(store.read)


def test_a_policy_is_changed_from_the_version_that_was_seen(store: Store, turned: TurnedClock) -> None:
    first = document.put_policy(store, TWO, 0, "Begin.", "anna")
    turned.turn(60)
    second = document.put_policy(store, Rules(), 1, "Away.", "ben")
    assert (first.version, first.rules, first.reason, first.actor) == (1, TWO, "Begin.", "anna")
    assert (second.version, second.changed) == (2, turned.now())
    assert document.current_policy(store.read) == second


@pytest.mark.parametrize("version", [0, 2, 7])
def test_a_policy_is_not_changed_from_another_version(store: Store, version: int) -> None:
    first = document.put_policy(store, TWO, 0, "Begin.", "anna")
    with pytest.raises(PolicyChanged, match=f"version 1; .* version {version}"):
        document.put_policy(store, Rules(), version, "Away.", "ben")
    assert document.current_policy(store.read) == first


@pytest.mark.parametrize("version", [0, 1])
def test_of_two_that_change_the_policy_at_once_one_wins(store: Store, version: int) -> None:
    if version:
        document.put_policy(store, TWO, 0, "Begin.", "anna")

    def change() -> None:
        document.put_policy(store, TWO, version, "First.", "anna")

    steps = Steps(at=2, do=change)
    with pytest.raises(PolicyChanged):
        document.put_policy(SteppedStore(store, steps), Rules(), version, "Second.", "ben")
    told = document.current_policy(store.read)
    assert (told.version, told.reason) == (version + 1, "First.")


def test_of_many_that_change_the_policy_at_once_one_wins(store: Store) -> None:
    gate = threading.Barrier(8)

    def change(number: int) -> bool:
        gate.wait(30)
        try:
            document.put_policy(store, TWO, 0, "At once.", str(number))
        except PolicyChanged:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        won = [number for number, yes in enumerate(threads.map(change, range(8))) if yes]
    assert [document.current_policy(store.read).actor] == [str(number) for number in won]


def test_a_policy_that_is_watched_is_believed_as_any_record(store: Store, turned: TurnedClock) -> None:
    watch, _ = counting(store)
    assert document.current_policy(watch.read).version == 0
    document.put_policy(store, TWO, 0, "Begin.", "anna")
    assert document.current_policy(watch.read).version == 0
    turned.turn(0.5)
    assert document.current_policy(watch.read).version == 1


def test_members_of_a_newer_release_are_let_be() -> None:
    record = Record(b'{"v": 1, "stopped": {}, "more": 1}', "1")
    refuse_stopped(lambda key: record if key == "control/stop" else None, "fo", "r1")


def test_a_form_of_a_newer_release_is_not_guessed_at() -> None:
    record = Record(b'{"v": 2, "halted": {}}', "1")
    with pytest.raises(NotReady, match="newer release"):
        refuse_stopped(lambda key: record if key == "control/stop" else None, "fo", "r1")
