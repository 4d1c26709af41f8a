"""Batch tasks of SuperOffice by the clock: started, executed, stopped, changed, gone."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.simulators.superoffice.archive import answer_archive
from local.simulators.superoffice.behaviour import Plugin, SuperOfficeBehaviour
from local.simulators.superoffice.samples import SEED
from local.simulators.superoffice.server import SuperOffice
from local.simulators.superoffice.task import Task
from local.simulators.testing.finance_operations import Clock
from local.simulators.testing.superoffice import SuperOfficeCaller

_NIGHT = 8 * 3600.0
_AT = datetime(2026, 3, 10, 22, 0, tzinfo=UTC)


def _plugin(superoffice: SuperOffice, name: str = "REPORTER", **changed: Any) -> None:  # noqa: ANN401 - of any field
    plugins = superoffice.behaviour.plugins
    superoffice.behaviour.plugins = {**plugins, name: Plugin(**changed)}


def test_the_sample_request_is_answered_with_a_bare_number(superoffice: SuperOffice, office: SuperOfficeCaller) -> None:
    response = office.call("POST", "/v1/BatchTask", SEED)
    assert (response.status_code, response.text) == (200, "1")
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert superoffice.book.starts() == superoffice.book.starts("distinctio") == [1]


def test_what_only_the_server_knows_is_passed_over(office: SuperOfficeCaller, clock: Clock) -> None:
    office.call("POST", "/v1/BatchTask", SEED)
    made = office.task(1)
    own = ("Name", "IsInternalTask", "ParameterObject", "Context", "Description", "Request", "FileName")
    assert {name: made[name] for name in own} == {name: SEED[name] for name in own}
    assert made["Created"] == f"{clock():%Y-%m-%dT%H:%M:%S}.0000000+00:00"
    assert made["LastStarted"] == "0001-01-01T00:00:00"
    assert [made[name] for name in ("Id", "AssociateId", "StartCount", "State", "Result", "Response")] == [
        *(1, 103, 0, "New"),
        *("", ""),
    ]
    # The row of the parameters is the server's own.
    assert (made["DetailsTable"], made["DetailsRecord"]) not in ((516, 653), (0, 0))
    assert set(made) == {*SEED, "TableRight", "FieldProperties"}


def test_the_least_body_will_do_and_names_have_any_case(office: SuperOfficeCaller) -> None:
    assert office.call("POST", "/V1/batchtask", {"name": "REPORTER", "Colour": "red", "Request": None}).text == "1"
    assert (office.task(1)["Name"], office.task(1)["Request"]) == ("REPORTER", "")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"ParameterObject": {"a": 1}}, "ParameterObject"),
        ({"ParameterObject": {"a": {"b": "c"}}}, "ParameterObject"),
        ({"ParameterObject": {"a": None}}, "ParameterObject"),
        ({"ParameterObject": ["a"]}, "ParameterObject"),
        ({"Name": 5}, "Name"),
        ({"Id": "5"}, "Id"),
        ({"Id": 2**31}, "Id"),
        ({"Id": True}, "Id"),
        ({"IsSystemTask": "true"}, "IsSystemTask"),
        ({"State": "Running"}, "State"),
        ({"CancellationBehaviour": "Maybe"}, "CancellationBehaviour"),
        ({"Created": "yesterday"}, "Created"),
        ({"Request": "x" * 255}, "Request"),
        ([], "object"),
    ],
)
def test_a_member_of_a_wrong_type_is_refused(
    superoffice: SuperOffice, office: SuperOfficeCaller, body: object, word: str
) -> None:
    response = office.call("POST", "/v1/BatchTask", body)
    error = response.json()
    assert (response.status_code, error["Error"], error["ErrorType"]) == (400, True, "ArgumentException")
    assert word in error["ErrorMessage"]
    assert (superoffice.tasks.all(), superoffice.book.effects()) == ([], [])


@pytest.mark.parametrize("text", ["", "{", "null", "7"])
def test_a_body_that_is_no_object_is_refused(office: SuperOfficeCaller, text: str) -> None:
    assert office.call("POST", "/v1/BatchTask", text=text).status_code == 400


def test_a_text_that_is_too_long_may_be_cut(superoffice: SuperOffice, office: SuperOfficeCaller) -> None:
    superoffice.behaviour.too_long = "cut"
    assert office.task(office.start(Request="x" * 300))["Request"] == "x" * 254
    assert superoffice.book.starts("x" * 254) == [1]


def test_a_task_runs_by_the_clock(superoffice: SuperOffice, office: SuperOfficeCaller, clock: Clock) -> None:
    _plugin(superoffice, seconds=200, result="12 reports")
    task = office.start()
    seen = []
    for seconds in (0, 2, 0.5, 50, 100, 49, 1):
        clock.forward(seconds)
        found = office.task(task)
        seen.append((found["State"], found["ProgressPercent"], found["StartCount"]))
    assert seen == [
        ("New", 0, 0),
        ("Aquired", 0, 0),
        ("Started", 0, 1),
        ("Started", 25, 1),
        ("Started", 75, 1),
        ("Started", 99, 1),
        ("Succeeded", 100, 1),
    ]
    assert office.task(task)["Result"] == "12 reports"


def test_steps_happen_when_due_however_late_anyone_looks(superoffice: SuperOffice, clock: Clock) -> None:
    task = superoffice.tasks.add(name="REPORTER")
    begin = clock()
    clock.forward(_NIGHT)
    found = superoffice.tasks.get(task)
    assert found
    assert found.started
    assert found.ended
    assert [(at - begin).total_seconds() for at in (found.started, found.ended, found.updated)] == [2.5, 62.5, 62.5]


def test_endings_come_one_after_the_other(superoffice: SuperOffice, office: SuperOfficeCaller, clock: Clock) -> None:
    _plugin(superoffice, outcomes=["Failed", "Succeeded"])
    states = []
    for _ in range(3):
        task = office.start()
        clock.forward(100)
        states.append(office.task(task)["State"])
    assert states == ["Failed", "Succeeded", "Succeeded"]


def test_a_task_of_an_unknown_name_waits_until_there_is_a_plugin(
    superoffice: SuperOffice, office: SuperOfficeCaller, clock: Clock
) -> None:
    task = office.start(Name="NoSuchPlugin")
    clock.forward(_NIGHT)
    assert office.task(task)["State"] == "New"
    _plugin(superoffice, "NoSuchPlugin", seconds=10)
    clock.forward(2.5)
    assert office.task(task)["State"] == "Started"
    clock.forward(10)
    assert office.task(task)["State"] == "Succeeded"


def test_a_running_task_shows_that_it_is_alive(
    superoffice: SuperOffice, office: SuperOfficeCaller, clock: Clock
) -> None:
    _plugin(superoffice, seconds=1000)
    office.start()
    clock.forward(2.5 + 150)
    (row,) = office.call("GET", "/v1/BatchTask").json()["value"]
    (task,) = superoffice.tasks.all()
    assert task.started
    assert (task.updated - task.started).total_seconds() == 120
    assert row["updatedDate"].startswith(f"{task.updated:%Y-%m-%dT%H:%M:%S}")


def test_a_row_may_vanish_after_its_end(superoffice: SuperOffice, office: SuperOfficeCaller, clock: Clock) -> None:
    superoffice.behaviour.removed_after_seconds = 30
    kept, internal = office.start(), office.start(IsInternalTask=True)
    clock.forward(62.5)
    assert office.task(kept)["State"] == "Succeeded"
    assert office.call("GET", f"/v1/BatchTask/{internal}").status_code == 404
    clock.forward(30)
    missing = office.call("GET", f"/v1/BatchTask/{kept}")
    assert (missing.status_code, missing.json()) == (
        404,
        {
            "Error": True,
            "ErrorType": "SoNotFoundException",
            "ErrorMessage": f"BatchTask id {kept} not found",
            "ErrorSource": "SuperOffice.Services.Implementation",
        },
    )
    assert superoffice.book.starts() == [kept, internal]


@pytest.mark.parametrize("cancellation", ["CanCancel", "CancelWithWarning"])
@pytest.mark.parametrize("seconds", [0, 2, 30])
def test_a_task_is_stopped(
    superoffice: SuperOffice, office: SuperOfficeCaller, clock: Clock, cancellation: str, seconds: float
) -> None:
    _plugin(superoffice, cancellation=cancellation)
    task = office.start()
    clock.forward(seconds)
    response = office.call("POST", f"/v1/BatchTask/{task}/Stop")
    assert (response.status_code, response.text, office.task(task)["State"]) == (200, "true", "Failed")
    clock.forward(_NIGHT)
    assert office.task(task)["State"] == "Failed"
    assert [effect.task for effect in superoffice.book.effects("stop")] == [task]


def test_a_task_that_cannot_be_stopped_goes_on(
    superoffice: SuperOffice, office: SuperOfficeCaller, clock: Clock
) -> None:
    _plugin(superoffice, cancellation="CannotCancel")
    # What the plugin can do counts, whatever was sent.
    task = office.start(CancellationBehaviour="CanCancel")
    assert office.task(task)["CancellationBehaviour"] == "CannotCancel"
    assert office.call("POST", f"/v1/BatchTask/{task}/stop").text == "false"
    clock.forward(100)
    assert office.task(task)["State"] == "Succeeded"
    assert superoffice.book.effects("stop") == []


def test_a_task_that_has_ended_or_is_unknown_is_not_stopped(office: SuperOfficeCaller, clock: Clock) -> None:
    task = office.start()
    clock.forward(100)
    assert office.call("POST", f"/v1/BatchTask/{task}/Stop").status_code == 400
    assert office.call("POST", "/v1/BatchTask/77/Stop").status_code == 404


def test_put_changes_the_state_and_three_texts(
    superoffice: SuperOffice, office: SuperOfficeCaller, clock: Clock
) -> None:
    task = office.start(Description="a", FileName="f")
    sent = {"Description": "b", "Response": "c", "Request": "d", "FileName": "g", "Name": "IMPORT", "StartCount": 9}
    response = office.call("PUT", f"/v1/BatchTask/{task}", {**sent, "State": "Succeeded"})
    found = response.json()
    assert (response.status_code, found) == (200, office.task(task))
    assert [found[name] for name in ("Description", "Response", "Request", "State")] == ["b", "c", "d", "Succeeded"]
    assert [found[name] for name in ("FileName", "Name", "StartCount")] == ["f", "REPORTER", 0]
    office.call("PUT", f"/v1/BatchTask/{task}", {"State": "New"})
    clock.forward(100)
    assert (office.task(task)["State"], office.task(task)["StartCount"]) == ("Succeeded", 1)
    assert [effect.change for effect in superoffice.book.effects()] == ["start", "change", "change"]


def test_put_refuses_all_and_unknown_tasks(office: SuperOfficeCaller) -> None:
    task = office.start()
    assert office.call("PUT", f"/v1/BatchTask/{task}", {"State": "All"}).status_code == 400
    assert office.call("PUT", "/v1/BatchTask/77", {}).status_code == 404


def test_delete_takes_the_row_away(superoffice: SuperOffice, office: SuperOfficeCaller) -> None:
    task = office.start()
    response = office.call("DELETE", f"/v1/BatchTask/{task}")
    assert (response.status_code, response.content) == (204, b"")
    assert office.call("GET", f"/v1/BatchTask/{task}").status_code == 404
    assert office.call("DELETE", f"/v1/BatchTask/{task}").status_code == 404
    assert [effect.task for effect in superoffice.book.effects("delete")] == [task]


def _ids(rows: list[dict[str, Any]]) -> list[int]:
    return [row["Id"] for row in rows]


def test_a_state_lists_the_tasks_of_users(superoffice: SuperOffice, office: SuperOfficeCaller, clock: Clock) -> None:
    _plugin(superoffice, outcomes=["Failed"])
    failed, of_system = office.start(), office.start(IsSystemTask=True)
    clock.forward(100)
    waiting = office.start(Name="NoSuchPlugin")
    assert office.task(of_system)["AssociateId"] == 0
    assert _ids(office.call("GET", "/v1/BatchTask/Failed").json()) == [failed]
    assert _ids(office.call("GET", "/v1/BatchTask/new").json()) == [waiting]
    assert _ids(office.call("GET", "/v1/BatchTask/All").json()) == [failed, waiting]
    assert office.call("GET", "/v1/BatchTask/Running").status_code == 400


def test_the_agent_finds_tasks_of_users_and_of_the_system(office: SuperOfficeCaller, clock: Clock) -> None:
    first, of_system = office.start(), office.start(IsSystemTask=True)
    clock.forward(100)
    third = office.start()
    office.start(Name="IMPORT")
    assert _ids(office.agent("GetAllBatchTaskInfosByName", {"TaskName": "REPORTER"}).json()) == [
        *(first, of_system, third)
    ]
    by_state = {"TaskName": "REPORTER", "State": "Succeeded"}
    assert _ids(office.agent("GetAllBatchTaskInfosByNameAndState", by_state).json()) == [first, of_system]
    assert office.agent("GetBatchTaskInfo", {"Id": third}).json() == office.task(third)
    assert office.agent("GetBatchTaskInfo", {"Id": 77}).json() is None


def test_the_agent_stops_tasks(superoffice: SuperOffice, office: SuperOfficeCaller, clock: Clock) -> None:
    task = office.start()
    assert office.agent("StopBatchJob", {"Id": task}).text == "true"
    clock.forward(100)
    assert office.agent("StopBatchJob", {"Id": task}).status_code == 400
    assert [effect.task for effect in superoffice.book.effects("stop")] == [task]


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("GetBatchTaskInfo", {}, 400),
        ("GetBatchTaskInfo", {"Id": "1"}, 400),
        ("GetAllBatchTaskInfosByName", {"TaskName": 1}, 400),
        ("GetAllBatchTaskInfosByNameAndState", {"TaskName": "a", "State": "b"}, 400),
        ("StopBatchJob", {"Id": 77}, 404),
        ("NoSuchMethod", {}, 404),
    ],
)
def test_the_agent_refuses_what_it_does_not_know(
    office: SuperOfficeCaller, name: str, body: object, status: int
) -> None:
    assert office.agent(name, body).status_code == status


def test_the_archive_finds_a_task_by_its_request(office: SuperOfficeCaller, clock: Clock) -> None:
    first, second = office.start(Request="ns-1"), office.start(Request="it's ns-12")
    clock.forward(100)
    third = office.start(Request="ns-1")
    assert office.found("Request is 'ns-1'") == [first, third]
    assert office.found("request IS 'ns-1' and State eq 4") == [first]
    assert office.found("Request contains 'ns-12'") == [second]
    assert office.found("Request begins 'it''s'") == [second]
    assert office.found("State lt 4") == [third]


@given(st.text(), st.lists(st.text(), max_size=5))
def test_the_archive_finds_any_text_and_no_other(wanted: str, others: list[str]) -> None:
    texts = [wanted, *others]
    tasks = [Task(number, "", _AT, _AT, _AT, request=text) for number, text in enumerate(texts)]
    quoted = wanted.replace("'", "''")
    params = {"$filter": f"Request is '{quoted}' and State eq 1"}
    found = answer_archive(tasks, params, "", SuperOfficeBehaviour())["value"]
    expected = [str(number) for number, text in enumerate(texts) if text == wanted]
    assert isinstance(found, list)
    assert [row["PrimaryKey"] for row in found] == expected


def test_the_archive_finds_tasks_by_the_time_of_their_last_change(office: SuperOfficeCaller, clock: Clock) -> None:
    early = office.start()
    clock.forward(3600)
    at = clock()
    late = office.start()
    assert office.found(f"updatedDate afterTime '{at:%Y-%m-%dT%H:%M:%S}'", **{"$top": "5"}) == []
    assert office.found(f"updatedDate beforeTime '{at:%Y-%m-%dT%H:%M:%S}'") == [early]
    clock.forward(100)
    assert office.found(f"registeredDate dateTime '{at:%Y-%m-%dT%H:%M:%SZ}'") == [late]
    assert office.found(f"updatedDate afterTime '{at:%Y-%m-%dT%H:%M:%S}' and State = 4") == [late]


def test_the_archive_has_pages(superoffice: SuperOffice, office: SuperOfficeCaller) -> None:
    superoffice.behaviour.page_size = 2
    made = [office.start(Request="r") for _ in range(5)]
    found: list[int] = []
    response = office.call("GET", "/v1/BatchTask", params={"$filter": "Request is 'r'", "$orderBy": "StartCount desc"})
    while True:
        page = response.json()
        found += [int(row["PrimaryKey"]) for row in page["value"]]
        if page["odata.nextLink"] is None:
            break
        response = office.call("GET", page["odata.nextLink"])
    assert found == made
    assert office.found("Request is 'r'", **{"$skip": "3", "$top": "1"}) == [made[3]]


def test_the_archive_shows_the_columns_that_were_asked_for(office: SuperOfficeCaller) -> None:
    task = office.start()
    for path in ("/v1/BatchTask", "/v1/Archive/BatchTasks"):
        (row,) = office.call("GET", path, params={"$select": "state,DefinitionName"}).json()["value"]
        assert row == {
            "PrimaryKey": str(task),
            "EntityName": "batchtask",
            "State": 1,
            "DefinitionName": "REPORTER",
        }


@pytest.mark.parametrize(
    "params",
    [
        {"$filter": "Colour is 'red'"},
        {"$filter": "Request eq 'a'"},
        {"$filter": "State is 'New'"},
        {"$filter": "State eq 'New'"},
        {"$filter": "Request is 5"},
        {"$filter": "updatedDate afterTime 'yesterday'"},
        {"$filter": "Request is 'a' and"},
        {"$filter": "Request is 'a' or State eq 1"},
        {"$filter": "Request"},
        {"$select": "Colour"},
        {"$orderBy": "Colour"},
        {"$top": "-1"},
        {"$count": "true"},
    ],
)
def test_the_archive_refuses_what_it_does_not_know(office: SuperOfficeCaller, params: dict[str, str]) -> None:
    assert office.call("GET", "/v1/BatchTask", params=params).status_code == 400


def test_samples_are_of_the_night(superoffice: SuperOffice, office: SuperOfficeCaller) -> None:
    superoffice.fill()
    assert len(office.found("State eq 5")) == 2
    assert len(office.call("GET", "/v1/BatchTask/All").json()) == len(superoffice.tasks.all()) - 1
