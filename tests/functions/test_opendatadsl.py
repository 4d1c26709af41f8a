"""`send_objects` and the summaries: OpenDataDSL's own request and answer, each element once, and what became of it."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from local.simulators.opendatadsl.server import OpenDataDsl
from local.stack import Machine
from tests.functions.calling import NO_TIMERS, Caller, counted, get, problem, put_rules
from tests.functions.test_workers import kill_durable_workers

BATCH = "opendatadsl/batch/v1"
NO_TARGET = {"Nightshift-Target": None}
SEED = {
    "_id": "00006d91-0fa0-481a-8118-7d6c1f4dba8f",
    "_type": "VarBatch",
    "elements": [{"_id": "AAA", "example": "property"}],
}
"""The sample of OpenDataDSL's page, as printed."""


def small_parts(machine: Machine) -> dict[str, str]:
    del machine
    return {"TARGETS__OPENDATADSL__PART_ELEMENTS": "10"}


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """A machine that delivers once; `test_opendatadsl_many.py` has deliveries that come twice."""
    with Machine(NO_TIMERS, more_targets=small_parts) as machine:
        yield machine


class Feeder(Caller):
    """Sends objects, and looks at the simulated OpenDataDSL, which begins anew."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.service.reset()

    @property
    def service(self) -> OpenDataDsl:
        return self.machine.landscape.opendatadsl

    def feed(self, body: dict[str, Any] | str, path: str = BATCH, **headers: str | None) -> requests.Response:
        named = {**NO_TARGET, **{name.replace("_", "-"): value for name, value in headers.items()}}
        if isinstance(body, str):
            return self.post(path, data=body.encode(), headers={**named, "Content-Type": "application/json"})
        return self.post(path, body, headers=named)

    def get(self, path: str) -> requests.Response:
        return requests.get(f"{self.url}/{path}", headers=self.key(), timeout=30)

    def patient(self, body: dict[str, Any]) -> requests.Response:
        """Send objects, and push the clock until the answer is ready."""
        accepted = self.feed(body, Prefer="respond-async")
        return self.result(accepted) if accepted.status_code == 202 else accepted

    def taken(self) -> Counter[str]:
        """Return how often the service took each element."""
        return self.service.book.times()

    def key(self) -> dict[str, str]:
        return {"x-functions-key": self.machine.host.function_key}


@pytest.fixture
def feeder(machine: Machine) -> Feeder:
    feeder = Feeder(machine)
    put_rules(feeder, [])
    return feeder


def batch(count: int, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - members of a body
    return {"_id": "whole", "_type": "VarBatch", "elements": [{"_id": f"E{one}"} for one in range(count)], **more}


def names(summary: dict[str, Any], section: str) -> set[str]:
    return {name for named in summary["summary"].get(section, {}).values() for name in named}


def test_the_seed_runs_as_printed(feeder: Feeder) -> None:
    answer = feeder.feed(SEED)
    told = answer.json()
    assert (answer.status_code, told["_id"], told["status"]) == (200, SEED["_id"], "success")
    assert list(told) == [
        *("_id", "user", "environment", "timestamp", "service", "name", "reason", "source"),
        *("status", "message", "summary"),
    ]
    assert (told["environment"], names(told, "failures")) == ("production", set())
    assert feeder.taken() == {"AAA": 1}


def test_a_batch_is_sent_in_parts_and_answered_by_one_summary(feeder: Feeder) -> None:
    told = feeder.feed(batch(25))
    assert (told.status_code, told.headers["Nightshift-Outcome"]) == (200, "complete")
    assert feeder.taken() == {f"E{one}": 1 for one in range(25)}
    assert set().union(*(names(told.json(), one) for one in told.json()["summary"])) == {f"E{one}" for one in range(25)}
    items = get(feeder, f"runs/{told.headers['Nightshift-Run']}", limit="100")["items"]
    parts = Counter(item["about"]["batch"] for item in items)
    assert sorted(parts.values()) == [5, 10, 10]
    assert set(parts) == {one.batch for one in feeder.service.book.taken()}


def test_numbers_and_unknown_members_arrive_as_they_came(feeder: Feeder) -> None:
    element = '{"_id":"N","value":1234567890123456.7890,"dependsOn":"x","deep":{"e":1E400000}}'
    text = f'{{"_type":"VarBatch","loader":"L","note":0.10,"elements":[{element}]}}'
    refused = feeder.feed(text)
    problem(refused, 400, "not-json")
    text = text.replace(',"deep":{"e":1E400000}', "")
    assert feeder.feed(text).status_code == 200
    [sent] = feeder.service.book.taken("N")
    assert sent.text == element.replace(',"deep":{"e":1E400000}', "")


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"_type": "VarBatch"}, ["/elements"]),
        ({"_type": "VarBatch", "elements": []}, ["/elements"]),
        ({"elements": [{"_id": "a"}]}, ["/_type"]),
        ({"_type": "VarObject", "elements": [{"_id": "a"}]}, ["/_type"]),
        (
            {"_type": "VarBatch", "elements": [{"_id": "a"}, {"_id": "a"}, {}, 7]},
            ["/elements/1/_id", "/elements/2/_id", "/elements/3"],
        ),
        ({"_type": "VarBatch", "_id": 7, "elements": [{"_id": "a"}]}, ["/_id"]),
        ({"_type": "VarBatch", "elements": [{"_id": "a"}], "nightshift": {"cap": 1}}, ["/nightshift/cap"]),
    ],
)
def test_mistakes_are_named_and_nothing_is_sent(feeder: Feeder, body: dict[str, Any], pointers: list[str]) -> None:
    told = problem(feeder.feed(body), 422, "not-valid")
    assert [one["pointer"] for one in told["errors"]] == pointers
    assert not feeder.service.book.calls()


def test_an_environment_that_is_not_the_targets_is_refused(feeder: Feeder) -> None:
    told = problem(feeder.feed(batch(1), x_odsl_environment="test"), 400, "header-not-valid")
    assert "TARGETS__OPENDATADSL__ENVIRONMENT" in told["detail"]
    assert not feeder.service.book.calls()


@pytest.mark.parametrize("accepted", ["empty", "whole", "text", "no-content", "id"])
def test_whatever_the_service_answers_its_summary_counts(feeder: Feeder, accepted: str) -> None:
    feeder.service.behaviour.accepted = accepted  # type: ignore[assignment]  # one of its literals
    feeder.service.behaviour.failing = frozenset({"E3"})
    answer = feeder.feed(batch(12))
    told = answer.json()
    assert (answer.status_code, answer.headers["Nightshift-Outcome"], told["status"]) == (200, "partial", "warning")
    assert names(told, "failures") == {"E3"}
    run = get(feeder, f"runs/{answer.headers['Nightshift-Run']}", limit="100")
    assert counted(run) == {"done": 11, "rejected": 1}


LOST: list[dict[str, Any]] = [
    {"effect": "cut", "after": True},
    *({"effect": "status", "status": status, "after": True} for status in (500, 502, 504)),
    {"effect": "status", "status": 503, "after": True},
    {"effect": "status", "status": 503, "after": True, "retry_after": 20},
    {"effect": "html", "status": 500, "after": True},
]


@pytest.mark.parametrize("fault", LOST, ids=[f"{one['effect']}-{one.get('status', '')}" for one in LOST])
def test_a_lost_answer_is_found_by_the_parts_id(feeder: Feeder, fault: dict[str, Any]) -> None:
    feeder.service.faults.add(kind="action", **fault)
    answer = feeder.feed(batch(12))
    assert (answer.status_code, answer.headers["Nightshift-Outcome"]) == (200, "complete")
    assert feeder.taken() == {f"E{one}": 1 for one in range(12)}


@pytest.mark.parametrize("effect", ["malformed", "html", "cut", "bom"])
def test_a_summary_that_is_hard_to_read_is_read_again(feeder: Feeder, effect: str) -> None:
    feeder.service.faults.add(effect, kind="read", times=2)  # type: ignore[arg-type]  # one of its literals
    assert feeder.patient(batch(12)).headers["Nightshift-Outcome"] == "complete"
    assert feeder.taken() == {f"E{one}": 1 for one in range(12)}


def test_a_call_that_never_arrived_is_unknown_and_not_repeated(feeder: Feeder) -> None:
    feeder.service.faults.add("cut", kind="action")
    answer = feeder.patient(batch(12))
    told = answer.json()
    assert answer.headers["Nightshift-Outcome"] == "partial"
    run = get(feeder, f"runs/{answer.headers['Nightshift-Run']}", limit="100")
    found = counted(run)
    assert found["unknown"] in (2, 10)
    assert names(told, "failures") == {item["id"] for item in run["items"] if item["outcome"] == "unknown"}
    assert set(feeder.taken().values()) == {1}


def test_a_summary_that_comes_later_is_read_later(feeder: Feeder) -> None:
    feeder.service.behaviour.summary_seconds = 300
    answer = feeder.patient(batch(3))
    assert answer.headers["Nightshift-Outcome"] == "complete"
    assert feeder.taken() == {f"E{one}": 1 for one in range(3)}


def test_a_summary_that_never_comes_is_unknown_until_a_check_finds_it(feeder: Feeder) -> None:
    feeder.service.behaviour.summary_seconds = 7200
    answer = feeder.patient(batch(3))
    run = answer.headers["Nightshift-Run"]
    assert counted(get(feeder, f"runs/{run}")) == {"unknown": 3}
    feeder.machine.clock.advance(7200)
    checked = feeder.post(f"runs/{run}/check", {"reason": "later"}, headers=NO_TARGET).json()
    assert counted(checked) == {"done": 3}
    assert feeder.taken() == {f"E{one}": 1 for one in range(3)}


def test_a_late_summary_tells_each_element_as_an_early_one_does(feeder: Feeder) -> None:
    feeder.service.behaviour.summary_seconds = 300
    feeder.service.behaviour.failing = frozenset({"E1"})
    answer = feeder.patient(batch(5))
    assert counted(get(feeder, f"runs/{answer.headers['Nightshift-Run']}")) == {"done": 4, "rejected": 1}
    assert names(answer.json(), "failures") == {"E1"}
    assert answer.json()["user"]
    # All elements of a part are read in one summary.
    assert len(feeder.service.book.calls(kind="read")) < 10


def test_a_failure_that_names_no_element_leaves_the_others_unknown_at_once(feeder: Feeder) -> None:
    feeder.service.behaviour.failing = frozenset({"A:B", "A"})
    elements = [{"_id": "A"}, {"_id": "A:B"}, {"_id": "C"}]
    answer = feeder.feed({"_type": "VarBatch", "elements": elements})
    assert names(answer.json(), "failures") == {"A", "A:B"}
    feeder.service.behaviour.failing = frozenset({"A:B"})
    run = feeder.feed({"_type": "VarBatch", "elements": elements}).headers["Nightshift-Run"]
    told = {item["id"]: item["outcome"] for item in get(feeder, f"runs/{run}")["items"]}
    assert told == {"A": "done", "A:B": "rejected", "C": "done"}


def test_a_part_that_is_too_large_is_halved(feeder: Feeder) -> None:
    feeder.service.behaviour.max_elements = 4
    answer = feeder.feed(batch(12))
    assert answer.headers["Nightshift-Outcome"] == "complete"
    assert feeder.taken() == {f"E{one}": 1 for one in range(12)}


def test_a_failed_batch_is_told_with_the_services_message(feeder: Feeder) -> None:
    feeder.service.behaviour.status = "failed"
    answer = feeder.feed(batch(3))
    assert (answer.status_code, answer.json()["status"]) == (422, "failed")
    items = get(feeder, f"runs/{answer.headers['Nightshift-Run']}")["items"]
    assert {item["outcome"] for item in items} == {"rejected"}
    assert all(feeder.service.behaviour.failed_message in item["reason"] for item in items)


def test_what_failed_is_retried_as_it_came_or_with_new_json(feeder: Feeder) -> None:
    feeder.service.behaviour.failing = frozenset({"E1", "E2"})
    run = feeder.feed(batch(4, name="LOADER")).headers["Nightshift-Run"]
    feeder.service.behaviour.failing = frozenset()
    body = {"reason": "mended", "replace": {"E2": {"_id": "E2", "value": 7}}, "only": ["E1", "E2"]}
    told = feeder.post(f"runs/{run}/retry", body, headers=NO_TARGET)
    assert (told.status_code, told.json()["status"]) == (200, "success"), told.text
    assert feeder.taken() == {"E0": 1, "E1": 1, "E2": 1, "E3": 1}
    [changed] = feeder.service.book.taken("E2")
    assert json.loads(changed.text) == {"_id": "E2", "value": 7}


def test_new_json_of_a_retry_must_be_of_the_same_element(feeder: Feeder) -> None:
    feeder.service.behaviour.failing = frozenset({"E1", "E2"})
    run = feeder.feed(batch(4)).headers["Nightshift-Run"]
    body = {"reason": "r", "replace": {"E1": {"v": 1}, "E2": {"_id": "E2"}}}
    told = problem(feeder.post(f"runs/{run}/retry", body, headers=NO_TARGET), 422, "not-valid")
    assert [one["pointer"] for one in told["errors"]] == ["/replace/E1"]
    settled = feeder.post(f"runs/{run}/check", {"reason": "r", "settleBy": ["a"]}, headers=NO_TARGET)
    assert [one["pointer"] for one in problem(settled, 422, "not-valid")["errors"]] == ["/settleBy"]


def test_a_repeat_under_its_key_sends_nothing(feeder: Feeder) -> None:
    key = feeder.new_key()
    first, again = (feeder.feed(batch(12), Idempotency_Key=key) for _ in range(2))
    assert (again.content, again.headers["Nightshift-Replayed"]) == (first.content, "true")
    assert set(feeder.taken().values()) == {1}


def test_a_rule_denies_by_loader_and_type(feeder: Feeder) -> None:
    put_rules(feeder, [{"name": "no curves", "action": "deny", "job": "FX", "process": "VarCurve"}])
    elements = [{"_id": "C", "_type": "VarCurve"}, {"_id": "O", "_type": "VarObject"}]
    answer = feeder.feed({"_type": "VarBatch", "name": "FX", "elements": elements})
    run = get(feeder, f"runs/{answer.headers['Nightshift-Run']}")
    assert {item["id"]: item["type"] for item in run["items"]} == {"C": "policy-denied", "O": None}
    assert feeder.taken() == {"O": 1}


def test_a_plan_sends_nothing_until_it_is_applied(feeder: Feeder) -> None:
    plan = feeder.feed(batch(12, nightshift={"dryRun": True}))
    assert (plan.status_code, plan.json()["status"], names(plan.json(), "failures")) == (200, "planned", set())
    assert not feeder.taken()
    applied = feeder.post(f"runs/{plan.headers['Nightshift-Run']}/apply", {"reason": "go"}, headers=NO_TARGET)
    assert applied.headers["Nightshift-Outcome"] == "complete"
    assert feeder.taken() == {f"E{one}": 1 for one in range(12)}


def test_a_service_that_throttles_is_waited_for(feeder: Feeder) -> None:
    feeder.service.faults.add("throttle", kind="action", times=2, retry_after=20)
    assert feeder.patient(batch(12)).headers["Nightshift-Outcome"] == "complete"
    assert feeder.taken() == {f"E{one}": 1 for one in range(12)}


@pytest.mark.slow
def test_a_worker_that_is_killed_while_it_sends(feeder: Feeder) -> None:
    # Both parts have arrived: one that had not would be unknown, and rightly so.
    feeder.service.faults.add("hold", kind="action", times=2, after=True)
    accepted = feeder.feed(batch(12), Prefer="respond-async")
    assert feeder.service.faults.wait_held(2, timeout=20)
    kill_durable_workers(feeder)
    feeder.service.faults.clear()
    assert feeder.result(accepted).headers["Nightshift-Outcome"] == "complete"
    assert feeder.taken() == {f"E{one}": 1 for one in range(12)}


def test_summaries_are_listed_by_the_services_own_filters(feeder: Feeder) -> None:
    for name in ("FX", "FX", "GAS"):
        feeder.feed({"_type": "VarBatch", "name": name, "elements": [{"_id": name}]})
    listed = feeder.get(f"{BATCH}?name=FX&_limit=1&_sort=-timestamp")
    assert [one["name"] for one in listed.json()] == ["FX"]
    assert listed.headers["x-total-count"] == "2"
    [call] = feeder.service.book.calls(kind="list")
    assert "code" not in call.path
    one = get(feeder, f"{BATCH}/{listed.json()[0]['_id']}")
    assert one == listed.json()[0]
    assert isinstance(get(feeder, "opendatadsl/batch"), dict)
    problem(feeder.get(f"{BATCH}/nobody"), 422, "item-not-found")


def test_filters_that_come_twice_are_passed_on_twice(feeder: Feeder) -> None:
    feeder.get(f"{BATCH}?timestamp=gte(2026-01-01)&timestamp=lt(2026-02-01)&target=opendatadsl")
    [call] = feeder.service.book.calls()
    assert call.path.count("timestamp=") == 2
    assert "target" not in call.path


def test_a_function_key_in_the_url_never_reaches_the_service(feeder: Feeder) -> None:
    url = f"{feeder.url}/{BATCH}?code={feeder.machine.host.function_key}&name=FX"
    assert requests.get(url, timeout=30).status_code == 200
    assert [call.path.partition("?")[2] for call in feeder.service.book.calls()] == ["name=FX"]


def test_a_summary_is_deleted_and_the_answer_says_what_stays(feeder: Feeder) -> None:
    feeder.feed(SEED)
    [part] = {one.batch for one in feeder.service.book.taken()}
    answer = requests.delete(f"{feeder.url}/{BATCH}/{part}", headers=feeder.key(), timeout=30)
    assert (answer.status_code, answer.json()["deleted"]) == (200, "summary")
    assert "stays" in answer.json()["note"]
    assert (feeder.service.batches.all(), feeder.taken()) == ([], {"AAA": 1})
    again = requests.delete(f"{feeder.url}/{BATCH}/{part}", headers=feeder.key(), timeout=30)
    problem(again, 422, "item-not-found")


def test_a_summary_that_could_not_be_deleted_can_be_deleted_by_a_retry(feeder: Feeder) -> None:
    feeder.feed(SEED)
    [part] = {one.batch for one in feeder.service.book.taken()}
    feeder.service.faults.add("status", status=400, kind="delete")
    refused = requests.delete(f"{feeder.url}/{BATCH}/{part}", headers=feeder.key(), timeout=30)
    run = problem(refused, 422, "refused-by-system")["run"]
    again = feeder.post(f"runs/{run}/retry", {"reason": "r", "only": [part]}, headers=NO_TARGET)
    assert counted(again.json()) == {"done": 1}
    assert feeder.service.batches.all() == []
