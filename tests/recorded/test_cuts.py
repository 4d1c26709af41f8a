"""Runs that began under an older version, and were cut off in the middle, end well under the present code.

Each is put into a fresh machine: its history into the hub, its records into the store, its jobs into the simulated
system. All moments are moved, so that the cut is now; the run's id and its place in the list keep their old day.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import durabletask.internal.orchestrator_service_pb2 as pb
import pytest
import requests

from local.host.hub import Standing
from local.machine import Machine
from shared.store import SqliteStore
from tests.app.calling import Caller, get
from tests.recorded.recordings import Cut, files, moved, name_of

CUTS = files("cuts/*.json")


class Resumed:
    """A run that was cut off, in a fresh machine that takes it on."""

    def __init__(self, cut: Cut, caller: Caller) -> None:
        self.cut = cut
        self.caller = caller

    @property
    def state(self) -> Any:  # noqa: ANN401 - as JSON has it
        return get(self.caller, f"runs/{self.cut.run}")["state"]

    def end(self) -> requests.Response:
        """Return the run's answer, at the address that its caller was told but for the port."""
        url = f"{self.caller.url}/runs/{self.cut.run}/result?ticket={self.cut.ticket}"
        for _ in range(60):
            answer = requests.get(url, timeout=30)
            if answer.status_code != 202:
                return answer
            self.caller.machine.clock.advance(15)
        raise AssertionError("the answer was never ready")


@contextmanager
def resumed(file: Path) -> Iterator[Resumed]:
    with Machine() as machine:
        cut, by = moved_to_now(file, machine)
        store = SqliteStore(machine.store_path)
        for key in cut.records:
            store.create(key, cut.data(key, by))
        for job in cut.jobs:
            machine.landscape.finance_operations.jobs.add(**job)
        machine.host.hub.adopt(cut.run, Standing(cut.events, cut.custom_status))
        yield Resumed(cut, Caller(machine))


def moved_to_now(file: Path, machine: Machine) -> tuple[Cut, timedelta]:
    """Return a recording whose cut is now, and by how much it was moved."""
    text = file.read_text(encoding="utf-8")
    age = machine.clock.now() - Cut.model_validate_json(text).at
    by = timedelta(seconds=age // timedelta(seconds=1))
    return Cut.model_validate_json(moved(text, by)), by


def assert_ended_well(run: Resumed) -> None:
    """Each item has one outcome, and was sent once: before the cut, or after it."""
    ids = [job["id"] for job in run.cut.jobs]
    told = get(run.caller, f"runs/{run.cut.run}")
    assert told["state"] == "ended"
    assert sorted(item["id"] for item in told["items"]) == [str(job) for job in ids]
    assert told["counts"]["outcome"] == {"done": len(ids)}
    # A job in Error had taken no action before the cut; another one had taken one.
    assert [run.caller.actions(job["id"]) for job in run.cut.jobs] == [
        int(job["status"] == "Error") for job in run.cut.jobs
    ]
    assert "Error" not in [run.caller.job(job).status for job in ids]
    last = run.caller.machine.host.hub.standing(run.cut.run).history[-1]
    assert last.executionCompleted.orchestrationStatus == pb.ORCHESTRATION_STATUS_COMPLETED


@pytest.mark.parametrize("file", CUTS, ids=name_of)
def test_a_run_that_was_cut_off_ends_well_today(file: Path) -> None:
    with resumed(file) as run:
        first = run.end()
        assert first.status_code == 200, first.text
        assert_ended_well(run)
        again = run.end()
        assert (again.status_code, again.content) == (200, first.content)


@pytest.mark.parametrize("file", files("cuts/while-it-waits.json"), ids=name_of)
def test_a_run_that_waited_when_it_was_cut_off_waits_on(file: Path) -> None:
    with resumed(file) as run:
        assert run.state == "waiting"
        run.caller.machine.clock.advance(30)
        assert (run.state, run.caller.actions(run.cut.jobs[0]["id"])) == ("waiting", 0)
        run.caller.machine.clock.advance(30)
        assert run.end().status_code == 200
        assert_ended_well(run)
