"""Who did what to which item, when and why: written before it is sent, and found by one call."""

import csv
import io
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests

from local.stack import Machine
from shared.audit import trail
from shared.audit.entry import AuditEntry, AuditItem
from shared.storage.sqlite import SqliteStore
from tests.functions.calling import REQUEUE, Caller, allow_all, get, many, problem, put_rules, wait_for
from tests.functions.camunda_calling import Retrier
from tests.functions.test_batch import Batcher
from tests.functions.test_workers import killed_while_sending

PLAN = {"reason": "Which ones?", "dryRun": True}


@pytest.fixture
def ruling(caller: Caller) -> Iterator[Caller]:
    """A caller that changes the policy, which other tests on the same host find as it was."""
    yield caller
    assert put_rules(caller, []).status_code == 200


def audited(caller: Caller, **params: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = get(caller, "audit", **params)["value"]
    return found


def asked(caller: Caller, path: str, headers: dict[str, str] | None = None, **params: str) -> requests.Response:
    key = {"x-functions-key": caller.machine.host.function_key, **(headers or {})}
    return requests.get(f"{caller.url}/{path}", headers=key, params=params, timeout=60)


def kinds(found: list[dict[str, Any]]) -> list[str]:
    return [one["kind"] for one in found]


def run_of(answer: requests.Response) -> str:
    return answer.headers["Nightshift-Run"]


@contextmanager
def refusing(caller: Caller, kind: str) -> Iterator[None]:
    """Have the store refuse entries of a kind, as one that is away does."""
    with closing(sqlite3.connect(caller.machine.store_path, timeout=30, isolation_level=None)) as store:
        store.execute(
            f"CREATE TRIGGER refuse BEFORE INSERT ON records WHEN NEW.key LIKE 'audit/entries/%.{kind}' "
            "BEGIN SELECT RAISE(ABORT, 'away'); END"
        )
        try:
            yield
        finally:
            store.execute("DROP TRIGGER refuse")


def test_the_intent_is_written_before_the_call_and_the_outcome_after_it(any_caller: Caller) -> None:
    job = any_caller.failed_job()
    headers = {"x-ms-client-request-id": "c-1", "traceparent": "00-1-2-01", "Idempotency-Key": any_caller.new_key()}
    answer = any_caller.post(REQUEUE, {"batchJobId": job, "reason": "Number sequence fixed"}, headers=headers)
    assert answer.status_code == 200
    (call,) = any_caller.system.book.calls(kind="action", job=job)
    intent, outcome = audited(any_caller, run=run_of(answer))
    assert (intent["kind"], outcome["kind"]) == ("intent", "outcome")
    assert datetime.fromisoformat(intent["at"]) <= call.time <= datetime.fromisoformat(outcome["at"])
    assert call.correlation_id == outcome["run"] == run_of(answer)
    assert (outcome["actor"], outcome["proven"], outcome["reason"]) == ("key", False, "Number sequence fixed")
    correlation = outcome["correlation"]
    assert (correlation["clientRequestId"], correlation["traceparent"]) == ("c-1", "00-1-2-01")
    assert headers["Idempotency-Key"] not in str(outcome)
    assert len(correlation["idempotencyKey"]) == 64
    (before,), (after,) = intent["items"], outcome["items"]
    assert before["before"] == after["before"] == any_caller.run(answer)["items"][0]["episode"]
    assert (before["outcome"], after["outcome"], after["attempt"], after["upstreamStatus"]) == (None, "done", 1, 200)


def test_nothing_is_sent_while_the_intent_cannot_be_written(caller: Caller) -> None:
    job = caller.failed_job()
    with refusing(caller, "intent"):
        accepted = caller.requeue(job, Prefer="wait=1")
        assert accepted.status_code == 202
        caller.machine.clock.advance(30)
        caller.machine.wait(1)
        assert caller.actions(job) == 0
    assert caller.result(accepted).status_code == 200
    assert caller.actions(job) == 1
    assert kinds(audited(caller, run=run_of(accepted))) == ["intent", "outcome"]


def test_a_batch_is_not_sent_either_and_its_entries_hold_no_payload(machine: Machine) -> None:
    batcher = Batcher(machine)
    operations = [batcher.line("1", description="topsecret"), batcher.line("2", postingDate="confidential")]
    operations[0]["url"] += "?$filter=number eq 'hidden'"
    with refusing(batcher, "intent"):
        accepted = batcher.batch(operations, Prefer="respond-async, odata.continue-on-error")
        batcher.machine.clock.advance(15)
        batcher.machine.wait(1)
        assert batcher.central.book.batches() == []
    batcher.result(accepted)
    intent, outcome = audited(batcher, run=run_of(accepted))
    assert (intent["kind"], outcome["kind"]) == ("intent", "outcome")
    assert [one["id"] for one in intent["items"]] == [one["id"] for one in outcome["items"]] == ["1", "2"]
    assert outcome["items"][0]["name"] == f"POST {batcher.lines_url}"
    assert not any(word in str([intent, outcome]) for word in ("topsecret", "confidential", "hidden"))
    # An operation has no identity beyond its run.
    problem(asked(batcher, "items/bc/1"), 404, "unknown-item")


def test_a_call_for_many_items_has_one_intent_and_a_trail_for_each(machine: Machine) -> None:
    retrier = Retrier(machine)
    jobs = [retrier.engine.add_job() for _ in range(7)]
    # Not while the clock is pushed: each process hears of that at another moment.
    answer = retrier.retries({"retries": 1, "jobIds": jobs, "nightshift": {"reason": "The queue is back"}})
    intent, outcome = audited(retrier, run=run_of(answer))
    assert (intent["kind"], outcome["kind"]) == ("intent", "outcome")
    assert [one["id"] for one in intent["items"]] == [one["id"] for one in outcome["items"]] == jobs
    (call,) = retrier.camunda.book.calls(kind="action")
    assert datetime.fromisoformat(intent["at"]) <= call.time <= datetime.fromisoformat(outcome["at"])
    trails = [get(retrier, f"items/camunda/{job}") for job in jobs]
    assert {(one["outcome"], one["value"][0]["reason"]) for one in trails} == {("done", "The queue is back")}


def test_jobs_that_no_wave_came_to_have_a_trail_as_well(caller: Caller) -> None:
    jobs = [caller.failed_job(outcomes=["Error"]) for _ in range(8)]
    body = {"batchJobIds": jobs, "reason": "All of them", "dryRun": True}
    plan = run_of(many(caller, REQUEUE, body))
    swept = caller.post(f"runs/{plan}/apply", {"reason": "Go", "waves": "careful"}, headers={"Prefer": "respond-async"})
    wait_for(lambda: sum(caller.actions(job) for job in jobs) > 0)
    caller.post(f"runs/{run_of(swept)}/cancel", {"reason": "Enough"})
    caller.result(swept)
    report = caller.run(swept)
    trails = {str(job): get(caller, f"items/fo/{job}") for job in jobs}
    assert {item["id"]: item["outcome"] for item in report["items"]} == {
        name: one["outcome"] for name, one in trails.items()
    }
    assert "not_attempted" in {one["outcome"] for one in trails.values()}


@pytest.mark.slow
def test_a_sender_that_dies_leaves_one_intent_and_one_outcome(mortal_caller: Caller) -> None:
    job = mortal_caller.failed_job()
    accepted = killed_while_sending(mortal_caller, job, acts=False, Prefer="respond-async")
    (intent,) = audited(mortal_caller, run=run_of(accepted))
    first = mortal_caller.system.book.calls(kind="action", job=job)[0]
    assert intent["kind"] == "intent"
    assert datetime.fromisoformat(intent["at"]) <= first.time
    assert get(mortal_caller, f"items/fo/{job}")["working"] is True
    assert mortal_caller.result(accepted).status_code == 200
    assert kinds(audited(mortal_caller, run=run_of(accepted))) == ["intent", "outcome"]
    assert mortal_caller.actions(job) == 2


def test_who_requeued_a_job_is_one_call(caller: Caller) -> None:
    job, other = caller.failed_job(), caller.failed_job()
    answer = many(caller, REQUEUE, {"batchJobIds": [job, other], "reason": "Vendor bank is back"})
    told = get(caller, f"items/fo/{job}")
    (event,) = told["value"]
    assert (told["name"], told["outcome"], told["working"]) == ("Post payroll journal", "done", False)
    assert (event["run"], event["actor"], event["reason"]) == (run_of(answer), "key", "Vendor bank is back")
    assert (event["function"], event["outcome"], event["attempt"]) == ("requeue", "done", 1)
    assert event["links"]["self"] == f"{caller.url}/runs/{run_of(answer)}"
    assert told["recovery"] == event["recovery"] == "not_watched"


def test_the_trail_of_a_job_shows_what_skipped_it_planned_it_and_applied_it(ruling: Caller) -> None:
    caller = ruling
    job = caller.failed_job(description="Payroll")
    assert put_rules(caller, [{"name": "deny-payroll", "action": "deny", "job": "Payroll"}]).status_code == 200
    problem(caller.requeue(job), 409, "policy-denied")
    told = get(caller, f"items/fo/{job}")
    assert (told["outcome"], told["attemptsInARow"]) == ("skipped", 0)
    assert "rule" in told["next"]
    allow_all(caller)
    plan = many(caller, REQUEUE, {"batchJobIds": [job], **PLAN})
    assert "Apply plan" in get(caller, f"items/fo/{job}")["next"]
    body = {"reason": "All of them", "override": True}
    applied = many(caller, f"runs/{run_of(plan)}/apply", body)
    events = get(caller, f"items/fo/{job}")["value"]
    assert [(one["kind"], one["outcome"]) for one in events] == [
        ("outcome", "done"),
        ("plan", "planned"),
        ("outcome", "skipped"),
    ]
    assert (events[0]["plan"], events[0]["plannedBy"], events[0]["override"]) == (run_of(plan), "key", True)
    assert str(events[2]["rule"]).startswith("deny-payroll@")
    assert kinds(audited(caller, run=run_of(plan))) == ["plan"]
    assert sorted(kinds(audited(caller, run=run_of(applied)))) == ["apply", "intent", "outcome", "override"]
    assert kinds(audited(caller, target="fo", item=str(job))) == ["outcome", "intent", "plan", "outcome"]


def test_a_later_page_of_a_trail_shows_the_same_state(caller: Caller) -> None:
    job = caller.failed_job()
    for _ in range(3):
        many(caller, REQUEUE, {"batchJobIds": [job], **PLAN})
    first = get(caller, f"items/fo/{job}", limit="2")
    other = caller.failed_job()
    many(caller, REQUEUE, {"batchJobIds": [other], **PLAN})
    after = first["nextLink"].partition("after=")[2]
    problem(asked(caller, f"items/fo/{other}", None, after=after), 422, "not-valid")
    rest = asked(caller, first["nextLink"].partition("/api/")[2]).json()
    assert [len(first["value"]), len(rest["value"])] == [2, 1]
    members = ("outcome", "run", "next", "working")
    assert [first[name] for name in members] == [rest[name] for name in members]


@pytest.mark.parametrize("path", ["a%2Fb%20c", "a/b%20c", "a/b c"])
def test_an_id_may_hold_a_slash(caller: Caller, path: str) -> None:
    entry = AuditEntry.model_validate(
        {
            "id": "20261123-00/00000.outcome",
            "at": caller.machine.clock.now(),
            "kind": "outcome",
            "actor": "key",
            "proven": False,
            "origin": "http",
            "function": "requeue",
            "target": "fo",
            "run": "20261123-00",
            "items": [AuditItem(id="a/b c")],
        }
    )
    trail.record(SqliteStore(caller.machine.store_path), entry, by_item=True)
    told = asked(caller, f"items/FO/{path}").json()
    assert (told["id"], told["target"], len(told["value"])) == ("a/b c", "fo", 1)


def test_changes_of_the_policy_stops_and_cancelled_runs_are_there(ruling: Caller) -> None:
    caller = ruling
    allow_all(caller)
    since = caller.machine.clock.now().isoformat()
    assert put_rules(caller, [{"name": "none", "action": "deny"}]).status_code == 200
    caller.post("stop", {"target": "fo", "reason": "Maintenance"})
    caller.post("resume", {"target": "fo", "reason": "Over"})
    job = caller.failed_job(outcomes=["stuck"])
    allow_all(caller)
    watched = caller.post(REQUEUE, {"batchJobId": job, "followUp": True})
    assert caller.post(f"runs/{run_of(watched)}/cancel", {"reason": "Not today"}).status_code == 202
    found = [one for one in audited(caller, **{"from": since}) if one["kind"] not in ("intent", "outcome")]
    assert kinds(found) == ["cancel", "policy", "resume", "stop", "policy"]
    assert [one["reason"] for one in found] == ["Not today", "a test", "Over", "Maintenance", "a test"]
    change = found[-1]["change"]
    assert [[one["name"] for one in change[name]] for name in ("added", "removed")] == [["none"], ["all"]]
    assert change["toVersion"] == change["fromVersion"] + 1
    assert kinds(audited(caller, kind="stop", target="fo", **{"from": since})) == ["stop"]


def test_the_trail_as_csv_is_a_table_that_can_be_followed(caller: Caller) -> None:
    jobs = [caller.failed_job() for _ in range(2)]
    run = many(caller, REQUEUE, {"batchJobIds": jobs, "reason": '=HYPERLINK("https://evil.example")'})
    by_header = asked(caller, "audit", {"Accept": "text/csv"}, run=run_of(run), actor="key", limit="1")
    assert "actor,actorName,proven" in by_header.text
    assert by_header.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(by_header.content.decode("utf-8-sig"), newline="")))
    assert [one["itemId"] for one in rows] == [str(job) for job in jobs]
    assert {one["reason"] for one in rows} == {'\'=HYPERLINK("https://evil.example")'}
    following = by_header.links["next"]["url"]
    key = {"x-functions-key": caller.machine.host.function_key, "Accept": "text/csv"}
    more = requests.get(following, headers=key, timeout=30)
    assert next(csv.DictReader(io.StringIO(more.content.decode("utf-8-sig"))))["kind"] == "outcome"
    as_json = asked(caller, "audit", {"Accept": "text/csv"}, format="json")
    assert as_json.json()["value"]


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"item": "1"}, "item"),
        ({"kind": "x"}, "kind"),
        ({"run": "../x"}, "run"),
        ({"target": ""}, "target"),
        ({"target": "", "item": "1"}, "target"),
        ({"target": "a\0b"}, "target"),
        ({"target": "fo~"}, "target"),
        ({"target": "f" * 65}, "target"),
        ({"target": "fo", "item": ""}, "item"),
        ({"actor": ""}, "actor"),
        ({"run": ""}, "run"),
        ({"kind": ""}, "kind"),
        ({"from": ""}, "from"),
        ({"from": "2026-01-02T00:00:00Z", "until": "2026-01-02T00:30:00+01:00"}, "until"),
        ({"from": "yesterday"}, "from"),
        ({"until": "2026-01-01T00:00:00"}, "until"),
        ({"limit": "0"}, "limit"),
        ({"after": "x"}, "after"),
        ({"format": "xml"}, "format"),
        ({"person": "x"}, "person"),
    ],
)
def test_a_question_that_cannot_be_read_is_refused(caller: Caller, query: dict[str, str], parameter: str) -> None:
    told = problem(asked(caller, "audit", None, **query), 422, "not-valid")
    assert told["errors"][0]["parameter"] == parameter


def test_an_item_that_nobody_touched_is_unknown(caller: Caller) -> None:
    problem(asked(caller, "items/fo/nobody"), 404, "unknown-item")
    problem(asked(caller, "items/nowhere/1"), 404, "unknown-item")
    problem(asked(caller, "items/fo/1", None, outcome="done"), 422, "not-valid")


def test_a_run_that_another_call_starts_has_its_entries_as_well(ruling: Caller) -> None:
    caller = ruling
    allow_all(caller)
    job = caller.failed_job()
    plan = run_of(many(caller, REQUEUE, {"batchJobIds": [job], **PLAN}))
    before = open_runs(caller)
    with refusing(caller, "apply"):
        problem(caller.post(f"runs/{plan}/apply", {"reason": "Go", "override": True}), 503, "not-ready")
    (run,) = open_runs(caller) - before
    caller.machine.clock.advance(90)
    # The call has recorded it, and could not start it: whoever reads it does.
    wait_for(lambda: bool(get(caller, f"runs/{run}")["items"]), 30)
    assert caller.actions(job) == 1
    assert sorted(kinds(audited(caller, run=run))) == ["apply", "intent", "outcome", "override"]


def open_runs(caller: Caller) -> set[str]:
    return {key.removeprefix("open/") for key in SqliteStore(caller.machine.store_path).list("open/").keys}


def test_a_policy_that_is_changed_while_the_trail_is_away_is_in_it_after_the_repeat(ruling: Caller) -> None:
    caller, rules = ruling, [{"name": "none", "action": "deny"}]
    allow_all(caller)
    since, version = caller.machine.clock.now().isoformat(), get(caller, "policy")["version"]
    with refusing(caller, "intent"):
        problem(put_version(caller, version, rules), 503, "not-ready")
        assert get(caller, "policy")["version"] == version
    with refusing(caller, "policy"):
        problem(put_version(caller, version, rules), 503, "not-ready")
        assert get(caller, "policy")["version"] == version + 1
    (intent,) = audited(caller, **{"from": since})
    assert (intent["kind"], intent["function"], intent["reason"]) == ("intent", "put_policy", "Enough")
    problem(put_version(caller, version, rules, reason="Another one"), 412, "policy-changed")
    assert put_version(caller, version, rules).json()["version"] == version + 1
    (changed, _) = audited(caller, **{"from": since})
    assert (changed["kind"], changed["change"]) == ("policy", intent["change"])
    assert [[one["name"] for one in changed["change"][name]] for name in ("added", "removed")] == [["none"], ["all"]]


def put_version(caller: Caller, version: int, rules: list[dict[str, Any]], reason: str = "Enough") -> requests.Response:
    key = {"x-functions-key": caller.machine.host.function_key, "If-Match": f'"{version}"'}
    body = {"rules": rules, "reason": reason}
    return requests.put(f"{caller.url}/policy", json=body, headers=key, timeout=60)


def test_a_run_that_is_cancelled_while_the_trail_is_away_is_in_it_after_the_repeat(ruling: Caller) -> None:
    caller = ruling
    allow_all(caller)
    job = caller.failed_job(outcomes=["stuck"])
    watched = caller.post(REQUEUE, {"batchJobId": job, "followUp": True})
    with refusing(caller, "cancel"):
        problem(caller.post(f"runs/{run_of(watched)}/cancel", {"reason": "Not today"}), 503, "not-ready")
    wait_for(lambda: caller.run(watched)["state"] != "watching", 30)
    assert "cancel" not in kinds(audited(caller, run=run_of(watched)))
    problem(caller.post(f"runs/{run_of(watched)}/cancel", {"reason": "As before"}), 409, "run-ended")
    (entry,) = (one for one in audited(caller, run=run_of(watched)) if one["kind"] == "cancel")
    assert entry["reason"] == "Not today"


def test_an_offset_does_not_change_what_is_found(caller: Caller) -> None:
    job, now = caller.failed_job(), caller.machine.clock.now()
    run = run_of(caller.requeue(job))
    later = (now + timedelta(hours=1)).astimezone(timezone(timedelta(hours=-12))).isoformat()
    earlier = (now - timedelta(hours=1)).astimezone(timezone(timedelta(hours=14))).isoformat()
    for asked_for in ({"from": earlier}, {"until": later}, {"from": earlier, "until": later}):
        found = audited(caller, target="fo", item=str(job), **asked_for)
        assert [one["run"] for one in found] == [run, run], asked_for
