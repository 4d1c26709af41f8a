"""A person records what became of an item that a run left unknown."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from local.stack import Machine
from tests.functions.calling import REQUEUE, Caller, get, many, problem, together
from tests.functions.test_audit import audited, kinds, run_of
from tests.functions.test_batch import Batcher

MINUTES = 60
LATE = 15 * MINUTES
"""After this time no call takes effect any more."""


@pytest.fixture
def batcher(machine: Machine) -> Iterator[Batcher]:
    batcher = Batcher(machine)
    yield batcher
    batcher.central.faults.clear()


def lost(caller: Caller, *jobs: int) -> str:
    """Return a run that left jobs unknown: the answers to their calls were lost."""
    for job in jobs:
        caller.system.faults.add("cut", kind="action", job=job, times=1)
    return run_of(many(caller, REQUEUE, {"batchJobIds": list(jobs), "reason": "again"}))


def settled(caller: Caller, run: str, *, happened: bool, reason: str = "I looked", **more: Any) -> requests.Response:  # noqa: ANN401 - JSON is any value
    body = {"happened": happened, "reason": reason, **more}
    return caller.post(f"runs/{run}/settle", body, headers={"Nightshift-Target": None})


def retried(caller: Caller, run: str, **more: Any) -> requests.Response:  # noqa: ANN401 - as above
    return many(caller, f"runs/{run}/retry", {"reason": "the rest", **more})


def test_what_happened_counts_as_done_and_is_never_sent_again(caller: Caller) -> None:
    job = caller.failed_job()
    run = lost(caller, job)
    problem(retried(caller, run), 422, "not-valid")
    problem(retried(caller, run, only=[str(job)]), 422, "not-valid")
    answer = settled(caller, run, happened=True, reason="The job shows it")
    report = answer.json()
    assert (answer.status_code, report["function"], report["parent"], report["state"]) == (200, "settle", run, "ended")
    (item,) = report["items"]
    assert (item["outcome"], item["recovery"], "The job shows it" in item["reason"]) == ("done", "not_watched", True)
    problem(retried(caller, run, only=[str(job)]), 422, "not-valid")
    problem(caller.post(f"runs/{run}/check", {"reason": "look"}), 422, "not-valid")
    assert caller.actions(job) == 1
    told = get(caller, f"items/fo/{job}")
    assert [(one["kind"], one["outcome"]) for one in told["value"]] == [("settle", "done"), ("outcome", "unknown")]
    assert told["value"][0]["reason"] == "The job shows it"
    assert kinds(audited(caller, run=run_of(answer))) == ["settle"]
    # The newest one first; other tests have settled on this host, too.
    assert get(caller, "runs", function="settle")["value"][0]["id"] == run_of(answer)


def test_what_did_not_happen_is_retried_once_it_surely_can_not_happen(caller: Caller) -> None:
    job = caller.failed_job()
    run = lost(caller, job)
    told = problem(settled(caller, run, happened=False), 409, "may-still-happen")
    assert "until" in told["detail"]
    caller.machine.clock.advance(LATE)
    answer = settled(caller, run, happened=False)
    (item,) = answer.json()["items"]
    assert (item["outcome"], item["type"]) == ("failed", "not-taken")
    again = retried(caller, run)
    assert (again.status_code, caller.actions(job)) == (200, 2)
    # The retry of the run that settled it is the same one.
    problem(retried(caller, run_of(answer), only=[str(job)]), 422, "not-valid")
    assert caller.actions(job) == 2


def test_it_is_settled_one_way_only(caller: Caller) -> None:
    jobs = [caller.failed_job(), caller.failed_job()]
    run = lost(caller, *jobs)
    first = settled(caller, run, happened=True, items=[str(jobs[0])])
    again = settled(caller, run, happened=True, reason="me too", items=[str(jobs[0])])
    assert run_of(again) == run_of(first)
    assert (again.json(), again.headers["Nightshift-Replayed"]) == (first.json(), "true")
    caller.machine.clock.advance(LATE)
    told = problem(settled(caller, run, happened=False, items=[str(jobs[0])]), 409, "settled-otherwise")
    assert told["run"] == run_of(first)
    rest = settled(caller, run, happened=False)
    assert [one["id"] for one in rest.json()["items"]] == [str(jobs[1])]
    # A repeat means what it settled, and no more.
    assert run_of(settled(caller, run, happened=False)) == run_of(rest)
    assert run_of(settled(caller, run, happened=True)) == run_of(first)


def test_of_many_that_settle_at_once_one_is_heard(caller: Caller) -> None:
    job = caller.failed_job()
    run = lost(caller, job)
    caller.machine.clock.advance(LATE)
    answers = together(6, lambda number: settled(caller, run, happened=number % 2 == 0))
    assert {answer.status_code for answer in answers} == {200, 409}
    good = [answer.json() for answer in answers if answer.status_code == 200]
    assert len({one["id"] for one in good}) == 1
    assert len({one["items"][0]["outcome"] for one in good}) == 1
    assert get(caller, f"items/fo/{job}")["outcome"] == good[0]["items"][0]["outcome"]


def test_a_check_that_was_conclusive_is_not_contradicted(caller: Caller) -> None:
    job = caller.failed_job()
    run = lost(caller, job)
    caller.machine.clock.advance(LATE)
    assert caller.post(f"runs/{run}/check", {"reason": "look"}).json()["items"][0]["outcome"] == "failed"
    assert problem(settled(caller, run, happened=True), 409, "settled-otherwise")["run"] == run
    assert settled(caller, run, happened=False).status_code == 200


def test_a_request_that_cannot_be_is_refused(caller: Caller) -> None:
    done, job = caller.failed_job(), caller.failed_job()
    run = lost(caller, job)
    told = problem(settled(caller, run, happened=True, items=[str(job), str(done), "x"]), 422, "not-valid")
    assert [one["pointer"] for one in told["errors"]] == ["/items/1", "/items/2"]
    good = run_of(caller.requeue(done))
    problem(settled(caller, good, happened=True), 422, "not-valid")
    problem(settled(caller, "none", happened=True), 404, "unknown-run")
    told = problem(caller.post(f"runs/{run}/settle", {"happened": "yes"}), 422, "not-valid")
    assert sorted(one["pointer"] for one in told["errors"]) == ["/happened", "/reason"]


def test_an_open_run_is_not_settled(caller: Caller) -> None:
    job = caller.failed_job()
    caller.system.faults.add("hold", kind="read", job=job)
    accepted = caller.requeue(job, Prefer="respond-async")
    assert caller.system.faults.wait_held(1)
    problem(settled(caller, run_of(accepted), happened=True), 409, "run-open")
    caller.system.faults.release()
    caller.result(accepted)


@pytest.mark.parametrize("by_settle", [False, True])
def test_operations_of_a_batch_are_settled_too(batcher: Batcher, *, by_settle: bool) -> None:
    batcher.central.faults.add("cut", kind="batch", times=1)
    answer = batcher.batch([batcher.line("1"), batcher.line("2")], Prefer="odata.continue-on-error")
    run = run_of(answer)
    problem(settled(batcher, run, happened=False), 409, "may-still-happen")
    batcher.machine.clock.advance(LATE)
    assert settled(batcher, run, happened=True, items=["1"]).json()["items"][0]["outcome"] == "done"
    missing = settled(batcher, run, happened=False)
    assert [(one["id"], one["outcome"]) for one in missing.json()["items"]] == [("2", "failed")]
    with ThreadPoolExecutor(1) as thread:
        path = f"runs/{run_of(missing) if by_settle else run}/retry"
        body = {"reason": "the rest"}
        again = thread.submit(batcher.post, path, body, headers={"Nightshift-Target": None}).result()
    assert [one["id"] for one in get(batcher, f"runs/{run_of(again)}")["items"]] == ["2"]
    assert batcher.documents() == ["2"]


def lost_batch(batcher: Batcher, *, acts: bool) -> str:
    """Return the run of one operation whose answer was lost, so long ago that nothing can happen any more."""
    batcher.central.faults.add("cut", kind="batch", after=acts, times=1)
    run = run_of(batcher.batch([batcher.line("1")], Prefer="odata.continue-on-error"))
    batcher.machine.clock.advance(LATE)
    return run


def checked(batcher: Batcher, run: str, *fields: str) -> requests.Response:
    body = {"reason": "look", "settleBy": list(fields)}
    return batcher.post(f"runs/{run}/check", body, headers={"Nightshift-Target": None})


def outcomes(answer: requests.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["outcome"] for one in answer.json()["items"]]


def test_an_operation_that_a_check_has_shown_is_not_settled_otherwise_and_not_sent_again(batcher: Batcher) -> None:
    run = lost_batch(batcher, acts=True)
    assert outcomes(checked(batcher, run, "documentNumber")) == ["done"]
    told = problem(settled(batcher, run, happened=False), 409, "settled-otherwise")
    assert told["run"] == run
    problem(retried(batcher, run, only=["1"]), 422, "not-valid")
    assert batcher.documents() == ["1"]
    assert outcomes(settled(batcher, run, happened=True)) == ["done"]


def test_an_operation_that_a_check_has_shown_as_not_taken_is_not_settled_as_done(batcher: Batcher) -> None:
    run = lost_batch(batcher, acts=False)
    check = checked(batcher, run, "documentNumber")
    assert outcomes(check) == ["failed"]
    problem(settled(batcher, run, happened=True), 409, "settled-otherwise")
    assert retried(batcher, run_of(check)).status_code == 200
    assert batcher.documents() == ["1"]


def test_what_was_settled_while_a_check_looked_is_not_sent_by_a_retry_of_the_check(batcher: Batcher) -> None:
    run = lost_batch(batcher, acts=False)
    batcher.central.faults.add("hold", kind="read", times=1)
    with ThreadPoolExecutor(1) as thread:
        slow = thread.submit(checked, batcher, run, "documentNumber")
        assert batcher.central.faults.wait_held(1)
        assert outcomes(settled(batcher, run, happened=True)) == ["done"]
        batcher.central.faults.release()
        check = slow.result()
    assert outcomes(check) == ["done"]
    problem(retried(batcher, run_of(check)), 422, "not-valid")
    problem(retried(batcher, run_of(check), only=["1"]), 422, "not-valid")
    assert batcher.documents() == []


def test_what_a_later_check_has_shown_is_not_sent_by_a_retry_of_an_earlier_one(batcher: Batcher) -> None:
    run = lost_batch(batcher, acts=True)
    (line,) = batcher.central.lines(batcher.journal)
    renumber = {"method": "PATCH", "id": "p", "url": f"{batcher.lines_url}({line['id']})", "headers": {"If-Match": "*"}}
    assert batcher.batch([{**renumber, "body": {"documentNumber": "renumbered"}}]).status_code == 200
    earlier, later = (checked(batcher, run, field) for field in ("documentNumber", "postingDate"))
    assert (outcomes(earlier), outcomes(later)) == (["failed"], ["done"])
    problem(retried(batcher, run_of(earlier)), 422, "not-valid")
    # What is known to have happened stays so.
    last = checked(batcher, run, "documentNumber")
    assert outcomes(last) == ["done"]
    problem(retried(batcher, run_of(last)), 422, "not-valid")
    assert batcher.documents() == ["renumbered"]


def test_a_check_of_an_applied_run_applies_and_overrides_nothing_itself(caller: Caller) -> None:
    job = caller.failed_job()
    plan = run_of(many(caller, REQUEUE, {"batchJobIds": [job], "reason": "Which?", "dryRun": True}))
    caller.system.faults.add("cut", kind="action", job=job, times=1)
    run = run_of(many(caller, f"runs/{plan}/apply", {"reason": "Go", "override": True}))
    flow = {"x-ms-workflow-run-id": "08585"}
    path, headers = f"runs/{run}/check", {"Nightshift-Target": None, **flow}
    check = caller.post(path, {"reason": "look"}, headers=headers)
    caller.machine.clock.advance(LATE)
    for answer, origin in ((check, "flow"), (settled(caller, run, happened=True), "http")):
        report = answer.json()
        assert (report["plan"], report["override"], report["origin"]) == (None, False, origin)
        (entry,) = audited(caller, run=run_of(answer))
        assert (entry["plan"], entry["plannedBy"], entry["override"], entry["origin"]) == (None, None, False, origin)


def test_who_settles_the_rest_is_not_named_for_what_was_settled_before(caller: Caller) -> None:
    jobs = [caller.failed_job(), caller.failed_job()]
    run = lost(caller, *jobs)
    settled(caller, run, happened=True, items=[str(jobs[0])])
    both = settled(caller, run, happened=True, reason="both", items=[str(job) for job in jobs])
    assert [one["id"] for one in both.json()["items"]] == [str(jobs[1])]
    (entry,) = audited(caller, run=run_of(both))
    assert [one["id"] for one in entry["items"]] == [str(jobs[1])]
    # Its repeat is answered with its own run.
    again = settled(caller, run, happened=True, reason="both", items=[str(job) for job in jobs])
    assert again.json() == both.json()


def test_a_thousand_items_are_settled_at_once_and_no_more_in_one_call(caller: Caller) -> None:
    job = caller.failed_job()
    run = lost(caller, job)
    told = problem(settled(caller, run, happened=True, items=[str(job)] * 1001), 422, "not-valid")
    assert [one["pointer"] for one in told["errors"]] == ["/items"]


def test_a_repeat_of_a_retry_is_answered_although_a_check_has_shown_what_the_retry_did(batcher: Batcher) -> None:
    run = lost_batch(batcher, acts=False)
    check = checked(batcher, run, "documentNumber")
    first = retried(batcher, run_of(check))
    assert outcomes(checked(batcher, run, "documentNumber")) == ["done"]
    again = retried(batcher, run_of(check))
    assert (again.content, again.headers.get("Nightshift-Replayed")) == (first.content, "true")
    assert batcher.documents() == ["1"]
