"""A night in sentences: what ran, what recovered, what failed, what did not run, and what needs a person."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.outcome import Ending, Recovery
from shared.core.problems import catalogue
from shared.reports.night import (
    NightAnswer,
    NightEvents,
    NightPerson,
    NightState,
    NightTarget,
    Reason,
    reasons_of,
    state_of,
    summed,
    totals_of,
)
from shared.reports.night_words import is_bad, line, sentences
from shared.runs.report import About, Counts, Item, Links, State, Wait

BEGIN, UNTIL = datetime(2026, 11, 27, 2, tzinfo=UTC), datetime(2026, 11, 27, 6, tzinfo=UTC)
NO_CAUSE = "the system tells no cause"
AGAIN = "The next night tries again what failed again; once its attempts are used up, it needs a person."
NOTHING = "Nothing needs a person."


def counts(**numbers: int) -> Counts:
    """Return counts by the names of outcomes and recoveries."""
    outcome = {one: numbers.get(one, 0) for one in Ending}
    return Counts(items=sum(outcome.values()), outcome=outcome, recovery={one: numbers.get(one, 0) for one in Recovery})


def target(name: str = "fo", state: str = "ended", told: Counts | None = None, **more: Any) -> NightTarget:  # noqa: ANN401 - the members of a target
    known = {"target": name, "system": "finance-operations", "night": "2026-11-27T02:00", "state": state}
    ran = {"run": f"run-{name}", "mode": "apply", "counts": told or counts()}
    return NightTarget.model_validate({**known, **({} if "reason" in more else ran), **more})


def told(*targets: NightTarget, state: NightState = "over", **more: Any) -> list[str]:  # noqa: ANN401 - the members of a night
    answer = {"night": "2026-11-27", "begin": BEGIN, "until": UNTIL, "state": state, "needsPerson": 0, "people": []}
    known = {
        "targets": targets,
        "totals": totals_of(targets),
        "events": NightEvents(runs=0, counts=counts(), complete=True),
    }
    return sentences(NightAnswer.model_validate({**answer, **known, **more}))


def test_a_night_in_which_all_is_well() -> None:
    assert told(target(told=counts(done=12, recovered=12))) == [
        "fo ran.",
        "12 items were sent, and all recovered.",
        "Nothing failed.",
        NOTHING,
    ]


def test_one_item_is_told_as_one() -> None:
    assert told(target(told=counts(done=1, recovered=1)))[1] == "1 item was sent, and it recovered."
    assert told(target(told=counts(done=1, failed_again=1)))[1] == "1 item was sent: 1 failed again."
    # While a run goes on, its recoveries are known before its outcomes.
    assert told(target(told=counts(failed_again=1)))[1] == "1 item was sent: 1 failed again."
    assert told(target(told=counts(skipped=1)))[1:3] == [
        "Nothing was sent.",
        "1 item was left alone, by the policy or by its state.",
    ]


def test_what_failed_is_told_with_its_reason_for_each_target() -> None:
    why = [
        Reason(outcome=Ending.DONE, recovery=Recovery.FAILED_AGAIN, type=None, reason="It failed again at 3.", count=2),
        Reason(outcome=Ending.NOT_ATTEMPTED, type="cause-stopped", reason="The cause stopped.", count=1),
    ]
    bad = target("fo", told=counts(done=3, recovered=1, failed_again=2, not_attempted=1), failed=why)
    assert told(bad, target("camunda", told=counts(done=1, recovered=1))) == [
        "All 2 targets ran: camunda, fo.",
        "4 items were sent: 2 recovered, 2 failed again.",
        f"fo: 2 failed again (such as: It failed again at 3; {NO_CAUSE}). 1 not attempted (The cause stopped).",
        AGAIN,
        NOTHING,
    ]


def test_what_failed_is_told_by_name_and_with_the_cause_that_the_system_tells() -> None:
    items = [
        Item(id=f"{number}", outcome=Ending.DONE, recovery=Recovery.FAILED_AGAIN, reason="Sent.", about=about)
        for number, about in enumerate([About(job="Invoices", cause="SMTP is away"), *[About(job="Closing")] * 3])
    ]
    said = told(target(told=counts(done=4, failed_again=4), failed=reasons_of(items)))
    assert said[2] == "fo: 4 failed again: Invoices (0), Closing (1), Closing (2) and 1 more (such as: SMTP is away)."
    without = reasons_of([items[1].model_copy(update={"recoveryReason": "It failed again at 3."})])
    assert told(target(told=counts(done=1, failed_again=1), failed=without))[2] == (
        "fo: 1 failed again: Closing (1) (It failed again at 3; the system tells no cause)."
    )


def test_a_night_that_could_not_list_its_failures_says_so() -> None:
    item = Item(id="fo", outcome=Ending.FAILED, reason="Target fo returned 401.")
    assert told(target(told=counts(failed=1), failed=reasons_of([item])))[2] == (
        "fo: its failures could not be listed (Target fo returned 401)."
    )


def test_an_operation_is_named_without_its_query() -> None:
    item = Item(id="1", outcome=Ending.FAILED, reason="Down.", about=About(operation="GET items?$filter=a eq 1"))
    assert reasons_of([item])[0].items[0].name == "GET items"


def test_without_items_what_failed_is_told_by_its_counts() -> None:
    assert (
        told(target(told=counts(done=2, failed_again=1, recovered=1, unknown=3)))[2] == "fo: 3 unknown, 1 failed again."
    )


def test_more_reasons_than_are_told_are_counted() -> None:
    some = [Reason(outcome=Ending.FAILED, type=f"t{n}", reason="Down.", count=1) for n in range(5)]
    assert told(target(told=counts(failed=5), failed=some))[2].endswith("And 2 more.")


def test_a_plan_waits_for_a_person() -> None:
    plan = target(state=State.PLANNED, mode="plan", told=counts(planned=40, skipped=2), expires=UNTIL)
    assert told(plan, needsPerson=1) == [
        "fo ran.",
        "fo: a plan of 40 items was made, and nothing was sent. It can be applied until 2026-11-27 06:00 UTC.",
        "2 items were left alone, by the policy or by their state.",
        "1 thing needs a person; see GET needs-person.",
    ]
    empty = target(state=State.PLANNED, mode="plan", told=counts())
    assert told(empty)[1] == "fo: the plan has nothing to apply."
    # What can't be read is no empty plan.
    assert "nothing to apply" not in " ".join(told(target(state=State.PLANNED, mode="plan", told=counts(failed=1))))


@pytest.mark.parametrize("state", [State.RUNNING, State.WAITING])
def test_a_run_that_does_not_know_its_items_yet_is_not_called_well(state: State) -> None:
    begun = target(state=state)
    assert told(begun, state="going on") == [
        "The night is going on.",
        "fo ran.",
        "Nothing was sent.",
        "fo has not listed its failures yet.",
        NOTHING,
    ]
    assert line("going on", [begun], 0) == "1 of 1 target ran; fo has not listed its failures yet."
    waits = target(state=state, waits=Wait(reason="The target can't be reached.", until=UNTIL))
    assert line("going on", [waits], 0) == "1 of 1 target ran; fo waits: The target can't be reached."
    assert [one for one in told(waits, state="going on") if "fo waits" in one or "fail" in one] == [
        "fo waits: The target can't be reached. Until 2026-11-27 06:00 UTC."
    ]
    listed = target("camunda", told=counts(done=1, recovered=1))
    both = line("going on", [begun, listed], 0)
    assert both == "2 of 2 targets ran; 1 done; 1 recovered; fo has not listed its failures yet."


def test_without_quotes_no_sentence_has_what_a_system_said() -> None:
    why = [
        Reason(outcome=Ending.REJECTED, type="refused-by-system", reason="It says: IBAN DE02 is wrong", count=2),
        Reason(outcome=Ending.DONE, recovery=Recovery.FAILED_AGAIN, type=None, reason="IBAN DE02", count=1),
    ]
    bad = target(told=counts(done=1, failed_again=1, rejected=2), failed=why)
    known = {"targets": [bad], "totals": totals_of([bad]), "people": [], "needsPerson": 0}
    events = NightEvents(runs=0, counts=counts(), complete=True)
    night = NightAnswer(night="n", begin=BEGIN, until=UNTIL, state="over", events=events, **known)
    assert "IBAN" in " ".join(sentences(night))
    title = catalogue()["refused-by-system"].title
    assert f"fo: 2 rejected ({title}). 1 failed again." in sentences(night, quoted=False)


def test_a_night_that_goes_on_says_what_it_waits_for() -> None:
    waits = Wait(reason="The next probe: the items failed again.", until=UNTIL)
    assert told(target(state=State.RUNNING, told=counts(done=5, recovered=2), waits=waits), state="going on") == [
        "The night is going on.",
        "fo ran.",
        "5 items were sent: 2 recovered, 3 not known yet.",
        "Nothing has failed so far.",
        "fo waits: The next probe: the items failed again. Until 2026-11-27 06:00 UTC.",
        NOTHING,
    ]


def test_what_did_not_run_is_told_with_the_reason() -> None:
    off = [target(name, "did not run", reason="SWEEP_MODE is off.") for name in ("camunda", "fo", "odsl")]
    quiet = target("bc", "nothing to do", reason="No batch left anything")
    assert told(*off, quiet) == [
        "Nothing ran.",
        "camunda, fo and odsl did not run: SWEEP_MODE is off.",
        "bc had nothing to do: No batch left anything.",
        NOTHING,
    ]


def test_a_night_in_which_nothing_ran_is_not_called_well() -> None:
    some = told(target("fo", "did not run", reason="SWEEP_MODE is off."))
    assert not [one for one in some if "failed" in one.lower()]


def test_a_night_to_come_says_when_and_what_will_not_run() -> None:
    assert told(target("fo", "did not run", reason="It is off: no URL."), state="to come") == [
        "The night has not begun; it begins at 2026-11-27 02:00 UTC.",
        "fo did not run: It is off: no URL.",
    ]


def test_a_night_is_not_called_well_when_what_a_person_or_an_event_started_failed_again() -> None:
    well, again = counts(done=2, recovered=2), counts(done=2, failed_again=2)
    person = NightPerson(
        run="r2", function="retry", target="fo", actor="key", reason=None, of="run-fo", state=State.WATCHING,
        counts=again, created=UNTIL, links=Links(),
    )  # fmt: skip
    assert "Nothing failed." in told(target(told=well))
    assert "Nothing failed." not in told(target(told=well), people=[person])
    assert "Nothing failed." not in told(target(told=well), events=NightEvents(runs=2, counts=again, complete=True))


def test_what_a_person_settled_is_told() -> None:
    person = NightPerson(
        run="r2", function="settle", target="fo", actor="ann", reason="It is there", of="run-fo", state=State.ENDED,
        counts=counts(done=1, not_watched=1), created=UNTIL, links=Links(),
    )  # fmt: skip
    assert "ann settled what was unknown of fo: 1 done, 1 not watched." in told(target(), people=[person])


def test_people_and_events_are_told() -> None:
    person = NightPerson(
        run="r2",
        function="apply",
        target="fo",
        actor="key",
        reason="Looks right",
        of="run-fo",
        state=State.ENDED,
        counts=counts(done=3, recovered=3),
        created=UNTIL,
        links=Links(),
    )
    events = NightEvents(runs=200, counts=counts(done=200), complete=False)
    plan = target(told=counts(planned=3), mode="plan", state="planned", applied=True)
    some = told(plan, people=[person], events=events)
    assert "key applied the plan of fo: 3 done, 3 recovered." in some
    # Then it is no plan to apply any more.
    assert not [one for one in some if "a plan of" in one]
    assert "Events started more than 200 runs: 200 done." in some


NUMBERS = st.dictionaries(st.sampled_from([*map(str, Ending), *map(str, Recovery)]), st.integers(0, 3))
TARGETS = st.lists(
    st.builds(
        lambda name, numbers, state, mode: target(name, state, counts(**numbers), mode=mode),
        st.sampled_from(["fo", "bc", "camunda"]),
        NUMBERS,
        st.sampled_from([*map(str, State)]),
        st.sampled_from(["plan", "apply"]),
    )
    | st.builds(
        lambda name, state: target(name, state, reason="SWEEP_MODE is off."),
        st.sampled_from(["odsl", "so"]),
        st.sampled_from(["to come", "did not run", "nothing to do"]),
    ),
    max_size=5,
)


@given(TARGETS, st.sampled_from(["to come", "going on", "over"]), st.integers(0, 3))
def test_each_night_can_be_told(targets: list[NightTarget], state: NightState, persons: int) -> None:
    some = told(*targets, state=state, needsPerson=persons)
    short = line(state, targets, persons)
    assert all(one[-1] == "." and "  " not in one and ".." not in one for one in [*some, short])
    bad = any(is_bad(one.counts) for one in targets if one.run)
    well = any(one.startswith(("Nothing fail", "Nothing has failed")) for one in some)
    assert not (bad and well)
    assert not (bad and "nothing failed" in short)
    if persons and state != "to come":
        assert some[-1].endswith("see GET needs-person.")


@given(st.lists(NUMBERS, max_size=5))
def test_totals_are_the_sums(numbers: list[dict[str, int]]) -> None:
    found = summed(counts(**one) for one in numbers)
    assert found.outcome == {one: sum(some.get(one, 0) for some in numbers) for one in Ending}
    assert found.recovery == {one: sum(some.get(one, 0) for some in numbers) for one in Recovery}


@pytest.mark.parametrize(
    ("hour", "state", "expected"),
    [
        (1, None, "to come"),
        (2, None, "going on"),
        (5, State.ENDED, "going on"),
        (6, State.ENDED, "over"),
        (6, None, "over"),
        (7, State.WATCHING, "going on"),
        (7, State.PLANNED, "over"),
    ],
)
def test_a_night_goes_on_as_long_as_a_window_or_a_run_is_open(hour: int, state: str | None, expected: str) -> None:
    targets = [target(state=state)] if state else []
    assert state_of(BEGIN, UNTIL, targets, BEGIN.replace(hour=hour)) == expected


def test_the_line_of_a_night() -> None:
    some = [target(told=counts(done=3, recovered=2, failed_again=1)), target("bc", "did not run", reason="off")]
    assert line("over", some, 2) == ("1 of 2 targets ran; 3 done; 2 recovered; 1 failed again; 2 things need a person.")
    assert line("over", [target()], 0) == "1 of 1 target ran; nothing was found; nothing failed."
    assert line("over", some[1:], 0) == "0 of 1 target ran."
    plan = target(state=State.PLANNED, mode="plan", told=counts(planned=3))
    assert line("over", [plan], 1) == "1 of 1 target ran; 3 planned; 1 thing needs a person."
