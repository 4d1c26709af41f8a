"""A `$batch` of any size, fanned out over Business Central, with the truth about each operation."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from local.simulators.common.exact_json import Number
from local.stack import Machine
from tests.functions.calling import Caller, allow_all, counted, get, only, problem, put_rules, unpushed, wait_for
from tests.functions.test_night import pass_night, wait_for_day

BATCH = "business-central/api/v2.0/$batch"
SALARIES = [(-3250, "Salary to Bob"), (-3500, "Salary to John"), (6750, "Salaries December 2020")]

ONLY_BATCHES = only("nightly_batch")


class Batcher(Caller):
    """Calls `batch` as a client of Business Central would, and looks into the simulated one."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.central = machine.landscape.business_central
        self.central.reset()
        self.company = self.central.add_company(name="CRONUS")
        self.journal = self.central.add_journal(self.company)

    @property
    def lines_url(self) -> str:
        return f"companies({self.company})/journals({self.journal})/journalLines"

    def line(self, name: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON is any value
        body = {"documentNumber": name, "amount": 1, "postingDate": "2020-10-20", **more}
        headers = {"Content-Type": "application/json"}
        return {"method": "POST", "id": name, "url": self.lines_url, "headers": headers, "body": body}

    def batch(self, operations: list[dict[str, Any]], nightshift: Any = None, **headers: str) -> requests.Response:  # noqa: ANN401 - as above
        body = {"requests": operations, **({"nightshift": nightshift} if nightshift else {})}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.post(BATCH, body, headers={"Nightshift-Target": None, **named})

    def documents(self) -> list[str]:
        """Return the document numbers of the journal's lines, in their order."""
        return [str(line["documentNumber"]) for line in self.central.lines(self.journal)]

    def patient(self, accepted: requests.Response) -> requests.Response:
        return self.result(accepted) if accepted.status_code == 202 else accepted


@pytest.fixture
def batcher(any_machine: Machine) -> Iterator[Batcher]:
    batcher = Batcher(any_machine)
    yield batcher
    batcher.central.faults.clear()


def statuses(answer: requests.Response) -> dict[str, int]:
    return {one["id"]: one["status"] for one in answer.json()["responses"]}


def counts(batcher: Batcher, answer: requests.Response) -> dict[str, int]:
    told: dict[str, int] = counted(batcher.run(answer))
    return told


def test_the_seeds_three_lines_run_as_printed(batcher: Batcher) -> None:
    operations = [
        {
            "method": "POST",
            "id": f"r{number}",
            "url": batcher.lines_url,
            "headers": {"Content-Type": "application/json"},
            "body": {
                "accountId": "6a1b2c3d-0000-1111-2222-333344445555",
                "postingDate": "2020-10-20",
                "documentNumber": "SALARY2020-12",
                "amount": amount,
                "description": text,
            },
        }
        for number, (amount, text) in enumerate(SALARIES, start=1)
    ]
    answer = batcher.batch(operations)
    assert answer.status_code == 200, answer.text
    assert [(one["id"], one["status"]) for one in answer.json()["responses"]] == [("r1", 201), ("r2", 201), ("r3", 201)]
    assert answer.headers["Nightshift-Outcome"] == "complete"
    lines = batcher.central.lines(batcher.journal)
    assert [(line["amount"], line["description"]) for line in lines] == [
        (Number(str(amount)), text) for amount, text in SALARIES
    ]
    assert [(one.operation, one.took_effect) for one in batcher.central.book.writes()] == [
        ("r1", True),
        ("r2", True),
        ("r3", True),
    ]


def test_numbers_come_and_go_digit_by_digit(batcher: Batcher) -> None:
    raw = json.dumps({"requests": [batcher.line("1", amount="?")]}).replace('"?"', "1234567890123456.7890")
    headers = {"Nightshift-Target": None, "Content-Type": "application/json"}
    answer = batcher.post(BATCH, data=raw.encode(), headers=headers)
    assert '"amount":1234567890123456.7890' in answer.text.replace(" ", "")
    assert batcher.central.lines(batcher.journal)[0]["amount"] == Number("1234567890123456.7890")


def test_in_order_the_rest_waits_for_the_one_that_fails_and_a_retry_mends_it(batcher: Batcher) -> None:
    names = [f"L{number:04}" for number in range(1, 2301)]
    operations = [batcher.line(name) for name in names]
    operations[1233]["body"]["postingDate"] = "the 20th"
    answer = batcher.patient(batcher.batch(operations, {"reason": "salaries"}, Prefer="respond-async"))
    assert answer.headers["Nightshift-Outcome"] == "partial"
    assert counts(batcher, answer) == {"done": 1233, "rejected": 1, "not_attempted": 1066}
    assert [one["id"] for one in answer.json()["responses"]] == names
    assert Counter(statuses(answer).values()) == {201: 1233, 400: 1, 424: 1066}
    assert batcher.documents() == names[:1233]
    mended = {"reason": "date mended", "replace": {"L1234": {**operations[1233]["body"], "postingDate": "2020-10-20"}}}
    retried = batcher.patient(
        batcher.post(
            f"runs/{answer.headers['Nightshift-Run']}/retry",
            mended,
            headers={"Nightshift-Target": None, "Prefer": "respond-async"},
        )
    )
    assert counts(batcher, retried) == {"done": 1067}
    assert batcher.documents() == names
    assert len(batcher.central.book.writes()) == 2301


def test_with_continue_on_error_only_the_bad_one_fails(batcher: Batcher) -> None:
    operations = [batcher.line(f"{number}") for number in range(250)]
    operations[120]["body"]["postingDate"] = "x"
    answer = batcher.batch(operations, Prefer="odata.continue-on-error")
    assert Counter(statuses(answer).values()) == {201: 249, 400: 1}
    # Writes to one journal keep their order, whatever fails.
    assert batcher.documents() == [str(number) for number in range(250) if number != 120]
    assert batcher.central.book.most_in_flight == 1


def test_only_failures_are_answered_where_that_is_asked_for(batcher: Batcher) -> None:
    operations = [batcher.line("1"), batcher.line("2", postingDate="x"), batcher.line("3")]
    answer = batcher.batch(operations, Prefer="odata.continue-on-error, return=failures, handling=strict")
    assert answer.status_code == 422
    assert [one["id"] for one in answer.json()["responses"]] == ["2"]


def test_no_operations_are_fine(batcher: Batcher) -> None:
    answer = batcher.batch([])
    assert (answer.status_code, answer.json()) == (200, {"responses": []})
    assert not batcher.central.book.batches()


def test_all_mistakes_are_told_at_once_and_nothing_is_sent(batcher: Batcher) -> None:
    good = batcher.line("1")
    wrong = [
        good,
        {**good, "id": "1"},
        {**good, "id": 3},
        {**good, "id": "4", "url": "https://elsewhere.example.com/api/v2.0/companies"},
        {**good, "id": "5", "dependsOn": ["9"]},
        {**good, "id": "6", "method": "DELETE"},
        {**good, "id": "7", "headers": {"Authorization": "Bearer x"}},
        {**good, "id": "8", "atomicityGroup": "g"},
        {**good, "id": "9"},
        {**good, "id": "10", "atomicityGroup": "g"},
    ]
    told = problem(batcher.batch(wrong), 422, "not-valid")
    pointers = {mistake["pointer"].removeprefix("/requests/") for mistake in told["errors"]}
    assert {"1/id", "2/id", "3/url", "4/dependsOn/0", "9/atomicityGroup", "6/headers/Authorization"} <= pointers
    assert not batcher.central.book.batches()


def test_what_depends_on_a_failure_is_not_run(batcher: Batcher) -> None:
    operations = [
        batcher.line("1", postingDate="x"),
        {**batcher.line("2"), "dependsOn": ["1"]},
        {**batcher.line("3"), "dependsOn": ["2"]},
        batcher.line("4"),
    ]
    answer = batcher.batch(operations, Prefer="odata.continue-on-error")
    assert statuses(answer) == {"1": 400, "2": 424, "3": 424, "4": 201}
    assert batcher.documents() == ["4"]


def test_an_operation_may_refer_to_what_another_one_made(batcher: Batcher) -> None:
    journal = {
        "method": "POST",
        "id": "j",
        "url": f"companies({batcher.company})/journals",
        "body": {"code": "NEW"},
    }
    line = {**batcher.line("1"), "url": "$j/journalLines"}
    answer = batcher.batch([journal, line])
    assert statuses(answer) == {"j": 201, "1": 201}
    made = answer.json()["responses"][0]["body"]["id"]
    assert len(batcher.central.lines(made)) == 1


def test_a_snapshot_is_all_or_nothing_and_says_so(batcher: Batcher) -> None:
    operations = [batcher.line("1"), batcher.line("2", postingDate="x"), batcher.line("3")]
    answer = batcher.batch(operations, Isolation="snapshot")
    assert counts(batcher, answer) == {"rolled_back": 1, "rejected": 1, "not_attempted": 1}
    assert statuses(answer) == {"1": 424, "2": 400, "3": 424}
    assert batcher.documents() == []
    many = [batcher.line(str(number)) for number in range(101)]
    told = problem(batcher.batch(many, Isolation="snapshot"), 422, "not-valid")
    assert told["errors"][0]["header"] == "Isolation"


def test_a_dry_run_sends_nothing_and_is_applied_once(batcher: Batcher) -> None:
    plan = batcher.batch([batcher.line("1"), batcher.line("2")], {"dryRun": True, "reason": "look"})
    told = batcher.run(plan)
    assert (told["state"], counted(told)) == ("planned", {"planned": 2})
    assert not batcher.central.book.batches()
    headers = {"Nightshift-Target": None}
    applied = batcher.post(f"runs/{told['id']}/apply", {"reason": "go"}, headers=headers)
    assert statuses(applied) == {"1": 201, "2": 201}
    again = batcher.post(f"runs/{told['id']}/apply", {"reason": "go"}, headers=headers)
    assert again.content == applied.content
    assert batcher.documents() == ["1", "2"]


def test_a_repeat_under_its_key_sends_nothing(batcher: Batcher) -> None:
    key = batcher.new_key()
    first = batcher.batch([batcher.line("1")], Idempotency_Key=key)
    again = batcher.batch([batcher.line("1")], Idempotency_Key=key)
    assert again.content == first.content
    assert again.headers["Nightshift-Replayed"] == "true"
    assert batcher.documents() == ["1"]


def test_answers_in_any_order_doubled_or_as_multipart_are_understood(batcher: Batcher) -> None:
    batcher.central.faults.add("reversed", kind="batch", times=None)
    batcher.central.faults.add("double", kind="operation", share=0.3, seed=1, times=None)
    names = [str(number) for number in range(150)]
    answer = batcher.batch([batcher.line(name) for name in names])
    assert list(statuses(answer)) == names
    assert set(statuses(answer).values()) == {201}
    batcher.central.faults.clear()
    batcher.central.behaviour.batch_answer = "multipart"
    assert set(statuses(batcher.batch([batcher.line("m1"), batcher.line("m2")])).values()) == {201}
    assert batcher.documents() == [*names, "m1", "m2"]


def test_a_missing_answer_is_unknown_until_the_system_is_asked(batcher: Batcher) -> None:
    batcher.central.faults.add("drop", kind="operation", operation="2")
    answer = batcher.batch([batcher.line("1"), batcher.line("2"), batcher.line("3")], Prefer="odata.continue-on-error")
    assert statuses(answer) == {"1": 201, "2": 424, "3": 201}
    assert counts(batcher, answer) == {"done": 2, "unknown": 1}
    run = answer.headers["Nightshift-Run"]
    assert [one["count"] for one in get(batcher, "needs-person", kind="unknown")["value"] if one["run"] == run] == [1]
    checked = batcher.post(
        f"runs/{run}/check",
        {"reason": "look", "settleBy": ["documentNumber"]},
        headers={"Nightshift-Target": None},
    )
    assert run not in {one["run"] for one in get(batcher, "needs-person")["value"]}
    assert [(item["id"], item["outcome"]) for item in checked.json()["items"]] == [("2", "done")]
    assert checked.json()["parent"] == answer.headers["Nightshift-Run"]


def test_a_check_calls_what_the_system_has_not_not_taken_once_it_can_no_longer_come(batcher: Batcher) -> None:
    batcher.central.faults.add("cut", kind="batch", times=1)
    answer = batcher.batch([batcher.line("1")], Prefer="odata.continue-on-error")
    assert counts(batcher, answer) == {"unknown": 1}
    body = {"reason": "look", "settleBy": ["documentNumber"]}
    told = []
    for minutes in (0, 11):
        batcher.machine.clock.advance(60 * minutes)
        path = f"runs/{answer.headers['Nightshift-Run']}/check"
        told += batcher.post(path, body, headers={"Nightshift-Target": None}).json()["items"]
    assert [(item["outcome"], item["type"]) for item in told] == [
        ("unknown", "outcome-unknown"),
        ("failed", "not-taken"),
    ]
    assert "`check` is conclusive from" in told[0]["reason"]


def test_an_answer_for_another_id_is_none(batcher: Batcher) -> None:
    batcher.central.faults.add("foreign-id", kind="operation", operation="2")
    answer = batcher.batch([batcher.line("1"), batcher.line("2")], Prefer="odata.continue-on-error")
    assert counts(batcher, answer) == {"done": 1, "unknown": 1}


def test_a_lost_answer_is_settled_by_the_fields_that_the_caller_named(batcher: Batcher) -> None:
    batcher.central.faults.add("cut", kind="batch", after=True, times=1)
    names = ["1", "2", "3"]
    answer = batcher.patient(
        batcher.batch([batcher.line(name) for name in names], {"settleBy": ["documentNumber"]}, Prefer="respond-async")
    )
    assert counts(batcher, answer) == {"done": 3}
    assert batcher.documents() == names


def test_a_lost_answer_without_them_is_unknown_and_never_repeated(batcher: Batcher) -> None:
    batcher.central.faults.add("cut", kind="batch", after=True, times=1)
    answer = batcher.batch([batcher.line("1"), batcher.line("2")])
    assert counts(batcher, answer) == {"unknown": 2}
    assert len(batcher.central.book.batches()) == 1
    headers = {"Nightshift-Target": None}
    told = batcher.post(f"runs/{answer.headers['Nightshift-Run']}/retry", {"reason": "again"}, headers=headers)
    problem(told, 422, "not-valid")


@pytest.mark.parametrize("path", ["business-central/api/v2.0", "business-central/api/contoso/batch/v1.0/$batch"])
def test_custom_roots_and_a_missing_batch_are_fine(batcher: Batcher, path: str) -> None:
    answer = batcher.post(path, {"requests": [batcher.line("1")]}, headers={"Nightshift-Target": None})
    assert statuses(answer) == {"1": 201}


@pytest.mark.parametrize("path", ["data/$batch", "api/v2.0/companies"])
def test_another_route_is_refused(batcher: Batcher, path: str) -> None:
    answer = batcher.post(f"business-central/{path}", {"requests": []}, headers={"Nightshift-Target": None})
    assert answer.status_code in (404, 422)
    assert not batcher.central.book.batches()


def test_what_was_sent_is_kept_only_for_what_is_not_done(batcher: Batcher) -> None:
    operations = [batcher.line("1", description="topsecret"), batcher.line("2", postingDate="confidential")]
    answer = batcher.batch(operations, Prefer="odata.continue-on-error")
    run = answer.headers["Nightshift-Run"]
    told = json.dumps(get(batcher, f"runs/{run}"))
    assert "topsecret" not in told
    assert "topsecret" not in batcher.machine.host.log()


@pytest.mark.slow
def test_a_night_retries_what_the_day_left_and_never_what_is_unknown() -> None:
    with Machine({"BATCH_RETRY": "on", "SWEEP_AT": "02:00", "SWEEP_UNTIL": "06:00", **ONLY_BATCHES}) as machine:
        batcher = Batcher(machine)
        wait_for_day(machine)
        allow_all(batcher)
        batcher.central.faults.add("throttle", kind="operation", operation="2", retry_after=7200, times=None)
        batcher.central.faults.add("drop", kind="operation", operation="3")
        operations = [batcher.line(name) for name in ("1", "2", "3", "4")]
        # Otherwise what follows the throttled line would wait for it.
        unordered = {"documentsInOrder": False}
        continued = batcher.batch(operations, unordered, Prefer="odata.continue-on-error")
        assert counts(batcher, continued) == {"done": 2, "failed": 1, "unknown": 1}
        stopped = batcher.batch([batcher.line("a"), batcher.line("b", postingDate="x"), batcher.line("c")])
        assert counts(batcher, stopped) == {"done": 1, "rejected": 1, "not_attempted": 1}
        batcher.central.faults.clear()
        pass_night(machine)
        # In order, the third line was not to go on without the second: that is a person's.
        assert sorted(batcher.documents()) == ["1", "2", "3", "4", "a"]
        [night] = get(batcher, "runs", function="nightly_batch")["value"]
        assert (night["parent"], night["origin"]) == (continued.headers["Nightshift-Run"], "timer")
        assert counted(night) == {"done": 1}
        pass_night(machine)
        assert len(get(batcher, "runs", function="nightly_batch")["value"]) == 1


@pytest.mark.parametrize(
    ("body", "pointer"), [({"system": "business-central"}, "/system"), ({"target": "bc"}, "/target")]
)
def test_a_sweep_of_a_system_that_lists_no_failures_is_refused(
    batcher: Batcher, body: dict[str, str], pointer: str
) -> None:
    answer = batcher.post("sweeps", {"reason": "x", **body}, headers={"Nightshift-Target": None})
    assert [one["pointer"] for one in problem(answer, 422, "not-valid")["errors"]] == [pointer]


@pytest.mark.slow
def test_by_default_a_night_leaves_batches_alone() -> None:
    with Machine({"SWEEP_AT": "02:00", **ONLY_BATCHES}) as machine:
        batcher = Batcher(machine)
        wait_for_day(machine)
        allow_all(batcher)
        batcher.central.faults.add("throttle", kind="operation", operation="1", retry_after=7200, times=None)
        batcher.batch([batcher.line("1")])
        batcher.central.faults.clear()
        pass_night(machine)
        assert not get(batcher, "runs", function="nightly_batch")["value"]
        assert batcher.documents() == []


def test_what_was_mended_is_said(batcher: Batcher) -> None:
    bare = {name: value for name, value in batcher.line("1").items() if name != "headers"}
    absolute = {**batcher.line("2"), "url": f"{batcher.central.url}/api/v2.0/{batcher.lines_url}"}
    answer = batcher.batch([bare, absolute])
    assert set(statuses(answer).values()) == {201}
    notes = " ".join(note["text"] for note in batcher.run(answer)["notes"])
    assert "content-type" in notes
    assert "absolute" in notes


@pytest.mark.parametrize("prefer", ["respond-async", "respond-async, odata.continue-on-error"])
def test_a_batch_that_is_cancelled_sends_nothing_more(batcher: Batcher, prefer: str) -> None:
    batcher.central.faults.add("hold", kind="batch", times=None)
    accepted = batcher.batch([batcher.line(str(number)) for number in range(1000)], Prefer=prefer)
    assert batcher.central.faults.wait_held(1)
    run = accepted.headers["Nightshift-Run"]
    headers = {"Nightshift-Target": None}
    assert batcher.post(f"runs/{run}/cancel", {"reason": "no"}, headers=headers).status_code == 202
    # A cancelled run is read from the store, at most half a second late.
    batcher.machine.clock.advance(1)
    batcher.central.faults.clear()
    answer = batcher.result(accepted)
    told = counts(batcher, answer)
    # What is sent before that is waited for: one chunk, or one a slot.
    most = 5 if "continue-on-error" in prefer else 1
    assert told["not_attempted"] >= 1000 - 100 * most
    assert sum(told.values()) == 1000
    assert len(batcher.central.book.batches()) <= most


def test_a_batch_waits_for_a_system_that_throttles_until_it_is_cancelled(batcher: Batcher) -> None:
    batcher.central.faults.add("throttle", kind="batch", retry_after=1200, times=None)
    accepted = batcher.batch([batcher.line("1")], Prefer="respond-async")
    run = accepted.headers["Nightshift-Run"]
    wait_for(lambda: len(batcher.central.book.batches()) == 1)
    headers = {"Nightshift-Target": None}
    assert batcher.post(f"runs/{run}/cancel", {"reason": "no"}, headers=headers).status_code == 202
    answer = unpushed(accepted)
    assert counts(batcher, answer) == {"not_attempted": 1}
    assert batcher.documents() == []


def test_a_stopped_target_is_not_sent_to(batcher: Batcher) -> None:
    headers = {"Nightshift-Target": None}
    batcher.post("stop", {"target": "bc", "reason": "month end"}, headers=headers)
    batcher.machine.clock.advance(1)
    answer = batcher.batch([batcher.line("1"), batcher.line("2")])
    batcher.post("resume", {"target": "bc", "reason": "over"}, headers=headers)
    batcher.machine.clock.advance(1)
    assert counts(batcher, answer) == {"not_attempted": 2}
    assert not batcher.central.book.batches()
    retried = batcher.post(f"runs/{answer.headers['Nightshift-Run']}/retry", {"reason": "go on"}, headers=headers)
    assert counts(batcher, retried) == {"done": 2}


def test_a_rule_may_deny_what_a_batch_does(batcher: Batcher) -> None:
    put_rules(batcher, [{"name": "no lines", "action": "deny", "job": "POST journalLines"}])
    url = f"companies({batcher.company})/customers"
    customer = {**batcher.line("c"), "url": url, "body": {"displayName": "Adatum"}}
    answer = batcher.batch([batcher.line("1"), customer], Prefer="odata.continue-on-error")
    put_rules(batcher, [])
    items = {item["id"]: item for item in batcher.run(answer)["items"]}
    assert (items["1"]["outcome"], items["1"]["rule"].partition("@")[0]) == ("skipped", "no lines")
    assert items["c"]["outcome"] == "done"


def test_systems_tells_of_business_central_too(batcher: Batcher) -> None:
    told = {one["target"]: one["state"] for one in get(batcher, "systems")["systems"]}
    assert told["bc"] == "ok"


def test_a_reference_over_a_stop_goes_to_the_url_of_its_parent(batcher: Batcher) -> None:
    url = f"companies({batcher.company})/journals"
    operations = [
        {"id": "j", "method": "POST", "url": url, "body": {"code": "NEW"}},
        {**batcher.line("x", postingDate="x"), "dependsOn": ["j"]},
        {**batcher.line("1"), "url": "$j/journalLines"},
        batcher.line("2"),
    ]
    answer = batcher.batch(operations, Prefer="odata.continue-on-error")
    items = {item["id"]: item for item in batcher.run(answer)["items"]}
    assert {one: item["outcome"] for one, item in items.items()} == {
        "j": "done",
        "x": "rejected",
        "1": "done",
        "2": "done",
    }
    made = answer.json()["responses"][0]["body"]["id"]
    assert [line["documentNumber"] for line in batcher.central.lines(made)] == ["1"]
