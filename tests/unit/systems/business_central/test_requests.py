"""A `$batch` of any size becomes operations that can be sent, or a problem that points at every mistake."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.core.problems import NotJson, NotValid, Refused, WrongMediaType
from shared.core.targets import Target
from shared.systems.business_central.body import read
from shared.systems.business_central.drafts import Options
from shared.systems.business_central.requests import batch_of, chunks
from shared.systems.columns import Operation
from shared.systems.operations import OperationList
from shared.validation.request import Call

BASE = "https://api.businesscentral.dynamics.com/v2.0/contoso.com/Production"
ROOT = "api/v2.0/$batch"
COMPANY = "companies(1)"
TARGET = Target(name="bc", system="business-central", url=BASE, auth="managed-identity")
BACK = chr(92)


def call(body: object, **headers: str) -> Call:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Call("POST", "batch", "u", {"content-type": "application/json", **headers}, {}, {}, data)


def batch(call: Call, target: Target, root: str) -> OperationList:
    return batch_of(read(call), call, target, root)


def asked(*requests: object, target: Target = TARGET, nightshift: object = None, **headers: str) -> OperationList:
    body: dict[str, object] = {"requests": list(requests)}
    if nightshift is not None:
        body["nightshift"] = nightshift
    return batch(call(body, **headers), target, ROOT)


def one(**members: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    """Return an operation that is right, but for the members that a test gives; None leaves one out."""
    found = {"method": "GET", "url": f"{COMPANY}/customers", **members}
    return {name: value for name, value in found.items() if value is not None}


def write(url: str, **members: Any) -> dict[str, Any]:  # noqa: ANN401 - as above
    return one(method="PATCH", url=url, body={}, headers={"If-Match": "*"}) | members


def only(request: object, **more: Any) -> Operation:  # noqa: ANN401 - as above
    [found] = asked(request, **more).operations
    return found


def mistakes(*requests: object, **more: Any) -> list[tuple[str | None, str]]:  # noqa: ANN401 - as above
    with pytest.raises(NotValid) as caught:
        asked(*requests, **more)
    return [(mistake.pointer or mistake.header, mistake.detail) for mistake in caught.value.mistakes]


def places(*requests: object, **more: Any) -> list[str | None]:  # noqa: ANN401 - as above
    return [place for place, _ in mistakes(*requests, **more)]


def line(number: int, amount: int, text: str) -> dict[str, Any]:
    return {
        "method": "POST",
        "id": f"r{number}",
        "url": "companies(c)/journals(j)/journalLines",
        "headers": {"Content-Type": "application/json"},
        "body": {
            "accountId": "a",
            "postingDate": "2020-10-20",
            "documentNumber": "SALARY2020-12",
            "amount": amount,
            "description": text,
        },
    }


def test_three_lines_of_a_journal_become_one_batch_in_their_order() -> None:
    lines = [
        line(1, -3250, "Salary to Bob"),
        line(2, -3500, "Salary to John"),
        line(3, 6750, "Salaries December 2020"),
    ]
    found = asked(*lines)
    assert [operation.id for operation in found.operations] == ["r1", "r2", "r3"]
    sent = [json.loads(operation.text) for operation in found.operations]
    assert sent == [{**one, "headers": {"content-type": "application/json"}} for one in lines]
    assert (found.root, found.in_order, found.snapshot, found.failures_only) == ("api/v2.0", True, False, False)
    assert {operation.op.document for operation in found.operations} == {"c/journals(j)"}
    assert [chunk.operations for chunk in chunks(found, TARGET)] == [(0, 1, 2)]
    assert found.fixed == ()


def test_a_body_is_sent_as_it_came_digit_by_digit() -> None:
    raw = '{ "amount" : 1234567890123456.7890,\n"b":[1E+2, -0.0] }'
    body = f'{{"requests":[{{"id":"1","body":{raw} ,"method":"post","url":"{COMPANY}/items"}}]}}'
    [found] = batch(call(body.encode()), TARGET, ROOT).operations
    assert found.text == (
        '{"id":"1","method":"POST","url":"companies(1)/items","headers":{"content-type":"application/json"},'
        f'"body":{raw}}}'
    )
    assert found.op.size == len(found.text) + 1
    assert '"body"' not in only(one()).text


def test_letters_are_sent_as_utf_8_and_counted_as_bytes() -> None:
    found = only(one(id="ü", url=f"{COMPANY}/items?$filter=name eq 'Größe 😀'"))
    assert "😀" in found.text
    assert found.op.size == len(found.text.encode()) + 1


def test_no_operations_are_a_batch_too() -> None:
    found = asked()
    assert not found.operations
    assert chunks(found, TARGET) == []


@pytest.mark.parametrize(
    ("route", "root"),
    [
        ("api/v2.0/$batch", "api/v2.0"),
        ("api/v2.0", "api/v2.0"),
        ("/api/v2.0/", "api/v2.0"),
        ("api/v2.0/%24batch", "api/v2.0"),
        ("api/v2.0/%24BATCH", "api/v2.0"),
        ("api/contoso/app1/v1.0/$batch", "api/contoso/app1/v1.0"),
        ("api/microsoft/automation/v2.0", "api/microsoft/automation/v2.0"),
    ],
)
def test_the_routes_rest_is_the_root(route: str, root: str) -> None:
    assert batch(call({"requests": []}), TARGET, route).root == root


@pytest.mark.parametrize(
    "route",
    [
        *["", "api", "$batch", "api/$batch", "data/$batch", "data/v2.0", "api/v2.0/companies/$batch", "api/a/b/c/d"],
        *["api/../data", "api/..", "api/%2e%2e", "api/v2.0/../x/y", "api/v2.0%2f..", "api/v2.0?x", "api//v2.0", ".."],
        *[f"api{BACK}v2.0", "api/v2.0#", "api/v2..0", "api/v2.0\n", "xapi/v2.0", "api/v2.0/$metadata", "api/é"],
    ],
)  # fmt: skip
def test_no_other_route_is_a_root(route: str) -> None:
    with pytest.raises(NotValid, match=r"api/v2\.0/\$batch"):
        batch(call({"requests": []}), TARGET, route)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ([], [""]),
        ("x", [""]),
        ({}, ["/requests"]),
        ({"requests": {}}, ["/requests"]),
        ({"requests": [1, None, "x"]}, ["/requests/0", "/requests/1", "/requests/2"]),
        ({"requests": [], "more/": 1}, ["/more~1"]),
        (
            {"requests": [], "nightshift": {"reason": "", "maxParallel": 6, "x": 1}},
            ["/nightshift/reason", "/nightshift/maxParallel", "/nightshift/x"],
        ),
        ({"requests": [], "nightshift": {"settleBy": []}}, ["/nightshift/settleBy"]),
        ({"requests": [], "nightshift": {"settleBy": ["a"] * 9}}, ["/nightshift/settleBy"]),
        ({"requests": [], "nightshift": None}, ["/nightshift"]),
    ],
)
def test_what_is_no_batch_is_pointed_at(body: object, expected: list[str]) -> None:
    with pytest.raises(NotValid) as caught:
        batch(call(body), TARGET, ROOT)
    assert [mistake.pointer for mistake in caught.value.mistakes] == expected


def test_options_are_read() -> None:
    written = {"target": "bc", "reason": "Close", "dryRun": True, "company": "C", "settleBy": ["number"]}
    assert asked(nightshift=written).options == Options.model_validate(written)
    assert read(call({"requests": []})).options.documentsInOrder
    assert read(call({"requests": [], "nightshift": written})).options.target == "bc"


def test_faults_of_the_json_are_pointed_at_within_an_operation() -> None:
    body = b'{"requests":[{}, {"id":"1","id":"2","body":{"a":{"b":1,"b":NaN}}}], "nightshift": {"x": 1e999}}'
    with pytest.raises(NotJson) as caught:
        batch(call(body), TARGET, ROOT)
    expected = ["/nightshift/x", "/requests/1/body/a/b", "/requests/1/body/a/b", "/requests/1/id"]
    assert sorted(mistake.pointer or "" for mistake in caught.value.mistakes) == expected


def test_every_mistake_of_every_operation_is_told_at_once() -> None:
    told = places(
        {},
        one(id=1, method="HEAD", url="", headers=[], dependsOn="x", atomicityGroup="g", more=1) | {"if": "$1"},
        one(url="../x", headers={"Authorization": "Bearer x", "a b": "c"}, dependsOn=["no"]),
        one(method="DELETE", url="customers(1)", body=None) | {"body": None},
        nightshift={"x": 1},
        isolation="serializable",
    )
    assert sorted(place or "" for place in told) == [
        "/nightshift/x",
        *[f"/requests/0/{name}" for name in ("method", "url")],
        *[f"/requests/1/{name}" for name in ("dependsOn", "headers", "id", "if", "method")],
        *["/requests/1/more", "/requests/1/url"],
        *["/requests/2/dependsOn/0", "/requests/2/headers/Authorization", "/requests/2/headers/a b", "/requests/2/url"],
        *["/requests/3/headers", "/requests/3/url"],
        "Isolation",
    ]


def test_of_many_mistakes_a_hundred_are_told_and_all_are_counted() -> None:
    with pytest.raises(NotValid, match="The request has 300 mistakes") as caught:
        asked(*[one(url="..")] * 300)
    assert len(caught.value.mistakes) == 100


def test_more_than_forty_thousand_operations_are_one_mistake() -> None:
    body = f'{{"requests":[{",".join(["{}"] * 40_002)}]}}'.encode()
    with pytest.raises(NotValid, match="80001 mistakes"):
        batch(call(body), TARGET, ROOT)


def test_an_id_is_made_where_there_is_none_and_clashes_with_no_given_one() -> None:
    found = asked(one(id="2"), one(), one(), one(id="5"), one(id="a"), one(id="A"))
    ids = [operation.id for operation in found.operations]
    assert ids == ["2", "7", "3", "5", "a", "A"]


@given(st.lists(st.none() | st.integers(1, 9).map(str), max_size=9))
def test_made_ids_are_unique(ids: list[str | None]) -> None:
    given = [name for name in ids if name is not None]
    try:
        found = asked(*[one(id=name) for name in ids])
    except NotValid:
        assert len(set(given)) < len(given)
    else:
        names = [operation.id for operation in found.operations]
        assert len(set(names)) == len(ids)
        assert all(name in (None, told) for name, told in zip(ids, names, strict=True))


@pytest.mark.parametrize("name", [1, None, "", ["x"], True])
def test_an_id_is_a_string_that_comes_once(name: object) -> None:
    assert places({**one(), "id": name}) == ["/requests/0/id"]
    assert places(one(id="a"), one(id="b"), one(id="a")) == ["/requests/2/id"]


@pytest.mark.parametrize("method", ["get", "Get", "GET"])
def test_a_method_is_written_in_any_case(method: str) -> None:
    assert json.loads(only(one(method=method)).text)["method"] == "GET"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_read_or_a_deletion_has_no_body(method: str) -> None:
    assert places(one(method=method, body={}, headers={"If-Match": "*"})) == ["/requests/0/body"]


def test_e5_what_microsofts_library_accepts_is_accepted() -> None:
    """A body of null on a GET, a group of null or of one member, and headers that are null or numbers."""
    written = {**one(headers={"A": 1, "B": None, "C": 1.5}), "body": None, "atomicityGroup": None}
    assert json.loads(only(written).text)["headers"] == {"a": "1", "c": "1.5"}
    grouped = {**one(id="a"), "atomicityGroup": "g"}
    found = asked(grouped, {**one(id="b"), "dependsOn": ["g"]})
    assert [operation.op.depends for operation in found.operations] == [(), (0,)]
    url = r"companies(1)/items?$filter=name eq 'a\\b'"
    assert only(one(url=url)).kind.url == url
    for member, value in (("headers", None), ("dependsOn", None), ("dependsOn", "1")):
        assert places({**one(), member: value}) == [f"/requests/0/{member}"]


def test_a_group_is_a_chunk_that_takes_effect_as_a_whole() -> None:
    grouped = [{**write("companies(1)/items(1)"), "id": name, "atomicityGroup": "g"} for name in ("a", "b")]
    found = asked(one(), *grouped, {**one(id="c"), "dependsOn": ["g"]})
    assert [operation.group for operation in found.operations] == [None, "g", "g", None]
    assert "atomicityGroup" not in found.operations[1].text
    assert found.operations[3].op.depends == (2,)
    assert [(chunk.operations, chunk.atomic) for chunk in chunks(found, TARGET)] == [
        *(((0,), False), ((1, 2), True), ((3,), False)),
    ]
    whole = asked(*grouped, isolation="snapshot")
    assert [(chunk.operations, chunk.atomic) for chunk in chunks(whole, TARGET)] == [((0, 1), False)]


def test_a_groups_operations_follow_each_other_and_fit_into_a_chunk() -> None:
    grouped = one(atomicityGroup="g")
    [(place, text)] = mistakes(grouped, one(), grouped)
    assert place == "/requests/2/atomicityGroup"
    assert "does not follow" in text
    small = TARGET.model_copy(update={"batch_operations": 2})
    with pytest.raises(NotValid) as caught:
        chunks(asked(one(), *[grouped] * 3), small)
    assert [mistake.pointer for mistake in caught.value.mistakes] == ["/requests/1"]
    across = asked({**one(id="a"), "atomicityGroup": "g"}, grouped, one(url="$a/x"))
    with pytest.raises(NotValid) as caught:
        chunks(across, TARGET)
    assert [mistake.pointer for mistake in caught.value.mistakes] == ["/requests/2"]


def test_conditions_are_refused() -> None:
    [(place, text)] = mistakes({**one(), "if": "$1/$succeeded"})
    assert place == "/requests/0/if"
    assert "conditions" in text


@pytest.mark.parametrize(
    "url",
    [
        *["companies(1)/customers", "companies(1)/customers?$filter=a eq 'b/../c'&$select=x", "companies"],
        *["companies(1)/items('A%2FB')", "companies(1)/items('a%20b')", "companies(1)/x/Microsoft.NAV.post"],
        *["companies(1)/items?$skip=1&x=%5c%23", "companies(1)/items/$count", "companies?$top=1", "companies/$count"],
    ],
)  # fmt: skip
def test_a_url_under_the_root_is_sent_as_it_is(url: str) -> None:
    found = asked(one(url=url))
    assert found.operations[0].kind.url == url
    assert found.fixed == ()


@pytest.mark.parametrize(
    "url",
    [
        f"{BASE}/api/v2.0/companies(1)/items?$top=1",
        f"{BASE.replace('api.b', 'API.B').replace('cs.com', 'cs.com:443')}/API/v2.0/companies(1)/items?$top=1",
        "/v2.0/contoso.com/Production/api/v2.0/companies(1)/items?$top=1",
        "/companies(1)/items?$top=1",
    ],
)
def test_an_absolute_url_under_the_root_is_made_relative_and_that_is_told(url: str) -> None:
    found = asked(one(url=url), one(url=url))
    assert {operation.kind.url for operation in found.operations} == {"companies(1)/items?$top=1"}
    assert found.fixed == ("/requests/0 (and 1 more) had an absolute URL; it is sent relative to the root.",)


@pytest.mark.parametrize(
    "url",
    [
        *["https://evil.example/v2.0/contoso.com/Production/api/v2.0/companies(1)", "//evil.example/x", "http:x"],
        *[BASE.replace("https", "http") + "/api/v2.0/companies(1)", BASE + "/api/v1.0/companies(1)"],
        *["/api/v1.0/companies(1)", "/v2.0/contoso.com/Production/api/v1.0/x", "/v1.0/x", "/api", "/$1/x", "/.x"],
        *[BASE.replace("://", "://me@") + "/api/v2.0/companies(1)", f"{BASE}/api/v2.0/%2e%2e"],
        *[BASE.replace("cs.com", "cs.com:444") + "/api/v2.0/x"],
        *["https://[", "https:", "a:b", "javascript:alert(1)", BASE + "/api/v2.0", BASE + "/api/v2.0/"],
        *[BASE + "/api/v2.0//x"],
        *[BASE + "/api/v2.0/../v1.0/x", BASE + "/api/v2.0/https://evil.example/", BASE + "/api/v2.0x/companies(1)"],
        *["..", "../x", "companies(1)/..", "companies(1)/../x", "./companies(1)", "companies(1)/%2e%2e/x", "%2E./x"],
        *["companies(1)/..%2fx", "companies(1)%2f..%2fx", "companies(1)/%252e%252e/x", "companies(1)/..;/x", ".. /x"],
        *[f"companies(1){BACK}..{BACK}x", "companies(1)/..%5cx", "companies(1)%5cx", "companies(1)#x"],
        *["companies(1)/\n"],
        *["companies(1)/%00", "companies(1)/%0d%0aHost:x", " companies(1)", "companies(1) ", "\tx"],
        *["companies(1)/\x7f"],
        *["$batch", "$BATCH", "%24batch", "companies(1)/$batch", "companies(1)/%24Batch/x", "$batch?x", "%2524batch"],
        *["$metadata", "$entity", "$9/x", "$", "$/x", "%241/x", "%24metadata", "?$top=1", "/", "//"],
    ],
)  # fmt: skip
def test_no_other_url_is_taken(url: str) -> None:
    assert places(one(id="1"), one(url=url)) == ["/requests/1/url"]


@example("1?" + BACK)
@example("%2F")
@example("%252f1")
@given(st.text(alphabet="./%2eEfF5cC\\$batch1():#?'companies ;\n", max_size=30) | st.text(max_size=10))
def test_whatever_is_taken_stays_under_the_root(url: str) -> None:
    try:
        found = only(one(id="1", url=url), nightshift={"company": "c"})
    except Refused:
        return
    plain = found.kind.url.partition("?")[0]
    for _ in range(3):
        plain = plain.replace("%2e", ".").replace("%2E", ".").replace("%2f", "/").replace("%2F", "/")
    assert not plain.startswith(("/", "$"))
    assert ".." not in plain.split("/")
    # A query may have one, in a literal (E5).
    assert BACK not in plain
    assert "#" not in found.kind.url


def test_a_reference_is_a_dependency_and_shares_a_chunk() -> None:
    found = asked(
        one(id="a", method="POST", url=f"{COMPANY}/salesOrders", body={}),
        one(id="b"),
        one(method="POST", url="$a/salesOrderLines?$select=id", body={}, dependsOn=["b"]),
        one(method="DELETE", url=f"{COMPANY}/x(1)", headers={"If-Match": "$b"}),
    )
    assert [operation.op.refers for operation in found.operations] == [(), (), (0,), (1,)]
    assert [operation.op.depends for operation in found.operations] == [(), (), (1, 0), (1,)]
    sent = [json.loads(operation.text) for operation in found.operations]
    # Microsoft's library refuses a batch whose `$<id>` is not in dependsOn; nothing else is sent of it.
    assert [one.get("dependsOn") for one in sent] == [None, None, ["a"], ["b"]]
    assert found.operations[3].kind.safe == "no"


def test_only_what_comes_before_can_be_depended_on_or_referred_to() -> None:
    told = mistakes(
        one(id="a", dependsOn=["a"]),
        one(id="b", dependsOn=["a", "c", "x", "A"]),
        one(id="c", url="$d/x", headers={"IF-MATCH": "$e"}),
        one(id="d"),
    )
    assert told == [
        ("/requests/0/dependsOn/0", "names an operation that does not come before this one"),
        ("/requests/1/dependsOn/1", "names an operation that does not come before this one"),
        ("/requests/1/dependsOn/2", "names an operation that does not exist"),
        ("/requests/1/dependsOn/3", "names an operation that does not exist"),
        ("/requests/2/url", "names an operation that does not come before this one"),
        ("/requests/2/headers/IF-MATCH", "names an operation that does not exist"),
    ]


def test_a_made_id_cannot_be_referred_to() -> None:
    assert places(one(), one(url="$1/x")) == ["/requests/1/url"]


def test_a_query_right_behind_a_reference_is_a_mistake() -> None:
    [(place, text)] = mistakes(one(id="a"), one(url="$a?$select=x"))
    assert place == "/requests/1/url"
    assert "part of the id" in text


@pytest.mark.parametrize(
    "name", ["Authorization", "COOKIE", "host", "Proxy-Authorization", "X-Functions-Key", "", "a:b"]
)
def test_some_headers_are_not_the_operations(name: str) -> None:
    assert places(one(headers={name: "x"})) == [f"/requests/0/headers/{name}"]


@pytest.mark.parametrize(
    ("headers", "place"),
    [
        ({"A": True}, "headers"),
        ({"A": ["x"]}, "headers"),
        ("x", "headers"),
        (None, "headers"),
        ({"A": "x\r\nHost: y"}, "headers/A"),
        ({"Accept": "a", "accept": "b"}, "headers/accept"),
    ],
)
def test_headers_are_strings_each_once(headers: object, place: str) -> None:
    assert places({**one(), "headers": headers}) == [f"/requests/0/{place}"]


def test_header_names_are_sent_in_lower_case_and_values_untouched() -> None:
    typed = "application/json;IEEE754Compatible=true"
    found = only(one(method="POST", body={}, headers={"Content-Type": typed, "Accept-Language": "de-DE"}))
    assert json.loads(found.text)["headers"] == {"content-type": typed, "accept-language": "de-DE"}


def test_a_body_without_a_media_type_gets_one_and_that_is_told() -> None:
    posted = one(method="POST", body={})
    found = asked(one(), posted, posted, posted)
    assert [json.loads(operation.text)["headers"] for operation in found.operations] == [
        {},
        *[{"content-type": "application/json"}] * 3,
    ]
    [told] = found.fixed
    assert told.startswith("/requests/1 (and 2 more) got the header content-type")


@pytest.mark.parametrize("method", ["PATCH", "PUT", "DELETE"])
def test_a_change_needs_if_match(method: str) -> None:
    body: object = None if method == "DELETE" else {}
    changed = one(method=method, url=f"{COMPANY}/items(1)", body=body)
    assert places(changed) == ["/requests/0/headers"]
    assert places({**changed, "headers": {"If-Match": " "}}) == ["/requests/0/headers"]
    assert only({**changed, "headers": {"iF-mAtCh": "*"}}).kind.safe == "no"
    assert only({**changed, "headers": {"If-Match": 'W/"JzE="'}}).kind.safe == "etag"
    assert only({**changed, "headers": {"If-Match": "JzE="}}).kind.safe == "no"


def test_a_read_may_be_repeated_and_a_creation_may_not() -> None:
    assert only(one()).kind.safe == "read"
    assert only(one(method="POST", body={}, headers={"If-Match": '"x"'})).kind.safe == "no"


@pytest.mark.parametrize(
    "request_",
    [
        one(url="companies(1)/items"),
        one(url="Companies(1)"),
        one(url="items", headers={"COMPANY": "CRONUS"}),
        one(url="items?$top=1&company=CRONUS"),
        one(url="items?Company=1"),
        one(url="companies"),
        one(url="companies?$filter=name eq 'x'"),
    ],
)
def test_a_company_is_named_by_the_url_a_header_or_the_query(request_: object) -> None:
    target = TARGET.model_copy(update={"company": "Other"})
    assert asked(request_).fixed == ()
    if isinstance(request_, dict) and "companies" in request_["url"].lower():
        assert "company" not in json.loads(only(request_, target=target).text)["headers"]


@pytest.mark.parametrize(
    "url", ["items", "companies()/x", "companies2(1)/x", "items?company=", "items?xcompany=1", "x(1)"]
)
def test_without_a_company_nothing_is_sent(url: str) -> None:
    [(place, text)] = mistakes(one(url=url, headers={"company": " "}))
    assert place == "/requests/0/url"
    assert "no company" in text


def test_companies_are_only_read_without_one() -> None:
    assert places(one(method="POST", url="companies", body={})) == ["/requests/0/url"]


def test_the_company_of_the_options_comes_before_that_of_the_target() -> None:
    target = TARGET.model_copy(update={"company": "Of the target"})
    asked_for = [one(url="items"), one(url="items", headers={"Company": "Own"}), one(url="companies")]
    for options, company in (({}, "Of the target"), ({"company": "Größe"}, "Größe")):
        found = asked(*asked_for, target=target, nightshift=options)
        headers = [json.loads(operation.text)["headers"] for operation in found.operations]
        assert headers == [{"company": company}, {"company": "Own"}, {}]
        assert found.fixed == ("/requests/0 got the header company, because it named none.",)


@pytest.mark.parametrize(
    ("url", "document"),
    [
        ("companies(1)/journals(2)/journalLines", "1/journals(2)"),
        ("companies(1)/salesOrders(3)", "1/salesorders(3)"),
        ("companies(1)/salesOrders(3)/salesOrderLines(4)", "1/salesorders(3)"),
        ("companies(1)/salesInvoices(3)/Microsoft.NAV.post", "1/salesinvoices(3)"),
        ("Companies(%31)/SALESORDERS( id = %27A%27 )/x?$select=y", "1/salesorders('a')"),
        ("companies('a/b')/items('c/d')", "'a/b'/items('c/d')"),
        ("companies(1)/customers", None),
        ("companies(1)", None),
    ],
)
def test_writes_under_one_document_are_known_by_it(url: str, document: str | None) -> None:
    assert only(write(url)).op.document == document
    assert only(write(url), nightshift={"documentsInOrder": False}).op.document is None


def test_a_read_has_no_document() -> None:
    assert only(one(url="companies(1)/salesOrders(3)")).op.document is None


def test_a_company_counts_the_same_wherever_it_is_named() -> None:
    found = asked(
        write("companies(AB)/journals(2)"),
        write("journals(2)", headers={"If-Match": "*", "Company": "ab"}),
        write("journals(2)/x?company=Ab"),
        write("journals(2)"),
        write("companies(C)/journals(2)"),
        nightshift={"company": "aB"},
    )
    documents = [operation.op.document for operation in found.operations]
    assert documents == ["ab/journals(2)"] * 4 + ["c/journals(2)"]


def test_a_reference_writes_to_the_document_of_what_it_refers_to() -> None:
    found = asked(
        one(id="a", url="companies(1)/salesOrders(3)"),
        one(id="b", method="POST", url="$a/salesOrderLines", body={}),
        one(id="c", url="companies(1)"),
        one(id="d", method="POST", url="$c/journals(2)/journalLines", body={}),
        one(id="e", method="POST", url="companies(1)/customers", body={}),
        one(id="f", method="POST", url="$e/contacts", body={}),
    )
    documents = [operation.op.document for operation in found.operations]
    assert documents == [None, "1/salesorders(3)", None, "1/journals(2)", None, None]


@pytest.mark.parametrize(
    ("prefer", "in_order", "failures_only"),
    [
        ("", True, False),
        ("odata.continue-on-error", False, False),
        ("Continue-On-Error", False, False),
        ("odata.continue-on-error=true, return=failures", False, True),
        ("continue-on-error=false", True, False),
        ("odata.continue-on-error=False", True, False),
        ("odata.continue-on-error, continue-on-error=false", True, False),
        ("return=minimal; x", True, False),
        ("wait=5, return=FAILURES", True, True),
    ],
)
def test_prefer_tells_whether_the_rest_is_run(prefer: str, *, in_order: bool, failures_only: bool) -> None:
    found = asked(prefer=prefer)
    assert (found.in_order, found.failures_only) == (in_order, failures_only)


def test_a_snapshot_is_one_batch_of_one_transaction() -> None:
    assert asked(*[one()] * 100, isolation=" Snapshot ").snapshot
    [(place, text)] = mistakes(*[one()] * 101, isolation="snapshot")
    assert place == "Isolation"
    assert "100 operations" in text
    small = TARGET.model_copy(update={"batch_bytes": 100})
    assert places(one(), one(), target=small, isolation="snapshot") == ["Isolation"]


@pytest.mark.parametrize("isolation", ["", "serializable", "snapshot,x"])
def test_no_other_isolation_is_known(isolation: str) -> None:
    assert places(isolation=isolation) == ["Isolation"]


def test_a_snapshot_cannot_continue_on_error() -> None:
    [(place, text)] = mistakes(isolation="snapshot", prefer="odata.continue-on-error")
    assert place == "Isolation"
    assert "reverts all" in text


OURS = "https://night.example/api/business-central/api/v2.0/"


@pytest.mark.parametrize(
    "prefix",
    [
        OURS,
        "/api/business-central/api/v2.0/",
        f"{BASE}/api/v2.0/",
        "HTTPS://NIGHT.EXAMPLE:443/api/business-central/api/v2.0/",
    ],
)
def test_e1_urls_below_the_route_of_the_call_are_below_the_root(prefix: str) -> None:
    body = {"requests": [one(url=f"{prefix}companies(1)/customers", headers={"Host": "night.example"})]}
    headers = {"content-type": "application/json", "host": "night.example"}
    request = Call("POST", "batch", f"{OURS}$batch", headers, {}, {}, json.dumps(body).encode())
    [operation] = batch(request, TARGET, ROOT).operations
    assert json.loads(operation.text) == {
        "id": "1",
        "method": "GET",
        "url": "companies(1)/customers",
        "headers": {},
    }


@pytest.mark.parametrize(
    "url",
    [
        "https://night.example/api/other/x",
        "https://night.example.evil/api/business-central/api/v2.0/x",
        "http://night.example/api/business-central/api/v2.0/x",
        "https://u@night.example/api/business-central/api/v2.0/x",
    ],
)
def test_e1_no_other_url_is(url: str) -> None:
    request = Call(
        "POST",
        "batch",
        f"{OURS}$batch",
        {"content-type": "application/json"},
        {},
        {},
        json.dumps({"requests": [one(url=url)]}).encode(),
    )
    with pytest.raises(NotValid) as caught:
        batch(request, TARGET, ROOT)
    assert [mistake.pointer for mistake in caught.value.mistakes] == ["/requests/0/url"]


def test_e2_headers_of_the_batch_count_for_its_operations() -> None:
    exact = "application/json;IEEE754Compatible=true"
    given: dict[str, Any] = {
        "accept": exact,
        "accept-language": "de-DE",
        "x-functions-key": "k",
        "prefer": "respond-async",
        "user-agent": "x",
    }
    found = asked(one(), one(headers={"Accept-Language": "fr-FR"}), **given)
    told = [json.loads(operation.text)["headers"] for operation in found.operations]
    assert told == [
        {"accept": exact, "accept-language": "de-DE"},
        {"accept": exact, "accept-language": "fr-FR"},
    ]
    for accept in ("*/*", "application/json", "multipart/mixed"):
        assert json.loads(only(one(), accept=accept).text)["headers"] == {}


def test_e6_a_header_that_repeats_the_calls_own_is_not_sent() -> None:
    own = {"x-functions-key": "k", "authorization": "Bearer a"}
    found = only(one(headers={"X-Functions-Key": "k", "Authorization": "Bearer a", "A": "b"}), **own)
    assert json.loads(found.text)["headers"] == {"a": "b"}
    assert places(one(headers={"X-Functions-Key": "other"}), **own) == ["/requests/0/headers/X-Functions-Key"]


def test_e7_a_byte_order_mark_is_skipped_and_an_encoding_is_named() -> None:
    data = b"\xef\xbb\xbf" + json.dumps({"requests": [one()]}).encode()
    assert len(batch(call(data), TARGET, ROOT).operations) == 1
    with pytest.raises(WrongMediaType, match="Content-Encoding gzip"):
        batch(call(data, **{"content-encoding": "gzip"}), TARGET, ROOT)


def test_a_large_batch_is_planned_by_the_targets_limits() -> None:
    found = asked(*[one()] * 250, prefer="continue-on-error")
    assert [len(chunk.operations) for chunk in chunks(found, TARGET)] == [100, 100, 50]
    small = TARGET.model_copy(update={"batch_operations": 200})
    assert [len(chunk.operations) for chunk in chunks(found, small)] == [200, 50]


def test_e8_an_operation_that_is_larger_than_a_chunk_goes_alone() -> None:
    found = asked(one(), one(method="POST", body={"x": "y" * 2000}), one())
    cut = chunks(found, TARGET.model_copy(update={"batch_bytes": 1024}))
    assert [chunk.operations for chunk in cut] == [(0,), (1,), (2,)]


@pytest.mark.parametrize("body", [None, [], 5, True, "text"])
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
def test_c1_a_body_that_would_spoil_its_whole_batch_is_pointed_at(body: object, method: str) -> None:
    given = {**one(method=method, headers={"If-Match": "*"}), "body": body}
    assert places(one(), given) == ["/requests/1/body"]
    assert places({**one(method=method, headers={"If-Match": "*", "Content-Type": "application/json"})}) == [
        "/requests/0/body"
    ]
    text = {**one(method=method, headers={"If-Match": "*", "Content-Type": "text/plain"}), "body": "text"}
    assert only(text).text.endswith('"body":"text"}')


@pytest.mark.parametrize("name", ["isolation", "odata-isolation"])
def test_e3_a_snapshot_is_known_by_both_names(name: str) -> None:
    request = call({"requests": [one()]}, **{name: "snapshot"})
    assert batch_of(read(request), request, TARGET, ROOT).snapshot


def test_a_body_can_choose_the_target_before_it_is_judged_by_it() -> None:
    request = call({"requests": [one()], "nightshift": {"target": "bc"}})
    written = read(request)
    assert written.options.target == "bc"
    assert len(batch_of(written, request, TARGET, ROOT).operations) == 1
