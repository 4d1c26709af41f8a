"""What needs a person: raised at the moment, counted, acknowledged, back again, and gone when it is settled."""

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local import generated_docs
from local.environment import ROOT
from shared.access.caller import KEY, Actor
from shared.api import needs_look
from shared.core import clock
from shared.core.outcome import Ending, Outcome, Recovery, RecoveryResult, planned
from shared.core.problems import (
    AccessDenied,
    AttemptsUsedUp,
    CauseStopped,
    CredentialsRefused,
    ItemProblem,
    OutcomeUnknown,
    PolicyDenied,
    Stopped,
    TargetUnreachable,
    Throttled,
    UnknownNeed,
)
from shared.core.schedule import Night
from shared.core.targets import Targets
from shared.policy.rules import Initiator
from shared.runs import handed_on, idempotency, known_later, records
from shared.runs.claims import Claim
from shared.runs.needs import book, facts, nights, raising
from shared.runs.needs import need as needs
from shared.runs.needs.facts import Facts
from shared.runs.needs.need import KINDS, Kind, Need
from shared.runs.needs.shown import NeedsPerson, next_step
from shared.runs.records import ItemResult, PartResult, RunItem
from shared.runs.report import Counts, Item, Run, State
from shared.runs.spec import RunSpec, Window
from shared.storage.base import Store
from shared.storage.sqlite import SqliteStore
from tests.conftest import TurnedClock

ANN = Actor("0a1b", "ann", proven=True)
NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
DONE = Outcome(ending=Ending.DONE, reason="done", sent=True)
UNKNOWN = Outcome.of(OutcomeUnknown("no answer"))


@pytest.fixture
def store(tmp_path: Path, turned: TurnedClock) -> Store:
    turned.time = NOW
    return SqliteStore(str(tmp_path / "store.db"))


def run_of(number: int = 1, **more: object) -> RunSpec:
    """Return the spec of a night's run, unless `more` says otherwise."""
    members: dict[str, object] = {
        "run": f"20261124-{number:020}",
        "ticket": "t",
        "function": "nightly_requeue",
        "system": "finance-operations",
        "shape": "items",
        "target": "fo",
        "origin": "timer",
        "actor": "nightly_requeue",
        "base": "",
        "created": clock.now(),
        "give_up": clock.now() + timedelta(hours=4),
        "by": Initiator.MACHINE,
        "sweep": Window(night=f"{clock.now():%Y-%m-%d}T02:00"),
    }
    return RunSpec.model_validate(members | more)


def part(*outcomes: Outcome, episode: str = "e1") -> PartResult:
    return PartResult(
        ended=[ItemResult(id=str(number), outcome=one, episode=episode) for number, one in enumerate(outcomes)]
    )


def ended(store: Store, spec: RunSpec, outcomes: Sequence[Outcome], state: State = State.ENDED) -> Run:
    """Write the spec and the report of a run, and return its report."""
    records.write_spec(store, spec, [])
    items = [Item.of(str(number), one) for number, one in enumerate(outcomes)]
    head = Run(
        id=spec.run,
        state=state,
        function=spec.function,
        system=spec.system,
        target=spec.target,
        origin=spec.origin,
        actor=spec.actor,
        created=spec.created,
        counts=Counts.of(items),
        expires=spec.created + timedelta(hours=24) if state is State.PLANNED else None,
    )
    records.write_report(store, head, items, "report")
    return head


def listed(store: Store, spec: RunSpec, *run_items: RunItem) -> None:
    records.write_spec(store, spec, run_items)
    raising.after_list(store, spec)


def kinds(store: Store) -> list[tuple[Kind, int]]:
    return [(need.kind, need.count) for need in book.current(store)]


def denied_item(name: str, job: str = "Post payroll", episode: str = "e1") -> RunItem:
    outcome = Outcome.of(PolicyDenied("No rule allows it."))
    return RunItem(id=name, operation={}, episode=episode, about={"job": job, "company": "USMF"}, outcome=outcome)


# The record


def a_need(kind: Kind = "unknown", **more: object) -> Need:
    members = {"id": needs.id_of("fo", kind, "r"), "kind": kind, "target": "fo", "system": "finance-operations"}
    return Need.model_validate({**members, "since": NOW, "last": NOW, "text": "t", "run": "r", "item": "i", **more})


@given(st.lists(st.one_of(st.just("acknowledge"), st.tuples(st.sampled_from("abcd"), st.booleans())), max_size=12))
def test_an_occurrence_counts_once_and_brings_back_what_was_acknowledged(
    events: list[str | tuple[str, bool]],
) -> None:
    need, seen, noted = a_need(marks=("first",)), {"first"}, False
    for place, event in enumerate(events):
        now = NOW + timedelta(minutes=place)
        if isinstance(event, str):
            need, noted = needs.acknowledged(need, KEY, "known", now), True
            continue
        mark, again = event
        need = needs.happened(need, a_need(last=now), mark, again=again)
        noted = noted and not (again and mark not in seen)
        seen.add(mark)
    assert (need.count, need.acknowledged is not None, need.since) == (len(seen), noted, NOW)


def test_what_is_known_is_told_as_it_is_now(store: Store) -> None:
    raising.off(store, {"fo": "TARGETS__FO__URL is missing"})
    (first,) = book.of_target(store, "fo")
    book.acknowledge(store, first.id, "known", KEY)
    raising.off(store, {"fo": "TARGETS__FO__URL is no URL"})
    (second,) = book.of_target(store, "fo")
    assert second.text == "The target is off: TARGETS__FO__URL is no URL. Correct its settings."
    assert (second.count, second.acknowledged is not None, second.since) == (1, True, first.since)


def test_an_id_is_stable_short_and_fits_into_a_url() -> None:
    one = needs.id_of("fo", "attempts-used-up", "ein Job / 5?")
    assert one == needs.id_of("fo", "attempts-used-up", "ein Job / 5?")
    assert one != needs.id_of("fo2", "attempts-used-up", "ein Job / 5?")
    assert re.fullmatch(r"[a-z0-9-]{1,64}", one)


@pytest.mark.parametrize("kind", KINDS)
def test_what_to_do_next_names_routes_that_exist(kind: Kind) -> None:
    routes = {(one.methods[0], re.sub(r"\{\W?\w+\}", "*", one.route)) for one in generated_docs.http_functions()}
    text = next_step(a_need(kind, run="r-1", item="i-1"))
    named = re.findall(r"(GET|POST|PUT|DELETE) ([a-z][\w/-]*)", text)
    named = [(method, path.replace("r-1", "*").replace("i-1", "*")) for method, path in named]
    native = {("POST", "opendatadsl/process-exec/v1")}
    assert named
    assert set(named) - native <= routes
    assert "None" not in text


def test_what_to_do_next_fits_what_happened() -> None:
    sweep, batches = (next_step(a_need("night-missing", system=one)) for one in ("camunda", "business-central"))
    assert 'POST sweeps with {"target": "fo", "reason": ...}' in sweep
    assert 'POST runs/{id}/retry with {"reason": ...}' in batches
    assert "retry" not in next_step(a_need("target-unusable", run=None))
    away, batches = (next_step(a_need("target-unusable", system=one)) for one in ("camunda", "business-central"))
    assert ("POST sweeps" in away, "POST sweeps" in batches) == (True, False)
    assert "POST camunda/job/retries" in next_step(a_need("attempts-used-up", system="camunda"))


def test_the_links_of_a_plan_lead_to_its_report_and_to_apply() -> None:
    shown = NeedsPerson.of(a_need("plan-waits", run="20261124-1"), "https://night.example")
    assert shown.links.self == "https://night.example/api/runs/20261124-1"
    assert shown.links.apply == "https://night.example/api/runs/20261124-1/apply"
    assert NeedsPerson.of(a_need("unknown"), "https://night.example").links.apply is None


# The rules

LATER = NOW + facts.KEPT
RULES: list[tuple[Kind, Facts, int]] = [
    ("plan-waits", Facts(NOW, waits=True), 3),
    ("plan-waits", Facts(NOW, waits=False), 0),
    ("plan-waits", Facts(NOW + timedelta(hours=24), waits=True), 0),
    ("attempts-used-up", Facts(LATER, in_a_row=5), 3),
    ("attempts-used-up", Facts(NOW, in_a_row=0), 0),
    ("cause-stopped", Facts(NOW), 3),
    ("cause-stopped", Facts(NOW, total=9, left=2), 2),
    ("cause-stopped", Facts(NOW, total=9, left=9), 3),
    ("cause-stopped", Facts(NOW, total=9, left=0), 0),
    ("cause-stopped", Facts(LATER, total=9, left=2), 0),
    ("cause-stopped", Facts(NOW, exists=False), 0),
    ("night-stopped", Facts(NOW, total=9, left=9), 9),
    ("night-stopped", Facts(NOW, total=9, left=0), 0),
    ("night-stopped", Facts(LATER, total=9, left=9), 0),
    ("unknown", Facts(LATER), 3),
    ("unknown", Facts(LATER, total=4, left=1), 1),
    ("unknown", Facts(NOW, total=4, left=0), 0),
    ("unknown", Facts(NOW, exists=False), 0),
    ("run-broken", Facts(LATER, total=4, left=1), 1),
    ("run-broken", Facts(NOW, total=4, left=0), 0),
    ("run-broken", Facts(NOW, total=0), 3),
    ("run-broken", Facts(LATER, total=0), 0),
    ("denied-and-failing", Facts(LATER, denied=7), 7),
    ("denied-and-failing", Facts(NOW, denied=0), 0),
    ("target-unusable", Facts(LATER), 3),
    ("target-unusable", Facts(NOW, exists=False), 0),
    *(
        (kind, Facts(at), left)
        for kind in ("night-missing", "batch-stuck", "event-storm", "notify-failed")
        for at, left in ((NOW, 3), (LATER, 0))
    ),
]


@pytest.mark.parametrize(("kind", "known", "left"), RULES)
def test_a_need_holds_as_long_as_its_facts_say(kind: Kind, known: Facts, left: int) -> None:
    assert facts.count_left(a_need(kind, count=3, expires=NOW + timedelta(hours=24)), known) == left


def test_each_kind_has_a_rule_for_when_it_is_over() -> None:
    assert {kind for kind, _, left in RULES if left} == {kind for kind, _, left in RULES if not left} == set(KINDS)


# The book


def test_a_need_is_listed_acknowledged_and_back_when_it_happens_again(store: Store, turned: TurnedClock) -> None:
    spec = run_of()
    raising.batch_stuck(store, spec, "b1")
    (need,) = book.current(store)
    turned.turn(60)
    noted = book.acknowledge(store, need.id, "we know", ANN)
    assert noted.acknowledged == needs.Acknowledgement(
        by="0a1b", byName="ann", at=NOW + timedelta(minutes=1), reason="we know"
    )
    raising.batch_stuck(store, spec, "b1")
    assert book.current(store) == [noted]
    raising.batch_stuck(store, run_of(2), "b1")
    (again,) = book.current(store)
    assert (again.count, again.acknowledged, again.since, again.last) == (2, None, NOW, clock.now())
    book.settle(store, "fo", "batch-stuck", "b1")
    assert book.current(store) == []
    with pytest.raises(UnknownNeed):
        book.acknowledge(store, need.id, "too late", ANN)


def test_the_most_urgent_come_first_and_then_the_newest(store: Store, turned: TurnedClock) -> None:
    spec = run_of()
    records.write_spec(store, spec, [])
    raising.after_part(store, store.read, spec, 0, part(UNKNOWN))
    for batch in ("b1", "b2"):
        turned.turn(1)
        raising.batch_stuck(store, spec, batch)
    # Its target is not in the settings of this test.
    raising.off(store, {"fo": "wrong"})
    found = [(need.kind, need.item) for need in book.current(store)]
    assert found == [("unknown", None), ("batch-stuck", "b2"), ("batch-stuck", "b1")]


def test_a_damaged_record_hides_no_other_need(store: Store) -> None:
    raising.batch_stuck(store, run_of(), "b1")
    store.create("needs/damaged", b"{}")
    raising.after_part(store, store.read, run_of(), 0, part(Outcome.of(AttemptsUsedUp("5 attempts"))))
    store.create(f"claims/fo/{hashlib.sha256(b'0').hexdigest()}", b"{}")
    assert kinds(store) == [("attempts-used-up", 1), ("batch-stuck", 1)]


# Each kind


def test_a_plan_waits_until_it_is_applied_or_has_expired(store: Store, turned: TurnedClock) -> None:
    for number in (1, 2):
        spec = run_of(number, mode="plan")
        raising.after_answer(store, spec, ended(store, spec, [planned(), planned(), DONE], State.PLANNED))
    (one, _) = book.current(store)
    assert (one.kind, one.count, one.expires) == ("plan-waits", 2, NOW + timedelta(hours=24))
    idempotency.claim_key(store, idempotency.apply_key(run_of(1).run), "mark", frees=idempotency.never)
    assert [need.run for need in book.current(store)] == [run_of(2).run]
    turned.turn(86_400)
    assert kinds(store) == []


@pytest.mark.parametrize("outcomes", [[], [Outcome.of(PolicyDenied("no"))]])
def test_a_plan_without_anything_to_apply_needs_nobody(store: Store, outcomes: list[Outcome]) -> None:
    spec = run_of(mode="plan")
    raising.after_answer(store, spec, ended(store, spec, outcomes, State.PLANNED))
    assert kinds(store) == []


def claimed(store: Store, item: str, run: str = "r1", outcome: Outcome = DONE) -> Claim:
    claim = Claim(store, "fo", item, run, timedelta(minutes=2))
    claim.take()
    claim.mark_sent("e1")
    claim.settle(outcome)
    return claim


def test_used_up_attempts_are_raised_when_the_part_has_ended_and_gone_when_it_recovered(store: Store) -> None:
    claim = claimed(store, "0")
    used_up = part(Outcome.of(AttemptsUsedUp("5 attempts in a row have failed.")))
    for run in (1, 2):
        # The same failure, seen by two nights: nothing has happened anew.
        raising.after_part(store, store.read, run_of(run), 0, used_up)
    raising.after_part(store, store.read, run_of(3, by=Initiator.HAND), 0, used_up)
    (need,) = book.current(store)
    assert (need.kind, need.item, need.count) == ("attempts-used-up", "0", 1)
    used_up = part(Outcome.of(AttemptsUsedUp("5 attempts in a row have failed.")), episode="e2")
    raising.after_part(store, store.read, run_of(4), 0, used_up)
    assert kinds(store) == [("attempts-used-up", 2)]
    claim.close(RecoveryResult(recovery=Recovery.RECOVERED))
    assert kinds(store) == []


def test_used_up_attempts_are_raised_when_a_night_has_listed_its_items(store: Store) -> None:
    claimed(store, "j")
    outcome = Outcome.of(AttemptsUsedUp("5 attempts in a row have failed."))
    listed(store, run_of(), RunItem(id="j", operation={}, episode="e1", about={"job": "Close"}, outcome=outcome))
    assert kinds(store) == [("attempts-used-up", 1)]
    # A card shows this text, and no item beside it.
    assert book.current(store)[0].text == "Close (j): 5 attempts in a row have failed."


def test_a_stopped_cause_is_gone_when_it_goes_on(store: Store) -> None:
    spec = run_of()
    records.write_spec(store, spec, None)
    raising.cause_stopped(store, spec, "database", "Stopped: 5 of 5.", 12)
    raising.cause_stopped(store, spec, "database", "Stopped: 5 of 5.", 12)
    raising.cause_stopped(store, spec, "", "Stopped: 3 of 3.", 0)
    assert kinds(store) == [("cause-stopped", 12)]
    raising.cause_went_on(store, spec, "database")
    assert kinds(store) == []


def hand_on(store: Store, spec: RunSpec, *items: str) -> None:
    handed_on.take_all(store, spec.run, items, idempotency.without_key("mark"))


def test_a_stopped_cause_is_gone_when_a_retry_took_its_items(store: Store) -> None:
    spec, left = run_of(), Outcome.of(CauseStopped("failed again"))
    raising.cause_stopped(store, spec, "database", "Stopped: 5 of 5.", 2)
    ended(store, spec, [left, left, DONE])
    assert kinds(store) == [("cause-stopped", 2)]
    hand_on(store, spec, "0", "1")
    assert kinds(store) == []


def test_a_later_night_takes_over_what_an_earlier_one_left_and_a_run_by_hand_is_left_alone(
    store: Store, turned: TurnedClock
) -> None:
    left = Outcome.of(CauseStopped("failed again"))
    by_hand = run_of(2, sweep=None, by=Initiator.HAND)
    for spec in (run_of(1), by_hand):
        ended(store, spec, [left])
        raising.cause_stopped(store, spec, "database", "Stopped: 5 of 5.", 1)
    turned.turn(86_400)
    failed = RunItem(id="fo", operation={}, outcome=Outcome.of(Throttled("busy")))
    listed(store, run_of(3), failed)
    assert len(book.current(store)) == 2
    listed(store, run_of(4))
    assert [need.run for need in book.current(store)] == [by_hand.run]


def test_a_night_that_was_stopped_says_what_it_left(store: Store) -> None:
    spec, stopped = run_of(), Outcome.of(Stopped("Stopped by key: wrong company"))
    raising.after_answer(store, spec, ended(store, spec, [DONE, stopped, stopped]))
    (need,) = book.current(store)
    assert (need.kind, need.count) == ("night-stopped", 2)
    assert "wrong company" in need.text
    hand_on(store, spec, "1")
    assert kinds(store) == [("night-stopped", 1)]


def test_unknown_items_are_counted_part_by_part_until_each_is_settled(store: Store) -> None:
    spec = run_of(sweep=None)
    records.write_spec(store, spec, [])
    for number in (0, 1, 1):
        raising.after_part(store, store.read, spec, number, part(UNKNOWN))
    assert kinds(store) == [("unknown", 2)]
    ended(store, spec, [UNKNOWN, UNKNOWN, UNKNOWN])
    assert kinds(store) == [("unknown", 3)]
    known_later.record(store, spec.run, {"0": Ending.DONE, "1": Ending.UNKNOWN})
    assert kinds(store) == [("unknown", 2)]
    # A look at the item shows it, too.
    claimed(store, "1", spec.run)
    known_later.record(store, spec.run, {"2": Ending.FAILED})
    assert kinds(store) == []


def test_a_run_that_broke_names_its_unknown_items_too(store: Store) -> None:
    spec, left = run_of(sweep=None), Outcome.of(Stopped("stopped"))
    raising.after_part(store, store.read, spec, 0, part(UNKNOWN))
    head = ended(store, spec, [UNKNOWN, left, DONE])
    raising.after_close(store, spec, head, "A defect.")
    assert kinds(store) == [("run-broken", 2)]
    known_later.record(store, spec.run, {"0": Ending.DONE})
    hand_on(store, spec, "1")
    assert kinds(store) == []


def test_what_the_policy_skips_three_nights_in_a_row_needs_a_person(store: Store, turned: TurnedClock) -> None:
    for night in range(3):
        assert kinds(store) == []
        # Another id and another failure each night: it is the same job.
        listed(store, run_of(night), denied_item(f"j{night}", episode=f"e{night}"), denied_item("k", episode="e"))
        turned.turn(86_400)
    (need,) = book.current(store)
    assert (need.kind, need.count, need.about) == ("denied-and-failing", 2, "Post payroll (USMF)")
    book.acknowledge(store, need.id, "leave it", ANN)
    listed(store, run_of(3), denied_item("j2", episode="e2"), denied_item("k", episode="e"))
    assert book.current(store)[0].acknowledged
    turned.turn(86_400)
    listed(store, run_of(4), denied_item("k", episode="new"))
    assert [(one.item, one.acknowledged) for one in book.current(store)] == [("k", None)]
    turned.turn(86_400)
    listed(store, run_of(5))
    assert kinds(store) == []


def test_two_windows_of_a_date_are_one_night(store: Store, turned: TurnedClock) -> None:
    for number in range(4):
        listed(store, run_of(number), denied_item("j", episode=f"e{number}"))
        turned.turn(43_200)
    assert kinds(store) == []


@pytest.fixture
def in_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "facts_of", lambda _store, _need: Facts(clock.now()))
    monkeypatch.setattr(book, "facts_of", lambda _store, _need: Facts(clock.now()))


@pytest.mark.usefixtures("in_settings")
def test_many_runs_count_up_that_a_target_cannot_be_used_and_one_that_works_settles_it(store: Store) -> None:
    no_token = Outcome.of(CredentialsRefused("invalid_client"))
    for run in (1, 2, 3, 3):
        raising.after_part(store, store.read, run_of(run, sweep=None), 0, part(no_token))
    (need,) = book.current(store)
    assert (need.kind, need.target, need.count) == ("target-unusable", "fo", 3)
    book.acknowledge(store, need.id, "the secret is being renewed", ANN)
    raising.after_part(store, store.read, run_of(4, sweep=None), 0, part(no_token))
    raising.probed(store, "fo", "finance-operations", CredentialsRefused("invalid_client"))
    assert [(one.count, one.acknowledged is None) for one in book.current(store)] == [(5, False)]
    raising.after_part(store, store.read, run_of(5), 0, part(no_token))
    assert [(one.count, one.acknowledged) for one in book.current(store)] == [(6, None)]
    raising.after_part(store, store.read, run_of(6), 0, part(DONE, no_token))
    assert kinds(store) == []


def test_a_target_that_was_off_needs_nobody_once_it_is_on(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"TARGETS__FO__SYSTEM": "finance-operations", "TARGETS__FO__AUTH": "managed-identity"}
    monkeypatch.setattr(facts, "app_targets", lambda: Targets(settings))
    raising.off(store, {"fo": "no URL"})
    assert kinds(store) == [("target-unusable", 1)]
    settings["TARGETS__FO__URL"] = "https://contoso.operations.dynamics.com"
    assert kinds(store) == []


@pytest.mark.usefixtures("in_settings")
def test_a_target_that_can_be_read_may_still_refuse_changes(store: Store) -> None:
    raising.after_part(store, store.read, run_of(sweep=None), 0, part(Outcome.of(AccessDenied("403"))))
    raising.probed(store, "fo", "finance-operations", TargetUnreachable("for a moment"))
    raising.probed(store, "fo", "finance-operations", None)
    listed(store, run_of(2))
    assert [(one.kind, one.count, one.run) for one in book.current(store)] == [("target-unusable", 2, run_of().run)]
    raising.after_part(store, store.read, run_of(3), 0, part(DONE))
    assert kinds(store) == []


@pytest.mark.usefixtures("in_settings")
@pytest.mark.parametrize(
    ("problem", "tries", "raised"),
    [
        (TargetUnreachable("no"), 1, False),
        (TargetUnreachable("no"), 2, True),
        (Throttled("busy"), 9, False),
        (None, 9, False),
    ],
)
def test_a_run_that_waits_for_its_target_says_so_after_three_tries(
    store: Store, problem: ItemProblem | None, tries: int, *, raised: bool
) -> None:
    raising.after_wait(store, run_of(), problem, tries)
    assert kinds(store) == ([("target-unusable", 1)] if raised else [])
    raising.probed(store, "fo", "finance-operations", None)
    assert kinds(store) == []


@pytest.mark.usefixtures("in_settings")
def test_a_night_that_cannot_list_its_items_says_so(store: Store) -> None:
    listed(store, run_of(), RunItem(id="fo", operation={}, outcome=Outcome.of(TargetUnreachable("no connection"))))
    (need,) = book.current(store)
    assert (need.kind, need.run) == ("target-unusable", run_of().run)
    listed(store, run_of(2))
    assert kinds(store) == []


def test_a_storm_that_goes_on_is_one_storm(store: Store, turned: TurnedClock) -> None:
    def storm() -> None:
        begun = clock.now()
        raising.event_storm(store, "fo", "finance-operations", "More than 50.", begun, begun - timedelta(minutes=10))

    storm()
    turned.turn(600)
    storm()
    assert kinds(store) == [("event-storm", 1)]
    turned.turn(1200)
    storm()
    storm()
    assert kinds(store) == [("event-storm", 2)]
    listed(store, run_of())
    assert kinds(store) == []


NIGHT = Night("2026-11-24T02:00", NOW, NOW + timedelta(hours=4))


@pytest.mark.parametrize(
    ("minutes", "quiet", "known", "missing"),
    [
        (19, False, 60, False),
        (20, False, 60, True),
        (20, True, 60, False),
        (240, True, 60, True),
        # The app, the target or its schedule is new.
        (900, False, -1, False),
        (900, False, 0, True),
    ],
)
def test_a_night_is_missing_once_it_should_have_begun(minutes: int, known: int, *, quiet: bool, missing: bool) -> None:
    now, since = NOW + timedelta(minutes=minutes), NOW - timedelta(minutes=known)
    assert nights.is_missing(NIGHT, since, quiet=quiet, now=now) is missing


def test_nights_are_expected_since_their_schedule_is_known(store: Store, turned: TurnedClock) -> None:
    assert nights.expected_since(store, "fo", "02:00") == NOW
    turned.turn(60)
    assert nights.expected_since(store, "fo", "02:00") == NOW
    assert nights.expected_since(store, "fo", "03:00") == NOW + timedelta(minutes=1)


def test_the_nights_that_are_expected_are_those_of_the_timers() -> None:
    source = (ROOT / "function_app.py").read_text(encoding="utf-8")
    sweeps, retries = (
        dict(re.findall(rf'start_{kind}\("([\w-]+)", "(\w+)"', source)) for kind in ("sweeps", "retries")
    )
    assert (sweeps, retries) == (needs_look.SWEEPS, needs_look.RETRIES)


# What can't be read

DAMAGED = [b"{", a_need().data().replace(b'"unknown"', b'"of-a-later-release"')]


@pytest.mark.parametrize("data", DAMAGED)
def test_a_need_that_cannot_be_read_breaks_no_night_and_hides_no_other(store: Store, data: bytes) -> None:
    store.create("needs/0-damaged", data)
    raising.event_storm(store, "fo", "finance-operations", "Many.", NOW, NOW)
    assert kinds(store) == [("event-storm", 1)]
    # The night has taken over what the storm left.
    listed(store, run_of(1), denied_item("1"))
    assert kinds(store) == []


@pytest.mark.parametrize("data", DAMAGED)
def test_a_need_that_cannot_be_read_is_raised_anew(store: Store, data: bytes) -> None:
    spec = run_of(1)
    store.create(f"needs/{needs.id_of(spec.target, 'unknown', spec.run)}", data)
    records.write_spec(store, spec, [])
    raising.after_part(store, store.read, spec, 0, part(UNKNOWN))
    assert kinds(store) == [("unknown", 1)]


def test_what_cannot_be_told_is_logged_and_the_run_goes_on(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    spec = run_of(1)
    records.write_spec(store, spec, [denied_item("1")])
    store.delete(f"runs/{spec.run}/manifest")
    store.create(f"runs/{spec.run}/manifest", b"{")
    raising.after_list(store, spec)
    assert [one.getMessage() for one in caplog.records] == [f"step-failed step=after_list target=fo run={spec.run}"]
