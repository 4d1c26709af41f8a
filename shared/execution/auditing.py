"""What a run leaves in the audit trail: intents before the first send of a part, outcomes after its last."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from threading import Lock

from shared.audit import trail
from shared.audit.entry import AuditEntry, AuditItem, Kind, is_proven
from shared.audit.keys import Place, entry_id, of_run
from shared.core import clock
from shared.core.outcome import Ending, Outcome
from shared.runs.records import PartResult, RunItem
from shared.runs.report import Item
from shared.runs.spec import RunSpec
from shared.storage.app import audit_store
from shared.storage.base import Store, keys
from shared.systems.contract import Snapshot
from shared.systems.operations import BatchOperation
from shared.systems.registry import fan_out_of

_BY_ITEM: frozenset[Kind] = frozenset({"outcome", "plan", "check", "settle"})
"""The entries that show what came of an item."""
_START = "0-start"
"""The label of what comes before all parts of a run."""


class Intent:
    """The intent of a part, written once: before the first of its items is sent, if any is."""

    def __init__(self, store: Store, spec: RunSpec, number: int, items: Callable[[], Iterable[AuditItem]]) -> None:
        self._store = store
        self._spec = spec
        self._number = number
        self._items = items
        self._lock = Lock()
        self._is_written = False

    def write(self, item: str, seen: Snapshot, rule: str | None) -> None:
        """Write the intent, unless this delivery has written it.

        Args:
            item: The item that is sent first; of the others, the state and the rule are read later.
            seen: Its state.
            rule: The rule that allows it.

        Raises:
            NotReady: the trail can't be written; nothing may be sent.
        """
        with self._lock:
            if not self._is_written:
                first = _named(item, seen.about, seen.episode).model_copy(update={"rule": rule})
                items = [first if one.id == item else one for one in self._items()]
                _write(self._store, self._spec, "intent", f"{self._number:05}", items)
                self._is_written = True


def intend(store: Store, spec: RunSpec, chunk: int, operations: Iterable[BatchOperation]) -> None:
    """Write the intent of a chunk of operations; repeats write nothing.

    Raises:
        NotReady: the trail can't be written; nothing may be sent.
    """
    about = fan_out_of(spec.system).about
    _write(store, spec, "intent", f"{chunk:05}", [_named(one.id, about(one, "")) for one in operations])


def ended(store: Store, spec: RunSpec, number: int, part: PartResult) -> None:
    """Write how the items of a part ended; of a plan, what is planned. Existing entries are kept."""
    kind: Kind = "plan" if spec.mode == "plan" else "outcome"
    items = [of_outcome(one.id, one.outcome, one.about, one.episode) for one in part.ended]
    _write(store, spec, kind, f"{number:05}", items)


def written(store: Store, spec: RunSpec) -> frozenset[str]:
    """Return the labels of the outcomes of a run that are in the trail."""
    found = (Place.of_entry(key) for key in keys(audit_store(store), of_run(spec.run)))
    return frozenset(one.label for one in found if one.kind == "outcome")


def ended_before(store: Store, spec: RunSpec, number: int, part: PartResult, known: frozenset[str]) -> None:
    """Write how a part ended whose worker may have died before it did, unless its last page is known to be there."""
    if _page(f"{number:05}", _pages(part.ended) - 1) not in known:
        ended(store, spec, number, part)


def reported(store: Store, spec: RunSpec, kind: Kind, items: Sequence[Item], at: datetime | None = None) -> None:
    """Write how items ended that belong to no part: of a check, of a plan, and those that no wave came to."""
    _write(store, spec, kind, "report", [of_item(one) for one in items], at)


def started(store: Store, spec: RunSpec) -> None:
    """Write that a person applied a plan, or overrode the policy, before the run starts; repeats write nothing."""
    if spec.plan and spec.parent is None:
        _write(store, spec, "apply", _START, [])
    if spec.override:
        _write(store, spec, "override", _START, [])


def intended(run_items: Iterable[RunItem]) -> Iterable[AuditItem]:
    """Return the items of a part that are still open; an empty id keeps the place of one that is not."""
    for one in run_items:
        yield _named(one.id if one.outcome is None else "", one.about, one.episode)


def of_outcome(item: str, outcome: Outcome, about: Mapping[str, str], episode: str | None) -> AuditItem:
    """Build an item of an entry from its outcome."""
    return of_item(Item.of(item, outcome, about, episode))


def of_item(item: Item) -> AuditItem:
    """Build an item of an entry from a report's."""
    return AuditItem(
        id=item.id,
        name=_name(item.about.texts),
        before=item.episode,
        outcome=item.outcome,
        type=item.type,
        rule=item.rule,
        detail=_detail(item.outcome, item.reason, item.upstreamStatus),
        attempt=item.attempt,
        upstreamStatus=item.upstreamStatus,
        upstreamCode=item.upstreamCode,
    )


def _write(
    store: Store, spec: RunSpec, kind: Kind, label: str, items: Sequence[AuditItem], at: datetime | None = None
) -> None:
    """Write an entry, in pages; the same item is on the same page of an intent and of its outcome."""
    # Operations of a batch have no identity beyond their run.
    by_item = kind in _BY_ITEM and not spec.is_batch
    target = audit_store(store)
    for page in range(_pages(items)):
        some = [one for one in items[page * trail.PAGE :][: trail.PAGE] if one.id]
        name = _page(label, page)
        if some or kind in ("apply", "override"):
            trail.record(target, _entry(spec, kind, name, some, at or clock.now()), by_item=by_item)


def _pages(items: Sequence[object]) -> int:
    return max(-(-len(items) // trail.PAGE), 1)


def _page(label: str, page: int) -> str:
    """Return the label of a page; `~` comes after the dot of the kind, so the store's order is that of the pages."""
    return f"{label}~{page:03}" if page else label


def _entry(spec: RunSpec, kind: Kind, label: str, items: Sequence[AuditItem], at: datetime) -> AuditEntry:
    return AuditEntry(
        id=entry_id(spec.run, label, kind),
        at=at,
        kind=kind,
        actor=spec.actor,
        actorName=spec.actor_name,
        proven=is_proven(spec.actor, spec.origin),
        origin=spec.origin,
        reason=spec.reason,
        function=spec.function,
        system=spec.system,
        target=spec.target,
        run=spec.run,
        part=label,
        parent=spec.parent,
        plan=spec.plan,
        plannedBy=spec.planned_by,
        override=spec.override,
        correlation=spec.correlation,
        items=list(items),
    )


def _named(item: str, about: Mapping[str, str], episode: str | None = None) -> AuditItem:
    return AuditItem(id=item, name=_name(about), before=episode)


def _detail(ending: Ending, reason: str, status: int | None) -> str | None:
    """Return the reason of an outcome, unless it may quote the system, and the system what it was sent.

    That of an unknown outcome has the words of the last check, also if they came without a status.
    """
    quotes = ending is Ending.UNKNOWN or (status is not None and ending is not Ending.DONE)
    return None if quotes else reason


def _name(about: Mapping[str, str]) -> str | None:
    """Return what people call an item; of an operation the method and the path, without what the query holds."""
    return about.get("job") or about.get("process") or about.get("operation", "").partition("?")[0] or None
