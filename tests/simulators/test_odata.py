from datetime import UTC, datetime

import pytest
import requests

from local.simulators.finance_operations.server import FinanceOperations
from local.simulators.landscape import Landscape
from local.simulators.testing.finance_operations import Caller, Clock

FIRST = 5637144576
NAMESPACE = "Microsoft.Dynamics.DataEntities."


def _at(hour: int) -> datetime:
    return datetime(2026, 1, 1, hour, tzinfo=UTC)


@pytest.fixture
def jobs(fo: FinanceOperations) -> list[int]:
    """Five jobs, which the tables below call 1 to 5."""
    add = fo.jobs.add
    return [
        add(description="Payroll", company="USMF", start=_at(1), end=_at(2)),
        add(description="Owner's payment", company="DEMF", start=_at(3), end=_at(4)),
        add(description="Closing", company="USMF", status="Finished", start=_at(5), end=_at(6)),
        add(description="Planning", company="GBSI", status="Executing", start=_at(7), outcomes=["stuck"]),
        add(description="Import", company="USMF", status="Hold", orig_start=_at(9)),
    ]


def _numbers(response: requests.Response) -> list[int]:
    assert response.status_code == 200, response.text
    return [entity["BatchJobRecId"] - FIRST + 1 for entity in response.json()["value"]]


def _status(name: str) -> str:
    return f"{NAMESPACE}BatchStatus'{name}'"


@pytest.mark.usefixtures("jobs")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"Status eq {_status('Error')}", [1, 2]),
        (f"Status ne {_status('Error')}", [3, 4, 5]),
        (f"Status eq {_status('Error')} or Status eq {_status('Finished')}", [1, 2, 3]),
        (f"Status eq {_status('Error')} and CompanyAccounts eq 'DEMF'", [2]),
        # and binds stronger than or
        (f"CompanyAccounts eq 'GBSI' or CompanyAccounts eq 'USMF' and Status eq {_status('Error')}", [1, 4]),
        (f"(CompanyAccounts eq 'GBSI' or CompanyAccounts eq 'USMF') and Status eq {_status('Error')}", [1]),
        (f"not (Status eq {_status('Error')})", [3, 4, 5]),
        (f"not Status eq {_status('Error')} and not Status eq {_status('Hold')}", [3, 4]),
        ("JobDescription eq 'Owner''s payment'", [2]),
        ("JobDescription ne 'Payroll'", [2, 3, 4, 5]),
        (f"BatchJobRecId eq {FIRST + 2}", [3]),
        ("StartDateTime ge 2026-01-01T03:00:00Z", [2, 3, 4]),
        ("StartDateTime gt 2026-01-01T03:00:00Z", [3, 4]),
        ("StartDateTime lt 2026-01-01T03:00:00Z", [1, 5]),
        ("StartDateTime le 2026-01-01T04:00:00+01:00", [1, 2, 5]),
        ("EndDateTime eq 2026-01-01T06:00:00Z", [3]),
        ("EndDateTime eq 1900-01-01T12:00:00Z", [4, 5]),
        ("OrigStartDateTime ge 2026-01-01T08:00:00.000Z", [5]),
        (f"Status eq {_status('Error')} and EndDateTime ge 2026-01-01T03:00:00Z", [2]),
        ("RuntimeJob eq false", [1, 2, 3, 4, 5]),
        ("JobDescription eq 'nothing'", []),
        (" or ".join(f"BatchJobRecId eq {FIRST + number}" for number in range(200, -1, -4)), [1, 5]),
    ],
)
def test_filters_find(caller: Caller, text: str, expected: list[int]) -> None:
    assert _numbers(caller.list(filter=text)) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Status eq 'Error'",
        f"Status gt {_status('Error')}",
        f"Status in ({_status('Error')})",
        f"Status eq {_status('Failed')}",
        "Status eq Microsoft.Dynamics.DataEntities.Other'Error'",
        "StartDateTime ge '2026-01-01T00:00:00Z'",
        "StartDateTime ge 2026-13-01T00:00:00Z",
        "StartDateTime ge 2026-01-01",
        "JobDescription gt 'A'",
        "contains(JobDescription,'A')",
        "Caption eq 'A'",
        "BatchJobRecId eq 12x",
        "(BatchJobRecId eq 1",
        "BatchJobRecId eq 1)",
        "BatchJobRecId eq",
        "JobDescription eq 'Owner's payment'",
        "RuntimeJob eq no",
        "",
        "not " * 200 + "BatchJobRecId eq 1",
        "(" * 200,
    ],
)
def test_filters_that_are_not_understood(caller: Caller, text: str) -> None:
    response = caller.list(filter=text)
    error = response.json()["error"]
    assert response.status_code == 400
    assert (error["code"], error["message"]) == ("", "An error has occurred.")
    assert error["innererror"]["type"] == "Microsoft.OData.ODataException"


@pytest.mark.parametrize(
    "options",
    [
        {"expand": "Tasks"},
        {"search": "x"},
        {"select": "BatchJobId"},
        {"orderby": "Recurrence"},
        {"orderby": "EndDateTime down"},
        {"top": "-1"},
        {"skip": "one"},
        {"count": "yes"},
    ],
)
def test_options_that_are_not_understood(caller: Caller, options: dict[str, str]) -> None:
    assert caller.list(**options).status_code == 400


def test_an_option_given_twice_is_refused(caller: Caller) -> None:
    assert caller.get("/data/BatchJobs?$top=1&$top=2").status_code == 400


@pytest.mark.usefixtures("jobs")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"orderby": "BatchJobRecId desc"}, [5, 4, 3, 2, 1]),
        ({"orderby": "CompanyAccounts,EndDateTime desc"}, [2, 4, 3, 1, 5]),
        ({"orderby": "Status asc"}, [5, 4, 1, 2, 3]),
        ({"top": "2"}, [1, 2]),
        ({"top": "0"}, []),
        ({"skip": "3"}, [4, 5]),
        ({"skip": "1", "top": "2", "orderby": "JobDescription"}, [5, 2]),
    ],
)
def test_order_and_parts(caller: Caller, options: dict[str, str], expected: list[int]) -> None:
    assert _numbers(caller.list(**options)) == expected


def test_fields_of_an_entity(fo: FinanceOperations, caller: Caller, jobs: list[int]) -> None:
    entity = caller.get(f"/data/BatchJobs({jobs[0]})").json()
    assert entity.pop("@odata.etag").startswith('W/"')
    assert entity == {
        "@odata.context": f"{fo.url}/data/$metadata#BatchJobs/$entity",
        "BatchJobRecId": FIRST,
        "JobDescription": "Payroll",
        "Status": "Error",
        "CompanyAccounts": "USMF",
        "StartDateTime": "2026-01-01T01:00:00Z",
        "EndDateTime": "2026-01-01T02:00:00Z",
        "OrigStartDateTime": "2026-01-01T01:00:00Z",
        "StartDate": "2026-01-01T12:00:00Z",
        "StartTime": 3600,
        "Finishing": 0,
        "RuntimeJob": False,
        "Recurrence": None,
        "SaveJobToHistory": "Always",
        "ExecutingBy": "Admin",
        "CanceledBy": "",
        "PartitionKey": "initial",
    }


@pytest.mark.usefixtures("jobs")
def test_select_and_count(fo: FinanceOperations, caller: Caller) -> None:
    answer = caller.list(
        select="BatchJobRecId,Status", count="true", top="1", filter="CompanyAccounts eq 'USMF'"
    ).json()
    assert answer["@odata.context"] == f"{fo.url}/data/$metadata#BatchJobs(BatchJobRecId,Status)"
    assert answer["@odata.count"] == 3
    [entity] = answer["value"]
    assert set(entity) == {"@odata.etag", "BatchJobRecId", "Status"}


def test_select_of_one_entity(caller: Caller, jobs: list[int]) -> None:
    entity = caller.get(f"/data/BatchJobs({jobs[1]})?$select=Status&cross-company=true").json()
    assert set(entity) == {"@odata.context", "@odata.etag", "Status"}


def test_the_etag_changes_with_the_job(fo: FinanceOperations, caller: Caller, jobs: list[int]) -> None:
    path = f"/data/BatchJobs({jobs[0]})"
    before = caller.get(path).json()["@odata.etag"]
    assert caller.get(path).json()["@odata.etag"] == before
    fo.jobs.requeue(jobs[0])
    assert caller.get(path).json()["@odata.etag"] != before


def _pages(caller: Caller, first: requests.Response) -> list[list[int]]:
    pages = [_numbers(first)]
    while link := first.json().get("@odata.nextLink"):
        assert link.startswith(f"{caller.url}/data/BatchJobs?")
        first = caller.get(link)
        pages.append(_numbers(first))
    return pages


@pytest.mark.usefixtures("jobs")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [[1, 2], [3, 4], [5]]),
        ({"top": "4"}, [[1, 2], [3, 4]]),
        ({"top": "3", "skip": "1"}, [[2, 3], [4]]),
        ({"orderby": "BatchJobRecId desc", "filter": "JobDescription ne 'Owner''s payment'"}, [[5, 4], [3, 1]]),
    ],
)
def test_pages(fo: FinanceOperations, caller: Caller, options: dict[str, str], expected: list[list[int]]) -> None:
    fo.behaviour.page_size = 2
    assert _pages(caller, caller.list(**options)) == expected


def test_a_page_holds_10000(fo: FinanceOperations, caller: Caller) -> None:
    fo.jobs.fail(count=10_001)
    first = caller.list(select="BatchJobRecId", count="true").json()
    assert (len(first["value"]), first["@odata.count"]) == (10_000, 10_001)
    assert len(caller.get(first["@odata.nextLink"]).json()["value"]) == 1


@pytest.mark.parametrize(
    "path",
    [
        "/data/batchjobs",
        "/data/BatchJobs(1)",
        "/data/BatchJobs(x)",
        "/data/BatchJob",
        "/data/BatchJobs/Microsoft.Dynamics.DataEntities.setBatchJobToWaiting",
    ],
)
def test_what_is_not_there(caller: Caller, path: str) -> None:
    response = caller.get(path)
    assert response.status_code == 404
    assert response.json()["error"]["code"] == ""


def test_the_service_document(caller: Caller) -> None:
    assert caller.get("/data").json()["value"] == [{"name": "BatchJobs", "kind": "EntitySet", "url": "BatchJobs"}]


def test_methods_that_do_not_fit(caller: Caller) -> None:
    assert caller.call("POST", "/data/BatchJobs", body={}).status_code == 405
    assert caller.get(f"/data/BatchJobs/{NAMESPACE}SetBatchJobToWaiting").headers["Allow"] == "POST"


def test_tokens_are_checked(landscape: Landscape, caller: Caller, clock: Clock) -> None:
    fo, issuer = landscape.finance_operations, landscape.issuer
    now = int(clock().timestamp())
    good = issuer.token(fo.url)
    tokens = {
        "audience": issuer.token(f"{fo.url}/"),
        "expired": issuer.token(fo.url, exp=now - 300),
        "verified": good[:-6] + "AAAAAA",
        "registered": issuer.token(fo.url, "4b1d"),
        "tenant": issuer.token(fo.url, tid="other"),
    }
    for reason, token in tokens.items():
        response = caller.call("GET", "/data/BatchJobs", token=token)
        challenge = response.headers["WWW-Authenticate"]
        assert (response.status_code, challenge[:7]) == (401, "Bearer "), reason
        assert reason in challenge
    assert caller.call("GET", "/data/BatchJobs", token=good).status_code == 200


def test_without_a_token_nothing_is_told(fo: FinanceOperations, caller: Caller) -> None:
    response = caller.session.get(f"{fo.url}/data/BatchJobs", timeout=10)
    assert (response.status_code, response.content) == (401, b"")
    assert "no bearer token" in response.headers["WWW-Authenticate"]


def test_a_token_expires_by_the_clock(landscape: Landscape, caller: Caller, clock: Clock) -> None:
    token = landscape.issuer.token(landscape.finance_operations.url)
    clock.forward(3600 + 300)
    assert caller.call("GET", "/data", token=token).status_code == 401


def test_an_unregistered_client_may_hear_403(landscape: Landscape, caller: Caller) -> None:
    fo = landscape.finance_operations
    fo.behaviour.unregistered_status = 403
    fo.behaviour.registered.clear()
    assert caller.get("/data").status_code == 403
