"""`failures` of all targets at once, in groups, with links, and with unfinished batches of Business Central."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from local.stack import Machine
from tests.functions.calling import Caller, get, problem, put_rules
from tests.functions.test_batch import Batcher


@pytest.fixture
def batcher(machine: Machine) -> Iterator[Batcher]:
    batcher = Batcher(machine)
    for job in batcher.system.jobs.all():
        batcher.system.jobs.remove(job.id)
    yield batcher
    put_rules(batcher, [])
    batcher.central.faults.clear()
    batcher.system.faults.clear()


def asked(caller: Caller, **params: str) -> requests.Response:
    key = {"x-functions-key": caller.machine.host.function_key}
    return requests.get(f"{caller.url}/failures", headers=key, params=params, timeout=60)


def all_pages(caller: Caller, **params: str) -> list[dict[str, Any]]:
    key, found = {"x-functions-key": caller.machine.host.function_key}, []
    page = get(caller, "failures", **params)
    while True:
        assert len(page["value"]) <= int(params["limit"])
        found += page["value"]
        if page["nextLink"] is None:
            return found
        page = requests.get(page["nextLink"], headers=key, timeout=60).json()


def unfinished(batcher: Batcher, *names: str) -> str:
    """Leave a batch whose operations failed, and return its run."""
    batcher.central.faults.add("throttle", kind="batch", times=None, retry_after=7200)
    answer = batcher.batch([batcher.line(name) for name in names], nightshift={"giveUpAfter": 0})
    batcher.central.faults.clear()
    return answer.headers["Nightshift-Run"]


def test_all_targets_are_read_at_once_and_one_that_cannot_be_read_spoils_no_other(batcher: Batcher) -> None:
    jobs = {str(batcher.failed_job()) for _ in range(3)}
    run = unfinished(batcher, "1", "2")
    told = get(batcher, "failures", limit="1000")
    assert told["target"] is None
    assert {one["id"] for one in told["value"] if one["target"] == "fo"} == jobs
    assert [one["id"] for one in told["value"] if one["target"] == "bc" and one["id"] == run] == [run]
    unreadable = {one["target"]: one for one in told["unreadable"]}
    assert unreadable.keys() == {"wrong", "off"}
    assert "TARGETS__WRONG__CLIENT_SECRET" in unreadable["wrong"]["reason"]
    assert all(one["next"] for one in unreadable.values())
    assert len({frozenset(one) for one in told["value"]}) == 1


def test_pages_over_all_targets_have_each_failure_once(batcher: Batcher) -> None:
    for _ in range(5):
        batcher.failed_job()
    unfinished(batcher, "1")
    whole = {(one["target"], one["id"]) for one in get(batcher, "failures", limit="1000")["value"]}
    paged = [(one["target"], one["id"]) for one in all_pages(batcher, limit="2")]
    assert len(paged) == len(set(paged))
    assert set(paged) == whole


def test_a_failure_has_a_link_into_its_system(batcher: Batcher) -> None:
    job = str(batcher.failed_job(company="DEMF"))
    batcher.machine.landscape.camunda.engine.add_job()
    shown = {(one["target"], one["id"]): one for one in get(batcher, "failures", limit="1000")["value"]}
    assert shown[("fo", job)]["link"] == f"{batcher.system.url}/?cmp=DEMF&mi=BatchJob"
    assert shown[("fo", job)]["failed"] == shown[("fo", job)]["about"]["ended"]
    camunda = [one for (target, _), one in shown.items() if target == "camunda"]
    # Cockpit has another URL than the engine, and no setting has it.
    assert camunda
    assert {one["link"] for one in camunda} == {None}
    assert all(one["cause"] for one in camunda)


def test_an_unfinished_batch_is_a_failure_until_another_run_takes_what_it_left(batcher: Batcher) -> None:
    run = unfinished(batcher, "1", "2", "3")
    put_rules(batcher, [{"name": "lines", "action": "allow", "job": "POST journalLines"}])
    [shown] = [one for one in get(batcher, "failures", target="bc", limit="1000")["value"] if one["id"] == run]
    assert (shown["system"], shown["cause"], shown["link"]) == ("business-central", "throttled", None)
    assert (shown["allowed"], shown["rule"]) == (True, "lines")
    assert (shown["run"]["function"], shown["run"]["left"], shown["run"]["counts"]["outcome"]["failed"]) == (
        "batch",
        3,
        3,
    )
    retried = requests.post(
        shown["run"]["links"]["retry"],
        json={"reason": "the rest"},
        headers={"x-functions-key": batcher.machine.host.function_key},
        timeout=60,
    )
    assert retried.status_code == 200, retried.text
    assert run not in {one["id"] for one in get(batcher, "failures", target="bc", limit="1000")["value"]}


def test_a_batch_that_a_person_has_to_mend_is_not_called_allowed(batcher: Batcher) -> None:
    put_rules(batcher, [{"name": "all", "action": "allow"}])
    bad = {**batcher.line("2"), "body": {"documentNumber": "2", "amount": "much", "postingDate": "2020-10-20"}}
    answer = batcher.batch([batcher.line("1"), bad, batcher.line("3")])
    run = answer.headers["Nightshift-Run"]
    shown = {one["id"]: one for one in get(batcher, "failures", system="business-central", limit="1000")["value"]}
    assert (shown[run]["allowed"], shown[run]["run"]["left"]) == (False, 1)
    assert "a person has to mend" in shown[run]["reason"]


def test_groups_count_all_targets_and_say_whether_they_are_complete(batcher: Batcher) -> None:
    for name, company, count in (("Post payroll", "USMF", 3), ("Pay vendors", "DEMF", 2)):
        for _ in range(count):
            batcher.failed_job(description=name, company=company)
    put_rules(batcher, [{"name": "payroll", "action": "allow", "job": "*payroll*", "target": "fo"}])
    told = get(batcher, "failures", by="job", target="fo")
    assert [(one["key"], one["count"]) for one in told["value"]] == [("Post payroll", 3), ("Pay vendors", 2)]
    assert (told["by"], told["complete"], told["read"], told["partly"]) == ("job", True, 5, [])
    first = told["value"][0]
    assert first["policy"] == {"allow": 3, "deny": 0, "none": 0, "rules": [{"name": "payroll", "count": 3}]}
    assert len(first["examples"]) == 3
    assert first["examples"][0]["link"].endswith("mi=BatchJob")
    assert first["oldest"] <= first["newest"]
    cause = get(batcher, "failures", by="cause", target="fo")["value"]
    assert [(one["key"], one["count"], one["companies"][0]) for one in cause] == [
        (None, 5, {"name": "USMF", "count": 3})
    ]
    everywhere = get(batcher, "failures", by="target")
    assert everywhere["complete"] is False
    assert {one["key"]: one["count"] for one in everywhere["value"]}["fo"] == 5
    assert {one["target"] for one in everywhere["unreadable"]} == {"wrong", "off"}


def test_groups_are_paged(batcher: Batcher) -> None:
    for name in "abc":
        batcher.failed_job(description=name)
    page = get(batcher, "failures", by="job", target="fo", limit="2")
    key = {"x-functions-key": batcher.machine.host.function_key}
    rest = requests.get(page["nextLink"], headers=key, timeout=60).json()
    assert [one["key"] for one in [*page["value"], *rest["value"]]] == ["a", "b", "c"]
    assert rest["nextLink"] is None


def test_one_target_that_cannot_be_read_is_a_problem(batcher: Batcher) -> None:
    problem(asked(batcher, target="wrong"), 424, "credentials-refused")
    problem(asked(batcher, target="wrong", by="cause"), 424, "credentials-refused")
    problem(asked(batcher, target="off"), 424, "target-off")
    problem(asked(batcher, target="nobody"), 404, "unknown-target")


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"by": "rule"}, "by"),
        ({"system": "sap"}, "system"),
        ({"after": "nobody:3"}, "after"),
        ({"after": "-1"}, "after"),
        ({"by": "job", "after": "fo:3"}, "after"),
        ({"limit": "1001"}, "limit"),
        ({"company": "USMF"}, "company"),
    ],
)
def test_wrong_parameters_are_named(batcher: Batcher, query: dict[str, str], name: str) -> None:
    told = problem(asked(batcher, **query), 422, "not-valid")
    assert [one["parameter"] for one in told["errors"]] == [name]


def test_a_target_of_another_system_is_refused(batcher: Batcher) -> None:
    problem(asked(batcher, target="fo", system="camunda"), 422, "not-valid")
