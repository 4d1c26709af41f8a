"""The needs in the store: `needs/{id}`, created once, and changed by compare-and-set."""

from collections.abc import Iterable, Iterator
from functools import partial

from pydantic import ValidationError

from shared.access.caller import Actor
from shared.core import clock, log
from shared.core.problems import Changed, UnknownNeed
from shared.policy.cached_reader import Read
from shared.runs.needs import need as needs
from shared.runs.needs.facts import count_left, facts_of
from shared.runs.needs.need import KINDS, Kind, Need
from shared.storage.base import Store, keys, put
from shared.storage.parallel import each

_PREFIX = "needs/"


def raise_need(store: Store, need: Need, mark: str, *, again: bool = True) -> None:
    """Store and log a need, or count it up; the same `mark` (the name of the occurrence) counts once.

    `again`: it needs a person again, even if somebody has acknowledged it; otherwise only its count changes.
    """
    new = need.model_copy(update={"marks": (mark,)})
    while True:
        old, etag = _read(store.read, need.id)
        changed = needs.happened(old, new, mark, again=again) if old else new
        if changed is old:
            return
        if _write(store, changed, etag):
            break
    if old is None or (old.acknowledged and not changed.acknowledged):
        log.warning("need-raised", need=need.kind, target=need.target, run=need.run, item=need.item)


def settle(store: Store, target: str | None, kind: Kind, about: str) -> None:
    """Delete the need of this target, kind and `about`, if there is one."""
    settle_if(store, store.read, needs.id_of(target, kind, about))


def settle_if(store: Store, read: Read, need_id: str, *, by_change: bool = True) -> None:
    """Delete a need that `read`, which may be cached, shows; without `by_change` only if reading settles it."""
    found, _ = _read(read, need_id)
    if found and (by_change or not found.by_change):
        _settled(store, found, None)


def find(store: Store, need_id: str) -> Need | None:
    """Return a need as it was raised; None if there is none."""
    return _read(store.read, need_id)[0]


def acknowledge(store: Store, need_id: str, reason: str, who: Actor) -> Need:
    """Record that a person has acknowledged a need, and return it.

    Raises:
        UnknownNeed: there is none with this id; it may be settled.
    """
    while True:
        found, etag = _read(store.read, need_id)
        if found is None:
            raise UnknownNeed("Nothing with this id needs a person now.")
        changed = needs.acknowledged(found, who, reason, clock.now())
        if _write(store, changed, etag):
            log.info("need-acknowledged", need=found.kind, target=found.target, run=found.run, item=found.item)
            return changed


def current(store: Store) -> list[Need]:
    """Return the needs that hold now, with what is left of them; the most urgent kinds first, then the newest.

    What is settled is deleted.
    """
    found = [need for need in each(partial(_as_it_stands, store), keys(store, _PREFIX)) if need]
    newest = sorted(found, key=lambda need: need.last, reverse=True)
    return sorted(newest, key=lambda need: KINDS.index(need.kind))


def of_target(store: Store, target: str) -> Iterator[Need]:
    """Yield all needs of a target."""
    for key in keys(store, _PREFIX):
        found, _ = _read(store.read, key.removeprefix(_PREFIX))
        if found and found.target == target:
            yield found


def settle_all(store: Store, settled: Iterable[Need]) -> None:
    """Delete needs that something else has settled."""
    for need in settled:
        _settled(store, need, None)


def _as_it_stands(store: Store, key: str) -> Need | None:
    """Return a need with what is left of it; None if it is settled, or can't be read."""
    found, etag = _read(store.read, key.removeprefix(_PREFIX))
    try:
        left = count_left(found, facts_of(store, found)) if found else 0
    except ValidationError:
        # A record that it depends on is damaged: then it holds.
        log.error("records-unreadable", key=key)
        return found
    if found and not left:
        _settled(store, found, etag)
    return found.model_copy(update={"count": left}) if found and left else None


def _settled(store: Store, need: Need, etag: str | None) -> None:
    try:
        store.delete(f"{_PREFIX}{need.id}", etag)
    except Changed:
        # It has happened again meanwhile.
        return
    log.info("need-settled", need=need.kind, target=need.target, run=need.run, item=need.item)


def _read(read: Read, need_id: str) -> tuple[Need | None, str]:
    """Return a need and its etag; a damaged record is none, and is replaced when the need is raised."""
    key = f"{_PREFIX}{need_id}"
    found = read(key)
    try:
        return (Need.read(found.data), found.etag) if found else (None, "")
    except ValidationError:
        log.error("records-unreadable", key=key)
        return None, found.etag if found else ""


def _write(store: Store, need: Need, etag: str) -> bool:
    return bool(put(store, f"{_PREFIX}{need.id}", need.data(), etag))
