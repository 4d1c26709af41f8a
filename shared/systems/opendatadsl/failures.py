"""The failures that a sweep finds: processes whose executions failed between two instants."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from shared.policy.rules import Facts
from shared.systems.opendatadsl.executions import Execution, failed_since
from shared.systems.requests import ItemRef, Selection
from shared.transport.connection import Connection

_LIMIT = 100
_MOST_PAGES = 100
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def failures(connection: Connection, since: datetime | None, until: datetime | None, run: str) -> Selection:
    """Return the processes with an execution that failed between two instants, in the order of their last failures.

    Raises:
        Failed: they cannot be listed.
    """
    last: dict[str, Execution] = {}
    notes: list[str] = []
    for page in range(_MOST_PAGES):
        found = failed_since(connection, _day(since), page * _LIMIT, _LIMIT, run)
        last |= {one.name: one for one in _within(found, since, until)}
        if len(found) < _LIMIT:
            break
    else:
        notes.append(f"More than {_MOST_PAGES * _LIMIT} executions have failed; the others were not read.")
    ordered = sorted(last.values(), key=lambda one: (one.start or _LONG_AGO, one.name))
    return Selection([item(one) for one in ordered], notes=notes)


def failures_page(
    connection: Connection, since: datetime | None, until: datetime | None, skip: int, top: int
) -> tuple[Selection, bool]:
    """Return one page of the failed executions, by process, and whether there are more.

    Raises:
        Failed: they cannot be listed.
    """
    found = failed_since(connection, _day(since), skip, top + 1, "failures")
    last = {one.name: one for one in _within(found[:top], since, until)}
    return Selection([item(one) for one in last.values()]), len(found) > top


def item(one: Execution) -> ItemRef:
    """Return a failed execution's process as an item of a run."""
    about = {"job": one.name, "cause": one.message, "ended": f"{one.start:%Y-%m-%dT%H:%M:%SZ}" if one.start else ""}
    operation = {"again": one.name, "failed": one.id}
    return ItemRef(one.name, operation, one.id, {name: text for name, text in about.items() if text})


def facts(one: ItemRef, target: str) -> Facts:
    """Return what policy rules can match of a process."""
    return Facts(target, job=one.id)


def cause_and_group(about: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Return the cause of a failure, which is the service's message, and no groups."""
    return about.get("cause", ""), ()


def _within(found: Iterable[Execution], since: datetime | None, until: datetime | None) -> Iterable[Execution]:
    """Return the executions between two instants; one whose time is not known counts."""
    for one in found:
        at = one.start
        if at is None or ((since is None or since <= at) and (until is None or at <= until)):
            yield one


def _day(since: datetime | None) -> str:
    """Return the day before an instant: what the service makes of a zone in a filter is not documented."""
    return f"{(since or _LONG_AGO + timedelta(days=2)) - timedelta(days=1):%Y-%m-%d}"
