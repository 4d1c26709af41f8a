"""One requeue, over HTTP, from the call to the system and back."""

from typing import Any

import pytest

from local.simulators.common.faults import Effect
from local.simulators.finance_operations.action import AnswerShape
from local.stack import Machine
from shared.runs.report import About
from tests.functions.calling import NATIVE, NO_TIMERS, REQUEUE, Caller, counted, problem

NOTHING_KNOWN = dict.fromkeys(About.model_fields)
SHAPES: list[AnswerShape] = ["object", "string", "value", "empty"]


def test_a_failed_job_is_set_to_waiting(caller: Caller) -> None:
    job = caller.failed_job()
    answer = caller.requeue(job)
    assert answer.status_code == 200
    assert answer.json() == {
        "ResponseStatusCode": 200,
        "IsSuccess": True,
        "Batch JobId": job,
        "ExceptionDetails": "",
        "reponseMessage": f"Status of supplied BatchJobId: {job} is Successfully updated to waiting state",
    }
    assert caller.actions(job) == 1


def test_the_run_tells_how_it_ended(caller: Caller) -> None:
    job = caller.failed_job()
    answer = caller.post(REQUEUE, {"batchJobId": job, "reason": "number sequence mended"})
    run = caller.run(answer)
    ended = run["items"][0]["about"]["ended"]
    assert (run["state"], run["function"], run["target"]) == ("ended", "requeue", "fo")
    assert (run["origin"], run["actor"], run["reason"]) == ("http", "key", "number sequence mended")
    assert (counted(run), counted(run, "recovery")) == ({"done": 1}, {"not_watched": 1})
    assert run["items"] == [
        {
            "id": str(job),
            "outcome": "done",
            "recovery": "not_watched",
            "reason": "Finance & Operations set the job to Waiting.",
            "recoveryReason": None,
            "type": None,
            "rule": None,
            "upstreamStatus": 200,
            "upstreamCode": None,
            "attempt": 1,
            "about": {**NOTHING_KNOWN, "job": "Post payroll journal", "company": "USMF", "ended": ended},
            "episode": f"Error {ended}",
            "wouldAllow": None,
        }
    ]
    assert run["created"] <= run["answered"] == run["ended"]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_answer_is_read_in_every_shape(caller: Caller, shape: AnswerShape) -> None:
    caller.system.behaviour.answer_shape = shape
    try:
        job = caller.failed_job()
        answer = caller.requeue(job)
    finally:
        caller.system.behaviour.answer_shape = "string"
    assert (answer.status_code, answer.json()["IsSuccess"], answer.json()["Batch JobId"]) == (200, True, job)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_native_answer_is_the_systems_own(caller: Caller, shape: AnswerShape) -> None:
    caller.system.behaviour.answer_shape = shape
    try:
        job = caller.failed_job()
        answer = caller.post(NATIVE, {"batchJobId": job})
    finally:
        caller.system.behaviour.answer_shape = "string"
    assert answer.status_code == (204 if shape == "empty" else 200)
    expected = {"object": "Batch JobId", "string": "@odata.context", "value": "value", "empty": None}[shape]
    assert answer.content == b"" if expected is None else expected in answer.json()
    assert caller.job(job).status == "Waiting"


def test_options_of_a_native_body_are_taken_out(caller: Caller) -> None:
    job = caller.failed_job()
    body = {"batchJobId": str(job), "nightshift": {"target": "FO", "reason": "why not"}}
    answer = caller.post(NATIVE, body, headers={"Nightshift-Target": None})
    assert answer.status_code == 200
    assert caller.run(answer)["reason"] == "why not"


@pytest.mark.parametrize(
    ("status", "slug"),
    [
        ("Executing", "item-running"),
        ("Cancelling", "item-running"),
        ("Waiting", "item-waiting"),
        ("Ready", "item-waiting"),
        ("Scheduled", "item-waiting"),
        ("Finished", "item-not-failed"),
        ("Canceled", "item-not-failed"),
        ("Hold", "item-not-failed"),
        ("NotRun", "item-not-failed"),
    ],
)
def test_a_job_in_another_state_is_refused(caller: Caller, status: str, slug: str) -> None:
    job = caller.failed_job(status=status, outcomes=["stuck"])
    told = problem(caller.requeue(job), 409, slug)
    assert status in told["detail"]
    assert caller.actions(job) == 0


@pytest.mark.parametrize("status", ["Finished", "Canceled"])
def test_another_end_may_be_requeued_by_option(caller: Caller, status: str) -> None:
    job = caller.failed_job(status=status)
    answer = caller.post(REQUEUE, {"batchJobId": job, "fromStatuses": ["Error", status]})
    assert answer.status_code == 200
    assert caller.job(job).status == "Waiting"


def test_no_option_requeues_a_job_on_hold(caller: Caller) -> None:
    job = caller.failed_job(status="Hold")
    told = problem(caller.post(REQUEUE, {"batchJobId": job, "fromStatuses": ["Error", "Hold"]}), 422, "not-valid")
    assert [mistake["pointer"] for mistake in told["errors"]] == ["/fromStatuses/1"]
    assert caller.actions(job) == 0


def test_an_unknown_job_is_named(caller: Caller) -> None:
    answer = caller.requeue(4711)
    told = problem(answer, 422, "item-not-found")
    assert "4711" in told["detail"]
    assert told["upstreamStatus"] == 404
    assert caller.run(answer)["items"][0]["outcome"] == "rejected"
    assert caller.actions(4711) == 0


def test_a_success_that_is_none_is_refused(caller: Caller) -> None:
    job = caller.failed_job()
    caller.system.faults.add("not-successful", kind="action", job=job)
    problem(caller.requeue(job), 422, "refused-by-system")
    assert caller.actions(job) == 1


def test_an_exception_of_the_business_logic_is_not_repeated(caller: Caller) -> None:
    job = caller.failed_job()
    caller.system.faults.add("exception", kind="action", job=job)
    answer = caller.requeue(job)
    assert problem(answer, 422, "refused-by-system")["upstreamStatus"] == 500
    assert "stacktrace" not in answer.text
    assert caller.actions(job) == 1


def test_a_refused_token_sends_nothing(caller: Caller) -> None:
    job = caller.failed_job()
    caller.system.faults.add("status", status=401, job=job, times=None)
    problem(caller.requeue(job), 424, "access-denied")
    assert caller.actions(job) == 0


def test_a_token_that_is_refused_once_is_renewed(caller: Caller) -> None:
    job = caller.failed_job()
    caller.system.faults.add("status", status=401, kind="action", job=job, times=1)
    assert caller.requeue(job).status_code == 200
    assert caller.actions(job) == 2
    assert [call.status for call in caller.system.book.calls(kind="action", job=job)] == [401, 200]


def test_a_wrong_secret_names_target_and_setting(caller: Caller) -> None:
    job = caller.failed_job()
    answer = caller.requeue(job, Nightshift_Target="wrong")
    told = problem(answer, 424, "credentials-refused")
    assert "wrong" in told["detail"]
    assert "TARGETS__WRONG__CLIENT_SECRET" in told["detail"]
    assert "AADSTS7000215" in told["detail"]
    assert "this-is-not" not in answer.text
    assert caller.system.book.calls(job=job) == []


def test_a_target_that_is_off_says_so_and_stops_no_other(caller: Caller) -> None:
    told = problem(caller.requeue(1, Nightshift_Target="off"), 424, "target-off")
    assert "TARGETS__OFF__URL" in told["detail"]
    assert "https" in told["detail"]
    assert caller.requeue(caller.failed_job()).status_code == 200


def test_a_short_throttling_is_waited_for(caller: Caller) -> None:
    job = caller.failed_job()
    caller.system.faults.add("throttle", job=job, retry_after=1, times=2)
    assert caller.hurried(job).status_code == 200
    assert caller.job(job).status == "Waiting"


def test_a_long_throttling_ends_the_run(caller: Caller) -> None:
    job = caller.failed_job()
    caller.system.faults.add("throttle", job=job, retry_after=600, times=None)
    accepted = caller.requeue(job, Prefer="respond-async")
    told = problem(caller.result(accepted), 424, "throttled")
    assert told["upstreamStatus"] == 429
    assert len(caller.system.book.calls(job=job)) == 3


def test_a_long_throttling_that_ends_is_waited_for(caller: Caller) -> None:
    job = caller.failed_job()
    caller.system.faults.add("throttle", kind="action", job=job, retry_after=600, times=2)
    accepted = caller.requeue(job, Prefer="respond-async")
    caller.machine.clock.advance(60)
    assert caller.run(accepted)["state"] == "waiting"
    assert caller.result(accepted).status_code == 200
    assert [call.status for call in caller.system.book.calls(kind="action", job=job)] == [429, 429, 200]
    assert caller.run(accepted)["items"][0]["attempt"] == 1


def test_a_throttled_action_took_no_effect_and_is_sent_again(caller: Caller) -> None:
    job = caller.failed_job()
    caller.system.faults.add("throttle", kind="action", job=job, retry_after=1, times=1)
    answer = caller.hurried(job)
    assert answer.status_code == 200
    assert caller.run(answer)["items"][0]["attempt"] == 1


@pytest.mark.parametrize(
    ("effect", "options"),
    [
        ("cut", {"after": True}),
        ("status", {"status": 504, "after": True}),
        ("html", {"after": True}),
        ("malformed", {"after": True}),
    ],
)
def test_a_lost_answer_is_found_in_the_job(caller: Caller, effect: Effect, options: dict[str, Any]) -> None:
    job = caller.failed_job()
    caller.system.faults.add(effect, kind="action", job=job, times=1, **options)
    answer = caller.requeue(job)
    assert answer.status_code == 200, answer.text
    assert answer.json()["Batch JobId"] == job
    assert "shows" in caller.run(answer)["items"][0]["reason"]
    assert caller.actions(job) == 1


@pytest.mark.parametrize("effect", ["cut", "html"])
def test_an_answer_that_nothing_explains_stays_unknown(caller: Caller, effect: Effect) -> None:
    job = caller.failed_job()
    caller.system.faults.add(effect, kind="action", job=job, times=None)
    answer = caller.hurried(job)
    problem(answer, 409, "outcome-unknown")
    assert caller.run(answer)["items"][0]["outcome"] == "unknown"
    assert caller.actions(job) == 1


def test_a_check_tells_that_nothing_came_of_a_call_once_it_can_no_longer_come(caller: Caller) -> None:
    job = caller.failed_job()
    caller.system.faults.add("cut", kind="action", job=job, times=None)
    answer = caller.hurried(job)
    problem(answer, 409, "outcome-unknown")
    caller.system.faults.clear()
    run = answer.headers["Nightshift-Run"]
    early = caller.post(f"runs/{run}/check", {"reason": "look"}, headers={"Nightshift-Target": None}).json()["items"][0]
    assert (early["outcome"], "`check` is conclusive from" in early["reason"]) == ("unknown", True)
    caller.machine.clock.advance(15 * 60)
    told = caller.post(f"runs/{run}/check", {"reason": "look"}, headers={"Nightshift-Target": None}).json()
    assert (told["items"][0]["outcome"], told["items"][0]["type"]) == ("failed", "not-taken")
    again = caller.post(f"runs/{told['id']}/retry", {"reason": "go"}, headers={"Nightshift-Target": None})
    assert (again.status_code, counted(again.json())) == (200, {"done": 1})
    assert caller.job(job).status == "Waiting"
    assert caller.actions(job) == 2


def test_a_reading_that_breaks_off_is_repeated(caller: Caller) -> None:
    job = caller.failed_job()
    caller.system.faults.add("cut", kind="read", job=job, times=2)
    assert caller.hurried(job).status_code == 200


def test_f3_a_redirect_is_not_followed_and_has_changed_nothing(caller: Caller) -> None:
    job = caller.failed_job()
    caller.system.faults.add("redirect", kind="action", job=job, times=None)
    problem(caller.requeue(job), 424, "access-denied")
    assert caller.actions(job) == 1
    caller.system.faults.clear()
    job = caller.failed_job()
    caller.system.faults.add("redirect", job=job, times=None)
    problem(caller.requeue(job), 424, "access-denied")
    assert len(caller.system.book.calls(job=job)) == 1
    assert {call.host for call in caller.system.book.calls()} == {caller.system.url.removeprefix("http://")}


def test_a_wrong_address_is_told_from_a_wrong_id(caller: Caller) -> None:
    job = caller.failed_job()
    caller.system.faults.add("html", kind="read", status=404, job=job, times=None)
    problem(caller.requeue(job), 424, "answer-not-understood")


@pytest.mark.slow
def test_an_issuer_that_is_down_is_told_from_a_wrong_secret() -> None:
    """Needs an app of its own, which has no token yet."""
    with Machine(NO_TIMERS) as machine:
        machine.landscape.issuer.faults.add("status", status=503, kind="token", times=None)
        caller = Caller(machine)
        accepted = caller.post(
            REQUEUE,
            {"batchJobId": caller.failed_job(), "giveUpAfter": 1},
            headers={"Nightshift-Target": None, "Prefer": "respond-async"},
        )
        problem(caller.result(accepted), 424, "issuer-unavailable")


def test_every_call_names_app_and_run(caller: Caller) -> None:
    job = caller.failed_job()
    answer = caller.requeue(job)
    calls = caller.system.book.calls(job=job)
    assert [call.kind for call in calls] == ["read", "action"]
    assert {call.correlation_id for call in calls} == {answer.headers["Nightshift-Run"]}
    assert all((call.user_agent or "").startswith("Nightshift/") for call in calls)


def test_nothing_secret_is_logged(caller: Caller) -> None:
    answer = caller.requeue(caller.failed_job(), Prefer="respond-async")
    caller.result(answer)
    caller.requeue(caller.failed_job(), Nightshift_Target="wrong")
    log = caller.machine.host.log()
    assert answer.headers["Nightshift-Run"] in log
    identities = caller.machine.landscape.issuer.identities
    ticket = answer.headers["Location"].partition("ticket=")[2]
    for secret in (identities.client_secret, caller.machine.host.function_key, ticket, "this-is-not", "eyJ"):
        assert secret not in log
