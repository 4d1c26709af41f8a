"""What goes wrong between `set_retries` and the engine: the right outcome each time, and nothing twice in its book."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from local.simulators.camunda.behaviour import CHANGES, PASSWORD, TOKEN, USER
from local.stack import Machine
from tests.functions.calling import NO_TIMERS, TWICE, counted, problem, unpushed, wait_for
from tests.functions.camunda_calling import Retrier, items_of
from tests.functions.test_workers import kill_durable_workers

pytestmark = pytest.mark.slow


def settings_of(machine: Machine) -> dict[str, str]:
    """Return the engine as a target of each kind of credential."""
    known, issuer = machine.landscape.issuer.identities, machine.landscape.issuer
    entra = {
        "TENANT": known.tenant,
        "CLIENT_ID": known.client_id,
        "CLIENT_SECRET": known.client_secret,
        "AUTHORITY": issuer.url,
        "CA_FILE": str(machine.landscape.ca_file),
        "SCOPE": "api://camunda/.default",
    }
    kinds: dict[str, dict[str, str]] = {
        "basic": {"AUTH": "basic", "USERNAME": USER, "PASSWORD": PASSWORD},
        "bounded": {"AUTH": "basic", "USERNAME": USER, "PASSWORD": PASSWORD, "PAGE_SIZE": "7"},
        "wrong": {"AUTH": "basic", "USERNAME": USER, "PASSWORD": "not-the-password"},
        "static": {"AUTH": "bearer", "TOKEN": TOKEN},
        "entra": {"AUTH": "client-secret", **entra},
    }
    common = {"SYSTEM": "camunda", "URL": machine.landscape.camunda.url}
    return {
        f"TARGETS__{name.upper()}__{field}": value
        for name, kind in kinds.items()
        for field, value in {**common, **kind}.items()
    }


@pytest.fixture(scope="module", params=["once", TWICE])
def faulty(request: pytest.FixtureRequest) -> Iterator[Machine]:
    twice = request.param == "twice"
    with Machine(
        NO_TIMERS, more_targets=settings_of, deliver_twice=twice, durable_workers=2 if twice else 1
    ) as machine:
        yield machine


@pytest.fixture
def retrier(faulty: Machine) -> Iterator[Retrier]:
    retrier = Retrier(faulty)
    yield retrier
    retrier.camunda.faults.clear()
    faulty.landscape.issuer.faults.clear()


def history_of(retrier: Retrier) -> None:
    """Let the engine have a history of batches, without which no call can be shown to have come to nothing."""
    retrier.engine.make_batch([retrier.engine.add_job()], 1)
    retrier.machine.clock.advance(60)


def body_of(retrier: Retrier, count: int = 3, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - members of a body
    jobs = [retrier.engine.add_job() for _ in range(count)]
    return {"retries": 1, "jobIds": jobs, "nightshift": {"target": "camunda", **more}}


def made(retrier: Retrier) -> list[int]:
    """Return for how many jobs each batch was made; one of a single job is the engine's history."""
    return [len(batch.job_ids) for batch in retrier.engine.batches() if len(batch.job_ids) > 1]


def held(retrier: Retrier, body: dict[str, Any], *, after: bool = False) -> requests.Response:
    """Set retries up to the call, which is held before or after the engine acts on it, until the faults are cleared."""
    retrier.camunda.faults.add("hold", kind="action", times=1, after=after)
    accepted = retrier.retries(body, Prefer="respond-async")
    assert retrier.camunda.faults.wait_held(timeout=20)
    return accepted


def executions(retrier: Retrier, body: dict[str, Any]) -> set[int]:
    retrier.machine.clock.advance(60)
    return {retrier.engine.executions(job) for job in body["jobIds"]}


def outcomes(retrier: Retrier, answer: requests.Response) -> set[tuple[str, str | None]]:
    return {(item["outcome"], item.get("type")) for item in items_of(retrier.run(answer)).values()}


LOST = [
    {"effect": "cut", "after": True},
    {"effect": "malformed"},
    {"effect": "html", "after": True},
    {"effect": "html", "after": True, "status": 502},
    {"effect": "status", "status": 504, "after": True},
    {"effect": "status", "status": 408, "after": True},
    {"effect": "status", "status": 503, "after": True},
]


@pytest.mark.parametrize("fault", LOST, ids=lambda fault: "-".join(str(value) for value in fault.values()))
def test_a_lost_answer_is_found_and_nothing_is_sent_again(retrier: Retrier, fault: dict[str, Any]) -> None:
    body = body_of(retrier)
    more = {name: value for name, value in fault.items() if name != "effect"}
    retrier.camunda.faults.add(fault["effect"], kind="action", times=1, **more)
    answer = retrier.patient(body)
    assert (answer.status_code, answer.json()["id"]) == (200, retrier.engine.batches()[0].id)
    assert (made(retrier), executions(retrier, body)) == ([3], {1})


@pytest.mark.parametrize("fault", ["cut", "html"])
def test_a_call_that_came_to_nothing_is_made_again(retrier: Retrier, fault: Any) -> None:  # noqa: ANN401 - an effect
    history_of(retrier)
    body = body_of(retrier)
    retrier.camunda.faults.add(fault, kind="action", times=1)
    answer = retrier.patient(body)
    assert answer.status_code == 200
    assert (made(retrier), executions(retrier, body)) == ([3], {1})


def test_a_call_that_comes_to_nothing_each_time_has_failed(retrier: Retrier) -> None:
    history_of(retrier)
    body = body_of(retrier, giveUpAfter=45)
    retrier.camunda.faults.add("cut", kind="action", times=None)
    problem(retrier.patient(body), 424, "not-taken")
    assert made(retrier) == []
    assert 4 <= len(retrier.camunda.book.calls(kind="action")) <= 6


def test_a_cut_call_stays_unknown_where_no_history_tells_until_a_person_asks(retrier: Retrier) -> None:
    retrier.camunda.behaviour.history = "none"
    body = body_of(retrier)
    retrier.camunda.faults.add("cut", kind="action", times=1)
    answer = retrier.patient(body)
    problem(answer, 409, "outcome-unknown")
    assert len(retrier.camunda.book.calls(kind="action")) == 1
    run = answer.headers["Nightshift-Run"]
    told = retrier.checked(run)
    assert {item["outcome"] for item in told["items"]} == {"unknown"}
    retrier.camunda.behaviour.history = "full"
    retrier.engine.make_batch(body["jobIds"], 1)
    retrier.machine.clock.advance(5)
    told = retrier.checked(run)
    assert {item["outcome"] for item in told["items"]} == {"done"}


def test_a_check_can_be_checked_and_retried(retrier: Retrier) -> None:
    retrier.camunda.behaviour.history = "none"
    body = body_of(retrier)
    retrier.camunda.faults.add("cut", kind="action", times=1)
    run = retrier.patient(body).headers["Nightshift-Run"]
    retrier.camunda.behaviour.history = "full"
    look = retrier.checked(run)
    assert {item["outcome"] for item in look["items"]} == {"unknown"}
    history_of(retrier)
    again = retrier.checked(look["id"])
    assert {item["type"] for item in again["items"]} == {"not-taken"}
    told = retrier.post(f"runs/{again['id']}/retry", {"reason": "go"}, headers={"Nightshift-Target": None}).json()
    assert (counted(told), told["function"]) == ({"done": 3}, "set_retries")
    assert (made(retrier), executions(retrier, body)) == ([3], {1})


def test_a_foreign_batch_of_the_size_is_not_taken_for_ours(retrier: Retrier) -> None:
    """The call never arrived, and meanwhile somebody else made a batch of as many jobs."""
    history_of(retrier)
    body = body_of(retrier)
    accepted = held(retrier, body)
    other = retrier.engine.make_batch([retrier.engine.add_job() for _ in range(3)], 1)
    retrier.camunda.faults.clear()
    answer = retrier.result(accepted)
    assert answer.status_code == 200
    assert answer.json()["id"] != other.id
    assert executions(retrier, body) == {1}


def test_a5_a_batch_for_one_of_our_jobs_is_not_taken_for_ours(retrier: Retrier) -> None:
    """The call never arrived, and meanwhile somebody else made a batch of as many jobs, one of which is ours."""
    history_of(retrier)
    body = body_of(retrier)
    accepted = held(retrier, body)
    retrier.engine.make_batch([body["jobIds"][0], *(retrier.engine.add_job() for _ in range(2))], 1)
    retrier.camunda.faults.clear()
    problem(retrier.result(accepted), 409, "outcome-unknown")
    assert [retrier.engine.executions(job) for job in body["jobIds"]] == [1, 0, 0]


def test_jobs_that_a_hidden_batch_has_done_are_not_done_again(retrier: Retrier) -> None:
    """The app's user may not see batches, so lists are empty; only the jobs show that something came of the call."""
    retrier.camunda.behaviour.lacks = frozenset({"READ on Batch", "READ_HISTORY on Batch"})
    body = body_of(retrier)
    retrier.camunda.faults.add("cut", kind="action", times=1, after=True)
    problem(retrier.patient(body), 409, "outcome-unknown")
    assert executions(retrier, body) == {1}


def test_another_batch_of_the_same_size_makes_a_lost_answer_unknown(retrier: Retrier) -> None:
    body = body_of(retrier)
    accepted = held(retrier, body, after=True)
    retrier.engine.make_batch([retrier.engine.add_job() for _ in range(3)], 1)
    retrier.camunda.faults.clear()
    problem(retrier.result(accepted), 409, "outcome-unknown")
    assert executions(retrier, body) == {1}


@pytest.mark.parametrize("times", [1, 3])
def test_optimistic_locking_is_repeated(retrier: Retrier, times: int) -> None:
    body = body_of(retrier)
    retrier.camunda.faults.add("conflict", kind="action", times=times)
    assert retrier.patient(body).status_code == 200
    assert (made(retrier), executions(retrier, body)) == ([3], {1})


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("retry_after", [None, 40])
def test_a_throttling_engine_is_waited_for(retrier: Retrier, status: int, retry_after: int | None) -> None:
    history_of(retrier)
    body = body_of(retrier)
    retrier.camunda.faults.add("status", status=status, kind="action", times=2, retry_after=retry_after)
    assert retrier.patient(body).status_code == 200
    assert (made(retrier), executions(retrier, body)) == ([3], {1})


def test_an_engine_that_stays_throttled_has_failed_when_the_run_gives_up(retrier: Retrier) -> None:
    body = body_of(retrier, giveUpAfter=10)
    retrier.camunda.faults.add("status", status=429, kind="action", times=None)
    problem(retrier.patient(body), 424, "throttled")
    assert made(retrier) == []


@pytest.mark.parametrize(
    ("version", "malformed"),
    [("7.24.0", "json"), ("7.24.0", "text"), ("7.17.0", "json"), ("1.0.3", "text")],
)
def test_what_the_engine_refuses_is_told_and_never_repeated(retrier: Retrier, version: str, malformed: Any) -> None:  # noqa: ANN401 - one of two
    retrier.camunda.behaviour.version, retrier.camunda.behaviour.malformed = version, malformed
    body = body_of(retrier)
    retrier.camunda.faults.add(
        "status", status=500, kind="action", times=1, message="ENGINE-13050 You must specify ..."
    )
    told = problem(retrier.patient(body), 422, "refused-by-system")
    assert (told["upstreamStatus"], made(retrier)) == (500, [])
    assert len(retrier.camunda.book.calls(kind="action")) == 1


def test_a_user_without_the_right_is_told_which(retrier: Retrier) -> None:
    retrier.camunda.behaviour.lacks = frozenset(CHANGES)
    told = problem(retrier.patient(body_of(retrier)), 424, "access-denied")
    assert "on Batch" in told["detail"]
    assert made(retrier) == []


@pytest.mark.parametrize(
    ("target", "auth"), [("basic", "basic"), ("static", "static"), ("entra", "bearer"), ("camunda", "none")]
)
def test_each_kind_of_credential_opens_its_engine(retrier: Retrier, target: str, auth: Any) -> None:  # noqa: ANN401 - a kind
    body = body_of(retrier, target=target)
    retrier.camunda.behaviour.auth = auth
    answer = retrier.retries(body)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["createUserId"] is None) == (auth == "none")


def test_an_engine_that_bounds_its_lists_is_asked_for_less(retrier: Retrier) -> None:
    retrier.camunda.behaviour.auth, retrier.camunda.behaviour.max_results = "basic", 7
    jobs = [retrier.engine.add_job() for _ in range(22)]
    body = {"retries": 1, "jobQuery": {"noRetriesLeft": True}, "nightshift": {"target": "basic"}}
    told = problem(retrier.retries(body), 424, "answer-not-understood")
    assert "Max results limit of 7 exceeded!" in told["detail"]
    retrier.camunda.book.clear()
    answer = retrier.retries(body | {"nightshift": {"target": "bounded", "followUp": True}})
    assert answer.json()["totalJobs"] == len(jobs)
    assert counted(retrier.ended(answer), "recovery") == {"recovered": len(jobs)}
    # Every list is asked for in pages, also those that have one row.
    assert {call.status for call in retrier.camunda.book.calls()} == {200}


@pytest.mark.parametrize("target", ["wrong", "camunda", "static"])
def test_a_wrong_credential_is_not_tried_again_and_again(retrier: Retrier, target: str) -> None:
    retrier.camunda.behaviour.auth = "basic"
    told = problem(retrier.patient(body_of(retrier, target=target)), 424, "access-denied")
    assert "not-the-password" not in str(told)
    # Where everything is delivered twice, each delivery asks once.
    assert len(retrier.camunda.book.calls()) <= 2
    assert made(retrier) == []


def test_one_401_is_met_with_a_new_token(retrier: Retrier) -> None:
    body = body_of(retrier, target="entra")
    retrier.camunda.behaviour.auth = "bearer"
    retrier.camunda.faults.add("status", status=401, kind="action", times=1)
    assert retrier.patient(body).status_code == 200
    assert (made(retrier), executions(retrier, body)) == ([3], {1})


def test_401_always_is_access_denied(retrier: Retrier) -> None:
    body = body_of(retrier, target="entra")
    retrier.camunda.behaviour.auth = "bearer"
    retrier.camunda.faults.add("status", status=401, kind="action", times=None)
    problem(retrier.patient(body), 424, "access-denied")
    assert (made(retrier), len(retrier.camunda.book.calls(kind="action"))) == ([], 2)


@pytest.mark.parametrize(
    ("effect", "slug"),
    [("redirect", "access-denied"), ("html", "answer-not-understood"), ("malformed", "answer-not-understood")],
)
def test_an_address_that_is_no_engine_is_told(retrier: Retrier, effect: Any, slug: str) -> None:  # noqa: ANN401 - an effect
    body = body_of(retrier)
    retrier.camunda.faults.add(effect, kind="list", times=None)
    problem(retrier.patient(body), 424, slug)
    assert retrier.camunda.book.calls(kind="action") == []
    hosts = {call.host.partition(":")[0] for call in retrier.camunda.book.calls()}
    assert hosts == {"127.0.0.1"}


def test_a_job_of_another_run_is_left_to_it(retrier: Retrier) -> None:
    body = body_of(retrier, count=2)
    retrier.camunda.faults.add("hold", kind="action", times=1)
    first = retrier.retries(body, Prefer="respond-async")
    wait_for(lambda: bool(retrier.camunda.book.calls(kind="action")))
    shared = {**body, "jobIds": [body["jobIds"][0], retrier.engine.add_job()]}
    # Nobody pushes the clock meanwhile: a push would wait for the call that is held.
    second = unpushed(retrier.retries(shared, Prefer="respond-async"))
    assert outcomes(retrier, second) == {("skipped", "item-claimed"), ("done", None)}
    retrier.camunda.faults.release()
    assert retrier.result(first).status_code == 200
    assert sorted(len(batch.job_ids) for batch in retrier.engine.batches()) == [1, 2]
    assert executions(retrier, body) == {1}


def test_a_worker_that_is_killed_while_it_sends_leaves_one_batch(mortal: Machine) -> None:
    retrier = Retrier(mortal)
    body = body_of(retrier)
    retrier.camunda.faults.add("hold", kind="action", times=1, after=True)
    accepted = retrier.retries(body, Prefer="respond-async")
    wait_for(lambda: bool(retrier.camunda.book.calls(kind="action")))
    kill_durable_workers(retrier)
    retrier.camunda.faults.clear()
    assert retrier.result(accepted).status_code == 200
    assert (made(retrier), executions(retrier, body)) == ([3], {1})
