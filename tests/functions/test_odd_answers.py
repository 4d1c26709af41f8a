"""What callers are told when a system, or what is before it, answers what it should not."""

from collections.abc import Iterator
from typing import Any

import pytest

from local.stack import Machine
from tests.functions.calling import Caller, get, problem
from tests.functions.camunda_calling import Retrier
from tests.functions.test_batch import Batcher

pytestmark = pytest.mark.slow

CONTINUED = {"Prefer": "odata.continue-on-error"}


@pytest.fixture
def batcher(any_machine: Machine) -> Iterator[Batcher]:
    batcher = Batcher(any_machine)
    yield batcher
    batcher.central.faults.clear()


@pytest.fixture
def retrier(any_machine: Machine) -> Iterator[Retrier]:
    retrier = Retrier(any_machine)
    yield retrier
    retrier.camunda.reset()


def outcomes(batcher: Batcher, run: str) -> dict[str, Any]:
    return {one["id"]: one["outcome"] for one in get(batcher, f"runs/{run}", limit="100")["items"]}


def test_f1_a_job_that_is_not_there(any_caller: Caller) -> None:
    """F1: the library answers 404 without a body."""
    job = any_caller.failed_job()
    any_caller.system.faults.add("empty", kind="read", job=job, times=None)
    problem(any_caller.requeue(job), 422, "item-not-found")
    assert any_caller.actions(job) == 0


def test_f3_a_page_to_sign_in_has_changed_nothing(any_caller: Caller, batcher: Batcher, retrier: Retrier) -> None:
    """F3: for every system; nobody goes to the page."""
    job = any_caller.failed_job()
    any_caller.system.faults.add("login", kind="action", job=job)
    problem(any_caller.requeue(job), 424, "access-denied")
    batcher.central.faults.add("login", kind="batch")
    batched = batcher.batch([batcher.line("1")], **CONTINUED)
    assert outcomes(batcher, batched.headers["Nightshift-Run"]) == {"1": "failed"}
    assert batcher.documents() == []
    retrier.camunda.faults.add("login", kind="action")
    answer = retrier.retries({"retries": 1, "jobIds": [retrier.engine.add_job()]})
    problem(answer, 424, "access-denied")
    assert retrier.engine.batches() == []


def test_c3_one_unreadable_response_is_unknown_alone(batcher: Batcher) -> None:
    """C3: the others count."""
    batcher.central.faults.add("unreadable", kind="operation", operation="2")
    answer = batcher.batch([batcher.line(str(number)) for number in range(5)], **CONTINUED)
    found = outcomes(batcher, answer.headers["Nightshift-Run"])
    assert found == {"0": "done", "1": "done", "2": "unknown", "3": "done", "4": "done"}


def test_c3_a_byte_order_mark_is_skipped(batcher: Batcher, any_caller: Caller) -> None:
    """C3: in the answer of a batch, and of single calls."""
    batcher.central.faults.add("bom", kind="batch")
    answer = batcher.batch([batcher.line(str(number)) for number in range(3)], **CONTINUED)
    assert set(outcomes(batcher, answer.headers["Nightshift-Run"]).values()) == {"done"}
    job = any_caller.failed_job()
    any_caller.system.faults.add("bom", job=job, times=None)
    assert any_caller.requeue(job).status_code == 200


def test_d4_a_bomb_in_a_batch_is_no_answer(batcher: Batcher) -> None:
    """D4: the app lives on."""
    batcher.central.faults.add("bomb", kind="batch", after=True)
    answer = batcher.batch([batcher.line("1")], **CONTINUED)
    assert outcomes(batcher, answer.headers["Nightshift-Run"]) == {"1": "unknown"}
    assert batcher.documents() == ["1"]
    again = batcher.batch([batcher.line("2")], **CONTINUED)
    assert outcomes(batcher, again.headers["Nightshift-Run"]) == {"2": "done"}
