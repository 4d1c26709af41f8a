"""What a Camunda user without some rights gets: empty lists, and what the app makes of them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import requests

from local.simulators.camunda.behaviour import CHANGES, CamundaBehaviour, Right
from local.stack import Machine
from tests.functions.calling import allow_all, get
from tests.functions.camunda_calling import Retrier, items_of
from tests.functions.test_camunda_night import CAUSE, NIGHT, last_night
from tests.functions.test_night import push_to, wait_for_day

pytestmark = pytest.mark.slow

READS = tuple(sorted(set(get_args(Right.__value__)) - set(CHANGES)))
PAGE = Path(__file__).parents[2] / "docs" / "functions" / "set-retries.md"
NOT_SIMULATED = {"READ on ProcessDefinition"}


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


def hide_history(retrier: Retrier) -> None:
    retrier.camunda.behaviour.lacks = frozenset({"READ_HISTORY on ProcessDefinition", "READ_HISTORY on Batch"})


def limits(retrier: Retrier) -> list[str]:
    told = {one["target"]: one for one in get(retrier, "systems")["systems"]}["camunda"]
    assert told["state"] == "ok"
    found: list[str] = told["limits"]
    return found


def test_f4_systems_tells_that_the_history_can_not_be_read(retrier: Retrier) -> None:
    """F4: only a failed job shows it."""
    hide_history(retrier)
    assert limits(retrier) == []
    job = retrier.engine.add_job(outcomes=["fail"])
    (text,) = limits(retrier)
    assert job in text
    assert "READ_HISTORY on ProcessDefinition" in text
    retrier.camunda.behaviour.lacks = frozenset()
    assert limits(retrier) == []


def test_f4_a_cause_goes_on_though_the_history_can_not_be_read(retrier: Retrier) -> None:
    """F4: the cause is fixed after it stopped; its probes are gone, and nothing shows that they ran."""
    hide_history(retrier)
    retrier.engine.break_cause(CAUSE)
    jobs = [retrier.engine.add_job(cause=CAUSE) for _ in range(40)]
    push_to(retrier.machine, 2, 0)
    retrier.machine.clock.advance(45 * 60)
    assert 5 <= len(retrier.engine.executed()) <= 7
    retrier.engine.mend(CAUSE)
    told = last_night(retrier)
    assert not [job for job in jobs if retrier.engine.job(job)]
    assert {item["outcome"] for item in told["items"]} == {"done"}
    assert {item["recovery"] for item in told["items"]} == {"gone"}
    first, stopped, went_on = (note["text"] for note in told["notes"])
    assert "READ_HISTORY" in first
    assert stopped.startswith("Stopped")
    assert went_on.startswith("Went on: the probe item is gone")
    assert all("doesn't show it to the app's user" in item["recoveryReason"] for item in items_of(told).values())


def test_f4_a_persistent_cause_stops_though_the_history_can_not_be_read(retrier: Retrier) -> None:
    """F4: what fails again is seen in the jobs themselves."""
    hide_history(retrier)
    for _ in range(40):
        retrier.engine.add_job(outcomes=["fail"])
    last_night(retrier)
    assert len(retrier.engine.executed()) <= 5 + 8


def rights_of_the_docs() -> set[str]:
    rows = re.findall(r"^\| `([A-Z_`, ]+)` \| (\w+) \|", PAGE.read_text(), re.MULTILINE)
    return {f"{one} on {resource}" for some, resource in rows for one in some.split("`, `")}


def test_f5_the_docs_name_the_rights_that_the_simulated_engine_enforces() -> None:
    """F5: and one more, which needs process definitions to be there."""
    assert rights_of_the_docs() - NOT_SIMULATED == set(get_args(Right.__value__))


LISTS = {
    "READ_INSTANCE on ProcessDefinition": ("/job", "/incident"),
    "READ_HISTORY on ProcessDefinition": ("/history/job-log", "/history/process-instance"),
    "READ on Batch": ("/batch", "/batch/statistics"),
    "READ_HISTORY on Batch": ("/history/batch",),
}


@pytest.mark.parametrize("right", READS)
def test_f5_without_a_right_to_read_lists_are_empty(retrier: Retrier, right: str) -> None:
    """F5: as the engine's own, which never says 403 for a list."""
    retrier.engine.make_batch([retrier.engine.add_job()], 1)
    retrier.camunda.behaviour.batch_start_seconds = 60
    retrier.engine.make_batch([retrier.engine.add_job()], 1)
    whole = {path: found(retrier, path) for paths in LISTS.values() for path in paths}
    assert all(whole.values())
    retrier.camunda.behaviour.lacks = CamundaBehaviour.model_validate({"lacks": frozenset({right})}).lacks
    assert {path for path in whole if not found(retrier, path)} == set(LISTS[right])


def found(retrier: Retrier, path: str) -> bool:
    answer = requests.get(f"{retrier.camunda.url}{path}", timeout=10)
    assert answer.status_code == 200
    return bool(answer.json())


@pytest.mark.parametrize(
    ("right", "method", "path"),
    [
        ("RETRY_JOB on ProcessInstance", "PUT", "/job/{job}/retries"),
        ("CREATE_BATCH_SET_JOB_RETRIES on Batch", "POST", "/job/retries"),
        ("DELETE on Batch", "DELETE", "/batch/{batch}"),
    ],
)
def test_f5_without_a_right_to_change_a_call_is_refused(retrier: Retrier, right: Right, method: str, path: str) -> None:
    """F5: and the right is named."""
    retrier.camunda.behaviour.batch_start_seconds = 60
    job = retrier.engine.add_job()
    batch = retrier.engine.make_batch([job], 1).id
    retrier.camunda.behaviour.lacks = frozenset({right})
    url = f"{retrier.camunda.url}{path.format(job=job, batch=batch)}"
    body = {"retries": 1, "jobIds": [job]} if method == "POST" else {"retries": 1}
    answer = requests.request(method, url, json=None if method == "DELETE" else body, timeout=10)
    missing = answer.json()["missingAuthorizations"][-1]
    assert (answer.status_code, f"{missing['permissionName']} on {missing['resourceName']}") == (403, right)
