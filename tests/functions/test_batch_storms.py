"""Thousands of operations: the truth about each, the places in flight, and what a turn costs."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import requests

from local.stack import Machine
from tests.functions.calling import NO_TIMERS, get, wait_for
from tests.functions.test_batch import Batcher, statuses

LATER = {"Prefer": "odata.continue-on-error, respond-async"}


@pytest.fixture
def alone() -> Iterator[Batcher]:
    with Machine(NO_TIMERS) as machine:
        yield Batcher(machine)


def mixed(batcher: Batcher, number: int, journals: int = 50) -> list[dict[str, Any]]:
    """Return operations as a night may have them: lines of some journals, and customers of their own."""
    ids = [batcher.central.add_journal(batcher.company) for _ in range(journals)]
    found = []
    for one in range(number):
        name = f"N{one:05}"
        if one % 4:
            url = f"companies({batcher.company})/journals({ids[one % journals]})/journalLines"
            found.append({**batcher.line(name), "url": url})
        else:
            url = f"companies({batcher.company})/customers"
            body = {"displayName": name, "email": "x" * 300}
            headers = {"Content-Type": "application/json"}
            found.append({"id": name, "method": "POST", "url": url, "headers": headers, "body": body})
    return found


def send(batcher: Batcher, operations: list[dict[str, Any]], **more: Any) -> requests.Response:  # noqa: ANN401 - requests' arguments
    body = {"requests": operations, **more}
    return batcher.post("business-central/api/v2.0/$batch", body, headers={"Nightshift-Target": None, **LATER})


def written(batcher: Batcher) -> Counter[str]:
    """Return how often each operation took effect, by the system's book."""
    return Counter(str(one.operation) for one in batcher.central.book.writes() if one.took_effect)


def assert_the_book_agrees(batcher: Batcher, answer: requests.Response, ids: list[str]) -> Counter[str]:
    run = answer.headers["Nightshift-Run"]
    items: list[dict[str, Any]] = []
    after = 0
    while len(items) < len(ids):
        page = get(batcher, f"runs/{run}", after=str(after), limit="1000")["items"]
        items += page
        after += len(page)
        assert page
    assert [item["id"] for item in items] == ids
    book = written(batcher)
    for item in items:
        times = book[item["id"]]
        assert times <= 1, item
        if item["outcome"] == "done":
            assert times == 1, item
        elif item["outcome"] != "unknown":
            assert times == 0, item
    assert [one["id"] for one in answer.json()["responses"]] == ids
    return Counter(item["outcome"] for item in items)


def chaos(batcher: Batcher, number: int) -> None:
    operations = mixed(batcher, number)
    ids = [one["id"] for one in operations]
    add = batcher.central.faults.add
    add("throttle", kind="operation", share=0.01, seed=1, times=None, retry_after=5)
    add("status", kind="operation", status=400, share=0.005, seed=2, times=None)
    for after in (True, False):
        batcher.central.faults.add("cut", kind="batch", after=after, times=1)
    batcher.central.faults.add("status", status=504, kind="batch", after=True, times=1)
    accepted = send(batcher, operations)
    wait_for(lambda: len(batcher.central.book.batches()) >= number // 300)
    for pid in batcher.machine.host.workers("durable")[:1]:
        os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    answer = batcher.result(accepted)
    outcomes = assert_the_book_agrees(batcher, answer, ids)
    assert sum(outcomes.values()) == number
    # Three chunks lost their answers, and up to five were in the hands of the worker that was killed.
    assert outcomes["done"] >= number * 0.99 - 8 * 100
    assert set(outcomes) <= {"done", "rejected", "unknown"}


@pytest.mark.slow
def test_a_thousand_operations_in_chaos_each_have_one_outcome() -> None:
    with Machine(NO_TIMERS, deliver_twice=True, durable_workers=2) as machine:
        chaos(Batcher(machine), 1500)


@pytest.mark.slow
def test_ten_thousand_operations_in_chaos_each_have_one_outcome() -> None:
    with Machine(NO_TIMERS, deliver_twice=True, durable_workers=2) as machine:
        chaos(Batcher(machine), 10_000)


def side_by_side(batcher: Batcher, large: int) -> None:
    """Two large runs and a small one, at once: never more than five batches in flight, and the small one gets on."""
    batcher.central.behaviour.batch_seconds = 0.3
    batcher.central.behaviour.running_limit = 50
    first, second = (mixed(batcher, large) for _ in range(2))
    second = [{**one, "id": f"S{one['id']}"} for one in second]
    accepted = [send(batcher, operations) for operations in (first, second)]
    wait_for(lambda: len(batcher.central.book.batches()) >= 3)
    done: list[requests.Response] = []
    begun = len(batcher.central.book.batches())
    small = threading.Thread(
        target=lambda: done.append(
            batcher.post(
                "business-central/api/v2.0/$batch",
                {"requests": [batcher.line(f"small{one}") for one in range(3)]},
                headers={"Nightshift-Target": None, "Prefer": "wait=100"},
            )
        )
    )
    small.start()
    small.join(90)
    assert set(statuses(done[0]).values()) == {201}
    bypassed = len(batcher.central.book.batches()) - begun
    for one in accepted:
        wait_for(partial(is_ready, one))
    assert batcher.central.book.most_in_flight <= 5
    # Each of the five places may have been good for a few batches when the small one came, but not for all.
    assert len(batcher.central.book.batches()) >= begun + bypassed + 5


def is_ready(accepted: requests.Response) -> bool:
    return requests.get(accepted.headers["Location"], timeout=30).status_code != 202


@pytest.mark.slow
def test_a_small_run_is_not_starved_and_five_places_are_never_passed(alone: Batcher) -> None:
    side_by_side(alone, 3000)


@pytest.mark.slow
def test_two_runs_of_five_thousand_and_one_of_three(alone: Batcher) -> None:
    side_by_side(alone, 5000)


@pytest.mark.slow
def test_a_turn_of_ten_thousand_operations_hands_over_little(alone: Batcher) -> None:
    answer = alone.result(send(alone, mixed(alone, 10_000)))
    assert Counter(statuses(answer).values()) == {201: 10_000}
    run = answer.headers["Nightshift-Run"]
    turns = alone.machine.host.turn_bytes(run)
    assert turns
    assert max(turns) <= 128 * 1024, max(turns)
