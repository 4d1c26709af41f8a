"""What a call that starts no run leaves in the audit trail."""

import hashlib
import secrets

from shared.audit import trail
from shared.audit.entry import AuditEntry, AuditItem, Kind, PolicyChange
from shared.audit.keys import entry_id
from shared.core import clock
from shared.policy.document import PolicyDocument
from shared.runs import idempotency
from shared.runs.spec import RunSpec
from shared.storage.app import audit_store
from shared.storage.base import Store
from shared.validation.request import Call


def switched(store: Store, call: Call, kind: Kind, target: str | None, reason: str) -> None:
    """Record that sending to a target, or to all targets (None), was stopped or resumed."""
    _record(store, call, kind, _new(), reason, target=target)


def policy_intended(store: Store, call: Call, before: PolicyDocument, after: PolicyDocument) -> PolicyChange:
    """Record what a new version of the policy will change, before it does, and return it; a repeat finds it again."""
    whole = after.model_copy(update={"changed": None, "actorName": None})
    label = f"v{after.version}.{hashlib.sha256(whole.data()).hexdigest()[:16]}"
    found = _record(store, call, "intent", label, after.reason, change=change_of(before, after))
    return found.change or change_of(before, after)


def policy_changed(store: Store, call: Call, after: PolicyDocument, change: PolicyChange) -> None:
    """Record a new version of the policy, and what it changed."""
    _record(store, call, "policy", f"v{after.version}", after.reason, change=change)


def cancelled(store: Store, call: Call, spec: RunSpec, reason: str) -> None:
    """Record that a run was cancelled; a second call changes nothing."""
    _record(store, call, "cancel", "cancel", reason, target=spec.target, system=spec.system, run=spec.run)


def acknowledged(store: Store, call: Call, need: str, target: str | None, reason: str, item: str | None) -> None:
    """Record that a person acknowledged what needs a person; `need` is its id."""
    items = [AuditItem(id=item)] if item else []
    _record(store, call, "acknowledge", f"{need}.{_new()}", reason, target=target, items=items)


def change_of(before: PolicyDocument, after: PolicyDocument) -> PolicyChange:
    """Return what a version of the policy changed."""
    old, new = before.rules.rules, after.rules.rules
    kept = [rule for rule in old if rule in new]
    return PolicyChange(
        fromVersion=before.version,
        toVersion=after.version,
        added=[rule for rule in new if rule not in old],
        removed=[rule for rule in old if rule not in new],
        reordered=kept != [rule for rule in new if rule in old],
    )


def _new() -> str:
    return secrets.token_hex(6)


def _record(  # noqa: PLR0913 - each is a member of the entry
    store: Store,
    call: Call,
    kind: Kind,
    label: str,
    reason: str,
    *,
    target: str | None = None,
    system: str | None = None,
    run: str | None = None,
    change: PolicyChange | None = None,
    items: list[AuditItem] | None = None,
) -> AuditEntry:
    actor = call.caller.actor
    origin = "flow" if idempotency.is_flow(call) else "http"
    entry = AuditEntry(
        id=entry_id(run, label, kind),
        at=clock.now(),
        kind=kind,
        actor=actor.id,
        actorName=actor.name,
        proven=actor.proven,
        origin=origin,
        reason=reason,
        function=call.function,
        system=system,
        target=target,
        run=run,
        correlation=call.correlation,
        change=change,
        items=items or [],
    )
    return trail.record(audit_store(store), entry, by_item=bool(items))
