"""Adaptive Cards: what people read, within what a Teams workflow takes."""

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.core.outcome import Ending, Recovery
from shared.reports import card
from shared.reports.night import NightAnswer, NightEvents, NightTarget, Reason, totals_of
from shared.runs.needs.need import Need
from shared.runs.needs.shown import NeedsPerson
from shared.runs.report import Counts, Note, State

NOW = datetime(2026, 11, 28, 6, tzinfo=UTC)
BASE = "https://nightshift.example.com"


def need(number: int = 0, text: str = "Its items failed again.") -> NeedsPerson:
    found = Need(id=f"n{number}", kind="cause-stopped", target="fo", since=NOW, last=NOW, text=text, run="r1")
    return NeedsPerson.of(found, BASE)


def counts(done: int, **recovery: int) -> Counts:
    return Counts.so_far([Ending.DONE] * done, {Recovery(name): one for name, one in recovery.items()}, done)


def night(targets: list[NightTarget]) -> NightAnswer:
    return NightAnswer(
        night="2026-11-28",
        begin=NOW,
        until=NOW,
        state="over",
        needsPerson=1,
        totals=totals_of(targets),
        targets=targets,
        events=NightEvents(runs=0, counts=Counts(), complete=True),
        people=[],
    )


def target(name: str = "fo", **more: Any) -> NightTarget:  # noqa: ANN401 - members of the model
    made = {"target": name, "system": "finance-operations", "night": "2026-11-28T02:00", "state": State.ENDED}
    return NightTarget.model_validate({**made, "run": "r1", **more})


def content(message: bytes) -> dict[str, Any]:
    told = json.loads(message)
    assert told["type"] == "message"
    [attachment] = told["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    found: dict[str, Any] = attachment["content"]
    assert (found["type"], found["version"]) == ("AdaptiveCard", "1.4")
    return found


def texts(found: dict[str, Any]) -> list[str]:
    return [run["text"] for block in found["body"] for run in block["inlines"]]


def test_a_night_says_what_ran_what_recovered_and_what_needs_a_person() -> None:
    targets = [
        target(counts=counts(12, recovered=11, failed_again=1)),
        target("bc", state="did not run", reason="BATCH_RETRY is off.", run=None),
    ]
    found = content(card.night_card(night(targets), [need()], BASE))
    assert texts(found)[:9] == [
        "Nightshift: the night of 2026-11-28",
        "1 of 2 targets ran: fo.",
        "12 items were sent: 11 recovered, 1 failed again.",
        "fo: 1 failed again.",
        "bc did not run: BATCH_RETRY is off.",
        "The next night tries again what failed again; once its attempts are used up, it needs a person.",
        "1 thing needs a person; see GET needs-person.",
        "fo: ended; 12 done, 11 recovered, 1 failed again.",
        "bc: did not run. BATCH_RETRY is off.",
    ]
    assert texts(found)[9] == "fo: Its items failed again."
    assert "POST runs/r1/retry" in texts(found)[10]
    assert [one["url"] for one in found["actions"]] == [f"{BASE}/api/nights/2026-11-28", f"{BASE}/api/needs-person"]


def color(found: NightAnswer, needs: list[NeedsPerson]) -> str:
    [title] = content(card.night_card(found, needs, BASE))["body"][0]["inlines"]
    return str(title["color"])


def test_a_card_is_green_only_if_all_is_well() -> None:
    well, off = target(counts=counts(1, recovered=1)), target("bc", state="did not run", run=None)
    assert color(night([well]), []) == "Good"
    assert color(night([well]), [need()]) == "Attention"
    assert color(night([well, off.model_copy(update={"reason": "BATCH_RETRY is off."})]), []) == "Good"
    assert color(night([well, off.model_copy(update={"reason": "It is off: no URL."})]), []) == "Warning"
    for bad in (counts(1, failed_again=1), Counts.so_far([Ending.REJECTED], {}, 1)):
        assert color(night([target(counts=bad)]), []) == "Warning"
        events = NightEvents(runs=1, counts=bad, complete=True)
        assert color(night([well]).model_copy(update={"events": events}), []) == "Warning"


def test_a_night_in_which_nothing_ran_has_a_card_only_if_somebody_is_needed() -> None:
    off = target("bc", state="did not run", reason="BATCH_RETRY is off.", run=None)
    nothing = night([off]).model_copy(update={"needsPerson": 0})
    assert not card.is_wanted(nothing)
    assert card.is_wanted(nothing.model_copy(update={"needsPerson": 1}))
    assert card.is_wanted(nothing.model_copy(update={"events": NightEvents(runs=1, counts=Counts(), complete=True)}))
    assert card.is_wanted(night([target()]).model_copy(update={"needsPerson": 0}))


def test_a_card_without_an_address_has_no_links() -> None:
    assert content(card.needs_card([need()], ""))["actions"] == []


def test_what_needs_a_person_is_counted_in_the_title() -> None:
    assert texts(content(card.needs_card([need()], BASE)))[0] == "Nightshift: 1 thing needs a person"
    shown = texts(content(card.needs_card([need(number) for number in range(14)], BASE)))
    assert (shown[0], shown[-1]) == ("Nightshift: 14 things need a person", "And 4 more.")


@given(st.lists(st.text(max_size=2000), max_size=40), st.integers(min_value=0, max_value=60))
def test_a_message_is_never_larger_than_a_workflow_takes(said: list[str], number: int) -> None:
    many = [
        target(f"target-{place}", counts=counts(1000, recovered=900), notes=[Note(at=NOW, text=one) for one in said])
        for place in range(number)
    ]
    message = card.night_card(night(many), [need(place, one or "x") for place, one in enumerate(said)], BASE)
    assert len(message) <= card.MOST_BYTES
    assert texts(content(message))[0] == "Nightshift: the night of 2026-11-28"


def test_a_card_does_not_quote_what_a_system_said() -> None:
    why = Reason(outcome=Ending.REJECTED, type="refused-by-system", reason="It says: IBAN DE02 is wrong", count=1)
    bad = target(counts=Counts.so_far([Ending.REJECTED], {}, 1), failed=[why])
    message = card.night_card(night([bad]).model_copy(update={"summary": [why.reason]}), [], BASE)
    assert b"IBAN" not in message
    assert "fo: 1 rejected (" in " ".join(texts(content(message)))


def test_a_name_is_no_markdown() -> None:
    found = content(card.needs_card([need(text="[click](https://evil.example)")], BASE))
    assert {block["type"] for block in found["body"]} == {"RichTextBlock"}
    assert "fo: [click](https://evil.example)" in texts(found)
