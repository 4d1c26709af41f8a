"""The product on the extension: what its tests share."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import requests

from local.stack import Machine
from tests.functions.calling import Caller, allow_all, by_id, unpushed
from tests.functions.camunda_calling import Retrier
from tests.functions.test_batch import Batcher

LATER = {"Prefer": "respond-async"}
QUICK = {
    # A sender counts as gone after a minute and some seconds, and what it sent shows within seconds.
    **{
        f"TARGETS__{target}__{name}": value
        for target in ("FO", "BC", "CAMUNDA", "OPENDATADSL")
        for name, value in {"CONNECT_TIMEOUT": "1", "READ_TIMEOUT": "3", "LATE_EFFECT_MINUTES": "0.1"}.items()
    },
    "TARGETS__BC__BATCH_TIMEOUT": "5",
    "WAIT_SECONDS": "60",
}


def listed(caller: Caller, jobs: list[int], **more: object) -> requests.Response:
    """Requeue a list of jobs, and return the 202."""
    accepted = caller.post("finance-operations/requeue", {"batchJobIds": jobs, "reason": "x", **more}, headers=LATER)
    assert accepted.status_code in (200, 202, 422), accepted.text
    return accepted


def requeued(caller: Caller, jobs: list[int], **more: object) -> dict[str, dict[str, Any]]:
    """Requeue a list of jobs, and return how each ended."""
    accepted = listed(caller, jobs, **more)
    answer = unpushed(accepted) if accepted.status_code == 202 else accepted
    # 422: of the list, nothing was done.
    assert answer.status_code in (200, 422), answer.text
    return by_id(answer)


def outcomes(items: Mapping[str, Mapping[str, Any]]) -> Counter[str]:
    return Counter(str(item["outcome"]) for item in items.values())


def sent(caller: Caller, jobs: list[int]) -> Counter[int]:
    """Return how many jobs got how many action calls that took effect, or may have."""
    calls = Counter(call.job for call in caller.system.book.calls(kind="action"))
    return Counter(calls[job] for job in jobs)


def batched(
    batcher: Batcher, count: int, settle_by: list[str] | None = None, **headers: str
) -> tuple[requests.Response, list[str]]:
    """Send so many lines in parallel, and return the 202 with their ids."""
    names = [f"{batcher.journal[:4]}-{number}" for number in range(count)]
    operations = [batcher.line(name) for name in names]
    named = {"Prefer": "respond-async, odata.continue-on-error", **headers}
    accepted = batcher.batch(operations, {"settleBy": settle_by} if settle_by else None, **named)
    assert accepted.status_code == 202, accepted.text
    return accepted, names


def all_there_once(batcher: Batcher, answer: requests.Response, names: list[str]) -> None:
    """Each operation is done, and the system's own book has it once.

    204 is for one whose response was lost, and which the system was shown to have by the fields of `settleBy`.
    """
    assert answer.status_code == 200, answer.text
    statuses = Counter(one["status"] for one in answer.json()["responses"])
    assert statuses.keys() <= {201, 204}, statuses
    assert statuses.total() == len(names)
    assert sorted(batcher.documents()) == sorted(names)


def callers(machine: Machine) -> tuple[Caller, Batcher, Retrier]:
    """Return whoever calls each system, with a policy that allows all."""
    caller = Caller(machine)
    allow_all(caller)
    return caller, Batcher(machine), Retrier(machine)
