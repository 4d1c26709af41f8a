"""What needs a person because of a night: what a run of it found out, and what happened to its targets meanwhile."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.access.caller import KEY
from shared.reports.night import NightPerson, NightTarget
from shared.reports.night_needs import needs_of
from shared.runs.needs import need as needs
from shared.runs.needs.need import Kind, Need
from shared.runs.report import Counts, Links, State

BEGIN, UNTIL = datetime(2026, 11, 28, 2, tzinfo=UTC), datetime(2026, 11, 28, 6, tzinfo=UTC)
DAY = timedelta(days=1)
RAN = NightTarget(target="fo", system="finance-operations", night="2026-11-28T02:00", state=State.ENDED, run="r1")
MISSED = NightTarget(target="bc", system="business-central", night="2026-11-28T02:00", state="did not run", reason="x")
PERSON = NightPerson(
    run="r2", function="apply", target="fo", actor="key", reason=None, of="r1", state=State.ENDED, counts=Counts(),
    created=UNTIL, links=Links(),
)  # fmt: skip


def need(kind: Kind, since: datetime, last: datetime | None = None, **more: Any) -> Need:  # noqa: ANN401 - members of the model
    members = {"id": "n", "kind": kind, "target": "fo", "since": since, "last": last or since, "text": "t"}
    return Need.model_validate(members | more)


def counts(one: Need) -> bool:
    return needs_of([one], [RAN, MISSED], [PERSON], BEGIN, UNTIL) == [one]


@pytest.mark.parametrize("run", ["r1", "r2"])
def test_what_a_run_of_the_night_or_by_hand_found_out(run: str) -> None:
    late = UNTIL + timedelta(hours=5)
    assert counts(need("unknown", late, run=run))
    assert not counts(need("unknown", late, run="r3"))
    assert not counts(needs.acknowledged(need("unknown", late, run=run), KEY, "known", late))


def test_a_target_that_cannot_be_used_belongs_to_each_night_until_it_answers() -> None:
    assert counts(need("target-unusable", BEGIN - 3 * DAY))
    # A run in the morning met it last.
    assert counts(need("target-unusable", BEGIN + timedelta(minutes=5), UNTIL + timedelta(hours=2), run="r9"))
    assert counts(need("target-unusable", UNTIL + timedelta(hours=2)))
    assert not counts(need("target-unusable", BEGIN + DAY + timedelta(minutes=1)))
    assert not counts(need("target-unusable", BEGIN, target="camunda"))


def test_a_night_that_did_not_begin_needs_a_person_whenever_that_was_noticed() -> None:
    noticed = UNTIL + timedelta(hours=2)
    assert counts(need("night-missing", noticed, target="bc", marks=("2026-11-28T02:00",)))
    assert not counts(need("night-missing", BEGIN - DAY, BEGIN, target="bc", marks=("2026-11-27T02:00",)))


def test_a_storm_of_events_belongs_to_the_night_in_which_it_came() -> None:
    assert counts(need("event-storm", BEGIN + timedelta(minutes=5)))
    assert counts(need("event-storm", BEGIN - DAY, BEGIN + timedelta(minutes=5)))
    assert not counts(need("event-storm", BEGIN - DAY, BEGIN - timedelta(minutes=5)))
    assert not counts(need("event-storm", UNTIL + timedelta(hours=3)))
    assert not counts(need("notify-failed", BEGIN, target=None))
