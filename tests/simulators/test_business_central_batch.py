"""What Business Central answers to a `$batch`: each row of the facts that were seen or documented."""

import json
import re

import pytest

from local.simulators.business_central.server import BusinessCentral
from local.simulators.common.exact_json import Number
from local.simulators.testing.business_central import ACCOUNT, CentralCaller, get, line, post, statuses

CONTINUE = "odata.continue-on-error"
BAD_DATE = {"postingDate": "2020-13-45"}


def _message(central: CentralCaller, content: str, status: int = 400) -> str:
    response = central.raw(content)
    assert response.status_code == status
    return str(response.json()["error"]["message"])


def _descriptions(bc: BusinessCentral, journal: str) -> list[object]:
    return [one["description"] for one in bc.lines(journal)]


def test_three_lines_are_written_in_their_order(
    bc: BusinessCentral, central: CentralCaller, company: str, journal: str
) -> None:
    salaries = (-3250, -3500, 6750)
    response = central.batch(
        *(
            line(f"r{n}", company, journal, amount=Number(str(amount)), description=f"L{n}")
            for n, amount in enumerate(salaries)
        )
    )
    assert response.status_code == 200
    assert statuses(response) == {"r0": 201, "r1": 201, "r2": 201}
    assert _descriptions(bc, journal) == ["L0", "L1", "L2"]
    assert [one["lineNumber"] for one in bc.lines(journal)] == [Number("10000"), Number("20000"), Number("30000")]
    first = response.json()["responses"][0]
    assert first["body"]["@odata.etag"].startswith('W/"')
    assert (first["body"]["accountId"], first["body"]["journalId"]) == (ACCOUNT, journal)
    assert first["headers"]["location"] == (
        f"{bc.url}/api/v2.0/companies({company})/journals({journal})/journalLines({first['body']['id']})"
    )


def test_answers_are_spaced_and_named_as_the_library_does(central: CentralCaller, company: str) -> None:
    text = central.batch(get("1", f"companies({company})")).text
    assert '"body" :{' in text
    [inner] = json.loads(text)["responses"]
    assert all(name == name.lower() for name in inner["headers"])
    assert inner["headers"]["content-type"] == (
        "application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8"
    )


def test_a_custom_api_has_the_same_data(central: CentralCaller, bc: BusinessCentral, company: str) -> None:
    response = central.batch(get("1", f"companies({company})/customers"), root="/api/contoso/app1/v1.0")
    assert statuses(response) == {"1": 200}
    assert f"{bc.url}/api/contoso/app1/v1.0/$metadata" in response.text


def test_the_first_failure_ends_the_answer(
    bc: BusinessCentral, central: CentralCaller, company: str, journal: str
) -> None:
    lines = [line("1", company, journal), line("2", company, journal, **BAD_DATE), line("3", company, journal)]
    response = central.batch(*lines)
    assert statuses(response) == {"1": 201, "2": 400}
    error = response.json()["responses"][1]["body"]["error"]
    assert error["code"] == "BadRequest"
    assert re.search(r"  CorrelationId:  [0-9a-f-]{36}\.$", error["message"])
    assert len(bc.lines(journal)) == 1
    assert statuses(central.batch(*lines, Prefer="odata.continue-on-error=false")) == {"1": 201, "2": 400}


@pytest.mark.parametrize("prefer", [CONTINUE, "continue-on-error", "return=minimal, odata.continue-on-error=true"])
def test_the_rest_runs_if_that_is_preferred(central: CentralCaller, company: str, journal: str, prefer: str) -> None:
    lines = [line("1", company, journal, **BAD_DATE), line("2", company, journal)]
    assert statuses(central.batch(*lines, Prefer=prefer)) == {"1": 400, "2": 201}


def test_dependents_of_a_failed_operation_run_all_the_same(central: CentralCaller, company: str, journal: str) -> None:
    lines = [line("1", company, journal, **BAD_DATE), {**line("2", company, journal), "dependsOn": ["1"]}]
    assert statuses(central.batch(*lines, Prefer=CONTINUE)) == {"1": 400, "2": 201}


def test_a_reference_leads_to_what_was_created(bc: BusinessCentral, central: CentralCaller, company: str) -> None:
    response = central.batch(
        post("1", f"companies({company})/journals", {"code": "NEW"}),
        {**post("2", "$1/journalLines", {"amount": Number("1.50")}), "dependsOn": ["1"]},
        get("3", "$1", dependsOn=["1"]),
    )
    assert statuses(response) == {"1": 201, "2": 201, "3": 200}
    made = response.json()["responses"][0]["body"]["id"]
    assert [one["amount"] for one in bc.lines(made)] == [Number("1.50")]


def test_a_reference_to_what_failed_is_404_without_anything(central: CentralCaller, company: str) -> None:
    response = central.batch(
        post("1", f"companies({company})/journals", {"colour": "red"}), get("2", "$1", dependsOn=["1"]), Prefer=CONTINUE
    )
    assert response.json()["responses"][1] == {"id": "2", "status": 404, "headers": {}}


def test_more_than_100_operations_are_refused(bc: BusinessCentral, central: CentralCaller, company: str) -> None:
    many = [get(str(number), f"companies({company})") for number in range(101)]
    assert len(statuses(central.batch(*many[:100]))) == 100
    response = central.batch(*many)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (400, "Unknown")
    assert error["message"].startswith(
        "The current batch message contains too many parts. A maximum number of '100' query operations and change sets "
        "are allowed in a batch message.  CorrelationId: "
    )
    bc.behaviour.batch_limit = 2
    assert central.batch(*many[:3]).status_code == 400


@pytest.mark.parametrize(
    ("requests", "text"),
    [
        ("", "An unexpected 'EndArray' node was found when reading from the JSON reader."),
        (
            '{"id":"1","method":"GET","url":"companies"},{"id":"1","method":"GET","url":"companies"}',
            "The content ID '1' was found more than once in the same change set or same batch request.",
        ),
        (
            '{"id":"1","method":"GET","url":"companies","dependsOn":["9"]},{"id":"9","method":"GET","url":"companies"}',
            (
                "The dependsOn Id: [9] in request [1] is not matching any of the request Id and atomic group Id seen "
                "so far. Forward reference is not allowed."
            ),
        ),
        ('{"id":1,"method":"GET","url":"companies"}', "Cannot read the value '1' as a quoted JSON string value."),
        ('{"id":"1","method":"GET","url":"companies","foo":1}', "Unknown property name 'FOO' for message in batch."),
        ('{"id":"1","method":"POST","url":"$batch"}', "Request Id reference [batch] in Uri [$batch] is not found"),
        ('{"id":"1","url":"companies"}', "The required property 'method'"),
    ],
)
def test_a_batch_that_cannot_be_run_is_refused_as_a_whole(
    bc: BusinessCentral, central: CentralCaller, requests: str, text: str
) -> None:
    assert text in _message(central, f'{{"requests":[{requests}]}}')
    assert bc.book.operations() == []


def test_ids_that_differ_in_case_are_two(central: CentralCaller, company: str) -> None:
    url = f"companies({company})"
    assert statuses(central.batch(get("a", url), get("A", url))) == {"a": 200, "A": 200}


def test_a_missing_id_comes_back_as_null(central: CentralCaller, company: str) -> None:
    response = central.batch({"method": "GET", "url": f"companies({company})"})
    assert '"id":null' in response.text


def test_what_is_not_json_is_500_and_no_json_type_is_plain_400(bc: BusinessCentral, central: CentralCaller) -> None:
    assert _message(central, '{"requests":[', 500).startswith("The batch request could not be read.")
    bc.behaviour.malformed_status = 400
    assert central.raw("nothing").status_code == 400
    plain = central.raw("{}", Content_Type="text/plain")
    assert (plain.status_code, plain.headers["Content-Type"].partition(";")[0]) == (400, "text/plain")


def test_a_url_of_another_origin_is_an_empty_500(bc: BusinessCentral, central: CentralCaller, company: str) -> None:
    response = central.batch(get("1", f"companies({company})"), get("2", f"{bc.other_url}/api/v2.0/companies"))
    assert (response.status_code, response.content) == (500, b"")
    assert bc.book.operations() == []


def test_urls_of_all_forms_run(bc: BusinessCentral, central: CentralCaller, company: str) -> None:
    forms = [
        f"{bc.url}/api/v2.0/companies({company})",
        f"/api/v2.0/companies({company})",
        f"/companies({company})",
        f"x/../companies({company.upper()})",
        f"companies%28{company}%29/customers?$top=1",
    ]
    response = central.batch(*(get(str(number), url) for number, url in enumerate(forms)))
    assert set(statuses(response).values()) == {200}
    assert len(statuses(response)) == len(forms)


def test_methods_are_read_in_any_case_and_unknown_ones_are_405(central: CentralCaller, company: str) -> None:
    url = f"companies({company})"
    response = central.batch({**get("1", url), "method": "get"}, {**get("2", url), "method": "FETCH"})
    assert statuses(response) == {"1": 200, "2": 405}


def test_a_body_needs_a_content_type(central: CentralCaller, company: str) -> None:
    bare = {**post("1", f"companies({company})/customers", {"displayName": "A"}), "headers": {}}
    [answer] = central.batch(bare).json()["responses"]
    assert answer["status"] == 400
    assert answer["body"]["error"]["message"].startswith("A missing or empty content type header was found")


@pytest.mark.parametrize("amount", ["-3250.50", "1234567890123456.7890", "1E+2", "0.10"])
def test_amounts_come_back_digit_by_digit(
    bc: BusinessCentral, central: CentralCaller, company: str, journal: str, amount: str
) -> None:
    assert f'"amount":{amount},' in central.batch(line("1", company, journal, amount=Number(amount))).text
    assert bc.lines(journal)[0]["amount"] == Number(amount)


def test_amounts_are_strings_with_ieee754compatible_and_only_then(
    bc: BusinessCentral, central: CentralCaller, company: str, journal: str
) -> None:
    url = f"companies({company})/journals({journal})/journalLines"
    strict = "application/json;IEEE754Compatible=true"
    response = central.batch(
        post("1", url, {"amount": "1234567890123456.7890"}, Content_Type=strict),
        post("2", url, {"amount": Number("1.5")}, Content_Type=strict),
        post("3", url, {"amount": "1.5"}),
        post("4", url, {"amount": "7.0"}, Content_Type=strict, Accept=strict),
        Prefer=CONTINUE,
    )
    assert statuses(response) == {"1": 201, "2": 400, "3": 400, "4": 201}
    assert "IEEE754Compatible" in response.json()["responses"][1]["body"]["error"]["message"]
    assert '"amount":"7.0"' in response.text
    assert [one["amount"] for one in bc.lines(journal)] == [Number("1234567890123456.7890"), Number("7.0")]


def test_a_group_of_several_is_refused_and_one_alone_gets_another_name(
    bc: BusinessCentral, central: CentralCaller, company: str
) -> None:
    url = f"companies({company})"
    several = central.batch({**get("1", url), "atomicityGroup": "g"}, {**get("2", url), "atomicityGroup": "g"})
    assert several.status_code == 500
    assert several.json()["error"]["message"].startswith("Multiple requests within the same change set are not")
    assert bc.book.operations() == []
    [alone] = central.batch({**get("1", url), "atomicityGroup": "g"}).json()["responses"]
    assert (alone["status"], alone["atomicityGroup"] != "g") == (200, True)


def test_a_snapshot_takes_everything_back_though_the_answer_shows_success(
    bc: BusinessCentral, central: CentralCaller, company: str, journal: str
) -> None:
    good = line("0", company, journal)
    assert statuses(central.batch(good, Isolation="snapshot")) == {"0": 201}
    lines = [line("1", company, journal), line("2", company, journal, **BAD_DATE), line("3", company, journal)]
    assert statuses(central.batch(*lines, Isolation="snapshot")) == {"1": 201, "2": 400}
    assert len(bc.lines(journal)) == 1
    told = [(one.operation, one.status, one.rolled_back, one.took_effect) for one in bc.book.operations(2)]
    assert told == [("1", 201, True, False), ("2", 400, False, False)]
    assert statuses(central.batch(good, Isolation="snapshot")) == {"0": 201}
    assert [one["lineNumber"] for one in bc.lines(journal)] == [Number("10000"), Number("20000")]


def test_a_snapshot_takes_changes_and_deletions_back(bc: BusinessCentral, central: CentralCaller, company: str) -> None:
    one, two = bc.add_customers(2, company)
    root = f"companies({company})/customers"
    before = bc.entities("customers", company)
    response = central.batch(
        {**post("1", f"{root}({one})", {"displayName": "New"}, If_Match="*"), "method": "PATCH"},
        {"method": "DELETE", "id": "2", "url": f"{root}({two})", "headers": {"If-Match": "*"}},
        get("3", f"{root}({two})"),
        Isolation="snapshot",
    )
    assert statuses(response) == {"1": 200, "2": 204, "3": 404}
    assert bc.entities("customers", company) == before


@pytest.mark.parametrize("accept", [None, "application/json"])
def test_the_answer_is_multipart_without_accept_or_if_the_environment_wants_it(
    bc: BusinessCentral, central: CentralCaller, company: str, journal: str, accept: str | None
) -> None:
    bc.behaviour.batch_answer = "as-asked" if accept is None else "multipart"
    # An empty value, as the library would put one of its own in place of none.
    response = central.batch(line("r1", company, journal), get("r2", "nothing"), Accept=accept or "")
    kind, _, boundary = response.headers["Content-Type"].partition("; boundary=")
    assert kind == "multipart/mixed"
    parts = response.text.split(f"--{boundary}")[1:-1]
    assert ["Content-ID: r1" in parts[0], "HTTP/1.1 201 Created" in parts[0]] == [True, True]
    assert ["Content-ID: r2" in parts[1], "HTTP/1.1 404 Not Found" in parts[1]] == [True, True]
    assert response.text.endswith(f"--{boundary}--\r\n")
