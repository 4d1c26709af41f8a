"""Where the entity in a response is: below the root of the batch, and nowhere else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.systems.business_central.entities import entity_of
from shared.systems.business_central.urls import Root
from shared.systems.operations import BatchOperation, Entity, OperationResponse

BASE = "https://api.businesscentral.dynamics.com/v2.0/tenant/sandbox"
ROOT = Root(BASE, "api/v2.0")
URL = f"{BASE}/api/v2.0/companies(1)/journals(2)"


def entity(headers: dict[str, str], body: object = None, company: str = "") -> Entity | None:
    text = json.dumps({"id": "j", "headers": {"company": company} if company else {}})
    one = BatchOperation(place=0, id="j", method="POST", url="journals", text=text)
    return entity_of(one, OperationResponse("j", 201, headers, json.dumps(body)), ROOT)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"location": URL}, None),
        ({"location": URL.replace(".com/", ".com:443/")}, None),
        ({"location": "/v2.0/tenant/sandbox/api/v2.0/companies(1)/journals(2)"}, None),
        ({"odata-entityid": URL}, {}),
        ({}, {"@odata.id": URL}),
        ({}, {"@odata.editLink": "companies(1)/journals(2)"}),
        ({"location": "https://elsewhere.example.com/x"}, {"@odata.id": URL}),
    ],
)
def test_c5_a_response_shows_its_entity(headers: dict[str, str], body: object) -> None:
    assert entity(headers, body) == Entity(url="companies(1)/journals(2)")


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example.com/v2.0/tenant/sandbox/api/v2.0/companies(1)/journals(2)",
        "//elsewhere.example.com/v2.0/tenant/sandbox/api/v2.0/companies(1)/journals(2)",
        "https://api.businesscentral.dynamics.com@elsewhere.example.com/x",
        "https://user@api.businesscentral.dynamics.com/v2.0/tenant/sandbox/api/v2.0/companies(1)/journals(2)",
        f"{BASE}/api/v1.0/companies(1)/journals(2)",
        f"{BASE}/api/v2.0/../v1.0/companies(1)",
        f"{BASE}/api/v2.0/companies(1)/%2e%2e/%2e%2e/x",
        f"{BASE}/api/v2.0/$batch",
        f"{BASE}/api/v2.0/$1/journals",
        f"{URL}?company=2",
        f"{URL}#x",
        "companies(1)/journals(2)",
        "",
    ],
)
def test_c5_a_location_that_is_not_below_the_root_is_none(url: str) -> None:
    assert entity({"location": url}) is None


@given(st.text(), st.text(), st.sampled_from(["location", "odata-entityid"]))
def test_c5_whatever_a_system_writes_leads_below_the_root_or_nowhere(text: str, other: str, name: str) -> None:
    for found in (entity({name: text}, {"@odata.id": other}, "C"), entity({name: f"{BASE}{text}"}, other, "C")):
        if found:
            assert ROOT.read(found.url).text == found.url
            assert not found.url.startswith(("/", "$"))


def test_c5_a_url_without_a_company_takes_that_of_the_operation_or_is_none() -> None:
    url = f"{BASE}/api/v2.0/journals(2)"
    assert entity({"location": url}) is None
    assert entity({"location": url, "etag": "1"}, company="A") == Entity(url="journals(2)", etag="1", company="A")


def test_c5_a_body_that_is_no_object_shows_nothing() -> None:
    one = BatchOperation(place=0, id="j", method="POST", url="journals", text="{}")
    for body in ("[]", "{", "[" * 100_000, None):
        assert entity_of(one, OperationResponse("j", 201, {}, body), ROOT) is None
