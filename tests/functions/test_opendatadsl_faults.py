"""OpenDataDSL: a process runs once, whatever dies or gets lost; and what the service's own clients look for."""

import pytest

from local.stack import Machine
from tests.functions.calling import problem, put_rules, together
from tests.functions.test_opendatadsl import NO_TARGET, Feeder
from tests.functions.test_opendatadsl_processes import ALLOW, RUN, runs
from tests.functions.test_workers import kill_durable_workers

pytestmark = pytest.mark.slow

PLACES = ["begin_run", "carry_out_run"]


@pytest.fixture
def feeder(mortal: Machine) -> Feeder:
    feeder = Feeder(mortal)
    put_rules(feeder, [ALLOW])
    return feeder


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("place", PLACES)
def test_a_worker_that_dies_at_any_place_runs_a_process_once(feeder: Feeder, place: str, *, after: bool) -> None:
    feeder.machine.host.kill_worker_at(place, after=after)
    accepted = feeder.feed({"name": "ECB_FX"}, RUN, Prefer="respond-async")
    assert feeder.result(accepted).status_code == 200
    assert (runs(feeder), feeder.machine.host.planned_deaths) == (1, 0)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_worker_that_is_killed_while_it_runs_a_process(feeder: Feeder, *, after: bool) -> None:
    feeder.service.faults.add("hold", kind="process", times=1, after=after)
    accepted = feeder.feed({"name": "ECB_FX"}, RUN, Prefer="respond-async")
    assert feeder.service.faults.wait_held(timeout=20)
    kill_durable_workers(feeder)
    feeder.service.faults.clear()
    answer = feeder.result(accepted)
    if after:
        [execution] = feeder.service.executions.all()
        assert (answer.status_code, answer.json()["execution"]) == (200, execution.id)
    else:
        problem(answer, 409, "outcome-unknown")
    assert runs(feeder) == int(after)


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("status", [None, 500, 503, 504])
def test_a_lost_answer_runs_a_process_once_or_not(feeder: Feeder, status: int | None, *, after: bool) -> None:
    fault = {"effect": "cut"} if status is None else {"effect": "status", "status": status}
    feeder.service.faults.add(kind="process", after=after, **fault)
    accepted = feeder.feed({"name": "ECB_FX"}, RUN, Prefer="respond-async")
    answer = feeder.result(accepted)
    assert answer.status_code == (200 if after else 409)
    assert {answer.json().get("execution")} - {None} == {one.id for one in feeder.service.executions.all()}
    assert runs(feeder) == int(after)


def test_eight_calls_under_one_key_run_a_process_once(feeder: Feeder) -> None:
    headers = {"Idempotency-Key": feeder.new_key(), **NO_TARGET}
    answers = together(8, lambda _: feeder.post(RUN, {"name": "ECB_FX"}, headers=headers))
    assert {one.status_code for one in answers} == {200}
    assert len({one.text for one in answers}) == 1
    assert runs(feeder) == 1


@pytest.mark.parametrize("path", ["opendatadsl/batch", "opendatadsl/batch/", "opendatadsl/batch/v1"])
def test_a_batch_comes_with_or_without_a_release_and_without_a_content_type(feeder: Feeder, path: str) -> None:
    body = b'{"_type": "VarBatch", "elements": [{"_id": "AAA", "example": "property"}]}'
    headers = {**NO_TARGET, "Content-Type": None}
    answer = feeder.post(path, data=body, headers=headers)
    assert (answer.status_code, feeder.taken()) == (200, {"AAA": 1})
    refused = feeder.post(path, data=body, headers={**headers, "Content-Type": "text/plain"})
    problem(refused, 415, "wrong-media-type")


@pytest.mark.parametrize("path", ["opendatadsl/batch/v2", "opendatadsl/process-exec/v1/x"])
def test_another_release_is_refused(feeder: Feeder, path: str) -> None:
    told = problem(feeder.feed({"name": "ECB_FX"}, path), 422, "not-valid")
    assert [one["pointer"] for one in told["errors"]] == ["/release"]
    assert told["errors"][0]["detail"] in feeder.feed({}, path).headers["x-odsl-error"]
    assert feeder.service.book.calls() == []


def test_executions_are_listed_by_filters_and_read(feeder: Feeder) -> None:
    for name in ("ECB_FX", "ECB_FX", "GAS_STORAGE"):
        feeder.service.executions.add(name=name, status="success")
    listed = feeder.get(f"{RUN}?name=ECB_FX&_limit=1&target=opendatadsl")
    assert (listed.status_code, [one["name"] for one in listed.json()]) == (200, ["ECB_FX"])
    assert listed.headers["x-total-count"] == "2"
    one = listed.json()[0]
    assert feeder.get(f"{RUN}/{one['_id']}").json() == one
    assert len(feeder.get(f"{RUN}/all").json()) == 3
    missing = feeder.get(f"{RUN}/nobody")
    assert "nobody" in problem(missing, 422, "item-not-found")["detail"]
    assert "nobody" in missing.headers["x-odsl-error"]
