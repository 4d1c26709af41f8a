"""The bench itself: what it writes, what it counts, and that its processes end with it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import durabletask.internal.orchestrator_service_pb2 as pb
import pytest
import requests

from benchmarks import run, table
from benchmarks.landscape import Landscape
from benchmarks.measuring import rounds
from benchmarks.operations import Journals, as_body
from benchmarks.processes import Child, ChildError
from benchmarks.table import NotMeasured, Row
from benchmarks.turns import Turns
from local.environment import ROOT

PATIENCE = 20


def test_a_row_is_the_median_with_its_spread() -> None:
    row = table.row("a", [3, 1, 2.00049], 2, "lower")
    assert (row.value, row.spread, row.is_reached) == (2.0, (1, 3), True)
    assert table.row("a", [3, 1, 2], 2.5, "higher").is_reached is False


def test_the_file_has_the_rows_that_were_measured(tmp_path: Path) -> None:
    rows: list[Row | NotMeasured] = [
        table.row("a", [1.5], 1, "lower"),
        NotMeasured("b", "it isn't here"),
        table.row("c", [9], 8, "higher"),
    ]
    table.write(rows, tmp_path / "results.json")
    assert json.loads((tmp_path / "results.json").read_text("utf-8")) == [
        {"row": "a", "value": 1.5, "target": 1, "better": "lower", "spread": [1.5, 1.5]},
        {"row": "c", "value": 9, "target": 8, "better": "higher", "spread": [9, 9]},
    ]
    missed, left_out, reached = (table.shown(row) for row in rows)
    assert "1.500 * <= 1 " in missed
    assert left_out.endswith("not measured: it isn't here")
    assert "9.000   >= 8 " in reached


def test_a_name_that_nobody_knows_is_refused_with_those_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.run(["work", "nope"]) == 2
    assert capsys.readouterr().out.startswith("There is no measurement nope; there are: fan-out, ")


def test_readme_explains_each_measurement() -> None:
    text = (ROOT / "benchmarks" / "README.md").read_text("utf-8")
    assert [name for name in run.MEASUREMENTS if f"| `{name}` |" not in text] == []


def test_no_round_begins_after_its_time() -> None:
    assert list(rounds(3, 60)) == [0, 1, 2]
    assert list(rounds(3, 0)) == [0]


def test_operations_have_the_size_that_was_asked_for() -> None:
    operations = Journals("c", ["one", "two"]).operations(3, 300)
    assert {len(json.dumps(one)) for one in operations} == {300}
    assert len(as_body(operations)) == len('{"requests": []}') + 3 * 300 + 2 * len(", ")


def test_turns_are_counted_as_the_history_has_them() -> None:
    turns = Turns()
    first = pb.OrchestratorRequest(instanceId="run-1", newEvents=[pb.HistoryEvent(), pb.HistoryEvent()])
    schedule = pb.OrchestratorAction(scheduleTask=pb.ScheduleTaskAction(name="a"))
    complete = pb.OrchestratorAction(completeOrchestration=pb.CompleteOrchestrationAction())
    turns.seen(first, pb.OrchestratorResponse(actions=[schedule, schedule]))
    turns.seen(pb.OrchestratorRequest(instanceId="run-2"), pb.OrchestratorResponse(actions=[complete]))
    turns.seen(pb.OrchestratorRequest(instanceId="other"), pb.OrchestratorResponse())
    assert turns.of("run") == {"turns": 2, "events": 5 + 2, "hops": 2, "largest": first.ByteSize()}


def test_the_systems_answer_from_a_process_of_their_own() -> None:
    with Landscape() as landscape:
        assert landscape.process.pid != os.getpid()
        assert landscape.settings["TARGETS__BC__URL"] == landscape.business_central.url
        landscape.finance_operations.call("GET", "/data/BatchJobs")
        assert len(landscape.finance_operations.calls("list")) == 1
    with pytest.raises(requests.ConnectionError):
        requests.get(landscape.business_central.url, timeout=PATIENCE)


def test_a_process_that_can_not_start_says_what_it_wrote() -> None:
    with pytest.raises(ChildError, match="No module named"):
        Child("benchmarks.no_such_module")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_process_of_the_bench_dies_with_its_parent() -> None:
    code = "import time; from benchmarks.landscape import Landscape; print(Landscape().process.pid); time.sleep(60)"
    command = [sys.executable, "-uc", code]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:  # noqa: S603 - our own code
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    until = time.monotonic() + PATIENCE
    while is_alive(child):
        assert time.monotonic() < until, "it lives on"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended, and that nobody has waited for yet, does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
