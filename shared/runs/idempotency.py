"""Idempotency: one record per key decides which call starts a run.

The record is created once, before the run starts; a call that finds it joins its run. It holds the run's id, the
request's fingerprint and the result's ticket.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

from shared.core import clock
from shared.core.model import Stored
from shared.core.problems import KeyReused
from shared.runs import records
from shared.runs.records import StoredResponse
from shared.storage.base import Store, put
from shared.validation.request import Call

_FLOW_RUN = "x-ms-workflow-run-id"
_RECORDED_WITHIN = timedelta(days=1)
"""Longer than any call lasts, and as short as a run is kept at least."""
_FLOW_ACTION = ("x-ms-workflow-operation-name", "x-ms-action-tracking-id")


class KeyRecord(Stored):
    """The run of a key, and the fingerprint of its request."""

    run: str
    ticket: str
    fingerprint: str
    created: datetime
    instead_of: str | None = None
    """The run that had the key before, and sent nothing."""


def is_flow(call: Call) -> bool:
    """Return whether the caller is Power Automate or Logic Apps."""
    return _FLOW_RUN in call.headers


def fingerprint(call: Call) -> str:
    """Return a hash of the body's bytes and the header Nightshift-Target; it is equal for repeats of a request."""
    named = call.headers.get("nightshift-target", "").lower()
    found = hashlib.sha256(named.encode() + b"\0")
    # The body may be large.
    found.update(call.body)
    return found.hexdigest()


def key_of(call: Call, scope: str) -> str | None:
    """Return the store's key of a call, or None if a repeat of the call can't be recognized.

    Without an Idempotency-Key, the headers of a flow's action and the body's hash are the key: a repeat of an action
    has the same headers, but so has each iteration of a loop, with another body. `scope` is the caller.

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


def apply_key(plan: str) -> str:
    """Return the key of the record of the run that applies a plan."""
    return f"keys/apply-{plan}"


def is_applied(store: Store, plan: str) -> bool:
    """Return whether a plan was applied."""
    return store.read(apply_key(plan)) is not None


def never(_: str) -> bool:
    """Say that no run frees its key."""
    return False


def always(_: str) -> bool:
    """Say that each run that ended without a send frees its key."""
    return True


def claim_key(
    store: Store, key: str, mark: str, *, frees: Callable[[str], bool], lasting: bool = False
) -> tuple[KeyRecord, bool]:
    """Create the record of a key, or return the existing one; the second value is whether it existed.

    A run that ended without a send frees its key if `frees` says so, and the next call takes it over; so does a call
    whose run was removed. A `lasting` key does not expire as long as its run is kept.

    Raises:
        KeyReused: another request has the key.
        Expired: the response of the run is past its retention.
    """
    mine = without_key(mark)
    while True:
        found = store.read(key)
        if found is None:
            if put(store, key, mine.data(), ""):
                return mine, False
            continue
        theirs = KeyRecord.read(found.data)
        kept = records.read_response(store, theirs.run)
        gone = _is_gone(store, theirs)
        if not gone and (kept is None or kept.sent or not frees(theirs.run)):
            _check(store, theirs, None if lasting else kept, mark)
            return theirs, True
        new = mine.model_copy(update={"instead_of": None if gone else theirs.run})
        if put(store, key, new.data(), found.etag):
            return new, False


def _is_gone(store: Store, theirs: KeyRecord) -> bool:
    """Return whether the run of a key was removed, or was never recorded by a call that must have died."""
    return clock.now() >= theirs.created + _RECORDED_WITHIN and records.known_spec(store, theirs.run) is None


def without_key(mark: str) -> KeyRecord:
    """Return a new record, with the id and the ticket of a new run; it is not stored."""
    return KeyRecord(run=records.new_id(), ticket=records.new_ticket(), fingerprint=mark, created=clock.now())


def _check(store: Store, theirs: KeyRecord, kept: StoredResponse | None, mark: str) -> None:
    if theirs.fingerprint != mark:
        raise KeyReused("This Idempotency-Key was used for another body or target.", run=theirs.run)
    if kept:
        records.refuse_expired(records.read_spec(store, theirs.run), kept)
