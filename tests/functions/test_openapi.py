"""`openapi`: the running app answers what its document says, in every state; and flows can read it from one sample."""

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from itertools import permutations
from typing import Any

import pytest
import requests

from local import examples
from local.examples import Recorder
from local.host.functions import FunctionInfo
from local.host.routing import parse_route, split_path
from local.smoke_caller import run_of
from local.stack import Machine
from shared.api.openapi.examples import FILE
from tests.functions.calling import NO_TIMERS
from tests.functions.openapi_reading import Reader
from tests.functions.parse_json import fits, sample_schema

OFF = {"TARGETS__OFF__SYSTEM": "unknown"}
OTHERS = ("batch", "object_service", "task", "openapi")
"""Functions whose answers are not Nightshift's own."""


class Seen:
    """A running app that was called in many ways, and its document."""

    def __init__(self, machine: Machine, recorder: Recorder) -> None:
        self.machine = machine
        self.url = machine.host.url
        self.key = {"x-functions-key": machine.host.function_key}
        self.examples = deepcopy(recorder.examples)
        self.recorder = recorder
        self.document = requests.get(f"{self.url}/api/openapi.json", timeout=60).json()
        self.reader = Reader(self.document)

    def functions(self) -> list[FunctionInfo]:
        return [one for one in self.machine.host.functions() if one.kind == "http" and one.route != "orchestrators"]


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    with examples.machine({**NO_TIMERS, **OFF}) as machine:
        yield Seen(machine, examples.record(machine))


@pytest.fixture(scope="module")
def varied(seen: Seen) -> Seen:
    """The app once it was called in more ways."""
    call_in_more_ways(seen.recorder)
    return seen


@pytest.fixture(scope="module", params=["examples", pytest.param("more", marks=pytest.mark.slow)])
def answered(request: pytest.FixtureRequest) -> Seen:
    """The app once it was called as for the examples, or in more ways."""
    found: Seen = request.getfixturevalue("seen" if request.param == "examples" else "varied")
    return found


LONG_AGO = "since=2019-12-31T00:00:00Z&until=2020-01-01T00:00:00Z"
LISTS: Mapping[str, tuple[str, ...]] = {
    "failures": ("target=odsl", "target=camunda", "target=crm", "limit=1&after=1", LONG_AGO, "by=cause", "by=target"),
    "runs": ("limit=1", "state=planned", "state=expired", "system=camunda", "day=2026-13-01"),
}
GET = {"id": "1", "method": "GET", "url": "companies(00000000-0000-0000-0000-000000000000)/items"}
VALIDATION = {"eventType": "Microsoft.EventGrid.SubscriptionValidationEvent", "data": {"validationCode": "x"}}
BULK = {"retries": 1, "jobQuery": {}, "nightshift": {"allJobs": True, "dryRun": True}}
STRICT, LATER = {"Prefer": "handling=strict"}, {"Prefer": "respond-async"}
CALLS: tuple[tuple[str, int, dict[str, Any]], ...] = (
    ("requeue_native", 422, {"body": {"batchJobId": 1}}),
    ("start_task", 422, {"body": {"Name": "REPORTER", "ParameterObject": {"a": 1}}}),
    ("start_task", 202, {"headers": LATER}),
    ("start_task", 200, {"body": {"Name": "REPORTER", "nightshift": {"dryRun": True}}}),
    ("stop_task", 422, {"task": "99999"}),
    ("task", 422, {"task": "99999"}),
    ("set_retries", 422, {"body": {"retries": 1, "jobQuery": {}}}),
    ("set_retries", 422, {"body": {"retries": 1, "jobIds": ["nobody"]}}),
    ("set_retries", 200, {"body": BULK}),
    ("delete_batch", 422, {"batch": "nobody"}),
    ("send_objects", 422, {"body": {"elements": [1]}}),
    ("object_batch", 422, {"summary": "nobody"}),
    ("object_batch", 200, {"summary": "all"}),
    ("run_process", 422, {"body": {"name": ""}}),
    ("batch", 422, {"body": {"requests": [{"id": 1}]}}),
    ("batch", 200, {"body": {"requests": [GET]}}),
    ("batch", 422, {"body": {"requests": [GET]}, "headers": STRICT}),
    ("batch_job_event", 422, {"body": {"a": 1}}),
    ("batch_job_event", 200, {"body": [VALIDATION]}),
    ("run_result", 404, {"ticket": "wrong"}),
    ("put_policy", 422, {"body": {"rules": [{}], "reason": "a test"}}),
    ("put_policy", 412, {"headers": {"If-Match": '"99"'}}),
    ("stop", 404, {"body": {"target": "nobody", "reason": "a test"}}),
    ("stop", 200, {"body": {"target": "off", "reason": "a test"}}),
    ("systems", 200, {}),
    ("resume", 200, {"body": {"target": "off", "reason": "a test"}}),
)
"""Calls in states that the examples don't show: the function, the status, and what else `Recorder.call` takes."""


def call_in_more_ways(recorder: Recorder) -> None:
    for function, status, more in CALLS:
        recorder.call(function, status, **more)
    requeue_in_more_ways(recorder)
    watch_and_cancel(recorder)
    recorder.call("retry", 409, run=recorder.known["run"])
    recorder.call("check", 422, run=recorder.known["stopped"])
    recorder.call("cancel", 409, run=recorder.known["stopped"])
    key = {"x-functions-key": recorder.key}
    recorder.also("runs", recorder.send("GET", "/api/runs", {}))
    for one in recorder.send("GET", "/api/runs", key).json()["value"]:
        recorder.call("run", run=one["id"])
    hello = {**key, "WebHook-Request-Origin": "eventgrid.azure.net"}
    recorder.also("batch_job_event", recorder.send("OPTIONS", "/api/finance-operations/events", hello))
    for function, queries in LISTS.items():
        for query in queries:
            recorder.also(function, recorder.send("GET", f"/api/{function}?{query}", key))


def watch_and_cancel(recorder: Recorder) -> None:
    """See runs while they are under way, and one that ends early."""
    faults, job = recorder.landscape.finance_operations.faults, recorder.failed_job()
    faults.add("hold", kind="read", job=job)
    held = run_of(recorder.call("requeue", 202, body={"batchJobId": job}, headers=LATER))
    assert faults.wait_held(1)
    recorder.call("run", run=held)
    recorder.call("cancel", 202, run=held)
    faults.release()
    faults.clear()
    watched = recorder.call("requeue", body={"batchJobId": recorder.failed_job(), "followUp": True})
    recorder.call("run", run=run_of(watched))
    recorder.wait(5)
    recorder.call("run", run=held)


def requeue_in_more_ways(recorder: Recorder) -> None:
    running = recorder.landscape.finance_operations.jobs.add(status="Executing")
    one, none = {"batchJobId": running}, {"batchJobIds": [running], "reason": "a test"}
    both = {**none, "batchJobIds": [recorder.failed_job(), running]}
    recorder.call("requeue", 422, body=none)
    recorder.call("requeue", 422, body=both, headers=STRICT)
    recorder.call("requeue", 404, body={**one, "target": "nobody"})
    recorder.call("requeue", 424, body={**one, "target": "off"})
    recorder.call("requeue", 415, body=none, headers={"Content-Encoding": "gzip"})
    recorder.call("requeue", 400, body=one, headers={"Idempotency-Key": '""'})
    again, body = {"Idempotency-Key": "again", "Prefer": "wait=30"}, {"batchJobId": recorder.failed_job()}
    recorder.call("requeue", body=body, headers=again)
    recorder.call("requeue", body=body, headers=again)
    recorder.call("requeue", 422, body=one, headers=again)


def test_the_document_has_every_function_of_the_host_and_nothing_else(seen: Seen) -> None:
    told = {
        (method.upper(), path, one["operationId"])
        for path, methods in seen.document["paths"].items()
        for method, one in methods.items()
    }
    functions = {one.name: one for one in seen.functions()}
    found = set()
    for method, path, name in told:
        function = next(
            one for one in functions if name == one or name.startswith(f"{one}_of_") or name == f"{one}_options"
        )
        info = functions[function]
        route = parse_route(info.name, info.route or "", info.methods)
        segments = split_path(f"/api{re.sub(r'[{}]', '', path)}", "api")
        assert route.match(method, segments or []) is not None, (method, path, name)
        found.add((function, method))
    assert found == {(one.name, method) for one in functions.values() for method in one.methods or ()}


def test_the_document_has_the_parameters_that_each_function_takes(seen: Seen) -> None:
    """A function names those that it takes, if it is called with another one."""
    asked = 0
    for path, methods in seen.document["paths"].items():
        for method, one in methods.items():
            url = f"{seen.url}/api{re.sub(r'{(\w+)}', 'x', path)}"
            answer = requests.request(method, url, params={"bogus": "1"}, json={}, headers=seen.key, timeout=30)
            errors = answer.json()["errors"] if answer.status_code == 422 else []
            takes = next((found["detail"] for found in errors if found["parameter"] == "bogus"), None)
            if takes is None:
                assert "opendatadsl" in path, path
                continue
            asked += 1
            named = [found["name"] for found in one["parameters"] if found["in"] == "query"]
            named += ["ticket"] if one["operationId"] == "run_result" else []
            assert set(takes.rpartition("takes ")[2].split(", ")) == set(named or ["none"]), one["operationId"]
    assert asked > 20


def test_every_answer_is_as_the_document_says(answered: Seen) -> None:
    answers = answered.recorder.answers
    assert {name for name, _ in answers} == {one.name for one in answered.functions()}
    found = [one for name, answer in answers for one in answered.reader.differences(name, answer)]
    assert found == []


@pytest.mark.slow
def test_the_answers_that_are_compared_are_of_many_kinds(varied: Seen) -> None:
    assert len(varied.recorder.answers) > 100
    statuses = {answer.status_code for _, answer in varied.recorder.answers}
    assert statuses >= {200, 202, 204, 400, 401, 404, 409, 412, 415, 422, 424}
    runs = [answer.json() for name, answer in varied.recorder.answers if name == "run" and answer.status_code == 200]
    assert {one["state"] for one in runs} >= {"planned", "running", "watching", "ended", "cancelled"}
    outcomes = {item["outcome"] for one in runs for item in one["items"]}
    assert outcomes >= {"done", "planned", "skipped", "rejected", "not_attempted", "unknown"}, outcomes


def own(seen: Seen) -> dict[str, list[Any]]:
    """Return the bodies of answers in Nightshift's own shapes, by function and shape."""
    found: dict[str, list[Any]] = {}
    for name, answer in seen.recorder.answers:
        if not answer.content or not answer.headers["Content-Type"].endswith("json") or name in OTHERS:
            continue
        content = answer.json()
        is_problem = answer.status_code >= 400 and "type" in content
        if not isinstance(content, dict) or "validationResponse" in content:
            continue
        is_run = {"counts", "items"} <= content.keys()
        is_grouped = name == "failures" and "by" in content
        whole = "groups" if is_grouped else "accepted" if answer.status_code == 202 else "answer"
        kind = "run" if is_run else whole
        found.setdefault("problem" if is_problem else f"{name} {kind}", []).append(content)
    native = ("requeue_native answer", "set_retries answer", "object_", "process_execution", "send_objects answer")
    return {name: bodies for name, bodies in found.items() if not name.startswith(native)}


def test_one_sample_of_an_answer_has_the_members_and_types_of_all_others(answered: Seen) -> None:
    """As "Generate from sample" of a flow's Parse JSON makes a schema; null in one of two says nothing of the type."""
    kinds = own(answered)
    assert {"problem", "run run", "runs answer", "failures answer", "systems answer", "policy answer"} <= kinds.keys()
    for name, bodies in kinds.items():
        different = list({json.dumps(body): body for body in bodies}.values())
        for sample, other in permutations(different, 2):
            assert fits(sample_schema(sample), other, or_null=True) == [], name


@pytest.mark.slow
def test_a_sample_with_nothing_in_it_makes_a_schema_that_takes_every_answer_as_it_is(varied: Seen) -> None:
    """What a flow's Parse JSON refuses is null where the sample had a value: so the emptiest sample is the best."""
    kinds = own(varied)
    for name in ("runs answer", "failures answer", "run run", "requeue accepted", "stop answer"):
        bodies = kinds[name]
        assert [one for one in bodies if all(fits(sample_schema(one), other) == [] for other in bodies)], name


def test_the_schema_of_the_document_serves_parse_json_as_it_is(seen: Seen) -> None:
    """A type in it is written as one name, or as one with null, which Parse JSON takes."""
    schemas = seen.document["components"]["schemas"]
    for name in ("Run", "Item", "RunsAnswer", "SystemsAnswer", "FailureList", "NightAnswer", "ProblemAnswer"):
        for member, one in schemas[name]["properties"].items():
            assert isinstance(one.get("type", one.get("$ref", one.get("anyOf"))), str | list), (name, member)


def test_a_document_that_is_known_is_not_sent_again(seen: Seen) -> None:
    url = f"{seen.url}/api/openapi.json"
    first = requests.get(url, timeout=30)
    assert (first.status_code, first.headers["Content-Type"]) == (200, "application/json")
    known = requests.get(url, headers={"If-None-Match": first.headers["ETag"]}, timeout=30)
    assert (known.status_code, known.content, known.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert requests.get(url, headers={"If-None-Match": '"other"'}, timeout=30).content == first.content
    assert first.json()["servers"] == [{"url": f"{seen.url}/api"}]


def test_the_examples_are_those_of_the_app_as_it_is(seen: Seen) -> None:
    """Ids and times differ from one recording to the next; members and types don't."""
    recorded = json.loads(FILE.read_text("utf-8"))
    now = json.loads(examples.text_of(seen.examples, seen.url))
    again = "run: python -m local examples"
    assert {name: [one["name"] for one in some] for name, some in now.items()} == {
        name: [one["name"] for one in some] for name, some in recorded.items()
    }, again
    for name, some in now.items():
        for one, other in zip(some, recorded[name], strict=True):
            assert alike(one, other), f"{name}: {again}"


def alike(one: object, other: object) -> bool:
    """Return whether JSON values have the same members and types; null, and an empty list, say nothing of a type."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(alike(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return not (one and other) or alike(one[0], other[0])
    return type(one) is type(other) or None in (one, other)
