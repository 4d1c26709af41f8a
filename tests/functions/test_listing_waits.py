"""D5: a run that can't list its items yet is `waiting`, and says why."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from local.stack import Machine
from tests.functions.calling import Caller, allow_all, get, only, put_rules, wait_for
from tests.functions.camunda_calling import Retrier
from tests.functions.test_night import nights, push_to, wait_for_day

pytestmark = pytest.mark.slow

LATER = {"Prefer": "respond-async"}


@pytest.fixture
def retrier(any_machine: Machine) -> Iterator[Retrier]:
    retrier = Retrier(any_machine)
    yield retrier
    retrier.camunda.faults.clear()


def when_waiting(caller: Caller, accepted: requests.Response) -> dict[str, Any]:
    """Return the run once it waits."""
    told: list[dict[str, Any]] = []

    def waits() -> bool:
        told.append(caller.run(accepted))
        return bool(told[-1]["state"] == "waiting")

    wait_for(waits)
    return told[-1]


def texts(told: dict[str, Any]) -> list[str]:
    return [note["text"] for note in told["notes"] if "to list its items" in note["text"]]


def test_d5_a_selection_that_cannot_be_read_waits_and_says_why(retrier: Retrier) -> None:
    retrier.camunda.faults.add("status", status=503, kind="list", times=None)
    jobs = {retrier.engine.add_job(process="invoice") for _ in range(2)}
    body = {"retries": 1, "jobQuery": {"processDefinitionKey": "invoice"}, "nightshift": {"reason": "r"}}
    accepted = retrier.retries(body, **LATER)
    assert accepted.status_code == 202, accepted.text
    [text] = texts(when_waiting(retrier, accepted))
    assert text.startswith("The run waits")
    assert "503" in text
    retrier.camunda.faults.clear()
    retrier.result(accepted)
    told = retrier.ended(accepted)
    [text] = texts(told)
    assert text.startswith("The run waited")
    assert {item["outcome"] for item in told["items"]} == {"done"}
    assert {item["id"] for item in told["items"]} == jobs


def test_d5_a_sweep_that_gives_up_says_so_once(any_caller: Caller) -> None:
    allow_all(any_caller)
    any_caller.system.faults.add("status", status=503, kind="list", times=None)
    accepted = any_caller.post("sweeps", {"reason": "morning", "giveUpAfter": 2, "waves": "all"}, headers=LATER)
    [text] = texts(when_waiting(any_caller, accepted))
    assert text.startswith("The run waits")
    told = any_caller.result(accepted).json()
    put_rules(any_caller, [])
    assert [text.startswith("The run waited") for text in texts(told)] == [True]
    assert [item["outcome"] for item in told["items"]] == ["failed"]


def test_d5_a_run_that_is_cancelled_while_it_waits_ends(any_caller: Caller) -> None:
    any_caller.system.faults.add("status", status=503, kind="list", times=None, retry_after=1200)
    accepted = any_caller.post("sweeps", {"reason": "morning"}, headers=LATER)
    when_waiting(any_caller, accepted)
    run = accepted.headers["Nightshift-Run"]
    assert any_caller.post(f"runs/{run}/cancel", {"reason": "no"}).status_code == 202
    told = any_caller.result(accepted).json()
    assert [item["outcome"] for item in told["items"]] == ["not_attempted"]


def test_d5_a_night_in_quiet_hours_waits_and_says_why() -> None:
    settings = {"SWEEP_AT": "02:00", "SWEEP_UNTIL": "04:00", "TARGETS__FO__QUIET": "02:30-03:00"}
    with Machine({**settings, **only("nightly_requeue")}) as machine:
        caller = Caller(machine)
        wait_for_day(machine)
        allow_all(caller)
        # Begun at 02:00, and tried again at 02:31:40.
        caller.system.faults.add("throttle", kind="list", retry_after=1900)
        push_to(machine, 1, 59)
        push_to(machine, 2, 45)
        run = nights(caller)[0]["id"]
        wait_for(lambda: "quiet hours" in " ".join(texts(get(caller, f"runs/{run}"))))
        assert get(caller, f"runs/{run}")["state"] == "waiting"
        push_to(machine, 12, 0)
        [text] = texts(get(caller, f"runs/{run}"))
        assert text.startswith("The run waited")
