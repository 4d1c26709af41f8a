"""The vendor's Python client (`odsl`), as it is published: only its address is that of Nightshift.

It runs in a process and a folder of its own: it leaves a file with its tokens in the folder that it is started in.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local import clients
from local.stack import Machine
from tests.functions.calling import NO_TIMERS, put_rules
from tests.functions.test_opendatadsl import Feeder
from tests.functions.test_opendatadsl_processes import ALLOW

pytestmark = pytest.mark.slow
_SECONDS = 60


class Client:
    """The client, at Nightshift or at the service itself."""

    def __init__(self, feeder: Feeder, folder: Path) -> None:
        self.feeder = feeder
        self._folder = folder
        self.printed: list[str] = []

    def __call__(self, call: str, *given: object, direct: bool = False) -> Any:  # noqa: ANN401 - JSON is any value
        """Make a call of the client; return what that returns."""
        service, host = self.feeder.service, self.feeder.machine.host
        told = {
            "url": f"{service.url}/" if direct else f"{host.url}/api/opendatadsl/",
            "headers": {} if direct else {"x-functions-key": host.function_key},
            "user": service.behaviour.user,
            "key": service.behaviour.api_key,
            "call": call,
            "given": given,
        }
        command = [sys.executable, str(clients.SCRIPTS / "odsl_client.py"), json.dumps(told)]
        ended = subprocess.run(  # noqa: S603 - our own script
            command, capture_output=True, encoding="utf-8", timeout=_SECONDS, check=False, cwd=self._folder
        )
        assert ended.returncode == 0, ended.stderr
        *printed, last = ended.stdout.splitlines()
        self.printed = printed
        return json.loads(last)["found"]


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with Machine(NO_TIMERS) as machine:
        yield machine


@pytest.fixture
def client(machine: Machine, tmp_path: Path) -> Client:
    feeder = Feeder(machine)
    put_rules(feeder, [ALLOW])
    return Client(feeder, tmp_path)


def as_documented(client: Client) -> None:
    """Make the service refuse paths that its documents do not have."""
    client.feeder.service.behaviour.client_paths = False


def test_the_client_sends_a_batch(client: Client) -> None:
    """It looks at the status only, and prints it."""
    as_documented(client)
    assert client("update", "batch", "private", "curve", {"_reason": "load"}) is None
    assert client.printed == ["200"]
    assert client.feeder.taken() == {"AAA": 1}
    [sent] = client.feeder.service.book.taken("AAA")
    assert json.loads(sent.text)["CURVE"]["contracts"] == [
        {"tenor": "M01", "value": 1.4},
        {"tenor": "M02", "value": 2.25},
    ]
    [post] = client.feeder.service.book.calls(kind="action")
    assert post.path == "/api/batch/v1?_reason=load"


def test_the_client_prints_why_a_batch_is_refused(client: Client) -> None:
    as_documented(client)
    client("update", "batch", "private", {"_type": "VarBatch", "elements": [{"value": 1}]})
    reason, status = client.printed
    assert reason.startswith("ODSL error 422: The request has 1 mistake. /elements/0/_id: ")
    assert status == "422"
    client.feeder.service.behaviour.failing = frozenset({"AAA"})
    client("update", "batch", "private", "curve")
    assert client.printed == ["ODSL error 422: Elements: 1 rejected.", "422"]


@pytest.mark.parametrize("source", ["private", "all", ""])
def test_the_client_lists_summaries_and_reads_one(client: Client, source: str) -> None:
    client("update", "batch", "private", "curve", direct=True)
    theirs = client("list", "batch", source, {"name": "LOADER"}, direct=True)
    as_documented(client)
    [ours] = client("list", "batch", source, {"name": "LOADER"})
    assert [ours] == theirs
    assert client("get", "batch", None, ours["_id"]) == ours
    assert client("headers", "batch", source)["x-total-count"] == "1"
    assert "There is no summary nobody" in client("get", "batch", None, "nobody")
    assert client.printed == ["ODSL error 422: There is no summary nobody."]


@pytest.mark.parametrize("source", ["private", ""])
def test_the_client_runs_a_process_and_reads_its_execution(client: Client, source: str) -> None:
    as_documented(client)
    client("update", "process-exec", "private", {"name": "ECB_FX", "body": {"date": "2026-11-30"}})
    assert client.printed == ["200"]
    [effect] = client.feeder.service.book.effects("run")
    assert json.loads(effect.input or "") == {"date": "2026-11-30"}
    [execution] = client("list", "process-exec", source, {"_sort": "-start"})
    # It goes on meanwhile, so its status may be another one.
    one = client("get", "process-exec", None, execution["_id"])
    assert (one["_id"], one["start"]) == (execution["_id"], execution["start"])
    client.feeder.service.behaviour.client_paths = True
    theirs = client("list", "process-exec", source, {"_sort": "-start"}, direct=True)
    assert [one["_id"] for one in theirs] == [execution["_id"]]


def test_the_client_prints_why_a_process_does_not_run(client: Client) -> None:
    client("update", "process-exec", "private", {"name": "NOBODY"})
    reason, status = client.printed
    assert (reason[:16], status) == ("ODSL error 422: ", "422")
    assert "There is no process NOBODY" in reason
