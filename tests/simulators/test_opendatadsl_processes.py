"""Processes of OpenDataDSL: run, listed, tried again by the clock."""

import json
from datetime import timedelta

import pytest

from local.simulators.opendatadsl.answers import REASON
from local.simulators.opendatadsl.behaviour import Acceptance, Process
from local.simulators.opendatadsl.server import OpenDataDsl
from local.simulators.testing.finance_operations import Clock
from local.simulators.testing.opendatadsl import OpenDataDslCaller


def _process(tenant: OpenDataDsl, name: str, process: Process) -> None:
    tenant.behaviour.processes = {**tenant.behaviour.processes, name: process}


def _statuses(tenant: OpenDataDsl, clock: Clock, execution: str, *seconds: float) -> list[str]:
    """Return the status at once, and after each of some times, one after the other."""
    statuses: list[str] = []
    for step in (0, *seconds):
        clock.forward(step)
        found = tenant.executions.get(execution)
        assert found
        statuses.append(found.status)
    return statuses


def test_a_process_is_run_as_on_the_page(tenant: OpenDataDsl, odsl: OpenDataDslCaller, clock: Clock) -> None:
    assert odsl.call("POST", "/process-exec/v1", {"name": "ECB_FX"}).content == b""
    (execution,) = tenant.executions.all()
    assert _statuses(tenant, clock, execution.id, 2, 1, 59.9, 0.1) == [
        *("triggered", "start", "running", "running", "success"),
    ]
    log = odsl.log(execution.id)
    assert log == {
        "_id": execution.id,
        "service": "ETL",
        "name": "ECB_FX",
        "environment": "production",
        "trigger": "manual",
        "status": "success",
        "message": "Completed Successfully",
        "reason": "",
        "start": log["start"],
        "runAs": log["runAs"],
        "phases": [
            {
                "name": "LOAD",
                "start": log["phases"][0]["start"],
                "log": [],
                "end": log["end"],
                "status": "success",
                "message": "Completed LOAD",
            }
        ],
        "end": f"{clock():%Y-%m-%dT%H:%M:%S}.{clock().microsecond // 1000:03}Z",
        "loaderMessage": "Updated 0 series",
        "data": {"curves": {}, "series": {}},
    }


@pytest.mark.parametrize(("key", "other"), [("body", "input"), ("input", "body")])
def test_the_input_is_read_from_one_member(tenant: OpenDataDsl, odsl: OpenDataDslCaller, key: str, other: str) -> None:
    assert odsl.control("POST", "behaviour", {"input_key": key}).status_code == 200
    text = json.dumps({"name": "ECB_FX", key: {"property1": "value"}})
    odsl.call("POST", "/process-exec/v1", text=text, params={"_reason": "Again"}).raise_for_status()
    odsl.call("POST", "/process-exec/v1", {"name": "ECB_FX", other: {"property1": "value"}}).raise_for_status()
    first, second = tenant.book.effects("run")
    assert (first.name, first.reason, first.input) == ("ECB_FX", "Again", '{"property1": "value"}')
    assert second.input is None
    assert odsl.log(first.ident)["reason"] == "Again"


@pytest.mark.parametrize(
    ("triggered", "status", "content"),
    [("empty", 200, b""), ("text", 202, b"Accepted"), ("no-content", 204, b"")],
)
def test_what_is_answered_is_a_choice(
    tenant: OpenDataDsl, odsl: OpenDataDslCaller, triggered: Acceptance, status: int, content: bytes
) -> None:
    tenant.behaviour.triggered = triggered
    response = odsl.call("POST", "/process-exec/v1", {"name": "ECB_FX"})
    assert (response.status_code, response.content) == (status, content)


@pytest.mark.parametrize("triggered", ["id", "whole"])
def test_the_answer_may_name_the_execution(tenant: OpenDataDsl, odsl: OpenDataDslCaller, triggered: Acceptance) -> None:
    tenant.behaviour.triggered = triggered
    answered = odsl.call("POST", "/process-exec/v1", {"name": "ECB_FX"}).json()
    log = odsl.log(answered["_id"])
    assert answered == ({"_id": log["_id"]} if triggered == "id" else log)


def test_a_delay(tenant: OpenDataDsl, odsl: OpenDataDslCaller, clock: Clock) -> None:
    execution = odsl.run("ECB_FX", _delay="60000")
    assert _statuses(tenant, clock, execution, 61, 1) == ["triggered", "triggered", "start"]
    response = odsl.call("POST", "/process-exec/v1", {"name": "ECB_FX"}, params={"_delay": "soon"})
    assert (response.status_code, response.headers[REASON]) == (400, "_delay is not a number of milliseconds.")


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ({"name": "NOBODY"}, 404, "There is no process NOBODY."),
        ({}, 404, "There is no process None."),
        ([], 400, "[5005] Update Error: the body is not an object"),
    ],
)
def test_what_cannot_be_run(
    tenant: OpenDataDsl, odsl: OpenDataDslCaller, body: object, status: int, reason: str
) -> None:
    response = odsl.call("POST", "/process-exec/v1", body)
    assert (response.status_code, response.headers[REASON]) == (status, reason)
    assert tenant.executions.all() == []


def test_outcomes_come_one_after_the_other(tenant: OpenDataDsl, odsl: OpenDataDslCaller, clock: Clock) -> None:
    outcomes = ["failed", "warning", "success"]
    _process(tenant, "MINE", Process.model_validate({"seconds": 5, "outcomes": outcomes, "message": "No."}))
    ended = []
    for _ in range(4):
        execution = odsl.run("MINE")
        clock.forward(8)
        ended.append(odsl.log(execution))
    assert [log["status"] for log in ended] == [*outcomes, "success"]
    assert [log["message"] for log in ended[:2]] == ["No.", "Completed with warnings"]
    assert ["loaderMessage" in log for log in ended] == [False, True, True, True]


def test_a_failed_try_is_made_again(tenant: OpenDataDsl, odsl: OpenDataDslCaller, clock: Clock) -> None:
    _process(tenant, "MINE", Process(seconds=10, outcomes=["failed", "failed", "success"], retries=2, message="No."))
    execution = odsl.run("MINE")
    assert _statuses(tenant, clock, execution, 3, 10, 30, 10, 30, 10) == [
        *("triggered", "running", "waiting", "retrying", "waiting", "retrying", "success"),
    ]
    found = tenant.executions.get(execution)
    assert found
    assert found.tries == 3


def test_tries_end_at_last(tenant: OpenDataDsl, odsl: OpenDataDslCaller, clock: Clock) -> None:
    _process(tenant, "MINE", Process(seconds=10, outcomes=["failed"], retries=1))
    execution = odsl.run("MINE")
    clock.forward(3 + 10 + 30 + 9)
    assert odsl.log(execution)["phases"][0]["status"] == "running"
    clock.forward(1)
    log = odsl.log(execution)
    assert (log["status"], log["phases"][0]["status"], log["phases"][0]["message"]) == ("failed", "failed", "Failed")


def test_an_execution_is_rescheduled(tenant: OpenDataDsl, odsl: OpenDataDslCaller, clock: Clock) -> None:
    _process(tenant, "MINE", Process(seconds=10, outcomes=["failed", "success"], reschedule_seconds=600))
    execution = odsl.run("MINE")
    assert _statuses(tenant, clock, execution, 13, 600, 2, 1, 10) == [
        *("triggered", "reschedule", "triggered", "start", "running", "success"),
    ]
    assert "phases" in odsl.log(execution)


def test_late_lookers_see_the_same(tenant: OpenDataDsl, odsl: OpenDataDslCaller, clock: Clock) -> None:
    _process(tenant, "MINE", Process(seconds=10, outcomes=["failed", "success"], retries=1))
    execution = odsl.run("MINE")
    start = clock()
    clock.forward(86400)
    found = tenant.executions.get(execution)
    assert found
    assert found.end
    assert ((found.end - start).total_seconds(), found.status) == (53, "success")


def test_failed_executions_of_a_night_are_found(tenant: OpenDataDsl, odsl: OpenDataDslCaller, clock: Clock) -> None:
    tenant.fill()
    night = f"range({clock() - timedelta(hours=12):%Y-%m-%dT%H:%M:%S},{clock():%Y-%m-%dT%H:%M:%S})"
    wanted = {"status": "failed", "start": night}
    response = odsl.call("GET", "/process-exec/v1", params=wanted)
    assert [log["name"] for log in response.json()] == ["GAS_STORAGE", "POWER_CURVES"]
    assert response.headers["x-total-count"] == "2"
    response = odsl.call("GET", "/process-exec/v1", params={**wanted, "name": "GAS_STORAGE"})
    (log,) = response.json()
    assert (log["trigger"], log["message"]) == ("scheduled", "The source answered 503")
    assert odsl.log(log["_id"]) == log
    busy = odsl.call("GET", "/process-exec/v1", params={"status": "in(waiting,retrying,reschedule)"}).json()
    assert [log["name"] for log in busy] == ["WEATHER"]


def test_executions_belong_to_their_environment(odsl: OpenDataDslCaller) -> None:
    odsl.call("POST", "/process-exec/v1", {"name": "ECB_FX"}, environment="test").raise_for_status()
    assert odsl.call("GET", "/process-exec/v1").json() == []
    (log,) = odsl.call("GET", "/process-exec/v1", environment="test").json()
    assert log["environment"] == "test"
    missing = odsl.call("GET", f"/process-exec/v1/{log['_id']}")
    assert (missing.status_code, missing.headers[REASON]) == (404, f"There is no execution {log['_id']}.")


def test_a_process_is_shown(odsl: OpenDataDslCaller) -> None:
    assert odsl.call("GET", "/process/v1/ECB_FX").json() == {
        "_id": "ECB_FX",
        "_type": "VarProcess",
        "name": "ECB_FX",
        "service": "ETL",
        "description": "",
        "workflow": "#wf_xml_data_loader",
        "cron": "0 30 16 ? * MON-FRI",
        "enabled": True,
        "input": {"tx": "#ECB_FX"},
    }
    missing = odsl.call("GET", "/process/v1/NOBODY")
    assert (missing.status_code, missing.headers[REASON]) == (404, "There is no process NOBODY.")
    names = [one["name"] for one in odsl.call("GET", "/process/v1", params={"enabled": "true"}).json()]
    assert "ECB_FX" in names


def test_executions_are_added_and_shown_over_http(odsl: OpenDataDslCaller, clock: Clock) -> None:
    at = clock().isoformat()
    fresh = [
        {"name": "ECB_FX", "status": "failed", "start": at, "end": at},
        {"id": "w", "name": "ECB_FX", "status": "waiting", "trigger": "scheduled"},
        {"id": "n", "name": "NOBODY"},
    ]
    assert odsl.control("POST", "executions", fresh).json()["ids"][1:] == ["w", "n"]
    clock.forward(100)
    shown = odsl.control("GET", "executions").json()["executions"]
    assert [(one["status"], one["tries"]) for one in shown] == [("failed", 1), ("success", 2), ("triggered", 0)]
