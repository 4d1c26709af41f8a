"""What needs a person because of a night. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from shared.reports.night import NightPerson, NightTarget
from shared.runs.needs.need import Need

_AFTERWARDS = timedelta(hours=1)
"""So long after its windows something still belongs to a night, such as what the last part of a run finds out."""
_DAY = timedelta(days=1)


def needs_of(
    needs: Iterable[Need],
    targets: Sequence[NightTarget],
    people: Sequence[NightPerson],
    begin: datetime,
    until: datetime,
) -> list[Need]:
    """Return those of the needs that hold now which belong to a night, without what somebody has acknowledged.

    A need names the run that found it out last, or none. So what is about a target of the night, and happened while
    the night went on, belongs to it, too.
    """
    runs = {one.run for one in targets if one.run} | {one.run for one in people}
    windows = {(one.target, one.night) for one in targets}
    names = {one.target for one in targets}
    return [
        need
        for need in needs
        if need.acknowledged is None
        and (
            need.run in runs
            or any((need.target, mark) in windows for mark in need.marks)
            or (need.target in names and _happened(need, begin, until))
        )
    ]


def _happened(need: Need, begin: datetime, until: datetime) -> bool:
    """Return whether a need happened between the begin of a night and a while after its end."""
    if need.kind == "target-unusable":
        # It lasts until the target answers. Found in the morning, it is why the night could not use the target.
        return need.since < max(until, begin + _DAY)
    if need.kind == "night-missing":
        # It names the windows that it is about, and may be noticed much later.
        return False
    return need.since <= until + _AFTERWARDS and begin <= need.last
