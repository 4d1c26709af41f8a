"""What Finance & Operations says, in every spelling, and what callers may ask of it."""

import json
import random
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.outcome import Ending, Outcome
from shared.core.problems import (
    AccessDenied,
    AnswerNotUnderstood,
    ItemNotFailed,
    ItemNotFound,
    ItemProblem,
    ItemRunning,
    ItemWaiting,
    NoAnswer,
    NotJson,
    NotTaken,
    NotValid,
    OutcomeUnknown,
    RefusedBySystem,
    Throttled,
)
from shared.execution.single import SendRules, perform
from shared.policy.rules import Facts
from shared.storage.base import Store
from shared.storage.sqlite import SqliteStore
from shared.systems.finance_operations.action import documented, read_action
from shared.systems.finance_operations.actions import Requeueing, facts
from shared.systems.finance_operations.jobs import BatchJob, Ended, Status, job_in, refusal_of
from shared.systems.finance_operations.requests import Requeue, named, requeue, requeue_native
from shared.systems.requests import ItemRef, RunRequest
from shared.transport.connection import Reply
from shared.validation.request import Call
from tests.conftest import TurnedClock
from tests.unit.systems.finance_operations.replying import ENTITY, JOB, Replying, reply

TOLD = {
    "ResponseStatusCode": 200,
    "IsSuccess": True,
    "Batch JobId": JOB,
    "ExceptionDetails": "",
    "reponseMessage": f"Status of supplied BatchJobId: {JOB} is Successfully updated to waiting state",
}
REFUSED = {**TOLD, "ResponseStatusCode": 500, "IsSuccess": False, "ExceptionDetails": "It is locked."}
ERROR = {"error": {"code": "", "message": "An error has occurred."}}
EXCEPTION = {"error": {**ERROR["error"], "innererror": {"message": "Update conflict.", "stacktrace": "   at Dynamics"}}}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return SqliteStore(str(tmp_path / "store.db"))


def in_text(told: object) -> dict[str, object]:
    return {"@odata.context": "http://x/data/$metadata#Edm.String", "value": json.dumps(told)}


def in_value(told: object) -> dict[str, object]:
    return {"@odata.context": "http://x/data/$metadata#BatchJobs", "value": told}


@st.composite
def spelled(draw: st.DrawFn, told: Mapping[str, Any]) -> dict[str, Any]:
    """Spell the names as some version of the documents might: other case, other spaces, one letter more."""
    chance = random.Random(draw(st.integers(0, 2**32)))  # noqa: S311 - no secret
    found = {}
    for name, value in told.items():
        whole = name.replace("reponse", chance.choice(["reponse", "response"]))
        letters = [chance.choice([letter.lower(), letter.upper()]) for letter in whole]
        found["".join(chance.choice(["", "", " ", "\t"]) + letter for letter in letters)] = value
    return found


SHAPES = [lambda told: told, in_text, in_value]


def test_the_documented_answer_is_done() -> None:
    outcome = read_action(reply(200, TOLD), JOB)
    assert (outcome.ending, outcome.sent, outcome.upstream_status, outcome.problem) == (Ending.DONE, True, 200, None)
    assert outcome.answer == TOLD
    assert list(outcome.answer) == list(TOLD)
    assert outcome.native == json.dumps(TOLD)


@given(told=spelled(TOLD), shape=st.sampled_from(SHAPES))
def test_a_success_is_read_in_any_spelling_and_shape(told: dict[str, Any], shape: Any) -> None:  # noqa: ANN401 - one of SHAPES
    outcome = read_action(reply(200, shape(told)), JOB)
    assert (outcome.ending, outcome.answer) == (Ending.DONE, TOLD)


@given(told=spelled(REFUSED), shape=st.sampled_from(SHAPES))
def test_a_refusal_is_read_in_any_spelling_and_shape(told: dict[str, Any], shape: Any) -> None:  # noqa: ANN401 - one of SHAPES
    with pytest.raises(RefusedBySystem, match=r"It is locked\."):
        read_action(reply(200, shape(told)), JOB)


@pytest.mark.parametrize("status", [200, 204])
def test_no_content_is_done(status: int) -> None:
    outcome = read_action(reply(status), JOB)
    assert outcome.ending is Ending.DONE
    assert outcome.answer == {**TOLD, "reponseMessage": ""}
    assert outcome.native == ""


def test_without_a_verdict_the_status_inside_judges() -> None:
    assert read_action(reply(200, {"ResponseStatusCode": 200}), JOB).ending is Ending.DONE
    with pytest.raises(RefusedBySystem):
        read_action(reply(200, {"ResponseStatusCode": 500}), JOB)


@pytest.mark.parametrize(
    "content",
    [
        *[{}, [], "x", 1, None, True, [TOLD], in_value(None), in_value([TOLD]), in_text([TOLD]), {"value": "no JSON"}],
        *[{"IsSuccess": "true"}, {"IsSuccess": 1}, {"IsSuccess": None}, {"Success": True}, {"value": in_text(TOLD)}],
        *[b"{", b"\xff", b"<!DOCTYPE html>", b"null", b'{"IsSuccess": tru', ERROR, {"ResponseStatusCode": "200"}],
    ],
)
def test_what_says_nothing_is_never_taken_for_done(content: object) -> None:
    with pytest.raises(NoAnswer):
        read_action(reply(200, content), JOB)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "told",
    [
        {**TOLD, "ResponseStatusCode": 500},
        {"IsSuccess": True, "ResponseStatusCode": 404},
        {**TOLD, "Batch JobId": JOB + 1},
        {**TOLD, "Batch JobId": None},
        {"IsSuccess": True, "batch jobid": "1"},
        {**REFUSED, "Batch JobId": JOB + 1},
        {**TOLD, "isSuccess": False},
        {**TOLD, "issuccess": True},
        {"IsSuccess": True, "Is Success": True},
        {"reponseMessage": "a", "ResponseMessage": "b", "IsSuccess": True},
    ],
)
def test_an_answer_that_contradicts_itself_is_none(told: dict[str, Any], shape: Any) -> None:  # noqa: ANN401 - one of SHAPES
    with pytest.raises(NoAnswer) as caught:
        read_action(reply(200, shape(told)), JOB)
    assert Outcome.of(caught.value).sent is True


@pytest.mark.parametrize("told", [{**TOLD, "Batch JobId": str(JOB)}, {**TOLD, "ResponseStatusCode": 201}])
def test_an_answer_that_only_spells_it_otherwise_is_done(told: dict[str, Any]) -> None:
    assert read_action(reply(200, told), JOB).ending is Ending.DONE


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize("content", [b"", b"<html>", TOLD, ERROR])
def test_a_redirect_to_the_action_is_no_answer(status: int, content: object) -> None:
    with pytest.raises(NoAnswer) as caught:
        read_action(reply(status, content), JOB)
    assert Outcome.of(caught.value).sent is True


SAYS_SO = [TOLD, in_text(TOLD), in_value(TOLD), {"IsSuccess": True}, {"ResponseStatusCode": 200}]
SAYS_NOTHING = [
    *[{}, [], "x", None, ERROR, EXCEPTION, REFUSED, in_text(REFUSED), in_value(REFUSED), in_value(None)],
    *[b"{", b"<html>", b"\xff\xfe", {"IsSuccess": "true"}, {"value": 1}, {"error": "x"}, {"error": {"innererror": 1}}],
]


@pytest.mark.parametrize("status", range(100, 600))
def test_no_status_is_taken_for_done_unless_the_system_says_so(status: int) -> None:
    for content in [b"", *SAYS_SO, *SAYS_NOTHING]:
        try:
            found: Outcome | ItemProblem = read_action(reply(status, content), JOB)
        except ItemProblem as problem:
            found = problem
        says_so = (status == 200 and (content in SAYS_SO or content == b"")) or status == 204
        assert isinstance(found, Outcome) == says_so, content
        if isinstance(found, Outcome):
            assert found.ending is Ending.DONE
        else:
            assert Outcome.of(found).ending is not Ending.DONE


@pytest.mark.parametrize("status", [100, 201, 202, 206, 408, 500, 501, 502, 504, 505, 520, 599])
@pytest.mark.parametrize("content", [b"", b"<html>", TOLD, ERROR])
def test_what_leaves_open_whether_it_happened_is_no_answer(status: int, content: object) -> None:
    with pytest.raises(NoAnswer) as caught:
        read_action(reply(status, content), JOB)
    assert Outcome.of(caught.value).sent is True
    assert caught.value.members["upstreamStatus"] == status


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AccessDenied), (403, AccessDenied), (429, Throttled), (503, Throttled)]
)
@pytest.mark.parametrize("content", [b"", b"<html>", TOLD, EXCEPTION])
def test_a_call_that_was_turned_away_took_no_effect(status: int, kind: type[ItemProblem], content: object) -> None:
    with pytest.raises(kind) as caught:
        read_action(reply(status, content), JOB)
    assert Outcome.of(caught.value).sent is False
    with pytest.raises(kind):
        job_in(reply(status, content), JOB)


@pytest.mark.parametrize("status", [400, 404, 405, 409, 412, 415, 422, 451, 499])
@pytest.mark.parametrize("content", [b"", b"<html>", ERROR, EXCEPTION])
def test_a_mistake_of_ours_is_refused_by_the_system(status: int, content: object) -> None:
    with pytest.raises(RefusedBySystem) as caught:
        read_action(reply(status, content), JOB)
    assert caught.value.members["upstreamStatus"] == status


def test_an_exception_of_the_business_logic_is_told_without_its_stack() -> None:
    with pytest.raises(RefusedBySystem, match=r"Update conflict\.") as caught:
        read_action(reply(500, EXCEPTION), JOB)
    assert "Dynamics" not in str(caught.value)


def test_a_code_of_the_system_is_kept() -> None:
    with pytest.raises(RefusedBySystem, match="Not so") as caught:
        read_action(reply(400, {"error": {"code": "X7", "message": "Not so."}}), JOB)
    assert caught.value.members == {"upstreamStatus": 400, "upstreamCode": "X7"}


def test_what_the_system_says_is_cut_to_a_length() -> None:
    with pytest.raises(RefusedBySystem) as caught:
        read_action(reply(200, {**REFUSED, "ExceptionDetails": "x" * 100_000}), JOB)
    assert len(caught.value.detail) < 600


def test_a_shape_is_told_without_its_content() -> None:
    with pytest.raises(NoAnswer) as caught:
        read_action(reply(502, b"<html>hunter2</html>", "text/html; charset=utf-8"), JOB)
    assert "502 with text/html." in caught.value.detail
    assert "hunter2" not in str(caught.value) + repr(caught.value)


def test_an_answer_is_told_in_the_documented_spelling_and_order() -> None:
    assert documented({"issuccess": True, "BATCHJOBID": 1, "other": 2}) == {
        "ResponseStatusCode": 200,
        "IsSuccess": True,
        "Batch JobId": 1,
        "ExceptionDetails": "",
        "reponseMessage": "",
    }


def test_a_job_is_read() -> None:
    job = job_in(reply(200, {"@odata.context": "x", **ENTITY}), JOB)
    assert (job.BatchJobRecId, job.Status, job.episode) == (JOB, "Error", "Error b")


def test_a_job_whose_id_is_text_is_read() -> None:
    assert job_in(reply(200, {**ENTITY, "BatchJobRecId": str(JOB)}), JOB).BatchJobRecId == JOB


def test_another_end_is_another_episode() -> None:
    first = BatchJob.model_validate(ENTITY)
    assert first.episode == BatchJob.model_validate({**ENTITY, "StartDateTime": "c"}).episode
    assert first.episode != BatchJob.model_validate({**ENTITY, "EndDateTime": "c"}).episode
    assert first.episode != BatchJob.model_validate({**ENTITY, "Status": "Finished"}).episode


def test_a_job_that_is_not_there_was_never_sent() -> None:
    with pytest.raises(ItemNotFound, match=str(JOB)) as caught:
        job_in(reply(404, ERROR), JOB)
    assert Outcome.of(caught.value).sent is False


@pytest.mark.parametrize("status", range(100, 600))
def test_only_200_with_a_job_is_a_job(status: int) -> None:
    contents: list[object] = [b"", b"<html>", [], ERROR, {"value": [ENTITY]}, {**ENTITY, "Status": None}]
    for content in [*contents, {"Status": "Error"}]:
        with pytest.raises(ItemProblem) as caught:
            job_in(reply(status, content), JOB)
        assert Outcome.of(caught.value).sent is False
    if status != 200:
        with pytest.raises(ItemProblem):
            job_in(reply(status, ENTITY), JOB)


def test_f1_a_404_without_a_body_is_a_job_that_is_not_there() -> None:
    with pytest.raises(ItemNotFound):
        job_in(reply(404, b""), JOB)


def test_a_page_that_is_not_the_service_is_told_from_a_missing_job() -> None:
    with pytest.raises(AnswerNotUnderstood):
        job_in(reply(404, b"<html>", "text/html"), JOB)


@pytest.mark.parametrize("status", [*Status, "", "Paused", "error", "ERROR"])
def test_only_a_job_in_an_allowed_state_passes(status: str) -> None:
    job = BatchJob.model_validate({**ENTITY, "Status": status})
    refusals = {
        **dict.fromkeys(["Executing", "Cancelling"], ItemRunning),
        **dict.fromkeys(["Waiting", "Ready", "Scheduled"], ItemWaiting),
    }
    kinds: tuple[Ended, ...] = get_args(Ended)
    for allowed in [(kind,) for kind in kinds] + [kinds]:
        refusal = refusal_of(job, allowed)
        if status in allowed:
            assert refusal is None
        else:
            assert isinstance(refusal, refusals.get(status, ItemNotFailed))
            assert f"{JOB} is {status}" in refusal.detail
            assert Outcome.of(refusal).ending is Ending.SKIPPED


def call(body: object, **headers: str) -> Call:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    url = "http://localhost/api/finance-operations/requeue"
    return Call("POST", "requeue", url, {"content-type": "application/json", **named}, {}, {}, raw)


def test_a_requeue_is_one_operation_on_one_item() -> None:
    wanted = requeue(call({"batchJobId": JOB, "target": "FO", "reason": "why not", "fromStatuses": ["Finished"]}))
    operation = {"batch_job_id": JOB, "from_statuses": ["Finished"]}
    assert wanted == RunRequest("finance-operations", "FO", "why not", [ItemRef(str(JOB), operation)], single=True)
    assert Requeue.model_validate(wanted.items[0].operation) == Requeue(batch_job_id=JOB, from_statuses=("Finished",))


def test_a_native_requeue_is_the_same_operation() -> None:
    options = {"target": "FO", "reason": "why not", "fromStatuses": ["Error", "Canceled"]}
    wanted = requeue_native(call({"batchJobId": str(JOB), "nightshift": options}))
    operation = {"batch_job_id": JOB, "from_statuses": ["Error", "Canceled"]}
    items = [ItemRef(str(JOB), operation)]
    assert wanted == RunRequest("finance-operations", "FO", "why not", items, single=True, native=True)


@pytest.mark.parametrize("function", [requeue, requeue_native])
def test_without_options_a_failed_job_of_the_default_target_is_meant(function: Any) -> None:  # noqa: ANN401 - one of two functions
    wanted = function(call({"batchJobId": "007"}))
    assert (wanted.target, wanted.reason, wanted.single, wanted.mode) == (None, None, True, "perform")
    assert wanted.items == [ItemRef("7", {"batch_job_id": 7, "from_statuses": ["Error"]})]
    assert (wanted.override, wanted.cap, wanted.max_parallel, wanted.give_up_after) == (False, None, 8, None)


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/batchJobId"]),
        ({"batchJobID": 1}, ["/batchJobID"]),
        ({"batchJobId": 1, "batchJobIds": [1]}, ["/batchJobId", "/reason"]),
        ({"batchJobId": 1, "batchJobIds": [1], "reason": "why"}, ["/batchJobId"]),
        ({"batchJobIds": [1, 2]}, ["/reason"]),
        ({"batchJobIds": []}, ["/batchJobIds"]),
        ({"batchJobIds": [1, "0", None], "reason": "why"}, ["/batchJobIds/1", "/batchJobIds/2"]),
        ({"batchJobIds": [7, 1, "7", 1, 7], "reason": "why"}, ["/batchJobIds/2", "/batchJobIds/3", "/batchJobIds/4"]),
        ({"batchJobIds": [1] * 10_001, "reason": "why"}, ["/batchJobIds"]),
        ({"batchJobId": 1, "override": True}, ["/reason"]),
        ({"batchJobId": 1, "cap": 0, "maxParallel": 33, "giveUpAfter": 1441}, ["/cap", "/giveUpAfter", "/maxParallel"]),
        ({"batchJobId": 1, "dryRun": "true", "override": 1}, ["/dryRun", "/override"]),
        ({"batchJobId": True}, ["/batchJobId"]),
        ({"batchJobId": 0, "target": "", "reason": "x" * 501}, ["/batchJobId", "/reason", "/target"]),
        ({"batchJobId": 1, "fromStatuses": []}, ["/fromStatuses"]),
        ({"batchJobId": 1, "fromStatuses": ["error", "Hold"]}, ["/fromStatuses/0", "/fromStatuses/1"]),
        ({"batchJobId": 1, "fromStatuses": "Error"}, ["/fromStatuses"]),
        ({"batchJobId": 1, "target": 7, "x~/": 1}, ["/target", "/x~0~1"]),
        ([], [""]),
        (1, [""]),
    ],
)
def test_every_mistake_of_a_requeue_is_pointed_at(body: object, pointers: list[str]) -> None:
    with pytest.raises(NotValid) as caught:
        requeue(call(body))
    assert sorted(mistake.pointer or "" for mistake in caught.value.mistakes) == pointers


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"batchJobId": 1, "target": "fo"}, ["/target"]),
        ({"batchJobId": 1, "nightshift": {"cap": 0, "batchJobId": 1}}, ["/nightshift/batchJobId", "/nightshift/cap"]),
        ({"batchJobId": 1, "nightshift": {"override": True}}, ["/nightshift/reason"]),
        ({"batchJobId": "1.0", "nightshift": {"reason": 1}}, ["/batchJobId", "/nightshift/reason"]),
        ({"batchJobId": 1, "nightshift": None}, ["/nightshift"]),
        ({"batchJobId": 1, "Nightshift": {}}, ["/Nightshift"]),
    ],
)
def test_every_mistake_of_a_native_requeue_is_pointed_at(body: object, pointers: list[str]) -> None:
    with pytest.raises(NotValid) as caught:
        requeue_native(call(body))
    assert sorted(mistake.pointer or "" for mistake in caught.value.mistakes) == pointers


def test_an_id_that_comes_twice_is_refused_whichever_was_meant() -> None:
    with pytest.raises(NotJson) as caught:
        requeue(call(b'{"batchJobId": 1, "batchJobId": 2}'))
    assert [mistake.pointer for mistake in caught.value.mistakes] == ["/batchJobId"]


def test_a_target_may_be_named_in_the_body_or_in_the_header_or_in_both_alike() -> None:
    assert requeue(call({"batchJobId": 1, "target": "fo"})).target == "fo"
    assert requeue(call({"batchJobId": 1}, nightshift_target="fo")).target == "fo"
    assert requeue(call({"batchJobId": 1, "target": "fo"}, nightshift_target="FO")).target == "fo"
    assert requeue_native(call({"batchJobId": 1}, nightshift_target="fo")).target == "fo"


def test_two_different_targets_are_a_mistake() -> None:
    with pytest.raises(NotValid) as caught:
        requeue(call({"batchJobId": 1, "target": "fo"}, nightshift_target="other"))
    assert [mistake.pointer for mistake in caught.value.mistakes] == ["/target"]
    with pytest.raises(NotValid) as caught:
        requeue_native(call({"batchJobId": 1, "nightshift": {"target": "fo"}}, nightshift_target="other"))
    assert [mistake.pointer for mistake in caught.value.mistakes] == ["/nightshift/target"]


def test_a_list_is_as_many_items_and_no_single_call() -> None:
    wanted = requeue(call({"batchJobIds": [3, "1", 2], "reason": "why not", "cap": 2, "maxParallel": 4}))
    assert [item.id for item in wanted.items] == ["3", "1", "2"]
    assert [Requeue.model_validate(item.operation).batch_job_id for item in wanted.items] == [3, 1, 2]
    assert (wanted.single, wanted.reason, wanted.cap, wanted.max_parallel) == (False, "why not", 2, 4)


@pytest.mark.parametrize("body", [{"batchJobId": 1}, {"batchJobIds": [1], "reason": "why not"}])
def test_a_dry_run_is_a_plan_and_no_single_call(body: dict[str, object]) -> None:
    wanted = requeue(call({**body, "dryRun": True}))
    assert (wanted.mode, wanted.single) == ("plan", False)


def test_an_override_is_one_with_a_reason() -> None:
    wanted = requeue(call({"batchJobId": 1, "override": True, "reason": "why not", "giveUpAfter": 0}))
    assert (wanted.override, wanted.reason, wanted.give_up_after) == (True, "why not", 0)
    native = requeue_native(call({"batchJobId": 1, "nightshift": {"override": True, "reason": "why not"}}))
    assert (native.override, native.native, native.single) == (True, True, True)


def test_a_failed_job_is_an_item_that_rules_can_see() -> None:
    told = {**ENTITY, "JobDescription": "Invoice posting", "CompanyAccounts": "usmf"}
    item = named(BatchJob.model_validate(told))
    assert (item.id, item.episode) == (str(JOB), "Error b")
    assert item.about == {"job": "Invoice posting", "company": "usmf", "ended": "b"}
    assert Requeue.model_validate(item.operation) == Requeue(batch_job_id=JOB)
    assert facts(item, "fo") == Facts("fo", "Invoice posting", "usmf")
    assert facts(named(BatchJob.model_validate(ENTITY)), "fo") == Facts("fo")


def work(replying: Replying) -> Requeueing:
    return Requeueing(replying, Requeue(batch_job_id=JOB), "r1")


ODD = [
    *[
        b"\xff\xfe\x00",
        b'{"IsSuccess": "\\ud800"}',
        b'{"\\udfff": {"\\udfff": 1}}',
        b"[" * 100_000,
        b'{"value":' * 5000,
    ],
    *[b'{"IsSuccess": true, "ExceptionDetails": "\\ud800"}', b'{"IsSuccess": false, "ExceptionDetails": "\\udc00"}'],
    *[b"1" * 10_000, b'{"ResponseStatusCode": ' + b"1" * 5000 + b"}", b'{"ResponseStatusCode": 1e400}', b"NaN"],
    *[b'{"IsSuccess": true, "reponseMessage": NaN}', b'{"error": {"code": "\\ud800", "message": ["\\ud800"]}}'],
    *[
        b'{"error": {"code": {"a": [1]}, "innererror": {"message": {"a": 1}}}}',
        b'{"value": "{\\"IsSuccess\\": true, \\ud800"}',
    ],
    *[
        b'{"IsSuccess": true, "ExceptionDetails": ' + b"[" * 100 + b"]" * 100 + b"}",
        b'{"value": "' + b"[" * 5000 + b'"}',
    ],
    *[b'{"IsSuccess": false, "ExceptionDetails": ' + b"[" * 900 + b"]" * 900 + b"}"],
]
AGAIN = [
    "",
    "\u00b2",
    "9" * 400,
    "-1",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Mon, 01 Jan 0001 00:00:00 +2359",
    "0",
    "1e9",
    "\xff",
]


def sent_and_answered(store: Store, odd: Reply, run: str, turned: TurnedClock) -> None:
    """Requeue a job that is answered so: it ends with an outcome that is kept, or waits for a throttled system."""
    turned.turn(3600)
    seen, after = reply(200, ENTITY), reply(200, {**ENTITY, "Status": "Waiting"})
    terms = SendRules(lambda *_: "the rule", lambda: None, turned.now() + timedelta(hours=1))
    outcome = perform(store, "fo", run, work(Replying(seen, odd, after)), terms)
    if isinstance(outcome, Outcome):
        assert json.dumps(outcome.answer, ensure_ascii=False).encode()
        learned = perform(store, "fo", run, work(Replying(seen)), terms)
        assert isinstance(learned, Outcome)
        assert (learned.ending, learned.reason) == (outcome.ending, outcome.reason)
    else:
        assert odd.status in (429, 503)


@pytest.mark.parametrize("body", ODD, ids=range(len(ODD)))
def test_no_odd_answer_after_a_sending_is_more_than_a_problem(store: Store, turned: TurnedClock, body: bytes) -> None:
    """What escapes here would break a run which has sent."""
    for status in (200, 201, 204, 302, 400, 401, 404, 408, 500):
        sent_and_answered(store, Reply(status, {"Content-Type": "\xff"}, body), f"r{status}", turned)


@pytest.mark.parametrize("again", AGAIN)
def test_no_odd_wait_after_a_sending_is_more_than_a_problem(store: Store, turned: TurnedClock, again: str) -> None:
    for status in (429, 503):
        sent_and_answered(store, Reply(status, {"Retry-After": again}, b""), f"r{status}", turned)


@pytest.mark.parametrize("body", ODD, ids=range(len(ODD)))
def test_no_odd_answer_to_a_reading_is_more_than_a_problem(body: bytes) -> None:
    for status in (200, 404, 500):
        with pytest.raises(ItemProblem) as caught:
            work(Replying(Reply(status, {}, body))).look()
        assert caught.value.answer().body


@pytest.mark.parametrize("after", ["Waiting", "Ready", "Scheduled", "Executing", "Finished"])
def test_a_job_that_left_its_failure_shows_that_it_was_done(turned: TurnedClock, after: str) -> None:
    assert turned.slept == []
    outcome = work(Replying(reply(200, {**ENTITY, "Status": after}))).check("Error b")
    assert (outcome.ending, outcome.sent) == (Ending.DONE, True)
    assert outcome.answer == TOLD


@pytest.mark.parametrize("after", ["Hold", "Canceled", "NotRun", "Cancelling", "Paused"])
def test_a_job_that_shows_nothing_of_a_requeue_leaves_it_unknown(after: str) -> None:
    replying = Replying(reply(200, {**ENTITY, "Status": after}))
    with pytest.raises(OutcomeUnknown, match=after):
        work(replying).check("Error b")
    assert len(replying.asked) == 1


def test_a_job_that_shows_the_same_failure_was_not_requeued() -> None:
    replying = Replying(reply(200, {**ENTITY, "Status": "Error"}))
    episode = work(replying).look().episode
    with pytest.raises(NotTaken, match="The job is Error, as it was before"):
        work(replying).check(episode)
