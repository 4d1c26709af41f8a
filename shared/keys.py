"""Repeats: one record a key decides who started what.

The record is created only once, before the run starts. Who fails to create it reads it, and joins that run. It holds
the run's id, the request's fingerprint and the result's ticket.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime

from shared import clock, records
from shared.outcomes import Stored
from shared.problems import Changed, Exists, KeyReused
from shared.records import Kept
from shared.store import Store
from shared.validation import Call

_FLOW_RUN = "x-ms-workflow-run-id"
_FLOW_ACTION = ("x-ms-workflow-operation-name", "x-ms-action-tracking-id")


class KeyRecord(Stored):
    """What a key stands for."""

    run: str
    ticket: str
    fingerprint: str
    created: datetime


def is_flow(call: Call) -> bool:
    """Tell whether Power Automate or Logic Apps called."""
    return _FLOW_RUN in call.headers


def fingerprint(call: Call) -> str:
    """Return what makes two requests under one key the same: the body's bytes, and the target that is named."""
    named = call.headers.get("nightshift-target", "").lower()
    return hashlib.sha256(named.encode() + b"\0" + call.body).hexdigest()


def key_of(call: Call, scope: str) -> str | None:
    """Return the store's key for a call that may come again; None for one that can't be told from others.

    Without an Idempotency-Key, the headers of a flow's action and the body's hash are the key: the same action of the
    same flow run repeats itself, but in a loop it has another body each time.

    Raises:
        KeyNotValid: the Idempotency-Key can't be used.
    """
    named = call.idempotency_key
    if named is None and is_flow(call) and any(name in call.headers for name in _FLOW_ACTION):
        parts = [call.headers.get(name, "") for name in (_FLOW_RUN, *_FLOW_ACTION)]
        named = "\n".join(["flow", *parts, fingerprint(call)])
    if named is None:
        return None
    whole = "\n".join((scope, call.method, call.function, call.route_params.get("id", ""), named))
    return f"keys/{hashlib.sha256(whole.encode()).hexdigest()}"


def enter(store: Store, key: str, mark: str, *, frees: bool = True, lasting: bool = False) -> tuple[KeyRecord, bool]:
    """Return the record of a key, and whether it was there before.

    A run that ended without anything sent frees its key, if it is one that `frees`: the next call takes it over. A
    `lasting` key never expires.

    Raises:
        KeyReused: the key stands for another request.
        Expired: its answer is kept no longer.
    """
    mine = fresh(mark)
    data = mine.data()
    while True:
        found = store.read(key)
        if found is None:
            if _won(lambda: store.create(key, data)):
                return mine, False
            continue
        theirs = KeyRecord.read(found.data)
        kept = records.read_kept(store, theirs.run)
        if kept is None or kept.sent or not frees:
            _check(store, theirs, None if lasting else kept, mark)
            return theirs, True
        etag = found.etag
        if _won(lambda etag=etag: store.replace(key, data, etag)):  # type: ignore[misc] # mypy types no lambda's default
            return mine, False


def fresh(mark: str) -> KeyRecord:
    """Return what a new run is known by."""
    return KeyRecord(run=records.new_id(), ticket=records.new_ticket(), fingerprint=mark, created=clock.now())


def _won(write: Callable[[], str]) -> bool:
    try:
        write()
    except (Exists, Changed):
        return False
    return True


def _check(store: Store, theirs: KeyRecord, kept: Kept | None, mark: str) -> None:
    if theirs.fingerprint != mark:
        raise KeyReused("This Idempotency-Key was used for another body or target.", run=theirs.run)
    if kept:
        records.refuse_expired(records.read_order(store, theirs.run), kept)
