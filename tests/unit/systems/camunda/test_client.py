"""What the Camunda client makes of each answer of an engine, of what stands before it, and of none at all."""

from typing import Any

import pytest

from local.simulators.camunda.behaviour import CHANGES
from shared.core.outcome import Ending, Outcome
from shared.core.problems import (
    AccessDenied,
    AnswerNotUnderstood,
    CredentialsRefused,
    ItemProblem,
    NoAnswer,
    RefusedBySystem,
    TargetUnreachable,
    Throttled,
)
from shared.systems.camunda.batches import documented, set_retries
from shared.systems.camunda.jobs import Change, count_of, failed_page, jobs_by_id
from shared.systems.camunda.selection import version_of
from shared.transport.connection import Connection
from tests.unit.systems.camunda.engine import FIELDS, RUN, Canned, Rig, whole_text

ONE = Change(retries=1)
SECRET = "hunter2-of-the-database"
BASIC = {"AUTH": "basic", "USERNAME": "demo", "PASSWORD": "demo-secret-of-camunda"}
STATIC = {"AUTH": "bearer", "TOKEN": "token-of-a-gateway-before-camunda"}
WRONG: tuple[dict[str, str], ...] = ({}, BASIC | {"PASSWORD": SECRET}, STATIC | {"TOKEN": SECRET})
DUE = "2099-01-02T03:04:05.000+0000"
NO_ERRORS = ((500, {"type": "x"}), (500, {"message": "x"}), (201, {"id": "b"}), (204, b""))
ODD: tuple[object, ...] = (b"", [], {}, {"id": 1}, {"id": None}, b"\xff")
NO_BATCHES = (*((200, one) for one in ODD), *NO_ERRORS)


def sent(rig: Rig, change: Change = ONE, connection: Connection | None = None) -> Outcome:
    return set_retries(connection or rig.connection, change, rig.failed(1), RUN)


def refused(
    rig: Rig, kind: type[ItemProblem], change: Change = ONE, connection: Connection | None = None
) -> ItemProblem:
    with pytest.raises(ItemProblem) as caught:
        sent(rig, change, connection)
    assert type(caught.value) is kind
    return caught.value


def test_a_batch_is_answered_with_its_14_fields(rig: Rig) -> None:
    outcome = set_retries(rig.connection, Change(retries=3), rig.failed(2), RUN)
    (batch,) = rig.engine.batches()
    assert (outcome.ending, outcome.sent, outcome.upstream_status) == (Ending.DONE, True, 200)
    assert outcome.reason == f"Batch {batch.id} sets the job's retries to 3."
    answer = outcome.answer or {}
    assert list(answer) == FIELDS
    told = {"id": batch.id, "type": "set-job-retries", "totalJobs": 2, "suspended": False, "createUserId": None}
    assert answer | told == answer


@pytest.mark.parametrize("version", ["7.17.0", "7.18.0", "7.19.0", "7.24.0", "1.0.3"])
@pytest.mark.parametrize(
    ("change", "jobs"), [(Change(retries=-1), ["x"]), (ONE, []), (Change(retries=99_999_999_999), ["x"])]
)
def test_a_mistake_is_refused_whatever_status_the_engine_gives_it(
    rig: Rig, version: str, change: Change, jobs: list[str]
) -> None:
    rig.behaviour.version = version
    with pytest.raises(RefusedBySystem) as caught:
        set_retries(rig.connection, change, jobs, RUN)
    assert caught.value.members["upstreamStatus"] in (400, 500)
    assert len(rig.calls()) == 1
    assert rig.clock.slept == []


@pytest.mark.parametrize(
    ("change", "jobs", "status", "kind", "text"),
    [
        (Change(retries=-1), ["x"], 500, "ProcessEngineException", "Retries count is not greater than or equal to 0"),
        (ONE, [], 500, "ProcessEngineException", "ENGINE-13050 You must specify at least one of jobIds or jobQuery."),
        (Change(retries=1, due="at", due_date="soon"), ["x"], 400, "InvalidRequestException", "400 with application"),
    ],
)
def test_a_refusal_tells_what_the_engine_said(
    rig: Rig, change: Change, jobs: list[str], status: int, kind: str, text: str
) -> None:
    with pytest.raises(RefusedBySystem) as caught:
        set_retries(rig.connection, change, jobs, RUN)
    assert caught.value.members == {"upstreamStatus": status, "upstreamCode": kind}
    assert caught.value.detail.startswith(f"Camunda says: {text}")


def test_jacksons_plain_text_is_a_refusal_that_is_not_quoted(rig: Rig) -> None:
    rig.behaviour.malformed = "text"
    problem = refused(rig, RefusedBySystem, Change(retries=1, due="at", due_date="soon"))
    assert problem.detail == "Camunda says: 400 with text/plain"
    assert "deserialize" not in whole_text(problem)


def test_the_missing_right_is_named(rig: Rig) -> None:
    rig.behaviour.lacks = frozenset(CHANGES)
    problem = refused(rig, AccessDenied)
    assert problem.detail == "Camunda returned 403 for the app's credential (CREATE on Batch)."
    assert problem.members == {"upstreamStatus": 403, "upstreamCode": "AuthorizationException"}
    assert rig.engine.batches() == []


@pytest.mark.parametrize("missing", [None, [], [1], "x", [{}]])
def test_a_403_that_names_no_right_is_one_too(missing: object) -> None:
    body = {"type": "AuthorizationException", "message": SECRET, "missingAuthorizations": missing}
    with Canned((403, body)) as canned, pytest.raises(AccessDenied) as caught:
        set_retries(canned.connection, ONE, ["x"], RUN)
    assert SECRET not in whole_text(caught.value)


@pytest.mark.parametrize("status", [400, 404])
def test_an_unknown_engine_is_a_wrong_url(rig: Rig, status: Any) -> None:  # noqa: ANN401 - one of two
    rig.behaviour.unknown_engine = status
    connection = rig.connect(URL=f"{rig.camunda.url}/engine/other")
    problem = refused(rig, AnswerNotUnderstood, connection=connection)
    assert problem.detail == f"Camunda returned {status}. Is the URL that of its REST API?"
    with pytest.raises(AnswerNotUnderstood):
        jobs_by_id(connection, ["x"], RUN)


def test_an_error_that_only_speaks_of_an_engine_is_a_refusal() -> None:
    told = {"type": "ProcessEngineException", "message": "The process engine is suspended", "code": 0}
    with Canned((500, told)) as canned, pytest.raises(RefusedBySystem):
        set_retries(canned.connection, ONE, ["x"], RUN)


@pytest.mark.parametrize(("path", "status"), [("/nothing", 404), ("/job", 405)])
def test_a_route_that_is_not_there_is_a_wrong_url(rig: Rig, path: str, status: int) -> None:
    problem = refused(rig, AnswerNotUnderstood, connection=rig.connect(URL=f"{rig.camunda.url}{path}"))
    assert problem.members["upstreamStatus"] == status


@pytest.mark.parametrize(
    ("told", "waits"),
    [
        ({}, 2),
        ({"retry_after": 7}, 7),
        ({"retry_after": 600}, 600),
        ({"retry_after": 90, "retry_after_as_date": True}, 90),
    ],
)
def test_a_throttled_sending_is_not_repeated_here(rig: Rig, told: dict[str, Any], waits: float) -> None:
    rig.faults.add("throttle", **told, kind="action", times=None)
    problem = refused(rig, Throttled)
    assert problem.members["retryAfter"] == waits
    assert (len(rig.calls()), rig.engine.batches(), rig.clock.slept) == (1, [], [])


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"effect": "status", "status": 500, "message": "Something else"}, RefusedBySystem),
        ({"effect": "status", "status": 503}, NoAnswer),
        ({"effect": "status", "status": 415}, RefusedBySystem),
        ({"effect": "status", "status": 409}, RefusedBySystem),
        ({"effect": "html", "status": 413}, RefusedBySystem),
        ({"effect": "status", "status": 408}, NoAnswer),
        ({"effect": "status", "status": 502}, NoAnswer),
        ({"effect": "status", "status": 504}, NoAnswer),
        ({"effect": "html", "status": 500}, NoAnswer),
        ({"effect": "html", "status": 502}, NoAnswer),
        ({"effect": "html", "status": 504}, NoAnswer),
        ({"effect": "html"}, NoAnswer),
        ({"effect": "malformed"}, NoAnswer),
        ({"effect": "cut"}, NoAnswer),
        ({"effect": "redirect"}, AccessDenied),
        ({"effect": "html", "status": 401}, AccessDenied),
        ({"effect": "html", "status": 403}, AccessDenied),
        ({"effect": "html", "status": 404}, AnswerNotUnderstood),
    ],
    ids=str,
)
@pytest.mark.parametrize("after", [False, True])
def test_an_odd_answer_is_the_right_problem_and_no_second_sending(
    rig: Rig, fault: dict[str, Any], kind: type[ItemProblem], *, after: bool
) -> None:
    page = {"message": SECRET} if fault["effect"] == "html" else {}
    rig.faults.add(**{**fault, **page, "after": after}, kind="action", times=None)
    problem = refused(rig, kind)
    assert SECRET not in whole_text(problem)
    assert rig.kinds() == ["action"]
    assert len(rig.engine.batches()) == int(after or fault["effect"] == "malformed")
    assert {call.host.partition(":")[0] for call in rig.camunda.book.calls()} == {"127.0.0.1"}


@pytest.mark.parametrize("version", ["7.17.0", "7.24.0"])
@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_lock_that_somebody_held_is_met_by_the_same_call_again(rig: Rig, version: str, times: int) -> None:
    rig.behaviour.version = version
    rig.faults.add("conflict", kind="action", times=times)
    assert sent(rig).ending is Ending.DONE
    assert (len(rig.calls()), len(rig.engine.batches())) == (times + 1, 1)
    assert rig.clock.slept == [0.2, 1.0, 3.0][:times]


@pytest.mark.parametrize("version", ["7.17.0", "7.24.0"])
def test_a_lock_that_stays_is_a_throttled_engine(rig: Rig, version: str) -> None:
    rig.behaviour.version = version
    rig.faults.add("conflict", kind="action", times=None)
    problem = refused(rig, Throttled)
    assert problem.members["retryAfter"] == 15
    assert (len(rig.calls()), rig.engine.batches()) == (4, [])


@pytest.mark.usefixtures("turned")
def test_code_1_alone_is_a_lock() -> None:
    told = {"type": "ProcessEngineException", "message": "x", "code": 1}
    with Canned((500, told), (200, {"id": "b"})) as canned:
        assert set_retries(canned.connection, ONE, ["x"], RUN).ending is Ending.DONE
        assert len(canned.received) == 2


@pytest.mark.parametrize(("status", "kind"), [(400, RefusedBySystem), (200, NoAnswer)])
def test_code_1_is_a_lock_only_of_a_rolled_back_command(status: int, kind: type[ItemProblem]) -> None:
    with Canned((status, {"type": "x", "message": "x", "code": 1})) as canned, pytest.raises(kind):
        set_retries(canned.connection, ONE, ["x"], RUN)
    assert len(canned.received) == 1


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"id": "b", "suspened": True}, {"id": "b", "suspended": True}),
        ({"id": "b", "suspened": True, "suspended": False}, {"id": "b", "suspended": False}),
        ({"id": "b", "totalJobs": 2, "more": {"x": 1}}, {"id": "b", "totalJobs": 2}),
        ({"id": "b"}, {"id": "b"}),
    ],
)
def test_whatever_members_are_told_there_are_14(told: dict[str, Any], expected: dict[str, Any]) -> None:
    whole = dict.fromkeys(FIELDS) | expected
    with Canned((200, told)) as canned:
        answer = set_retries(canned.connection, ONE, ["x"], RUN).answer
    assert answer == documented(told) == whole
    assert list(answer or {}) == FIELDS


@pytest.mark.parametrize(("status", "content"), NO_BATCHES)
def test_what_is_no_batch_is_no_answer(status: int, content: object) -> None:
    with Canned((status, content)) as canned, pytest.raises(NoAnswer):
        set_retries(canned.connection, ONE, ["x"], RUN)


def test_what_the_engine_said_is_bounded() -> None:
    told = {"type": "T" * 9000, "message": "m" * 9000, "code": 0}
    with Canned((500, told)) as canned, pytest.raises(RefusedBySystem) as caught:
        set_retries(canned.connection, ONE, ["x"], RUN)
    assert len(caught.value.detail) < 600
    assert len(caught.value.members["upstreamCode"]) == 100


@pytest.mark.parametrize(
    ("change", "due"),
    [
        (ONE, {}),
        (Change(retries=1, due="now"), {"dueDate": None}),
        (
            Change(retries=1, due="at", due_date=DUE),
            {"dueDate": DUE},
        ),
    ],
)
def test_only_what_is_meant_is_sent(change: Change, due: dict[str, Any]) -> None:
    with Canned((200, {"id": "b"})) as canned:
        set_retries(canned.connection, change, ["x", "y"], RUN)
    assert canned.received == [("POST", "/engine-rest/job/retries", {"retries": 1, "jobIds": ["x", "y"], **due})]


@pytest.mark.parametrize(
    ("fault", "kind", "calls"),
    [
        ({"effect": "cut"}, TargetUnreachable, 3),
        ({"effect": "cut", "after": True}, TargetUnreachable, 3),
        ({"effect": "status", "status": 502}, TargetUnreachable, 1),
        ({"effect": "html", "status": 504}, TargetUnreachable, 1),
        ({"effect": "throttle", "retry_after": 3}, Throttled, 4),
        ({"effect": "status", "status": 503, "retry_after": 600}, Throttled, 1),
        ({"effect": "html"}, AnswerNotUnderstood, 1),
        ({"effect": "malformed"}, AnswerNotUnderstood, 1),
        ({"effect": "redirect"}, AccessDenied, 1),
        ({"effect": "status", "status": 500}, AnswerNotUnderstood, 1),
        ({"effect": "status", "status": 404}, AnswerNotUnderstood, 1),
        ({"effect": "status", "status": 401}, AccessDenied, 1),
        ({"effect": "status", "status": 403}, AccessDenied, 1),
    ],
    ids=str,
)
def test_an_odd_answer_to_a_reading_never_leaves_anything_unknown(
    rig: Rig, fault: dict[str, Any], kind: type[ItemProblem], calls: int
) -> None:
    rig.faults.add(**fault, times=None)
    for reading in (
        lambda: jobs_by_id(rig.connection, ["x"], RUN),
        lambda: failed_page(rig.connection, 0, 10, RUN),
        lambda: count_of(rig.connection, {}, RUN),
    ):
        rig.camunda.book.clear()
        with pytest.raises(ItemProblem) as caught:
            reading()
        assert type(caught.value) is kind
        assert len(rig.calls()) == calls


@pytest.mark.parametrize("fault", [{"effect": "cut"}, {"effect": "throttle", "retry_after": 3}], ids=str)
def test_a_reading_is_repeated(rig: Rig, fault: dict[str, Any]) -> None:
    rig.faults.add(**fault, times=2)
    assert list(jobs_by_id(rig.connection, rig.failed(1), RUN)) == [rig.engine.jobs()[0].id]
    assert len(rig.calls()) == 3


@pytest.mark.parametrize("content", [{}, None, [1], [[]], [{}], [{"id": "x"}], [{"id": "x", "retries": "many"}], 5])
def test_what_are_no_jobs_is_not_understood(content: object) -> None:
    with Canned((200, content)) as canned, pytest.raises(AnswerNotUnderstood):
        jobs_by_id(canned.connection, ["x"], RUN)


@pytest.mark.parametrize(
    "told", [{}, None, [], *({"count": odd} for odd in (None, True, "3", 1.5)), (404, {"count": 3})]
)
def test_what_is_no_count_is_not_understood(told: object) -> None:
    with Canned(told if isinstance(told, tuple) else (200, told)) as canned, pytest.raises(AnswerNotUnderstood):
        count_of(canned.connection, {}, RUN)


def entra(rig: Rig) -> dict[str, str]:
    names = ("AUTH", "TENANT", "CLIENT_ID", "CLIENT_SECRET", "AUTHORITY", "CA_FILE")
    known = {name: rig.landscape.settings[f"TARGETS__FO__{name}"] for name in names}
    return {**known, "SCOPE": f"{rig.behaviour.audience}/.default"}


def credential(rig: Rig, auth: Any) -> dict[str, str]:  # noqa: ANN401 - one of four
    rig.behaviour.auth = auth
    return {"none": {}, "basic": BASIC, "static": STATIC, "bearer": entra(rig)}[auth]


@pytest.mark.parametrize(("auth", "user"), [("none", None), ("basic", "demo"), ("static", "demo"), ("bearer", "app")])
def test_each_kind_of_credential_comes_in(rig: Rig, auth: str, user: str | None) -> None:
    connection = rig.connect(**credential(rig, auth))
    outcome = sent(rig, connection=connection)
    client = rig.landscape.issuer.identities.client_id
    assert (outcome.answer or {})["createUserId"] == (client if user == "app" else user)
    assert str(version_of(connection, RUN)) == "7.24.0"
    assert {call.with_token for call in rig.camunda.book.calls()} == {auth != "none"}


@pytest.mark.parametrize("auth", ["basic", "static", "bearer"])
@pytest.mark.parametrize("wrong", WRONG, ids=["none", "basic", "bearer"])
def test_a_wrong_credential_is_one_call(rig: Rig, auth: str, wrong: dict[str, str]) -> None:
    credential(rig, auth)
    problem = refused(rig, AccessDenied, connection=rig.connect(**wrong))
    assert problem.detail == "Camunda returned 401 for the app's credential."
    assert SECRET not in whole_text(problem)
    assert len(rig.calls()) == 1


@pytest.mark.parametrize(
    ("auth", "calls", "tokens"), [("none", 1, 0), ("basic", 1, 0), ("static", 1, 0), ("bearer", 2, 2)]
)
def test_only_a_token_that_can_be_renewed_is_renewed_at_a_401(rig: Rig, auth: str, calls: int, tokens: int) -> None:
    connection = rig.connect(**credential(rig, auth))
    rig.faults.add("status", status=401, times=None)
    refused(rig, AccessDenied, connection=connection)
    assert (len(rig.calls()), len(rig.landscape.issuer.book.requests())) == (calls, tokens)
    assert rig.engine.batches() == []


def test_a_401_once_is_met_with_a_new_token(rig: Rig) -> None:
    connection = rig.connect(**credential(rig, "bearer"))
    rig.faults.add("status", status=401)
    assert sent(rig, connection=connection).ending is Ending.DONE
    assert [call.status for call in rig.camunda.book.calls()] == [401, 200]
    assert len(rig.landscape.issuer.book.requests()) == 2
    assert len(rig.engine.batches()) == 1


def test_without_a_token_nothing_is_sent(rig: Rig) -> None:
    wrong = {**credential(rig, "bearer"), "CLIENT_SECRET": SECRET}
    problem = refused(rig, CredentialsRefused, connection=rig.connect(**wrong))
    assert SECRET not in whole_text(problem)
    assert rig.calls() == []
