"""What Finance & Operations tells others of its jobs: when, in which shape, and how often it tries."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from local.clock import LocalClock
from local.simulators.finance_operations.batch_job import Happening
from local.simulators.finance_operations.event_shapes import Shape
from local.simulators.finance_operations.server import FinanceOperations
from local.simulators.landscape import Landscape
from local.simulators.testing.finance_operations import Caller, Clock, Endpoint

_ALL: frozenset[Happening] = frozenset({"started", "finished", "failed", "cancelled"})
_SHAPES: tuple[Shape, ...] = ("plain", "event-grid", "event-grid-object", "cloud-events", "dataverse")


def _payload(body: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON in any of the shapes
    """Read F&O's payload out of any shape."""
    content = body[0] if isinstance(body, list) else body
    if "InputParameters" in content:
        return {pair["key"]: pair["value"] for pair in content["InputParameters"]}
    content = content.get("data", content)
    payload: dict[str, Any] = json.loads(content) if isinstance(content, str) else content
    return payload


def _told(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Return the payloads that came, without the handshake and the test."""
    bodies = [request.json for request in endpoint.received if request.method == "POST"]
    payloads = [_payload(body) for body in bodies]
    return [payload for payload in payloads if "JobId" in payload]


def _seconds(date: str) -> datetime:
    return datetime.fromtimestamp(int(date.removeprefix("/Date(").removesuffix(")/")) / 1000, UTC)


def test_a_failure_is_told_at_its_instant(fo: FinanceOperations, endpoint: Endpoint, clock: Clock) -> None:
    fo.business_events.subscribe(endpoint.url)
    job, begin = fo.jobs.add(description="Payroll", status="Waiting", company="DEMF", outcomes=["Error"]), clock()
    clock.forward(149)
    assert _told(endpoint) == []
    clock.forward(3600)
    [payload] = _told(endpoint)
    ended = begin + timedelta(seconds=150)
    assert len(payload.pop("EventId")) == 36
    assert payload.pop("ControlNumber") > 0
    milliseconds = f"/Date({int(ended.timestamp())}000)/"
    assert payload == {
        "AdminEmailId": "",
        "BusinessEventId": "BatchJobFailedBusinessEvent",
        "BusinessEventLegalEntity": "DEMF",
        "ContextRecordSubject": "",
        "EventTime": milliseconds,
        "EventTimeIso8601": f"{ended:%Y-%m-%dT%H:%M:%S}.0000000Z",
        "InitiatingUserAADObjectId": "{00000000-0000-0000-0000-000000000000}",
        "JobDescription": "Payroll",
        "JobEndUtcDateTime": milliseconds,
        "JobExecutedByEmailId": "",
        "JobId": job,
        "JobOwnerEmailId": "",
        "JobStatus": "Error",
        "MajorVersion": 0,
        "MinorVersion": 0,
        "ParentContextRecordSubjects": None,
    }
    [delivery] = fo.business_events.deliveries("failed")
    assert (delivery.time, delivery.job, delivery.attempts, delivery.status) == (ended, job, 1, 202)


def test_only_failures_are_told_unless_asked_for_more(fo: FinanceOperations, endpoint: Endpoint, clock: Clock) -> None:
    fo.business_events.subscribe(endpoint.url, kinds=_ALL)
    jobs = [fo.jobs.add(status="Waiting", outcomes=[outcome]) for outcome in ("Finished", "Error", "Canceled", "gone")]
    clock.forward(150)
    told = _told(endpoint)
    assert [(payload["JobId"], payload["JobStatus"]) for payload in told[:4]] == [(job, "Executing") for job in jobs]
    assert {(payload["JobId"], payload["JobStatus"]) for payload in told[4:]} == {
        (jobs[0], "Finished"),
        (jobs[1], "Error"),
        (jobs[2], "Canceled"),
        (jobs[3], "Finished"),
    }
    assert {payload["JobEndUtcDateTime"] for payload in told[:4]} == {"/Date(-2208988800000)/"}


def test_control_numbers_rise_with_gaps_and_event_ids_are_unique(
    fo: FinanceOperations, endpoint: Endpoint, clock: Clock
) -> None:
    fo.business_events.subscribe(endpoint.url, kinds=_ALL)
    for _ in range(10):
        fo.jobs.add(status="Waiting")
    clock.forward(150)
    told = _told(endpoint)
    numbers = [payload["ControlNumber"] for payload in told]
    assert numbers == sorted(set(numbers))
    assert len({payload["EventId"] for payload in told}) == 20
    assert max(numbers) - min(numbers) > 19


def test_a_recurring_job_is_told_of_run_by_run_however_late_anyone_looks(
    fo: FinanceOperations, endpoint: Endpoint, clock: Clock
) -> None:
    fo.business_events.subscribe(endpoint.url, kinds={"finished"})
    fo.jobs.add(status="Waiting", recurrence_seconds=3600)
    begin = clock()
    clock.forward(150 + 2 * 3750)
    ends = [_seconds(payload["EventTime"]) - begin for payload in _told(endpoint)]
    assert ends == [timedelta(seconds=150 + number * 3750) for number in range(3)]
    assert [delivery.time - begin for delivery in fo.business_events.deliveries("finished")] == ends


def test_a_step_between_two_seconds_is_told_at_the_later_one(
    fo: FinanceOperations, endpoint: Endpoint, clock: Clock
) -> None:
    fo.business_events.subscribe(endpoint.url)
    fo.jobs.add(status="Executing", run_seconds=0.5, outcomes=["Error"])
    clock.forward(1)
    assert len(_told(endpoint)) == 1


def test_who_reads_first_takes_no_event_away(
    fo: FinanceOperations, caller: Caller, endpoint: Endpoint, clock: Clock
) -> None:
    fo.business_events.subscribe(endpoint.url)
    job = fo.jobs.add(status="Executing", run_seconds=60, outcomes=["Error"])
    # Time goes on without a timer that fires, as between a timer's instant and its call.
    clock.instant += timedelta(seconds=60)
    assert caller.get(f"/data/BatchJobs({job})").json()["Status"] == "Error"
    assert _told(endpoint) == []
    clock.forward(3600)
    assert [payload["JobId"] for payload in _told(endpoint)] == [job]


def test_a_job_that_somebody_cancels_is_told_of(fo: FinanceOperations, endpoint: Endpoint, clock: Clock) -> None:
    fo.business_events.subscribe(endpoint.url, kinds=_ALL)
    job = fo.jobs.add()
    fo.jobs.set_status(job, "Hold")
    for _ in range(2):
        fo.jobs.set_status(job, "Canceled")
    clock.forward(0)
    assert [payload["JobStatus"] for payload in _told(endpoint)] == ["Canceled"]


def test_what_was_before_is_not_told(fo: FinanceOperations, endpoint: Endpoint, clock: Clock) -> None:
    fo.jobs.add(status="Executing", run_seconds=60, outcomes=["Error"])
    clock.forward(60)
    fo.business_events.subscribe(endpoint.url, kinds=_ALL)
    clock.forward(3600)
    assert _told(endpoint) == []


@pytest.mark.parametrize("shape", _SHAPES)
def test_an_endpoint_is_tried_when_it_is_created(fo: FinanceOperations, endpoint: Endpoint, shape: Shape) -> None:
    subscription = fo.business_events.subscribe(endpoint.url, shape)
    assert subscription.accepted
    message = endpoint.received[-1]
    payload = _payload(message.json)
    assert payload["BusinessEventId"] == "BusinessEventsTestEndpointContract"
    assert payload["ControlNumber"] == -9223372036854775808
    assert message.query == f"code={Endpoint.KEY}"
    assert [delivery.kind for delivery in fo.business_events.deliveries()] == ["test"]


@pytest.mark.parametrize("shape", _SHAPES)
def test_the_payload_is_the_same_in_every_shape(
    fo: FinanceOperations, endpoint: Endpoint, clock: Clock, shape: Shape
) -> None:
    fo.business_events.subscribe(endpoint.url, "plain")
    fo.business_events.subscribe(endpoint.url, shape)
    fo.jobs.add(status="Waiting", outcomes=["Error"])
    clock.forward(150)
    plain, shaped = _told(endpoint)
    assert plain == shaped
    assert list(plain) == sorted(plain)


@pytest.mark.parametrize(("shape", "kind"), [("event-grid", str), ("event-grid-object", dict)])
def test_event_grid_asks_first_and_sends_a_list(
    fo: FinanceOperations, endpoint: Endpoint, clock: Clock, shape: Shape, kind: type
) -> None:
    fo.business_events.subscribe(endpoint.url, shape)
    fo.jobs.add(status="Executing", run_seconds=1, outcomes=["Error"])
    clock.forward(1)
    handshake, trial, event = endpoint.received
    assert handshake.headers["aeg-event-type"] == "SubscriptionValidation"
    [question] = handshake.json
    assert question["eventType"] == "Microsoft.EventGrid.SubscriptionValidationEvent"
    assert {trial.headers["aeg-event-type"], event.headers["aeg-event-type"]} == {"Notification"}
    [envelope] = event.json
    assert isinstance(envelope["data"], kind)
    assert envelope["eventType"] == "BatchJobFailedBusinessEvent"


def test_cloud_events_ask_by_options(fo: FinanceOperations, endpoint: Endpoint) -> None:
    fo.business_events.subscribe(endpoint.url, "cloud-events")
    handshake, trial = endpoint.received
    assert (handshake.method, handshake.headers["webhook-request-origin"]) == ("OPTIONS", "eventgrid.azure.net")
    assert trial.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert trial.json["specversion"] == "1.0"


def test_dataverse_sends_its_context(fo: FinanceOperations, endpoint: Endpoint) -> None:
    fo.business_events.subscribe(endpoint.url, "dataverse")
    [trial] = endpoint.received
    assert trial.headers["x-ms-dynamics-request-name"] == trial.json["MessageName"]
    assert trial.json["InputParameters"][0] == {
        "key": "BusinessEventId",
        "value": "BusinessEventsTestEndpointContract",
    }


@pytest.mark.parametrize("shape", ["event-grid", "event-grid-object", "cloud-events"])
def test_who_does_not_shake_hands_gets_nothing(
    fo: FinanceOperations, endpoint: Endpoint, clock: Clock, shape: Shape
) -> None:
    endpoint.shakes_hands = False
    subscription = fo.business_events.subscribe(endpoint.url, shape)
    fo.jobs.add(status="Executing", run_seconds=1, outcomes=["Error"])
    clock.forward(1)
    assert not subscription.accepted
    assert len(endpoint.received) == 1


def test_a_delivery_is_tried_again_a_second_later(fo: FinanceOperations, endpoint: Endpoint, clock: Clock) -> None:
    fo.business_events.subscribe(endpoint.url)
    endpoint.statuses = [503, "cut"]
    fo.jobs.add(status="Executing", run_seconds=1, outcomes=["Error"])
    seen: list[tuple[int, int | None, str | None]] = []
    for _ in range(3):
        clock.forward(1)
        [delivery] = fo.business_events.deliveries("failed")
        seen.append((delivery.attempts, delivery.status, delivery.error))
    assert seen == [(1, 503, "HTTP 503"), (2, None, "there was no answer"), (3, 202, None)]
    assert len({payload["EventId"] for payload in _told(endpoint)}) == 1
    assert fo.business_events.errors() == []


def test_a_delivery_is_given_up_after_three_retries_and_can_be_sent_again(
    fo: FinanceOperations, endpoint: Endpoint, clock: Clock
) -> None:
    fo.business_events.subscribe(endpoint.url)
    endpoint.statuses = [500] * 4
    fo.jobs.add(status="Executing", run_seconds=1, outcomes=["Error"])
    clock.forward(3600)
    [error] = fo.business_events.errors()
    assert (error.attempts, error.status, error.given_up) == (4, 500, True)
    fo.business_events.send_again(error.event)
    assert [delivery.status for delivery in fo.business_events.deliveries("failed")] == [500, 202]
    told = _told(endpoint)
    assert len(told) == 5
    assert all(payload == told[0] for payload in told)
    with pytest.raises(KeyError):
        fo.business_events.send_again("unknown")


def test_nobody_is_told_any_more(fo: FinanceOperations, endpoint: Endpoint, clock: Clock) -> None:
    subscription = fo.business_events.subscribe(endpoint.url)
    endpoint.statuses = [500]
    fo.jobs.add(status="Executing", run_seconds=1, outcomes=["Error"])
    fo.jobs.add(status="Executing", run_seconds=5, outcomes=["Error"])
    clock.forward(1)
    fo.business_events.unsubscribe(subscription)
    clock.forward(3600)
    assert len(_told(endpoint)) == 1
    assert fo.business_events.subscriptions() == []


def test_the_key_of_an_endpoint_is_told_to_nobody(
    fo: FinanceOperations, endpoint: Endpoint, caller: Caller, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    events = fo.business_events
    subscription = events.subscribe(endpoint.url)
    assert subscription.address == endpoint.url.partition("?")[0]
    events.subscribe(f"http://localhost:9/closed?code={Endpoint.KEY}")
    fo.jobs.add(status="Executing", run_seconds=1, outcomes=["Error"])
    clock.forward(60)
    assert [error.kind for error in events.errors()] == ["test", "failed"]
    told = f"{events.subscriptions()}{events.deliveries()}{caller.get('/local/business-events').text}{caplog.text}"
    assert Endpoint.KEY not in told


@pytest.mark.parametrize(
    "url",
    [
        "http://nightshift.example/x",
        "http://127.0.0.1.example/x",
        "http://127.0.0.1@nightshift.example/x",
        "https://127.0.0.1/x",
        "127.0.0.1/x",
    ],
)
def test_nothing_leaves_this_machine(fo: FinanceOperations, caller: Caller, url: str) -> None:
    with pytest.raises(ValueError, match=r"127\.0\.0\.1") as raised:
        fo.business_events.subscribe(f"{url}?code={Endpoint.KEY}")
    assert Endpoint.KEY not in str(raised.value)
    answer = caller.call("POST", "/local/business-events", body={"url": f"{url}?code={Endpoint.KEY}"})
    assert answer.status_code == 400
    assert Endpoint.KEY not in answer.text


def test_business_events_over_http(fo: FinanceOperations, caller: Caller, endpoint: Endpoint, clock: Clock) -> None:
    path = "/local/business-events"
    wish = {"url": endpoint.url, "shape": "event-grid", "kinds": ["failed", "finished"]}
    made = caller.call("POST", path, body=wish)
    assert (made.status_code, made.json()["accepted"]) == (201, True)
    job = fo.jobs.add(status="Executing", run_seconds=1)
    clock.forward(1)
    book = caller.get(path).json()
    assert [subscription["shape"] for subscription in book["subscriptions"]] == ["event-grid"]
    delivery = book["deliveries"][-1]
    assert (delivery["job"], delivery["kind"], delivery["status"]) == (job, "finished", 202)
    assert caller.call("POST", f"{path}/again", body={"event": delivery["event"]}).status_code == 204
    assert [payload["JobId"] for payload in _told(endpoint)] == [job, job]
    assert caller.call("POST", f"{path}/again", body={"event": "x"}).status_code == 404
    assert caller.call("POST", path, body={"url": endpoint.url, "kinds": ["exploded"]}).status_code == 400
    assert caller.call("DELETE", path).status_code == 204
    assert caller.get(path).json() == {"subscriptions": [], "deliveries": []}


def test_without_a_clock_that_calls_back_nobody_can_subscribe(clock: Clock) -> None:
    landscape = Landscape(clock)
    with pytest.raises(ValueError, match="clock"):
        landscape.finance_operations.business_events.subscribe("http://127.0.0.1:9/")
    landscape.stop()


def test_a_pushed_clock_stops_at_every_event(endpoint: Endpoint) -> None:
    clock = LocalClock()
    landscape = Landscape(clock.now, clock.call_at)
    events, jobs = landscape.finance_operations.business_events, landscape.finance_operations.jobs
    events.subscribe(endpoint.url)
    for number in range(50):
        jobs.add(status="Executing", run_seconds=60 + number, outcomes=["Error"])
    clock.advance(3600)
    deliveries = events.deliveries("failed")
    assert len(deliveries) == len(_told(endpoint)) == 50
    gaps = [later.time - sooner.time for sooner, later in pairwise(deliveries)]
    # The jobs may have been added on two sides of a full second.
    assert all(timedelta(seconds=1) <= gap <= timedelta(seconds=2) for gap in gaps)
    landscape.stop()
    clock.close()


@pytest.mark.slow
def test_thousands_of_jobs_are_told_of_in_no_time(fo: FinanceOperations, endpoint: Endpoint, clock: Clock) -> None:
    fo.business_events.subscribe(endpoint.url)
    for job in fo.jobs.fail(1000, outcomes=["Error"]):
        fo.jobs.requeue(job)
    clock.forward(3600)
    assert len(_told(endpoint)) == 1000
