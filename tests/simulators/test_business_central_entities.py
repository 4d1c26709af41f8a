"""Reading and writing of Business Central's entities, one call at a time, and who may."""

import json

import pytest

from local.simulators.business_central.server import BusinessCentral
from local.simulators.common.exact_json import Number
from local.simulators.landscape import Landscape
from local.simulators.testing.business_central import CentralCaller, get, line, post, statuses

NO_COMPANY = "0d6a1d3c-3b5c-4c0c-8d7c-222222222222"


def _numbers(central: CentralCaller, path: str) -> list[str]:
    return [one["number"] for one in central.call("GET", path).json()["value"]]


def test_collections_are_filtered_selected_cut_and_counted(
    bc: BusinessCentral, central: CentralCaller, company: str
) -> None:
    bc.add_customers(5, company)
    path = f"companies({company})/customers"
    assert _numbers(central, path) == ["C00001", "C00002", "C00003", "C00004", "C00005"]
    assert _numbers(central, f"{path}?$top=2&$skip=1&$orderby=number desc") == ["C00004", "C00003"]
    assert _numbers(central, f"{path}?$filter=number eq 'C00002' and displayName eq 'Customer 2'") == ["C00002"]
    found = central.call("GET", f"{path}?$count=true&$top=1&$select=number").json()
    assert found["@odata.count"] == 5
    assert set(found["value"][0]) == {"@odata.etag", "number"}


def test_pages_are_linked(bc: BusinessCentral, central: CentralCaller, company: str) -> None:
    bc.behaviour.page_size = 2
    bc.add_customers(3, company)
    first = central.call("GET", f"companies({company})/customers").json()
    assert _numbers(central, first["@odata.nextLink"].removeprefix(bc.url)) == ["C00003"]


def test_lines_are_found_by_what_was_sent(
    bc: BusinessCentral, central: CentralCaller, company: str, journal: str
) -> None:
    central.batch(
        line("1", company, journal, amount=Number("-3250.50"), description="A"),
        line("2", company, journal, amount=Number("7"), description="O'Neil"),
    )
    path = f"companies({company})/journals({journal})/journalLines?$filter="
    found = bc.lines(journal)
    for text, expected in {
        "amount eq -3250.5": [found[0]["id"]],
        "description eq 'O''Neil' and postingDate eq 2020-10-20": [found[1]["id"]],
        f"id eq {found[1]['id']} and amount eq 7.00": [found[1]["id"]],
        "lineNumber eq 10000": [found[0]["id"]],
        "postingDate eq 2020-10-21": [],
    }.items():
        answer = central.call("GET", f"{path}{text}").json()
        assert [one["id"] for one in answer["value"]] == expected, text
    assert central.call("GET", f"{path}colour eq 'red'").status_code == 400


def test_one_line_is_read_with_its_etag_and_with_or_without_its_journal(
    bc: BusinessCentral, central: CentralCaller, company: str, journal: str
) -> None:
    central.batch(line("1", company, journal, amount=Number("1234567890123456.7890")))
    key = bc.lines(journal)[0]["id"]
    for path in (f"journals({journal})/journalLines({key})", f"journalLines({key})"):
        response = central.call("GET", f"companies({company})/{path}")
        assert response.json()["@odata.etag"] == response.headers["ETag"]
        assert '"amount":1234567890123456.7890' in response.text


def test_changes_need_an_etag_that_is_fresh(bc: BusinessCentral, central: CentralCaller, company: str) -> None:
    [customer] = bc.add_customers(1, company)
    path, body = f"companies({company})/customers({customer})", '{"displayName":"New"}'
    etag = central.call("GET", path).headers["ETag"]
    assert central.call("PATCH", path, content=body).status_code == 400
    changed = central.call("PATCH", path, content=body, headers={"If-Match": etag})
    assert (changed.status_code, changed.json()["displayName"]) == (200, "New")
    stale = central.call("PATCH", path, content=body, headers={"If-Match": etag})
    assert (stale.status_code, stale.json()["error"]["code"]) == (409, "Request_EntityChanged")
    assert central.call("DELETE", path).status_code == 400
    assert central.call("DELETE", path, headers={"If-Match": etag}).status_code == 409
    gone = central.call("DELETE", path, headers={"If-Match": "*"})
    assert (gone.status_code, gone.content) == (204, b"")
    assert central.call("GET", path).status_code == 404


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"postingDate": "20.10.2020"}, "Cannot convert the literal '20.10.2020' to the expected type 'Edm.Date'."),
        ({"postingDate": "20201020"}, "Edm.Date"),
        ({"accountId": "bob"}, "Edm.Guid"),
        ({"amount": True}, "Edm.Decimal"),
        ({"description": 7}, "Edm.String"),
        ({"colour": "red"}, "The property 'colour' does not exist on type 'Microsoft.NAV.journalLine'."),
        ({"lineNumber": 7}, "read-only"),
    ],
)
def test_fields_are_checked(
    bc: BusinessCentral, central: CentralCaller, company: str, journal: str, fields: dict[str, object], text: str
) -> None:
    path = f"companies({company})/journals({journal})/journalLines"
    response = central.call("POST", path, content=json.dumps(fields))
    assert response.status_code == 400
    assert text in response.json()["error"]["message"]
    assert bc.lines(journal) == []


def test_numbers_are_taken_once(central: CentralCaller, company: str) -> None:
    path = f"companies({company})/items"
    assert central.call("POST", path, content='{"number":"1896-S"}').status_code == 201
    again = central.call("POST", path, content='{"number":"1896-S"}')
    assert (again.status_code, again.json()["error"]["code"]) == (400, "Internal_EntityWithSameKeyExists")


@pytest.mark.parametrize("prefer", ["return=minimal", "return-no-content"])
def test_an_operation_may_do_without_an_answer(central: CentralCaller, company: str, prefer: str) -> None:
    [answer] = central.batch(post("1", f"companies({company})/items", {}, Prefer=prefer)).json()["responses"]
    assert (answer["status"], "body" in answer) == (204, False)
    assert answer["headers"]["location"]


def test_a_company_is_named_in_four_ways_and_the_book_tells_if_nobody_did(
    bc: BusinessCentral, central: CentralCaller, company: str
) -> None:
    other = bc.add_company("Übung AG")
    central.batch(
        post("url", f"companies({other})/items", {}),
        post("query", f"items?company={other}", {}),
        post("header", "items", {}, Company="Übung AG"),
        post("nobody", "items", {}),
        post("wrong", "items", {}, Company="None"),
    )
    told = [(one.operation, one.company, one.by_default) for one in bc.book.writes()]
    assert told == [
        ("url", "Übung AG", False),
        ("query", "Übung AG", False),
        ("header", "Übung AG", False),
        ("nobody", "CRONUS International Ltd.", True),
        ("wrong", None, False),
    ]
    assert [len(bc.entities("items", one)) for one in (company, other)] == [1, 3]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"companies({NO_COMPANY})/items", "Internal_CompanyNotFound"),
        ("colours", "BadRequest_NotFound"),
        (f"customers({NO_COMPANY})", "Internal_RecordNotFound"),
        (f"journals({NO_COMPANY})/journalLines", "Internal_RecordNotFound"),
        (f"journalLines({NO_COMPANY})", "Internal_RecordNotFound"),
        ("a+b", "BadRequest_NotFound"),
        ("items/more", "BadRequest_NotFound"),
    ],
)
@pytest.mark.usefixtures("company")
def test_what_does_not_exist_is_404(central: CentralCaller, path: str, code: str) -> None:
    response = central.call("GET", path)
    assert (response.status_code, response.json()["error"]["code"]) == (404, code)


@pytest.mark.parametrize(("method", "path"), [("POST", "companies"), ("PATCH", "items"), ("PUT", "items")])
@pytest.mark.usefixtures("company")
def test_what_cannot_be_done_is_405(central: CentralCaller, method: str, path: str) -> None:
    assert central.call(method, path, content="{}").status_code == 405


def test_a_token_of_another_audience_is_401(bc: BusinessCentral, central: CentralCaller, landscape: Landscape) -> None:
    foreign = landscape.issuer.token(landscape.finance_operations.url)
    response = central.call("GET", "companies", token=foreign)
    assert (response.status_code, response.json()["error"]["code"]) == (401, "Authentication_InvalidCredentials")
    assert "the audience" in response.headers["WWW-Authenticate"]
    bc.behaviour.audience = landscape.finance_operations.url
    assert central.call("GET", "companies", token=foreign).status_code == 200


@pytest.mark.parametrize("status", [401, 403])
def test_a_client_that_is_not_registered_may_not_come_in(
    bc: BusinessCentral, central: CentralCaller, company: str, journal: str, status: int
) -> None:
    bc.behaviour.registered = set()
    bc.behaviour.unregistered_status = status
    assert central.batch(line("1", company, journal)).status_code == status
    assert (bc.lines(journal), bc.book.operations()) == ([], [])


def test_the_landscape_names_a_target(bc: BusinessCentral, landscape: Landscape) -> None:
    settings = landscape.settings
    assert (settings["TARGETS__BC__SYSTEM"], settings["TARGETS__BC__URL"]) == ("business-central", bc.url)
    assert settings["TARGETS__BC__CLIENT_SECRET"] == settings["TARGETS__FO__CLIENT_SECRET"]


def test_the_book_tells_calls_and_operations(
    bc: BusinessCentral, central: CentralCaller, company: str, journal: str
) -> None:
    central.batch(line("1", company, journal), get("2", f"companies({company})"))
    central.call("POST", f"companies({company})/items", content="{}")
    assert [(call.kind, call.status, call.correlation_id) for call in bc.book.calls()] == [
        ("batch", 200, "c-1"),
        ("other", 201, "c-1"),
    ]
    told = [(one.batch, one.index, one.operation, one.method, one.status) for one in bc.book.operations()]
    assert told == [(1, 0, "1", "POST", 201), (1, 1, "2", "GET", 200), (None, 0, None, "POST", 201)]
    assert [one.took_effect for one in bc.book.writes()] == [True, True]
    assert bc.book.writes()[0].entity == bc.lines(journal)[0]["id"]
    assert len(bc.book.batches()) == 1


def test_everything_is_there_over_http_for_a_demo(bc: BusinessCentral, central: CentralCaller) -> None:
    made = central.call("POST", "/local/companies", content='{"journals":["SALARIES"],"customers":3}').json()
    journal = made["journals"]["SALARIES"]
    assert statuses(central.batch(line("1", made["id"], journal, amount=Number("1.10")))) == {"1": 201}
    [company] = central.call("GET", "/local/companies").json()["companies"]
    assert (company["customers"], company["journals"]) == (3, [{"id": journal, "code": "SALARIES", "lines": 1}])
    assert '"amount":1.10' in central.call("GET", f"/local/lines/{journal}").text
    book = central.call("GET", "/local/book").json()
    assert ([one["status"] for one in book["operations"]], book["mostInFlight"]) == ([201], 1)
    assert central.call("POST", "/local/faults", content='{"effect":"drop"}').status_code == 400
    assert central.call("POST", "/local/behaviour", content='{"batch_limit":7}').json()["batch_limit"] == 7
    assert central.call("POST", "/local/reset").status_code == 204
    assert (bc.overview(), bc.book.calls(), bc.behaviour.batch_limit) == ([], [], 100)
    assert central.call("POST", "/local/sample").status_code == 201
    [sample] = bc.overview()
    assert (sample.customers, sample.items, len(sample.journals)) == (5, 2, 2)
