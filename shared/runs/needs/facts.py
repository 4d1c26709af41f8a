"""Whether a need still holds: the facts that its kind depends on, read from the store, and a pure rule.

| kind | it holds |
| --- | --- |
| `plan-waits` | until the plan is applied, cancelled or expired |
| `attempts-used-up` | until the failed attempts of the item count 0 in a row |
| `cause-stopped`, `night-stopped` | while items are left that no other run took, for 7 days |
| `unknown` | while the outcome of an item is still unknown |
| `run-broken` | as `unknown` and `cause-stopped` together; if it left nothing, for 7 days |
| `denied-and-failing` | while the last night skipped the job for at least the third time in a row |
| `target-unusable` | while the target is in the settings, and, if it was off, still is; who reaches it settles it |
| `night-missing`, `batch-stuck`, `event-storm`, `notify-failed` | for 7 days, if nothing settles them before |
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.core import clock
from shared.core.outcome import Ending, Recovery
from shared.core.problems import Cancelled, CauseStopped, Stopped, Throttled, WindowEnded
from shared.core.targets import app_targets
from shared.runs import handed_on, idempotency, known_later, records
from shared.runs.claims import record_of, run_of
from shared.runs.needs import denied
from shared.runs.needs.need import Need
from shared.runs.report import Item, State
from shared.storage.base import Store

KEPT = timedelta(days=7)
"""How long a need holds that nothing settles."""
LEFT_BY_NIGHT = frozenset({Cancelled.slug, Stopped.slug, WindowEnded.slug, Throttled.slug})
"""What ended the items that a night left."""
OFF = "off"
"""The mark of all looks that find a target off: they count once."""
_LOOKED_AT = 200
"""So many claims are read for a run; if more items are unknown, they wait for a check."""


@dataclass(frozen=True)
class Facts:
    """What a need depends on; which of them counts depends on its kind.

    Attributes:
        now: The present.
        exists: Its run, or its target, exists.
        waits: Its run is a plan that was not applied.
        in_a_row: The failed attempts of its item.
        total: How many items of its run it was about; None while the run has no report.
        left: How many of them nobody has settled.
        denied: How many items of its job the last night skipped, as several nights before.
    """

    now: datetime
    exists: bool = True
    waits: bool = False
    in_a_row: int = 0
    total: int | None = None
    left: int = 0
    denied: int = 0


def count_left(need: Need, facts: Facts) -> int:
    """Return how much is left of a need: how many items or times; 0 if it is settled."""
    match need.kind:
        case "denied-and-failing":
            return facts.denied
        case "unknown" | "cause-stopped" | "night-stopped":
            return _left_of_run(need, facts)
        case "run-broken" if facts.total:
            return _left_of_run(need, facts)
    return need.count if _holds(need, facts) else 0


def _holds(need: Need, facts: Facts) -> bool:
    """Return whether a need holds that holds as a whole, or not at all."""
    match need.kind:
        case "plan-waits":
            return facts.waits and not (need.expires and facts.now >= need.expires)
        case "attempts-used-up":
            return facts.in_a_row > 0
        case "target-unusable":
            return facts.exists
    return _is_young(need, facts)


def _left_of_run(need: Need, facts: Facts) -> int:
    if not facts.exists or not (need.kind in ("unknown", "run-broken") or _is_young(need, facts)):
        return 0
    if facts.total is None:
        return need.count
    # A run may have stopped several causes, and its report does not say which item has which.
    return min(need.count, facts.left) if need.kind == "cause-stopped" else facts.left


def _is_young(need: Need, facts: Facts) -> bool:
    return facts.now < need.last + KEPT


def facts_of(store: Store, need: Need) -> Facts:
    """Read the facts that a need depends on."""
    now = clock.now()
    match need.kind:
        case "plan-waits":
            return Facts(now, waits=_waits(store, need.run or ""))
        case "attempts-used-up":
            return Facts(now, in_a_row=record_of(store, need.target or "", need.item or "").in_a_row(now))
        case "denied-and-failing":
            return Facts(now, denied=denied.items_of(store, need.target or "", need.about))
        case "target-unusable":
            targets = app_targets()
            # What was off is settled when it is on again; what can't be used, when somebody reaches it.
            on = () if need.marks[-1:] == (OFF,) else (one.name for one in targets.on)
            return Facts(now, exists=need.target in {*on, *targets.off})
        case "unknown" | "cause-stopped" | "night-stopped" | "run-broken":
            return _facts_of_run(store, need, now)
        case _:
            return Facts(now)


def _waits(store: Store, run: str) -> bool:
    head = records.read_report(store, run)
    return head is not None and head.state is State.PLANNED and not idempotency.is_applied(store, run)


def _facts_of_run(store: Store, need: Need, now: datetime) -> Facts:
    run = need.run or ""
    if records.read_report(store, run) is None:
        return Facts(now, exists=records.known_spec(store, run) is not None)
    items = [item for item in records.all_items(store, run) if _is_about(need, item)]
    if need.kind == "cause-stopped":
        # Those that were tried and failed again are asked for by name; they count if nothing else is left.
        items = [item for item in items if item.outcome is not Ending.DONE] or items
    taken = {item for one in handed_on.handings(store, run) for item in one.items}
    known = known_later.endings(store, run)
    rest = [item for item in items if item.id not in taken and item.id not in known]
    return Facts(now, total=len(items), left=len(_not_shown(store, run, rest)))


def _is_about(need: Need, item: Item) -> bool:
    match need.kind:
        case "unknown":
            return item.outcome is Ending.UNKNOWN
        case "cause-stopped":
            return item.type == CauseStopped.slug or item.recovery is Recovery.FAILED_AGAIN
        case "night-stopped":
            return item.type in LEFT_BY_NIGHT
        case _:
            return item.outcome in (Ending.UNKNOWN, Ending.NOT_ATTEMPTED)


def _not_shown(store: Store, run: str, items: Collection[Item]) -> list[Item]:
    """Return the items without those that were unknown, and of which a later look has shown how they ended."""
    doubtful, spec = [item for item in items if item.outcome is Ending.UNKNOWN], records.known_spec(store, run)
    # The operations of a batch have no claims.
    looked_at = doubtful if spec and not spec.is_batch and len(doubtful) <= _LOOKED_AT else []
    shown = {item.id for item in looked_at if spec and _is_shown(store, spec.target, run, item.id)}
    return [item for item in items if item.id not in shown]


def _is_shown(store: Store, target: str, run: str, item: str) -> bool:
    """Return whether the claim of an item shows by now how a run ended with it."""
    ended = [one for one in record_of(store, target, item).settled if run_of(one.run) == run]
    return bool(ended) and all(one.outcome.ending is not Ending.UNKNOWN or one.became.recovery for one in ended)
