"""POST /job/retries and PUT /job/{id}/retries: every row of the error table, and what is taken for what."""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest

from local.simulators.camunda.dates import read_date, write_date
from local.simulators.camunda.job import Job
from local.simulators.camunda.server import Camunda
from local.simulators.testing.camunda import CamundaCaller
from local.simulators.testing.finance_operations import Clock

_OLD, _FORK = "7.17.0", "1.0.3"
_EMPTY = {"type": "InvalidRequestException", "message": "", "code": None}
_SPECIFY = "ENGINE-13050 You must specify at least one of jobIds or jobQuery."
_TOGETHER = "Parameter timers cannot be used together with parameter messages."
_ORDERLESS = (
    "You should call any of the orderBy methods first before specifying a direction: currentOrderingProperty is null"
)


@pytest.fixture(autouse=True)
def _suspended(camunda: Camunda) -> None:
    """Add a job that is there and never executed."""
    camunda.engine.add_job(id="a", suspended=True)


def _job(camunda: Camunda, job: str = "a") -> Job:
    found = camunda.engine.job(job)
    assert found
    return found


def _query(query: object) -> dict[str, object]:
    return {"retries": 1, "jobQuery": query}


def _invalid(message: str) -> dict[str, object]:
    return {"type": "InvalidRequestException", "message": message, "code": None}


def _failure(message: str) -> dict[str, object]:
    return {"type": "ProcessEngineException", "message": message, "code": 0}


@pytest.mark.parametrize("version", ["7.24.0", "7.19.0", _FORK, "2.1.4"])
@pytest.mark.parametrize(
    ("body", "status", "answer"),
    [
        ("", 400, _invalid("retries is null")),
        ("null", 400, _invalid("setJobRetriesDto is null")),
        ("{}", 400, _invalid("retries is null")),
        ('{"retries": null, "jobIds": ["a"]}', 400, _invalid("retries is null")),
        ('{"retries": "", "jobIds": ["a"]}', 400, _invalid("retries is null")),
        ({"retries": 1}, 500, _failure(_SPECIFY)),
        ({"retries": 1, "jobIds": []}, 500, _failure(_SPECIFY)),
        ({"retries": 1, "jobIds": None, "jobQuery": None}, 500, _failure(_SPECIFY)),
        ({"retries": -1}, 500, _failure(_SPECIFY)),
        (_query({"jobId": "b"}), 400, _invalid("jobIds is empty")),
        ({**_query({"jobId": "b"}), "retries": -1}, 400, _invalid("jobIds is empty")),
        ({"retries": -1, "jobIds": ["b"]}, 500, _failure("Retries count is not greater than or equal to 0")),
        (_query({"sortBy": "x", "sortOrder": "asc"}), 400, _EMPTY),
        (
            _query({"sortBy": "jobId"}),
            400,
            _invalid("Only a single sorting parameter specified. sortBy and sortOrder required"),
        ),
        (
            _query({"sorting": [{"sortBy": "x", "sortOrder": "asc"}]}),
            400,
            {"type": "NotValidException", "message": _ORDERLESS, "code": 0},
        ),
        (
            _query({"dueDates": [{"operator": "eq", "value": "2026-01-02T03:04:05.006+0000"}]}),
            400,
            _invalid("Invalid due date comparator specified: eq"),
        ),
        (
            _query({"createTimes": [{"operator": "gteq", "value": "2026-01-02T03:04:05.006+0000"}]}),
            400,
            _invalid("Invalid create time comparator specified: gteq"),
        ),
        (
            _query({"dueDates": [{"operator": "gt", "value": "2026-01-02"}]}),
            400,
            _invalid('Invalid due date format: Cannot convert value "2026-01-02" to java type java.util.Date'),
        ),
        (_query({"timers": True, "messages": True}), 400, _invalid(_TOGETHER)),
        ('{"retries": 1,', 400, _EMPTY),
        ("retries=1", 400, _EMPTY),
        ("[]", 400, _EMPTY),
        ({"retries": [1], "jobIds": ["a"]}, 400, _EMPTY),
        ({"retries": True, "jobIds": ["a"]}, 400, _EMPTY),
        ({"retries": "two", "jobIds": ["a"]}, 400, _EMPTY),
        ({"retries": 99999999999, "jobIds": ["a"]}, 400, _EMPTY),
        ({"retries": 2147483648, "jobIds": ["a"]}, 400, _EMPTY),
        ({"retries": -2147483649, "jobIds": ["a"]}, 400, _EMPTY),
        ({"retries": -2147483648, "jobIds": ["b"]}, 500, _failure("Retries count is not greater than or equal to 0")),
        ({"retries": 1, "jobIds": "a"}, 400, _EMPTY),
        ({"retries": 1, "jobIds": [{}]}, 400, _EMPTY),
        (_query("a"), 400, _EMPTY),
        (_query({"withException": "perhaps"}), 400, _EMPTY),
        (_query({"processInstanceIds": "a"}), 400, _EMPTY),
        ({"retries": 1, "jobIds": ["a"], "dueDate": "rubbish"}, 400, _EMPTY),
        ({"retries": 1, "jobIds": ["a"], "dueDate": "2026-01-02T03:04:05Z"}, 400, _EMPTY),
        ({"retries": 1, "jobIds": ["a"], "dueDate": True}, 400, _EMPTY),
    ],
)
def test_what_the_engine_refuses(
    camunda: Camunda, rest: CamundaCaller, version: str, body: object, status: int, answer: object
) -> None:
    camunda.behaviour.version = version
    text = body if isinstance(body, str) else None
    response = rest.call("POST", "/job/retries", None if text is not None else body, text=text)
    assert (response.status_code, response.json()) == (status, answer)
    assert camunda.engine.batches() == []


@pytest.mark.parametrize("version", [_OLD, "7.18.0"])
@pytest.mark.parametrize(
    ("body", "status", "kind", "message"),
    [
        ({"retries": 1}, 400, "InvalidRequestException", "jobIds is empty"),
        ({"retries": 1, "jobIds": []}, 400, "InvalidRequestException", "jobIds is empty"),
        ({"jobIds": ["a"]}, 400, "InvalidRequestException", "retries is null"),
        (
            _query({"dueDates": [{"operator": "gt", "value": "2026-01-02T03:04:05.006+0000"}]}),
            500,
            "NullPointerException",
            None,
        ),
        (_query({"createTimes": [{"operator": "lt", "value": "2026-01-02"}]}), 500, "NullPointerException", None),
    ],
)
def test_what_older_engines_refuse(
    camunda: Camunda, rest: CamundaCaller, version: str, body: object, status: int, kind: str, message: str | None
) -> None:
    camunda.behaviour.version = version
    response = rest.call("POST", "/job/retries", body)
    content = response.json()
    assert (response.status_code, content["type"]) == (status, kind)
    assert message in (None, content["message"])
    assert ("code" in content) == (version == "7.18.0")


@pytest.mark.parametrize("body", ['{"retries": 1,', '{"retries": "two"}'])
def test_jackson_may_answer_in_plain_text(camunda: Camunda, rest: CamundaCaller, body: str) -> None:
    camunda.behaviour.malformed = "text"
    response = rest.call("POST", "/job/retries", text=body)
    assert (response.status_code, response.headers["Content-Type"]) == (400, "text/plain; charset=utf-8")
    assert response.text


def test_what_is_no_json_by_its_header_is_refused(rest: CamundaCaller) -> None:
    response = rest.call("POST", "/job/retries", {"retries": 1}, headers={"Content-Type": "text/plain"})
    assert (response.status_code, response.json()["type"]) == (415, "NotSupportedException")


@pytest.mark.parametrize(("given", "taken"), [("2", 2), (1.5, 1), ("0", 0), (0, 0), (2147483647, 2147483647), (1.0, 1)])
def test_what_is_taken_for_a_number(
    camunda: Camunda, rest: CamundaCaller, clock: Clock, given: object, taken: int
) -> None:
    rest.post("/job/retries", {"retries": given, "jobIds": ["a"]})
    clock.forward(0.1)
    assert _job(camunda).retries == taken


@pytest.mark.parametrize(
    "body",
    [
        '{"retries": 1, "jobIds": ["a"], "comment": {"x": []}}',
        '{"retries": 1, "retries": 1, "jobIds": ["a"]} and what follows',
        '{"retries": 1, "jobQuery": {"processInstnceId": "x"}}',
        '{"retries": 1, "jobQuery": {}}',
        '{"retries": 1, "jobQuery": {"withException": false, "processInstanceIds": []}}',
        '{"retries": 1, "jobQuery": {"withException": "true"}}',
        '{"retries": 1, "jobIds": [], "jobQuery": {"noRetriesLeft": 1}}',
    ],
)
def test_what_the_engine_passes_over_or_widens(camunda: Camunda, rest: CamundaCaller, body: str) -> None:
    response = rest.call("POST", "/job/retries", text=body)
    assert response.status_code == 200
    assert [batch.job_ids for batch in camunda.engine.batches()] == [["a"]]


def _retried(camunda: Camunda, rest: CamundaCaller, clock: Clock, **body: object) -> Job:
    rest.retry(jobIds=["a"], **body)
    clock.forward(0.1)
    return _job(camunda)


def test_without_a_due_date_a_job_keeps_its_own(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    due = clock() + timedelta(days=1)
    camunda.engine.set_retries("a", 0, (due,))
    assert _retried(camunda, rest, clock).due == due


@pytest.mark.parametrize("null", [None, "", " "])
def test_a_due_date_of_null_is_now(camunda: Camunda, rest: CamundaCaller, clock: Clock, null: object) -> None:
    job = camunda.engine.add_job(due=clock() + timedelta(days=1))
    rest.retry(jobIds=[job], dueDate=null)
    clock.forward(1)
    assert camunda.engine.executions(job) == 1


def test_a_due_date_in_the_future_is_waited_for(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    job = camunda.engine.add_job()
    due = clock() + timedelta(hours=1)
    rest.retry(jobIds=[job], dueDate=write_date(due))
    clock.forward(1)
    assert (rest.get(f"/job/{job}")["dueDate"], _job(camunda, job).retries) == (write_date(due), 1)
    clock.forward(3600)
    assert camunda.engine.executions(job) == 1


@pytest.mark.parametrize("given", ["9999-12-31T23:59:59.999+0000", "99999-01-01T00:00:00.000+0000", 10**18])
def test_a_due_date_may_be_the_last_there_is(
    camunda: Camunda, rest: CamundaCaller, clock: Clock, given: object
) -> None:
    job = camunda.engine.add_job()
    rest.retry(jobIds=[job], dueDate=given)
    clock.forward(86_400)
    assert (_job(camunda, job).retries, camunda.engine.executions(job)) == (1, 0)
    assert rest.get(f"/job/{job}")["dueDate"] == "9999-12-31T23:59:59.999+0000"


def test_a_due_date_may_be_a_number(camunda: Camunda, rest: CamundaCaller, clock: Clock) -> None:
    future, past = camunda.engine.add_job(), camunda.engine.add_job()
    rest.retry(jobIds=[future], dueDate=1_900_000_000_000)
    rest.retry(jobIds=[past], dueDate=-(10**18))
    clock.forward(1)
    assert _job(camunda, future).due == datetime(2030, 3, 17, 17, 46, 40, tzinfo=UTC)
    assert camunda.engine.executions(past) == 1


@pytest.mark.parametrize("given", ["2026-03-10T22:00:00.000+0000", "rubbish", {}])
@pytest.mark.parametrize("version", [_OLD, "7.18.0"])
def test_before_7_19_a_due_date_is_passed_over(
    camunda: Camunda, rest: CamundaCaller, clock: Clock, version: str, given: object
) -> None:
    camunda.behaviour.version = version
    job = camunda.engine.add_job()
    rest.retry(jobIds=[job], dueDate=given)
    clock.forward(1)
    assert camunda.engine.executions(job) == 1


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-02T03:04:05.006+0200", datetime(2026, 1, 2, 1, 4, 5, 6000, UTC)),
        ("2026-01-02T03:04:05.006-0130", datetime(2026, 1, 2, 4, 34, 5, 6000, UTC)),
        ("2026-01-02T03:04:05.1234567+0000", datetime(2026, 1, 2, 3, 24, 39, 567000, UTC)),
        ("2026-13-45T00:00:00.000+0000", datetime(2027, 2, 14, tzinfo=UTC)),
        ("2026-01-02T03:04:05.006+0000 and more", datetime(2026, 1, 2, 3, 4, 5, 6000, UTC)),
        ("2026-01-02T03:04:05.6GMT", datetime(2026, 1, 2, 3, 4, 5, 6000, UTC)),
        ("99999-01-02T03:04:05.006+0000", datetime.max.replace(tzinfo=UTC)),
        ("0000-01-02T03:04:05.006+0000", datetime.min.replace(tzinfo=UTC)),
        ("0001-01-01T00:00:00.000+0100", datetime.min.replace(tzinfo=UTC)),
    ],
)
def test_dates_that_are_taken(text: str, instant: datetime) -> None:
    assert read_date(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-02T03:04:05.006+02:00",
        "2026-01-02T03:04:05.006Z",
        "2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05+0000",
        "2026-01-02T03:04:05.006+2400",
        "2026-01-02 03:04:05.006+0000",
        "2026-01-02T03:04:05.006",
        "2026-01-02",
        "rubbish",
    ],
)
def test_dates_that_are_not_taken(text: str) -> None:
    with pytest.raises(ValueError, match="Unparseable date"):
        read_date(text)


@pytest.mark.parametrize(
    ("version", "body", "status", "answer"),
    [
        (
            "7.24.0",
            {"retries": -1},
            500,
            _invalid(
                "ENGINE-13054 The number of job retries must be a non-negative Integer, but '-1' has been provided."
            ),
        ),
        ("7.24.0", {"retries": "x"}, 400, _EMPTY),
        ("7.24.0", {"retries": 1, "dueDate": "rubbish"}, 400, _EMPTY),
        (
            "7.17.0",
            {"retries": -1},
            500,
            {
                "type": "InvalidRequestException",
                "message": "The number of job retries must be a non-negative Integer, but '-1' has been provided.",
            },
        ),
    ],
)
def test_what_is_refused_of_one_job(
    camunda: Camunda, rest: CamundaCaller, version: str, body: object, status: int, answer: object
) -> None:
    camunda.behaviour.version = version
    response = rest.call("PUT", "/job/a/retries", body)
    assert (response.status_code, response.json(), _job(camunda).retries) == (status, answer, 0)


@pytest.mark.parametrize("text", ["{}", "", "null"])
def test_one_job_without_retries_is_a_null_pointer(rest: CamundaCaller, text: str) -> None:
    response = rest.call("PUT", "/job/a/retries", text=text)
    assert (response.status_code, response.json()["type"]) == (500, "NullPointerException")


@pytest.mark.parametrize(
    ("version", "message"),
    [("7.24.0", "ENGINE-13053 No job found with id 'b/c'.'"), (_OLD, "No job found with id 'b/c'.'")],
)
def test_one_unknown_job_is_an_error_of_the_server(
    camunda: Camunda, rest: CamundaCaller, version: str, message: str
) -> None:
    camunda.behaviour.version = version
    response = rest.call("PUT", "/job/b%2Fc/retries", {"retries": 1})
    content: dict[str, Any] = response.json()
    assert (response.status_code, content["message"]) == (500, message)


def test_one_job_gets_retries_and_a_due_date(camunda: Camunda, rest: CamundaCaller) -> None:
    body = {"retries": 4, "dueDate": "2030-01-01T00:00:00.000+0000"}
    assert rest.call("PUT", "/job/a/retries", body).status_code == 204
    assert (_job(camunda).retries, _job(camunda).due) == (4, datetime(2030, 1, 1, tzinfo=UTC))
    assert rest.call("PUT", "/job/a/retries", {"retries": 0}).status_code == 204
    assert (_job(camunda).retries, _job(camunda).due) == (0, datetime(2030, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("malformed", "expected"), [("json", "application/json"), ("text", "text/plain; charset=utf-8")]
)
def test_every_body_is_read_alike(
    camunda: Camunda, rest: CamundaCaller, malformed: Literal["json", "text"], expected: str
) -> None:
    camunda.behaviour.malformed = malformed
    for path in ("/job", "/job/count", "/history/job-log", "/history/process-instance/count"):
        response = rest.call("POST", path, text='{"processInstanceId": [')
        assert (response.status_code, response.headers["Content-Type"]) == (400, expected)
