"""Remove what no run owns: keys of calls and nights, counted events, quiet claims, and what a dead call has left.

Each step walks through the keys of a prefix, some at a time, and goes on there next time; after the last one it begins
anew.
"""

import contextlib
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

from shared.core import clock, log
from shared.core.model import Stored
from shared.core.problems import Changed, NotReady
from shared.core.settings import Settings
from shared.runs import cards, claims, index, records, removal
from shared.runs.idempotency import KeyRecord
from shared.runs.index import IndexedRun
from shared.runs.removal import Budget
from shared.storage.base import Store

_EVENTS_KEPT = timedelta(hours=1)
"""Longer than the time in which events are counted."""
_CARDS_KEPT = timedelta(days=30)
_NEVER_RECORDED = timedelta(days=1)
"""After this time, records of a run whose spec was never stored are removed: the call that wrote them died."""
_FEW, _MANY = 100, 1000
"""How many keys a step looks at in a tick: few if it reads each record."""


class Cursor(Stored):
    """Where a step continues: in the page that `page` requests (None: the first one), behind a key."""

    page: str | None = None
    key: str = ""


def walk(store: Store, name: str, prefix: str, most: int, budget: Budget, visit: Callable[[str], None]) -> bool:
    """Visit the next keys of a prefix, at most so many; return whether those were the last ones."""
    mark = f"housekeeping/{name}"
    found = store.read(mark)
    begin = Cursor.read(found.data) if found else Cursor()
    page = store.list(prefix, begin.page, most)
    following = Cursor(page=page.after) if page.after else None
    last = begin.key
    for key in page.keys:
        if key <= begin.key:
            continue
        if budget.is_spent:
            following = Cursor(page=begin.page, key=last)
            break
        _visit(key, visit)
        budget.spend()
        last = key
    # The last writer wins: two ticks at once do no harm.
    store.delete(mark)
    if following:
        records.create(store, mark, following)
    return following is None


def _visit(key: str, visit: Callable[[str], None]) -> None:
    try:
        visit(key)
    except ValueError:
        # Its record, or the key itself, is not as this app writes it; the others are not kept for it.
        log.error("records-unreadable", key=key)
    except NotReady:
        # A later release wrote it, or the store is away: the next round comes to it again.
        log.error("step-failed", step="housekeeping", key=key)


def sort_in_runs(store: Store, budget: Budget) -> bool:
    """Sort the runs in that have ended since the last tick, and note what will be due of them."""
    ended: list[IndexedRun] = []

    def visit(key: str) -> None:
        one = index.read(key)
        if entered := removal.enter(store, one):
            ended.append(entered)
        elif _is_stray(store, one.run):
            for place in index.keys_of(one):
                store.delete(place)
            budget.count("strays")

    done = walk(store, "new-runs", index.NEW, _MANY, budget, visit)
    if ended:
        index.count(store, ended, 1)
    return done


def remove_keys(store: Store, budget: Budget, settings: Settings) -> bool:
    """Remove the keys of calls, events and nights whose run is gone."""
    kept = timedelta(days=settings.run_retention_days)

    def visit(key: str) -> None:
        found = store.read(key)
        if found and _is_forgotten(store, key, found.data, kept):
            with contextlib.suppress(Changed):
                store.delete(key, found.etag)
                budget.count("keys")

    return walk(store, "keys", "keys/", _FEW, budget, visit)


def _is_forgotten(store: Store, key: str, data: bytes, kept: timedelta) -> bool:
    night = _night_of(key)
    if night:
        # A night comes once; the mark of its retries names no run.
        return clock.now() >= night + kept + timedelta(days=1)
    known = KeyRecord.read(data)
    return clock.now() >= known.created + kept and records.known_spec(store, known.run) is None


def _night_of(key: str) -> datetime | None:
    """Return the date of the night of a key; None for another key."""
    if not key.startswith("keys/night-"):
        return None
    return datetime.strptime(key[-len("2026-01-31T02:00") :], "%Y-%m-%dT%H:%M").replace(tzinfo=UTC)


def remove_events(store: Store, budget: Budget) -> bool:
    """Remove events that were counted to recognize a storm."""

    def visit(key: str) -> None:
        start = datetime.strptime(key.split("/")[2], "%Y%m%d%H%M").replace(tzinfo=UTC)
        if clock.now() >= start + _EVENTS_KEPT:
            store.delete(key)
            budget.count("events")

    return walk(store, "events", "events/", _MANY, budget, visit)


def remove_claims(store: Store, budget: Budget) -> bool:
    """Remove the claim records of items that no run has touched for 30 days."""

    def visit(key: str) -> None:
        if claims.remove_quiet(store, key):
            budget.count("claims")

    return walk(store, "claims", "claims/", _FEW, budget, visit)


def remove_strays(store: Store, budget: Budget) -> bool:
    """Remove records of runs without a spec: the call that wrote them has died, or the spec was removed first."""
    known: set[str] = set()

    def visit(key: str) -> None:
        run = key.split("/")[1]
        if run in known:
            return
        # A stray is looked at before each of its records: a call that was repeated may record it meanwhile.
        if _is_stray(store, run):
            store.delete(key)
            budget.count("strays")
        else:
            known.add(run)

    return walk(store, "strays", "runs/", _MANY, budget, visit)


def _is_stray(store: Store, run: str) -> bool:
    """Return whether the call that began a run is dead, and no repetition of it is recording the run now."""
    if not _is_older(run, _NEVER_RECORDED) or store.read(f"{records.OPEN}{run}"):
        return False
    return records.known_spec(store, run) is None


def _is_older(run: str, age: timedelta) -> bool:
    """Return whether a run's id was made so long ago; ids begin with their day."""
    try:
        day = datetime.strptime(run.partition("-")[0], "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        return False
    return clock.now() >= day + timedelta(days=1) + age


def remove_cards(store: Store, budget: Budget) -> bool:
    """Remove the marks of cards about nights that nobody posts any more; return whether all were looked at."""
    gone = (clock.now() - _CARDS_KEPT).date()

    def visit(key: str) -> None:
        if date.fromisoformat(key.removeprefix(cards.NIGHTS)) < gone:
            store.delete(key)
            budget.count("cards")

    return walk(store, "cards", cards.NIGHTS, _FEW, budget, visit)
