"""The systems whose failures can be swept: what each of them tells, in one table.

A sixth system that has failures is one more entry here.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.operations import Found, Named
from shared.outcomes import Became
from shared.policy import Facts
from shared.progress import Following
from shared.systems import camunda
from shared.systems import finance_operations as fo
from shared.targets import System
from shared.transport import Connection
from shared.work import Bundle, Work


@dataclass(frozen=True)
class Follow:
    """What is watched, and what is known of it.

    Attributes:
        watched: The items, and the failure that each showed when it was sent.
        since: When the first of them was sent.
        run: The run's id, for the system's own log.
        about: What the items are called, and what else was seen of them.
        has_come_to: Tells whether the system has come to an item that was sent together with others.
    """

    watched: Mapping[str, str | None]
    since: datetime
    run: str
    about: Callable[[], Mapping[str, Mapping[str, str]]]
    has_come_to: Callable[[str], bool]


def _none(_connection: Connection, _operation: Mapping[str, Any], _run: str) -> None:
    return None


def _over(_connection: Connection, _sending: str, _run: str) -> tuple[Following, str | None]:
    return Following.OVER, None


@dataclass(frozen=True)
class Swept:
    """What a system tells of its failures, and what is done to them; each function may raise ItemProblem.

    Attributes:
        failures: The failures between two instants (None: as far as they go), in the order in which they are tried.
        page: Some of the failures, and whether there are more.
        facts: What a rule may see of an item.
        cause: By which cause an item is tried, and over which groups, from what is known about it.
        became: What became of items.
        work: What is done to one item.
        bundle: What is done to many items by one call; None where that is done to each by itself.
        followed: How far the system is with such a call, by its own name for it, and what a person should know of that.
        chosen: What a request means that names its items by a selection.
        looks_back: How far it looks back is told by when it looked last; otherwise every open failure is found.
    """

    failures: Callable[[Connection, datetime | None, datetime | None, str], Found]
    page: Callable[[Connection, datetime | None, datetime | None, int, int], tuple[Found, bool]]
    facts: Callable[[Named, str], Facts]
    cause: Callable[[Mapping[str, str]], tuple[str, tuple[str, ...]]]
    became: Callable[[Connection, Follow], Iterable[tuple[str, Became]]]
    work: Callable[[Connection, Mapping[str, Any], str], Work]
    bundle: Callable[[Connection, Mapping[str, Any], str], Bundle | None] = _none
    followed: Callable[[Connection, str, str], tuple[Following, str | None]] = _over
    chosen: Callable[[Connection, Mapping[str, Any], int | None, int, str], Found] | None = None
    looks_back: bool = True


def swept(system: System) -> Swept:
    """Return what a system tells of its failures."""
    return _SWEPT[system]


def _requeued(connection: Connection, follow: Follow) -> Iterable[tuple[str, Became]]:
    return fo.became_of(connection, follow.watched, follow.since, follow.run)


def _failed_jobs(connection: Connection, since: datetime | None, until: datetime | None, run: str) -> Found:
    if since is None or until is None:
        raise ValueError("batch jobs are listed between two instants")
    return Found([fo.named(job) for job in fo.failed_jobs(connection, since, until, run)])


def _failed_page(
    connection: Connection, since: datetime | None, until: datetime | None, skip: int, top: int
) -> tuple[Found, bool]:
    if since is None or until is None:
        raise ValueError("batch jobs are listed between two instants")
    jobs = fo.failed_jobs_page(connection, since, until, skip, top + 1)
    return Found([fo.named(job) for job in jobs[:top]]), len(jobs) > top


def _one_cause(about: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Finance & Operations tells no cause, so all of a target are one."""
    return "", (about.get("job", ""), about.get("company", ""))


def _requeueing(connection: Connection, operation: Mapping[str, Any], run: str) -> Work:
    return fo.Requeueing(connection, fo.Requeue.model_validate(operation), run)


def _retried(connection: Connection, follow: Follow) -> Iterable[tuple[str, Became]]:
    def instances() -> Mapping[str, str]:
        return {item: about["instance"] for item, about in follow.about().items() if "instance" in about}

    return camunda.became_of(connection, follow.watched, follow.run, instances, follow.has_come_to)


def _setting(connection: Connection, operation: Mapping[str, Any], run: str) -> Bundle | None:
    if "delete" in operation:
        return None
    return camunda.SettingRetries(connection, camunda.Change.model_validate(operation), run)


def _batch(connection: Connection, batch: str, run: str) -> tuple[Following, str | None]:
    found = camunda.state_of(connection, batch, run)
    if found.state != "stuck":
        return Following(found.state), None
    ending = f"never end: {found.why} Delete it: DELETE /api/camunda/batch/{batch}."
    if not found.is_dead:
        ending = f"not come to its end by itself: {found.why} Look at them in the engine."
    return Following.STUCK, f"Batch {batch} can {ending}"


_SWEPT: dict[System, Swept] = {
    "finance-operations": Swept(
        failures=_failed_jobs,
        page=_failed_page,
        facts=fo.facts,
        cause=_one_cause,
        became=_requeued,
        work=_requeueing,
    ),
    "camunda": Swept(
        failures=camunda.failures,
        page=camunda.failures_page,
        facts=camunda.facts,
        cause=camunda.cause_and_group,
        became=_retried,
        work=camunda.Deleting,
        bundle=_setting,
        followed=_batch,
        chosen=camunda.chosen,
        looks_back=False,
    ),
}

SWEPT: Sequence[System] = tuple(_SWEPT)
"""The systems that can be swept."""
