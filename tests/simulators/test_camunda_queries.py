"""What can be asked for jobs, in a body and as query parameters; how it is widened, sorted, paged and refused."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from local.simulators.camunda.dates import write_date
from local.simulators.camunda.server import Camunda
from local.simulators.testing.camunda import CamundaCaller
from local.simulators.testing.finance_operations import Clock

_ALL = ["a", "b", "c"]
_CANNOT = "Cannot set query parameter"
_NO_LONG = 'Cannot convert value "x" to java type java.lang.Long'


@pytest.fixture(autouse=True)
def _three(camunda: Camunda, clock: Clock) -> Iterator[None]:
    """Add three jobs: one that failed, one that waits for its time, and one that is executed for an hour."""
    early = clock() - timedelta(hours=1)
    add = camunda.engine.add_job
    add(
        id="a",
        process="invoice",
        instance="i",
        tenant="t",
        message="no paper\nin tray 2",
        created=early,
        suspended=True,
    )
    add(id="b", process="order", activity="ship", instance="j", retries=3, due=clock() + timedelta(days=1), timer=True)
    add(id="c", process="order", activity="bill", instance="k", retries=1, priority=9, tenant="u", run_seconds=3600)
    clock.forward(0.1)
    yield
    camunda.engine.clear()


def _known(camunda: Camunda, job: str, attribute: str) -> str:
    return str(getattr(camunda.engine.job(job), attribute))


def _params(query: dict[str, Any]) -> dict[str, str]:
    def text(value: object) -> str:
        if isinstance(value, list):
            return ",".join(f"{one['operator']}_{one['value']}" if isinstance(one, dict) else one for one in value)
        return str(value).lower() if isinstance(value, bool) else str(value)

    return {name: text(value) for name, value in query.items()}


def _found(rest: CamundaCaller, query: dict[str, Any]) -> list[str]:
    """Ask in both ways, for the jobs and for their number, and return the one result."""
    by_body = [job["id"] for job in rest.post("/job", query)]
    by_params = [job["id"] for job in rest.get("/job", **_params(query))]
    assert by_body == by_params
    assert rest.post("/job/count", query) == rest.get("/job/count", **_params(query)) == {"count": len(by_body)}
    return by_body


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, _ALL),
        ({"jobId": "a"}, ["a"]),
        ({"jobIds": ["a", "c", "x"]}, ["a", "c"]),
        ({"processInstanceId": "j"}, ["b"]),
        ({"processInstanceIds": ["i", "j"]}, ["a", "b"]),
        ({"processDefinitionKey": "order"}, ["b", "c"]),
        ({"activityId": "ship"}, ["b"]),
        ({"failedActivityId": "send-invoice"}, ["a"]),
        ({"failedActivityId": "ship"}, []),
        ({"withRetriesLeft": True}, ["b", "c"]),
        ({"noRetriesLeft": True}, ["a"]),
        ({"executable": True}, ["c"]),
        ({"timers": True}, ["b"]),
        ({"messages": True}, ["a", "c"]),
        ({"withException": True}, ["a"]),
        ({"exceptionMessage": "no paper\nin tray 2"}, ["a"]),
        ({"exceptionMessage": "no paper"}, []),
        ({"active": True}, ["b", "c"]),
        ({"suspended": True}, ["a"]),
        ({"acquired": True}, ["c"]),
        ({"priorityHigherThanOrEquals": 9}, ["c"]),
        ({"priorityLowerThanOrEquals": 0}, ["a", "b"]),
        ({"tenantIdIn": ["t", "u"]}, ["a", "c"]),
        ({"withoutTenantId": True}, ["b"]),
        ({"tenantIdIn": ["t"], "includeJobsWithoutTenantId": True}, ["a", "b"]),
        ({"includeJobsWithoutTenantId": True}, _ALL),
        ({"noRetriesLeft": True, "processDefinitionKey": "order"}, []),
        ({"sortBy": "jobRetries", "sortOrder": "asc"}, ["a", "c", "b"]),
        ({"sortBy": "jobDueDate", "sortOrder": "desc"}, ["b", "a", "c"]),
        ({"sortBy": "tenantId", "sortOrder": "asc"}, ["b", "a", "c"]),
        # What widens silently:
        ({"processInstnceId": "x"}, _ALL),
        ({"noRetriesLeft": "false", "suspended": "False"}, _ALL),
        ({"noRetriesLeft": False, "withException": False, "suspended": False}, _ALL),
    ],
)
def test_filters(rest: CamundaCaller, query: dict[str, Any], expected: list[str]) -> None:
    assert _found(rest, query) == expected


@pytest.mark.parametrize(
    ("name", "attribute"),
    [("processDefinitionId", "process_id"), ("jobDefinitionId", "definition"), ("executionId", "execution")],
)
def test_filters_by_made_up_ids(camunda: Camunda, rest: CamundaCaller, name: str, attribute: str) -> None:
    assert _found(rest, {name: _known(camunda, "a", attribute)}) == ["a"]


@pytest.mark.parametrize(("name", "hours", "expected"), [("dueDates", 24, ["b"]), ("createTimes", 0, ["b", "c"])])
def test_conditions(rest: CamundaCaller, clock: Clock, name: str, hours: int, expected: list[str]) -> None:
    def condition(operator: str, minutes: int) -> dict[str, Any]:
        return {"operator": operator, "value": write_date(clock() + timedelta(hours=hours, minutes=minutes))}

    assert _found(rest, {name: [condition("gt", -1)]}) == expected
    assert _found(rest, {name: [condition("gt", -1), condition("lt", 1)]}) == expected
    assert _found(rest, {name: [condition("gt", 1)]}) == []
    assert _found(rest, {name: [condition("gt", 1), condition("gt", -1)]}) == expected
    assert _found(rest, {name: [condition("lt", -1)]}) == ([] if name == "dueDates" else ["a"])


def test_several_names_to_sort_by(rest: CamundaCaller) -> None:
    def found(*sorting: tuple[str, str]) -> list[str]:
        body = {"sorting": [{"sortBy": by, "sortOrder": order} for by, order in sorting]}
        return [job["id"] for job in rest.post("/job", body)]

    assert found(("processDefinitionKey", "desc"), ("jobId", "desc")) == ["c", "b", "a"]
    assert found(("processDefinitionKey", "asc"), ("jobRetries", "asc")) == ["a", "c", "b"]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"maxResults": "2"}, ["a", "b"]),
        ({"firstResult": "1"}, ["b", "c"]),
        ({"firstResult": "2", "maxResults": "2"}, ["c"]),
        ({"firstResult": "3", "maxResults": "2"}, []),
        ({"maxResults": "0"}, []),
        ({"maxResults": "-1"}, []),
        ({"maxResults": ""}, _ALL),
    ],
)
def test_pages(rest: CamundaCaller, params: dict[str, str], expected: list[str]) -> None:
    assert [job["id"] for job in rest.get("/job", **params)] == expected
    response = rest.call("POST", "/job", {}, params=params)
    assert [job["id"] for job in response.json()] == expected


def test_acquired_came_with_7_24(camunda: Camunda, rest: CamundaCaller) -> None:
    seen = []
    for version in ("7.17.0", "7.23.0", "7.24.0", "1.0.3"):
        camunda.behaviour.version = version
        seen.append(len(_found(rest, {"acquired": True})))
    assert seen == [3, 3, 1, 1]


def test_an_old_engine_takes_dates_in_queries_of_their_own(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    camunda.behaviour.version = "7.17.0"
    assert _found(rest, {"dueDates": [{"operator": "gt", "value": write_date(clock())}]}) == ["b"]


@pytest.mark.parametrize(
    ("params", "status", "message"),
    [
        ({"sortBy": "x", "sortOrder": "asc"}, 400, "sortBy parameter has invalid value: x"),
        ({"sortBy": "jobId", "sortOrder": "up"}, 400, "sortOrder parameter has invalid value: up"),
        ({"sortOrder": "asc"}, 400, "Only a single sorting parameter specified. sortBy and sortOrder required"),
        (
            {"timers": "true", "messages": "true"},
            400,
            "Parameter timers cannot be used together with parameter messages.",
        ),
        ({"dueDates": "eq_2026-01-02T03:04:05.006+0000"}, 400, "Invalid due date comparator specified: eq"),
        (
            {"createTimes": "gt_today"},
            400,
            'Invalid create time format: Cannot convert value "today" to java type java.util.Date',
        ),
        (
            {"dueDates": "today"},
            400,
            f"{_CANNOT} 'dueDates' to value 'today': condition query parameter has to have format OPERATOR_VALUE",
        ),
        (
            {"withException": "no"},
            400,
            f"{_CANNOT} 'withException' to value 'no': Cannot convert value \"no\" to java type java.lang.Boolean",
        ),
        (
            {"priorityLowerThanOrEquals": "x"},
            400,
            f"{_CANNOT} 'priorityLowerThanOrEquals' to value 'x': {_NO_LONG}",
        ),
        ({"maxResults": "many"}, 404, "HTTP 404 Not Found"),
    ],
)
def test_parameters_that_are_refused(rest: CamundaCaller, params: dict[str, str], status: int, message: str) -> None:
    response = rest.call("GET", "/job", params=params)
    assert (response.status_code, response.json()["message"]) == (status, message)


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        ({"sorting": [{"sortBy": "x", "sortOrder": "asc"}]}, 400, "NotValidException"),
        ({"sorting": [{"sortBy": "jobId", "sortOrder": "up"}]}, 400, "InvalidRequestException"),
        ({"sorting": [{"sortBy": "jobId"}]}, 400, "InvalidRequestException"),
        ({"sortBy": "x", "sortOrder": "asc"}, 400, "InvalidRequestException"),
        ({"dueDates": [{"operator": "gt", "value": 1}]}, 500, "ClassCastException"),
        ({"jobIds": "a"}, 400, "InvalidRequestException"),
        ({"jobId": ["a"]}, 400, "InvalidRequestException"),
        ({"priorityLowerThanOrEquals": 1e30}, 400, "InvalidRequestException"),
        (None, 500, "NullPointerException"),
    ],
)
def test_bodies_that_are_refused(rest: CamundaCaller, body: object, status: int, kind: str) -> None:
    response = rest.call("POST", "/job/count", body)
    assert (response.status_code, response.json()["type"]) == (status, kind)


def test_a_text_may_come_as_a_number(camunda: Camunda, rest: CamundaCaller) -> None:
    camunda.engine.add_job(id="7")
    assert [rest.count(jobId=7), rest.count(jobIds=[7, True])] == [1, 1]


def test_a_flag_may_come_as_a_number(rest: CamundaCaller) -> None:
    assert [rest.count(noRetriesLeft=flag) for flag in (0, 1, 2, "")] == [3, 1, 1, 3]


def test_history_is_asked_in_both_ways(rest: CamundaCaller, camunda: Camunda) -> None:
    camunda.engine.delete_instance("i")
    assert rest.get("/history/process-instance/count", processInstanceIds="i,j") == {"count": 2}
    assert [one["id"] for one in rest.get("/history/process-instance", finished="true")] == ["i"]
    assert rest.get("/history/job-log/count", processInstanceId="i", deletionLog="true") == {"count": 1}
    assert rest.post("/history/job-log/count", {"creationLog": True, "processDefinitionKey": "order"}) == {"count": 2}
    assert len(rest.get("/history/job-log", jobId="a", maxResults="2")) == 2
    for flags in ({"unfinished": True}, {"active": True}):
        assert [one["id"] for one in rest.post("/history/process-instance", flags)] == ["j", "k"]
    assert rest.post("/history/process-instance/count", {"completed": True}) == {"count": 0}
    assert rest.post("/history/process-instance/count", {"externallyTerminated": True}) == {"count": 1}
    assert rest.call("GET", "/history/process-instance/x").status_code == 404


def test_bounds_are_not_within(rest: CamundaCaller, camunda: Camunda) -> None:
    job = camunda.engine.job("b")
    assert job
    assert job.due
    for name, instant in (("dueDates", job.due), ("createTimes", job.created)):
        for operator in ("gt", "lt"):
            assert "b" not in _found(rest, {name: [{"operator": operator, "value": write_date(instant)}]})


def test_incidents_before_and_after(rest: CamundaCaller, clock: Clock) -> None:
    counts = [
        rest.get(
            "/incident/count", **{f"incidentTimestamp{side}": str(write_date(clock() + timedelta(minutes=minutes)))}
        )
        for side in ("Before", "After")
        for minutes in (-1, 1)
    ]
    assert [found["count"] for found in counts] == [0, 1, 1, 0]
