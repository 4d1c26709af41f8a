"""What outlives a killed worker."""

import os
import signal
import threading
from datetime import timedelta

import pytest
import requests

from tests.functions.calling import Caller

pytestmark = pytest.mark.slow


def kill_durable_workers(caller: Caller) -> None:
    """End the processes that run activities as the platform may: without a word."""
    for pid in caller.machine.host.workers("durable"):
        os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))


def killed_while_sending(caller: Caller, job: int, *, acts: bool, **headers: str) -> requests.Response:
    """Call, and kill the worker while the system holds the action; `acts` says whether the system did it first."""
    caller.system.faults.add("hold", kind="action", job=job, after=acts, times=1)
    answers: list[requests.Response] = []
    call = threading.Thread(target=lambda: answers.append(caller.requeue(job, **headers)))
    call.start()
    assert caller.system.faults.wait_held(1)
    kill_durable_workers(caller)
    caller.system.faults.clear()
    while call.is_alive():
        caller.machine.clock.advance(1)
    call.join()
    return answers[0]


def test_a_call_waits_as_long_as_it_is_asked_to(mortal_caller: Caller) -> None:
    job = mortal_caller.failed_job()
    began = mortal_caller.machine.clock.now()
    accepted = killed_while_sending(mortal_caller, job, acts=True, Prefer="wait=100")
    took = mortal_caller.machine.clock.now() - began
    assert accepted.status_code == 202
    assert accepted.headers["Preference-Applied"] == "wait=100"
    assert timedelta(seconds=100) <= took <= timedelta(seconds=105)
    assert mortal_caller.result(accepted).status_code == 200


def test_a_worker_killed_after_the_system_acted(mortal_caller: Caller) -> None:
    job = mortal_caller.failed_job(outcomes=["stuck"])
    accepted = killed_while_sending(mortal_caller, job, acts=True, Prefer="respond-async")
    answer = mortal_caller.result(accepted)
    assert (answer.status_code, answer.json()["Batch JobId"]) == (200, job)
    item = mortal_caller.run(accepted)["items"][0]
    assert (item["outcome"], item["attempt"]) == ("done", 1)
    assert "shows" in item["reason"]
    assert mortal_caller.actions(job) == 1


def test_a_worker_killed_before_the_system_acted(mortal_caller: Caller) -> None:
    job = mortal_caller.failed_job()
    accepted = killed_while_sending(mortal_caller, job, acts=False, Prefer="respond-async")
    # Its claim's time passes, and all the time in which the system could still have come to the call.
    began = mortal_caller.machine.clock.now()
    answer = mortal_caller.result(accepted)
    assert mortal_caller.machine.clock.now() - began >= timedelta(minutes=13)
    assert (answer.status_code, answer.json()["Batch JobId"]) == (200, job)
    item = mortal_caller.run(accepted)["items"][0]
    assert (item["outcome"], item["attempt"]) == ("done", 1)
    # The clock was pushed until the answer was ready, so the job may have begun.
    assert mortal_caller.job(job).status in ("Waiting", "Executing", "Finished")
    assert mortal_caller.actions(job) == 2


def test_a_worker_killed_before_it_sent_anything(mortal_caller: Caller) -> None:
    job = mortal_caller.failed_job()
    mortal_caller.system.faults.add("hold", kind="read", job=job)
    accepted = mortal_caller.requeue(job, Prefer="respond-async")
    assert mortal_caller.system.faults.wait_held(1)
    kill_durable_workers(mortal_caller)
    mortal_caller.system.faults.clear()
    assert mortal_caller.result(accepted).status_code == 200
    assert mortal_caller.actions(job) == 1
