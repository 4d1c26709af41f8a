"""Remove the entries of the audit trail that are past AUDIT_RETENTION_DAYS, once a day."""

from datetime import date, timedelta

from shared.audit import trail
from shared.core import clock
from shared.core.model import Stored
from shared.core.settings import app_settings
from shared.runs import records
from shared.runs.removal import Budget
from shared.storage.app import audit_store
from shared.storage.base import Store

_AUDIT_DAY = "housekeeping/audit"


class AuditDay(Stored):
    """The last day on which all entries of the audit trail were removed that are past their time."""

    day: date


def forget(store: Store, budget: Budget) -> bool:
    """Remove old entries of the audit trail, until a day's are done: the trail has a prefix for each day."""
    today, found = clock.now().date(), store.read(_AUDIT_DAY)
    if found and AuditDay.read(found.data).day == today:
        return True
    before = today - timedelta(days=app_settings().audit_retention_days)
    looked_at = trail.forget_before(audit_store(store), before, budget.left)
    budget.removed["audit"] += looked_at
    if looked_at >= budget.left:
        return False
    # The last writer wins: two ticks at once do no harm.
    store.delete(_AUDIT_DAY)
    records.create(store, _AUDIT_DAY, AuditDay(day=today))
    return True
