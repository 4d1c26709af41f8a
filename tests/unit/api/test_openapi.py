"""The OpenAPI document by itself: it is valid, whole, and says what tools need."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import validate

from local.generated_docs import http_functions
from shared.api.openapi import examples
from shared.api.openapi.document import document
from shared.api.openapi.functions import OWN, described
from shared.api.openapi.schemas import Schemas
from shared.core.problems import PREFIX, NotReady, catalogue
from shared.systems.registry import definitions
from shared.validation.models import Strict
from tests.functions.openapi_reading import Reader

URL = "https://nightshift.example.com"
METHODS = {"get", "put", "post", "delete", "options"}


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    return document(http_functions(), URL, signed_in=False)


@pytest.fixture(scope="module")
def signed_in() -> dict[str, Any]:
    return document(http_functions(), URL, signed_in=True)


def operations(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in told["paths"].values():
        for method, one in path.items():
            assert method in METHODS
            yield one


def inside(value: object) -> Iterator[dict[str, Any]]:
    """Yield all objects in JSON values."""
    if isinstance(value, dict):
        yield value
        for one in value.values():
            yield from inside(one)
    elif isinstance(value, list):
        for one in value:
            yield from inside(one)


def test_the_document_is_openapi_3_1(signed_in: dict[str, Any]) -> None:
    """With sign-in it has all that it has without it, and more."""
    assert signed_in["openapi"] == "3.1.0"
    validate(signed_in)


def test_each_function_has_a_row_and_each_row_a_function() -> None:
    assert set(described()) == {one.name for one in http_functions()}
    rows = [*OWN, *(name for system in definitions().values() for name in system.described)]
    assert sorted(rows) == sorted(set(rows))


def test_the_functions_of_a_system_have_its_name_as_their_tag() -> None:
    for name, system in definitions().items():
        assert system.described
        assert {row.tag for row in system.described.values()} == {name}


def test_an_operation_is_named_after_its_function(told: dict[str, Any]) -> None:
    ids = [one["operationId"] for one in operations(told)]
    assert sorted(ids) == sorted(
        [*(one.name for one in http_functions()), "batch_job_event_options", "batch_of_custom_api"]
    )


def test_the_address_is_that_of_the_app(told: dict[str, Any]) -> None:
    assert told["servers"] == [{"url": f"{URL}/api"}]


def test_every_parameter_of_a_path_is_explained(told: dict[str, Any]) -> None:
    for path, methods in told["paths"].items():
        for one in methods.values():
            named = [found for found in one["parameters"] if found["in"] == "path"]
            assert [found["name"] for found in named] == re.findall(r"\{(\w+)\}", path)
            assert all(found["required"] and found["description"] for found in named)


def test_a_problem_names_the_types_that_its_status_may_have(told: dict[str, Any]) -> None:
    for one in operations(told):
        for status, response in one["responses"].items():
            content = Reader(told).found(response).get("content", {}).get("application/problem+json")
            if content:
                types = content["schema"]["allOf"][1]["properties"]["type"]["enum"]
                assert types
                assert {catalogue()[kind.removeprefix(PREFIX)].status for kind in types} == {int(status)}


def test_every_operation_may_be_not_ready_and_says_when_to_come_again(told: dict[str, Any]) -> None:
    for one in operations(told):
        response = Reader(told).found(one["responses"]["503"])
        assert response["headers"].keys() >= {"Retry-After"}
        assert NotReady.slug in response["description"]


def test_what_starts_a_run_takes_its_headers_and_may_answer_202(told: dict[str, Any]) -> None:
    for one in operations(told):
        row = described().get(one["operationId"])
        if row and row.starts_run:
            names = {found["name"] for found in one["parameters"] if found["in"] == "header"}
            assert names >= {"Prefer", "Idempotency-Key"}
            # The target of a retry is that of its run.
            assert ("Nightshift-Target" in names) is (one["operationId"] not in ("apply", "retry"))
            headers = Reader(told).found(one["responses"]["202"])["headers"]
            assert headers.keys() >= {"Location", "Retry-After", "Nightshift-Run"}


def test_keys_open_functions_and_a_ticket_opens_a_result(told: dict[str, Any], signed_in: dict[str, Any]) -> None:
    keys = {one["operationId"]: one["security"] for one in operations(told)}
    assert keys["requeue"] == [{"functionKey": []}]
    assert keys["batch_job_event"] == [{"functionKey": []}, {"functionKeyInQuery": []}]
    assert keys["run_result"] == [{"ticket": []}]
    assert keys["health"] == keys["openapi"] == []
    both = {one["operationId"]: one["security"] for one in operations(signed_in)}
    assert both["requeue"] == [{"functionKey": [], "entra": []}]
    assert both["health"] == []
    assert both["batch_job_event"] == [{"functionKey": []}, {"functionKeyInQuery": []}]


def test_every_member_of_an_answer_is_always_there(told: dict[str, Any]) -> None:
    """A request may leave members out; what the app writes leaves none out."""
    schemas = told["components"]["schemas"]
    answers = {name: one for name, one in schemas.items() if one.get("additionalProperties") is not False}
    assert {"Run", "Item", "SystemsAnswer", "ProblemAnswer"} <= answers.keys()
    for name, one in answers.items():
        assert one.get("required", []) == list(one.get("properties", {})), name


def test_no_answer_has_members_whose_names_change(told: dict[str, Any]) -> None:
    for name, one in told["components"]["schemas"].items():
        if name.endswith(("Body", "Options")) or one.get("additionalProperties") is False:
            continue
        for schema in inside(one):
            kinds = schema.get("type", [])
            assert "object" not in kinds or "properties" in schema, (name, schema)


def test_a_type_that_may_be_null_is_written_as_flows_read_it(told: dict[str, Any]) -> None:
    run = told["components"]["schemas"]["Run"]["properties"]
    assert run["reason"]["type"] == ["string", "null"]
    assert run["answered"] == {
        "type": ["string", "null"],
        "format": "date-time",
        "description": "When every item had its outcome.",
    }


def test_numbers_of_64_bits_have_the_format_and_no_bounds_that_clients_cannot_read(told: dict[str, Any]) -> None:
    job = told["components"]["schemas"]["NativeBody"]["properties"]["batchJobId"]
    assert (job["type"], job["format"], job["exclusiveMinimum"]) == ("integer", "int64", 0)
    assert not [one for one in inside(told["components"]["schemas"]) if 2**63 in one.values()]


def test_models_of_one_name_are_named_after_their_systems() -> None:
    schemas = Schemas()
    for name in ("requeue_native", "set_retries", "start_task", "run_process", "batch"):
        schemas.add(described()[name].body or {}, "request")
    schemas.build()
    assert {name for name in schemas.components if name.endswith("Options")} == {
        "FinanceOperationsOptions",
        "CamundaOptions",
        "SuperofficeOptions",
        "OpendatadslOptions",
        "BusinessCentralOptions",
    }


class Small(Strict):
    value: int
    more: str | None = None


def test_models_stand_anywhere_in_a_schema() -> None:
    schemas = Schemas()
    schema = {"type": "object", "properties": {"all": {"type": "array", "items": Small}}}
    schemas.add(schema, "request")
    schemas.build()
    reference = {"$ref": "#/components/schemas/Small"}
    assert schemas.of(schema, "request") == {
        "type": "object",
        "properties": {"all": {"type": "array", "items": reference}},
    }


EXAMPLES = [(name, one) for name in described() for one in examples.of(name)]


@pytest.mark.parametrize(("function", "one"), EXAMPLES, ids=[f"{name}-{one.name}" for name, one in EXAMPLES])
def test_an_example_is_valid_and_in_the_document(told: dict[str, Any], function: str, one: examples.Example) -> None:
    reader = Reader(told)
    operation = reader.operation(function)
    if one.request is not None and one.status < 400:
        content = operation["requestBody"]["content"]["application/json"]
        assert content["examples"][one.name]["value"] == one.request
        assert reader.mistakes(content["schema"], one.request) == []
    response = reader.found(operation["responses"][str(one.status)])
    if one.body is not None:
        content = response["content"][one.media_type]
        assert content["examples"][one.name]["value"] == one.body
        assert reader.mistakes(content["schema"], one.body) == []


def test_every_function_has_an_example() -> None:
    assert {name for name in described() if not examples.of(name)} == {"openapi"}


def test_examples_name_no_secret_and_no_machine() -> None:
    text = examples.FILE.read_text("utf-8")
    assert not re.search(r"127\.0\.0\.1|localhost|/tmp|/home|Bearer", text)
    assert set(re.findall(r"ticket=([^\"&]*)", text)) == {"put-the-ticket-of-the-run-here"}
    assert json.loads(text)
