"""`nightly_retries`, sweeps and failures of Camunda: what the policy allows, in waves, and never a batch's own jobs."""

import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests

from local.stack import Machine
from tests.functions.calling import allow_all, counted, get, only, problem, put_rules
from tests.functions.camunda_calling import RETRIES, Retrier, items_of
from tests.functions.test_night import pass_night, push_to, wait_for_day

pytestmark = pytest.mark.slow

NIGHT = {
    "SWEEP_AT": "02:00",
    "SWEEP_UNTIL": "06:00",
    "SWEEP_MODE": "apply",
    **only("nightly_retries"),
}
CAUSE = "smtp"


@pytest.fixture(scope="module")
def sleepy_engine() -> Iterator[Machine]:
    with Machine(NIGHT) as machine:
        yield machine


@pytest.fixture
def retrier(sleepy_engine: Machine) -> Retrier:
    wait_for_day(sleepy_engine)
    retrier = Retrier(sleepy_engine)
    allow_all(retrier)
    return retrier


def last_night(retrier: Retrier) -> dict[str, Any]:
    """Let a night pass, and return its report."""
    pass_night(retrier.machine)
    run = get(retrier, "runs", function="nightly_retries")["value"][0]["id"]
    return get(retrier, f"runs/{run}", limit="1000")


def test_a_night_gives_failed_jobs_one_retry_and_tells_what_became_of_each(retrier: Retrier) -> None:
    well, bad = retrier.engine.add_job(), retrier.engine.add_job(outcomes=["fail"])
    told = last_night(retrier)
    assert (told["state"], counted(told)) == ("ended", {"done": 2})
    found = items_of(told)
    assert (found[well]["recovery"], found[bad]["recovery"]) == ("recovered", "failed_again")
    # Half of those that ended failed again, so the cause stopped; what failed is probed until its attempts are used up.
    assert (retrier.engine.executions(well), retrier.engine.executions(bad)) == (1, 5)
    assert {batch.retries for batch in retrier.engine.batches()} == {1}


def test_a_night_touches_only_what_a_rule_allows_and_what_has_failed(retrier: Retrier) -> None:
    put_rules(retrier, [{"name": "invoices", "action": "allow", "process": "invoice", "job": "send*"}])
    invoice = retrier.engine.add_job(process="invoice", activity="send-invoice")
    payroll = retrier.engine.add_job(process="payroll")
    retrier.engine.add_job(process="invoice", retries=2, due=retrier.machine.clock.now() + timedelta(days=9))
    held = retrier.engine.add_job(process="invoice", activity="send-invoice", suspended=True)
    found = items_of(last_night(retrier))
    assert {one: item.get("type") for one, item in found.items()} == {
        invoice: None,
        payroll: "policy-denied",
        held: "item-not-failed",
    }
    assert [retrier.engine.executions(job) for job in (invoice, payroll, held)] == [1, 0, 0]


def test_a_job_that_always_fails_gets_five_retries_and_then_needs_a_person(retrier: Retrier) -> None:
    job = retrier.engine.add_job(outcomes=["fail"])
    assert items_of(last_night(retrier))[job]["recovery"] == "failed_again"
    assert items_of(last_night(retrier))[job]["type"] == "attempts-used-up"
    assert retrier.engine.executions(job) == 5
    assert job in {one["item"] for one in get(retrier, "needs-person")["value"]}


@pytest.mark.parametrize("version", ["7.24.0", "7.17.0"])
def test_the_jobs_of_batches_are_never_swept_but_counted_and_named(retrier: Retrier, version: str) -> None:
    retrier.camunda.behaviour.version = version
    batches = [retrier.engine.make_batch([f"gone-{number}", "gone-too"], 1).id for number in range(2)]
    job = retrier.engine.add_job()
    told = last_night(retrier)
    assert told["notes"][0]["text"].startswith("4 failed jobs belong to batches")
    assert all(f"{batch} (2)" in told["notes"][0]["text"] for batch in batches)
    assert set(items_of(told)) == {job}
    assert retrier.engine.executions(job) == 1
    assert len(retrier.engine.batches()) == 3


def test_the_cap_takes_the_first_ones_and_how_many_retries_is_a_setting() -> None:
    with Machine({**NIGHT, "SWEEP_CAP": "2", "TARGETS__CAMUNDA__RETRIES": "3"}) as machine:
        retrier = Retrier(machine)
        wait_for_day(machine)
        allow_all(retrier)
        now, outcomes = machine.clock.now(), ["fail", "fail", "well"]
        jobs = [
            retrier.engine.add_job(failed=now - timedelta(hours=ago), created=now, outcomes=outcomes)
            for ago in (1, 3, 2)
        ]
        found = items_of(last_night(retrier))
        assert [found[job].get("type") for job in jobs] == ["over-cap", None, None]
        assert [found[job].get("recovery") for job in jobs] == [None, "recovered", "recovered"]
        assert [retrier.engine.executions(job) for job in jobs] == [0, 3, 3]


def test_causes_are_tried_by_themselves_and_ids_make_no_other_cause(retrier: Retrier) -> None:
    retrier.engine.break_cause(CAUSE)
    bad = [
        retrier.engine.add_job(message=f"Invoice {number} of 'Firm {number}' can't be sent\nat line 1", cause=CAUSE)
        for number in range(60)
    ]
    good = [retrier.engine.add_job(message="Row was locked") for _ in range(40)]
    told = last_night(retrier)
    assert all(retrier.engine.executions(job) == 1 for job in good)
    assert 5 <= sum(retrier.engine.executions(job) for job in bad) <= 5 + 8
    assert told["counts"]["recovery"]["recovered"] == 40
    assert {note.get("cause") for note in told["notes"]} == {"Invoice # of '#' can't be sent"}


def test_many_causes_are_not_as_many_first_waves(retrier: Retrier) -> None:
    retrier.engine.break_cause(CAUSE)
    names = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
    texts = [f"{one} {other} failed" for one in names for other in names]
    jobs = [retrier.engine.add_job(message=text, cause=CAUSE) for text in texts]
    last_night(retrier)
    assert sum(1 for job in jobs if retrier.engine.executions(job)) <= 20 + 5 + 8


def a_storm_in_waves(retrier: Retrier, number: int, names: int) -> None:
    """Sweep many failures of one cause that is mended in the middle of the night."""
    machine, engine = retrier.machine, retrier.engine
    engine.break_cause(CAUSE)
    jobs = [engine.add_job(process=f"process-{one % names}", cause=CAUSE) for one in range(number)]
    push_to(machine, 2, 0)
    machine.clock.advance(100 * 60)
    assert 5 <= len(engine.executed()) <= 5 + (100 - 10) // 30
    times = [at for at, _ in engine.executed()]
    probes = times[5:]
    assert all(later - earlier >= timedelta(minutes=30) for earlier, later in itertools.pairwise(probes))
    engine.mend(CAUSE)
    mended = machine.clock.now()
    machine.clock.advance(2 * 3600)
    assert not [job for job in jobs if engine.job(job)]
    told = last_night(retrier)
    assert counted(told) == {"done": number}
    assert counted(told, "recovery") == {"recovered": number}
    assert [note["text"].split(":")[0] for note in told["notes"]] == ["Stopped", "Went on"]
    went_on = datetime.fromisoformat(told["notes"][1]["at"])
    assert mended <= went_on <= mended + timedelta(minutes=35)
    assert max(engine.all_executions().values()) <= 1 + 4
    assert sum(engine.all_executions().values()) <= number + 5 + 4


def test_a_storm_costs_five_executions_until_it_is_mended(retrier: Retrier) -> None:
    a_storm_in_waves(retrier, 300, 40)


def test_a_storm_of_four_thousand() -> None:
    with Machine({**NIGHT, "SWEEP_CAP": "5000"}) as machine:
        retrier = Retrier(machine)
        wait_for_day(machine)
        allow_all(retrier)
        a_storm_in_waves(retrier, 4000, 1)


def test_a_sweep_by_hand_plans_and_is_applied_in_waves(retrier: Retrier) -> None:
    jobs = [retrier.engine.add_job() for _ in range(7)]
    headers = {"Nightshift-Target": "camunda"}
    plan = retrier.post("sweeps", {"reason": "look"}, headers=headers).json()
    assert (plan["system"], counted(plan)) == ("camunda", {"planned": 7})
    assert retrier.posts() == 0
    body = {"reason": "go", "waves": "careful"}
    accepted = retrier.post(f"runs/{plan['id']}/apply", body, headers={"Nightshift-Target": None, "Prefer": "wait=0"})
    assert counted(retrier.result(accepted).json()) == {"done": 7}
    assert [len(batch.job_ids) for batch in retrier.engine.batches()] == [5, 2]
    assert {retrier.engine.executions(job) for job in jobs} == {1}


def test_a_sweep_names_its_system_or_its_target(retrier: Retrier) -> None:
    retrier.engine.add_job()
    body = {"reason": "look", "system": "camunda"}
    assert retrier.post("sweeps", body, headers={"Nightshift-Target": None}).json()["target"] == "camunda"
    wrong = retrier.post("sweeps", body, headers={"Nightshift-Target": "fo"})
    problem(wrong, 422, "not-valid")


def test_failures_are_listed_with_what_the_policy_says(retrier: Retrier) -> None:
    put_rules(retrier, [{"name": "invoices", "action": "allow", "process": "invoice"}])
    invoice, payroll = retrier.engine.add_job(process="invoice"), retrier.engine.add_job(process="payroll")
    retrier.engine.make_batch(["gone"], 1)
    retrier.machine.clock.advance(60)
    told = get(retrier, "failures", target="camunda")
    found = {item["id"]: item for item in told["value"]}
    assert {one: item["allowed"] for one, item in found.items()} == {invoice: True, payroll: False}
    assert found[payroll]["wouldAllow"]["process"] == "payroll"
    assert found[invoice]["about"]["cause"] == "SMTP server mail.example.com does not answer"


def test_failures_come_in_pages(retrier: Retrier) -> None:
    jobs = {retrier.engine.add_job() for _ in range(5)}
    told = get(retrier, "failures", target="camunda", limit="3")
    assert "after=3" in told["nextLink"]
    rest = get(retrier, "failures", target="camunda", limit="3", after="3")
    assert {item["id"] for item in [*told["value"], *rest["value"]]} == jobs
    assert rest["nextLink"] is None


def test_systems_tell_whether_the_engine_lets_us_in(retrier: Retrier) -> None:
    def state() -> str:
        return str({one["target"]: one for one in get(retrier, "systems")["systems"]}["camunda"]["state"])

    assert state() == "ok"
    retrier.camunda.behaviour.auth = "basic"
    assert state() == "not registered"


def test_retries_of_a_run_are_sent_again_by_a_retry(retrier: Retrier) -> None:
    retrier.camunda.faults.add("status", status=429, kind="action", times=None)
    job = retrier.engine.add_job()
    answer = retrier.post(
        RETRIES,
        {"retries": 2, "jobIds": [job], "nightshift": {"giveUpAfter": 0}},
        headers={"Nightshift-Target": None},
    )
    problem(answer, 424, "throttled")
    retrier.camunda.faults.clear()
    run = answer.headers["Nightshift-Run"]
    again = retrier.post(f"runs/{run}/retry", {"reason": "again"}, headers={"Nightshift-Target": None})
    assert counted(again.json()) == {"done": 1}
    assert [batch.retries for batch in retrier.engine.batches()] == [2]


def test_f10_a_stop_ends_a_night_that_waits_for_its_probe(retrier: Retrier) -> None:
    retrier.engine.break_cause(CAUSE)
    jobs = [retrier.engine.add_job(cause=CAUSE) for _ in range(30)]
    push_to(retrier.machine, 2, 0)
    retrier.machine.clock.advance(15 * 60)
    [night] = [one for one in get(retrier, "runs", function="nightly_retries")["value"] if one["state"] == "running"]
    executed = sum(retrier.engine.executions(job) for job in jobs)
    headers = {"Nightshift-Target": None}
    retrier.post("stop", {"target": "camunda", "reason": "wrong night"}, headers=headers)
    retrier.machine.clock.advance(310)
    retrier.post("resume", {"target": "camunda", "reason": "it is over"}, headers=headers)
    told = get(retrier, f"runs/{night['id']}", limit="1000")
    left = [item for item in told["items"] if item["outcome"] == "not_attempted"]
    assert (told["state"] in ("ended", "watching"), {item["type"] for item in left}) == (True, {"stopped"})
    assert len(left) == len(jobs) - executed
    retrier.engine.mend(CAUSE)
    retrier.machine.clock.advance(3600)
    assert sum(retrier.engine.executions(job) for job in jobs) == executed


def test_f9_the_links_of_a_night_can_be_called(retrier: Retrier) -> None:
    retrier.engine.add_job()
    links = last_night(retrier)["links"]
    key = {"x-functions-key": retrier.machine.host.function_key}
    assert links["self"].startswith(retrier.url)
    assert requests.get(links["self"], headers=key, timeout=30).status_code == 200
    assert requests.get(links["result"], timeout=30).status_code == 200
    [listed] = get(retrier, "runs", function="nightly_retries", limit="1")["value"]
    assert requests.get(listed["links"]["self"], headers=key, timeout=30).json()["id"] == listed["id"]
