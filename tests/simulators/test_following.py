"""The questions of somebody who follows thousands of jobs: they are understood, and cheap."""

from time import perf_counter

import pytest

from local.simulators.finance_operations.server import FinanceOperations
from local.simulators.testing.finance_operations import Caller, Clock

_STATUS = "Microsoft.Dynamics.DataEntities.BatchStatus"
_MANY = 4_000
_FIELDS = "BatchJobRecId,Status,EndDateTime"


def _found(caller: Caller, text: str) -> list[int]:
    response = caller.list(filter=text, select=_FIELDS, orderby="BatchJobRecId")
    assert response.status_code == 200, response.text
    return [entity["BatchJobRecId"] for entity in response.json()["value"]]


def _not(*statuses: str) -> str:
    return " and ".join(f"Status ne {_STATUS}'{status}'" for status in statuses)


def test_sixty_jobs_are_asked_for_by_their_ids(fo: FinanceOperations, caller: Caller) -> None:
    jobs = fo.jobs.fail(100)
    wanted = [*jobs[10:69], 17]
    assert _found(caller, " or ".join(f"BatchJobRecId eq {job}" for job in wanted)) == jobs[10:69]


def test_ids_and_other_comparisons_go_together(fo: FinanceOperations, caller: Caller) -> None:
    first, second, third = fo.jobs.fail(3)
    fo.jobs.set_status(third, "Hold")
    chain = f"BatchJobRecId eq {first} or Status eq {_STATUS}'Hold' or BatchJobRecId eq {second}"
    assert _found(caller, chain) == [first, second, third]
    assert _found(caller, f"({chain}) and {_not('Error')}") == [third]
    assert _found(caller, f"not (BatchJobRecId eq {first} or BatchJobRecId eq {second})") == [third]


def test_what_ended_lately_or_has_not_ended(fo: FinanceOperations, caller: Caller, clock: Clock) -> None:
    old = fo.jobs.add()
    clock.forward(3600)
    since = f"{clock():%Y-%m-%dT%H:%M:%SZ}"
    fresh, waits = fo.jobs.add(), fo.jobs.add(status="Waiting")
    stuck = fo.jobs.add(status="Executing", outcomes=["stuck"])
    ended = f"EndDateTime ge {since} or ({_not('Error', 'Finished', 'Canceled')})"
    assert _found(caller, ended) == [fresh, waits, stuck]
    fo.jobs.requeue(old)
    assert _found(caller, ended) == [old, fresh, waits, stuck]


@pytest.mark.parametrize(
    "text",
    [
        f"EndDateTime ge 2027-01-01T00:00:00Z or ({_not('Error', 'Finished', 'Canceled')})",
        " or ".join(f"BatchJobRecId eq {number}" for number in range(1, 61)),
        _not("Finished"),
    ],
)
def test_thousands_of_jobs_are_looked_at_in_no_time(
    fo: FinanceOperations, caller: Caller, clock: Clock, text: str
) -> None:
    jobs = fo.jobs.fail(_MANY)
    for job in jobs[: _MANY // 2]:
        fo.jobs.requeue(job)
    begin = perf_counter()
    for _ in range(10):
        clock.forward(60)
        assert caller.list(filter=text, select=_FIELDS).status_code == 200
    assert perf_counter() - begin < 3
    assert fo.jobs.executions() == _MANY // 2
