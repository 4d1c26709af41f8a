"""What a person says of items with claims: the claim decides, for all of them at once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.core.outcome import Ending, Outcome
from shared.core.problems import NotTaken, OutcomeUnknown, SettledOtherwise
from shared.recovery.settling import settle_claims
from shared.runs.claims import Claim, Held
from shared.runs.settled import Settling
from shared.storage.sqlite import SqliteStore
from tests.unit.runs.test_needs import run_of

ITEMS = [str(number) for number in range(40)]


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return SqliteStore(str(tmp_path / "store.db"))


def ended(store: SqliteStore, run: str, item: str, outcome: Outcome) -> None:
    claim = Claim(store, "fo", item, run, timedelta(minutes=3))
    assert isinstance(claim.take(), Held)
    claim.mark_sent("Error a")
    claim.settle(outcome)


def settling(*, happened: bool) -> Settling:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    return Settling(run="mine", items=ITEMS, happened=happened, reason="seen", actor="8f2c", at=at)


def test_all_items_are_settled_and_what_is_known_otherwise_names_the_run_that_sent_it(store: SqliteStore) -> None:
    former = run_of(sweep=None)
    for item in ITEMS:
        ended(store, former.run, item, Outcome.of(OutcomeUnknown("No answer.")))
    assert {item: one.ending for item, one in settle_claims(store, former, settling(happened=True)).items()} == (
        dict.fromkeys(ITEMS, Ending.DONE)
    )
    with pytest.raises(SettledOtherwise) as told:
        settle_claims(store, former, settling(happened=False))
    assert told.value.run == former.run


def test_one_item_that_a_look_has_shown_otherwise_leaves_the_others_open(store: SqliteStore) -> None:
    former = run_of(sweep=None)
    for item in ITEMS:
        unknown = item != ITEMS[-1]
        ended(store, former.run, item, Outcome.of((OutcomeUnknown if unknown else NotTaken)("No answer.")))
    with pytest.raises(SettledOtherwise, match="Item 39"):
        settle_claims(store, former, settling(happened=True))
    seen = Claim(store, "fo", ITEMS[0], former.run, timedelta()).see()
    assert seen is not None
    assert seen.outcome.ending is Ending.UNKNOWN
