"""Batch events of Finance & Operations: hints that start a run, once, and no earlier than the waits say."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests

from local.simulators.finance_operations.event_shapes import Shape
from local.stack import Machine
from tests.functions.calling import NO_TIMERS, Caller, allow_all, get, problem, put_rules, wait_for

pytestmark = pytest.mark.slow

SETTINGS = {"STORM_LIMIT": "20", **NO_TIMERS}
TEST = {"BusinessEventId": "BusinessEventsTestEndpointContract", "ControlNumber": -9223372036854775808}


@pytest.fixture(scope="module")
def eventful() -> Iterator[Machine]:
    with Machine(SETTINGS) as machine:
        yield machine


@pytest.fixture
def caller(eventful: Machine) -> Iterator[Caller]:
    caller = Caller(eventful)
    for job in caller.system.jobs.all():
        caller.system.jobs.remove(job.id)
    allow_all(caller)
    # Out of the ten minutes in which the last test's events are counted.
    eventful.clock.advance(1200)
    yield caller
    caller.system.business_events.clear()
    caller.system.faults.clear()


def url_of(caller: Caller) -> str:
    return f"{caller.url}/finance-operations/events?code={caller.machine.host.key_of('batch_job_event')}"


def send(caller: Caller, body: object, **headers: str) -> requests.Response:
    return requests.post(url_of(caller), json=body, headers=headers, timeout=30)


def failed(job: int, event: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON is any value
    return {
        "BusinessEventId": "BatchJobFailedBusinessEvent",
        "ControlNumber": 5637166326,
        "EventId": event,
        "JobId": job,
        "JobStatus": "Error",
        **more,
    }


def runs(caller: Caller) -> list[dict[str, Any]]:
    return [get(caller, f"runs/{run['id']}") for run in get(caller, "runs", function="batch_job_event")["value"]]


def run_of(caller: Caller, job: int) -> dict[str, Any]:
    return next(run for run in runs(caller) if [item["id"] for item in run["items"]] == [str(job)])


def times(caller: Caller, job: int) -> list[datetime]:
    return [call.time for call in caller.system.book.calls(kind="action", job=job)]


def results(events: int, **counts: int) -> dict[str, int]:
    """Return an answer: the number of events, and how many had which result."""
    return {"events": events, "started": 0, "repeated": 0, "ignored": 0, "leftToSweep": 0, **counts}


@pytest.mark.parametrize("shape", ["plain", "event-grid", "event-grid-object", "cloud-events", "dataverse"])
def test_a_job_that_fails_is_requeued_by_its_event(caller: Caller, shape: Shape) -> None:
    events = caller.system.business_events
    assert events.subscribe(url_of(caller), shape=shape, kinds={"failed"}).accepted
    job = caller.failed_job(status="Waiting", outcomes=["Error", "Finished"])
    caller.machine.clock.advance(1800)
    [delivery] = events.deliveries(kind="failed", job=job)
    assert delivery.status == 200
    assert caller.actions(job) == 1
    assert times(caller, job)[0] - delivery.time >= timedelta(minutes=5)
    told = run_of(caller, job)
    assert (told["origin"], told["state"]) == ("event", "ended")
    assert (told["items"][0]["outcome"], told["items"][0]["recovery"]) == ("done", "recovered")
    assert not events.errors()


def test_a_test_event_and_an_empty_list_do_nothing(caller: Caller) -> None:
    before = len(runs(caller))
    for body in (TEST, [TEST], []):
        answer = send(caller, body)
        assert (answer.status_code, answer.json()) == (200, results(0))
    assert len(runs(caller)) == before


def test_event_grid_is_answered_its_code(caller: Caller) -> None:
    body = [{"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": "c-1"}}]
    answer = send(caller, body, **{"aeg-event-type": "SubscriptionValidation"})
    assert (answer.status_code, answer.json()) == (200, {"validationResponse": "c-1"})


def test_an_unknown_body_is_answered_with_its_names_and_no_value(caller: Caller) -> None:
    told = problem(send(caller, {"Amount": 31337, "Payee": {"Name": "confidential"}}), 422, "event-not-known")
    assert {"Amount", "Payee", "Payee/Name"} <= set(told["names"])
    assert "31337" not in str(told)
    assert "confidential" not in str(told)
    assert "31337" not in caller.machine.host.log()


def test_c4_a_foreign_event_spoils_no_other_of_its_delivery(caller: Caller) -> None:
    first, second = caller.failed_job(), caller.failed_job()
    foreign = {"BusinessEventId": "VendorInvoicePostedBusinessEvent", "EventId": "e-foreign", "ControlNumber": 1}
    answer = send(caller, [failed(first, "e-first"), foreign, failed(second, "e-second")])
    assert (answer.status_code, answer.json()) == (200, results(3, started=2, ignored=1))
    caller.machine.clock.advance(600)
    assert [caller.actions(job) for job in (first, second)] == [1, 1]


def test_the_same_event_starts_nothing_twice(caller: Caller) -> None:
    job = caller.failed_job(outcomes=["stuck"])
    event = failed(job, "e-same")
    answers = [send(caller, event).json() for _ in range(3)]
    assert answers[0] == results(1, started=1)
    assert answers[1:] == [results(1, repeated=1)] * 2
    caller.machine.clock.advance(3600)
    assert caller.actions(job) == 1
    assert len([run for run in runs(caller) if run["items"] and run["items"][0]["id"] == str(job)]) == 1


def test_an_event_is_only_a_hint(caller: Caller) -> None:
    """Whatever it says, the job itself decides."""
    running = caller.failed_job(status="Executing", outcomes=["stuck"])
    unknown = 5637144999
    assert send(caller, [failed(running, "e-running"), failed(unknown, "e-unknown")]).json()["started"] == 2
    caller.machine.clock.advance(600)
    assert caller.actions(running) == caller.actions(unknown) == 0
    assert run_of(caller, running)["items"][0]["type"] == "item-running"
    assert run_of(caller, unknown)["items"][0]["type"] == "item-not-found"


def test_an_event_starts_only_what_a_rule_allows(caller: Caller) -> None:
    put_rules(caller, [{"name": "payroll", "action": "allow", "job": "*payroll*"}])
    job = caller.failed_job(description="Vendor payment proposal")
    assert send(caller, failed(job, "e-denied")).json()["started"] == 1
    caller.machine.clock.advance(600)
    assert caller.actions(job) == 0
    assert run_of(caller, job)["items"][0]["type"] == "policy-denied"


def test_its_key_opens_nothing_else(caller: Caller) -> None:
    key = {"x-functions-key": caller.machine.host.key_of("batch_job_event")}
    for method, path in [("GET", "runs"), ("POST", "finance-operations/requeue"), ("POST", "stop"), ("GET", "policy")]:
        assert requests.request(method, f"{caller.url}/{path}", headers=key, timeout=30).status_code == 401
    assert requests.post(f"{caller.url}/finance-operations/events", json=TEST, timeout=30).status_code == 401


def test_a_job_that_fails_at_once_is_tried_no_earlier_than_the_waits_say(caller: Caller) -> None:
    events = caller.system.business_events
    events.subscribe(url_of(caller), kinds={"failed", "finished", "started"})
    job = caller.failed_job(status="Waiting", outcomes=["Error"], queue_seconds=1, run_seconds=1)
    caller.machine.clock.advance(8 * 3600)
    tried = times(caller, job)
    assert len(tried) == 3
    first = events.deliveries(kind="failed", job=job)[0].time
    waits = [later - former for former, later in zip([first, *tried], tried, strict=False)]
    assert all(
        timedelta(minutes=wanted) <= waited <= timedelta(minutes=wanted + 1)
        for wanted, waited in zip((5, 15, 60), waits, strict=True)
    )
    last = run_of(caller, job)["items"][0]
    assert (last["outcome"], last["type"]) == ("skipped", "left-to-sweep")


def test_the_fifth_attempt_comes_no_earlier_than_the_waits_say() -> None:
    waits = (5, 15, 60, 30, 20)
    with Machine({"EVENT_WAITS": ",".join(map(str, waits)), **NO_TIMERS}) as machine:
        caller = Caller(machine)
        allow_all(caller)
        caller.system.business_events.subscribe(url_of(caller))
        job = caller.failed_job(status="Waiting", outcomes=["Error"], queue_seconds=1, run_seconds=1)
        machine.clock.advance(12 * 3600)
        failure = caller.system.business_events.deliveries(kind="failed", job=job)[0].time
        tried = times(caller, job)
        assert len(tried) == 5
        assert tried[4] - failure >= timedelta(minutes=sum(waits))
        assert run_of(caller, job)["items"][0]["type"] == "attempts-used-up"
        needed = get(caller, "needs-person")["value"]
        assert [(one["kind"], one["item"]) for one in needed] == [("attempts-used-up", str(job))]


def test_a_finished_event_closes_what_is_open(caller: Caller) -> None:
    """A requeue by hand that nobody watches: the event tells that it went well, and the row of failures ends."""
    caller.system.business_events.subscribe(url_of(caller), kinds={"finished"})
    job = caller.failed_job(outcomes=["Finished"])
    other = caller.failed_job(status="Waiting", outcomes=["Finished"])
    assert caller.requeue(job).status_code == 200
    caller.machine.clock.advance(600)
    [delivery] = caller.system.business_events.deliveries(kind="finished", job=job)
    assert delivery.status == 200
    assert run_of(caller, job)["items"][0]["type"] == "item-not-failed"
    # Nobody waits for the end of a job that was never tried, so no run looks at it.
    assert str(other) not in {item["id"] for run in runs(caller) for item in run["items"]}
    caller.system.jobs.set_status(job, "Error")
    answer = caller.requeue(job)
    assert caller.run(answer)["items"][0]["attempt"] == 1


def test_a_storm_is_left_to_the_sweep_and_needs_a_person_once(caller: Caller) -> None:
    jobs = [caller.failed_job(outcomes=["stuck"]) for _ in range(50)]
    answer = send(caller, [failed(job, f"storm-{job}") for job in jobs])
    assert answer.json() == results(50, started=20, leftToSweep=30)
    caller.machine.clock.advance(420)
    assert sum(caller.actions(job) for job in jobs) == 20
    assert send(caller, failed(jobs[40], "storm-late")).json() == results(1, leftToSweep=1)
    (needed,) = get(caller, "needs-person", kind="event-storm")["value"]
    assert (needed["target"], needed["count"]) == ("fo", 1)
    caller.machine.clock.advance(600)
    assert send(caller, failed(jobs[40], "storm-after")).json() == results(1, started=1)


def test_an_event_run_is_cancelled_while_it_waits(caller: Caller) -> None:
    job = caller.failed_job()
    send(caller, failed(job, "e-cancelled"))

    def waiting() -> list[dict[str, Any]]:
        return list(get(caller, "runs", function="batch_job_event", state="waiting")["value"])

    wait_for(lambda: bool(waiting()))
    answer = caller.post(
        f"runs/{waiting()[0]['id']}/cancel", {"reason": "not now"}, headers={"Nightshift-Target": None}
    )
    assert answer.status_code == 202
    caller.machine.clock.advance(1)
    assert run_of(caller, job)["items"][0]["type"] == "cancelled"
    caller.machine.clock.advance(3600)
    assert caller.actions(job) == 0


def test_events_that_come_while_the_job_waits_make_one_attempt(caller: Caller) -> None:
    job = caller.failed_job(outcomes=["stuck"])
    for number in range(4):
        assert send(caller, failed(job, f"e-many-{number}")).json()["started"] == 1
    # No claim is held meanwhile: somebody may requeue the job by hand.
    caller.machine.clock.advance(3600)
    assert caller.actions(job) == 1


def test_a_person_may_come_before_an_event_that_waits(caller: Caller) -> None:
    job = caller.failed_job(outcomes=["stuck"])
    send(caller, failed(job, "e-person"))
    caller.machine.clock.advance(60)
    assert caller.requeue(job).status_code == 200
    caller.machine.clock.advance(3600)
    assert caller.actions(job) == 1
