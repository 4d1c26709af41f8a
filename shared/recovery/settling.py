"""Settle the claims of items that a run left unknown, as a person said."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from shared.core import clock
from shared.core.outcome import Ending, Outcome
from shared.core.problems import MayStillHappen, SettledOtherwise
from shared.recovery.progress import read as read_progress
from shared.runs.claims import Claim, try_of
from shared.runs.settled import Settling
from shared.runs.spec import RunSpec
from shared.storage.base import Store
from shared.storage.parallel import each


def settle_claims(store: Store, former: RunSpec, settling: Settling) -> Mapping[str, Outcome]:
    """Settle the claims of the items, so that the next run may act on them or not; return the outcomes by item.

    Raises:
        SettledOtherwise: the claim of an item shows another outcome, such as that of a check.
        MayStillHappen: it is said that an item did not happen, and its call may still take effect.
    """
    claims = _claims(store, former, settling.items)
    each(lambda claim: _refuse(claim, former, settling), claims)
    outcomes = each(lambda claim: _settle(claim, former, settling), claims)
    return {claim.item: outcome for claim, outcome in zip(claims, outcomes, strict=True)}


def refuse_doubt(item: str, sure: datetime | None, *, happened: bool) -> None:
    """Refuse that a call did not happen while it may still take effect.

    Raises:
        MayStillHappen: until `sure`, it may.
    """
    if not happened and sure and clock.now() < sure:
        when = f"{sure.astimezone(UTC) + timedelta(seconds=1):%Y-%m-%dT%H:%M:%SZ}"
        raise MayStillHappen(f"The call for item {item} may still take effect until {when}.")


def _claims(store: Store, former: RunSpec, items: Sequence[str]) -> list[Claim]:
    watched = read_progress(store, former.run)[0].watched
    waves = {item: watched[item].wave if item in watched else None for item in items}
    return [Claim(store, former.target, item, try_of(former.run, waves[item]), timedelta()) for item in items]


def _refuse(claim: Claim, former: RunSpec, settling: Settling) -> None:
    ended = claim.see()
    if ended and ended.outcome.ending is not Ending.UNKNOWN:
        _refuse_other(claim, former, settling, ended.outcome)
    elif ended:
        refuse_doubt(claim.item, ended.sure, happened=settling.happened)


def _settle(claim: Claim, former: RunSpec, settling: Settling) -> Outcome:
    outcome = claim.settle(settling.outcome)
    _refuse_other(claim, former, settling, outcome)
    return outcome


def _refuse_other(claim: Claim, former: RunSpec, settling: Settling, known: Outcome) -> None:
    if (known.ending is Ending.DONE) is not settling.happened:
        raise SettledOtherwise(f"Item {claim.item} is not unknown any more: {known.reason}", run=former.run)
