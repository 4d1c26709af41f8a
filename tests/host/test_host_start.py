"""What keeps a host from starting, in a clear sentence."""

import shutil
import socket
import time
from pathlib import Path

import pytest

from local.host.errors import HostError
from local.host.functions import FunctionInfo
from local.host.host import Host
from tests.host.host_caller import Caller


def test_a_binding_that_it_does_not_have(apps: Path) -> None:
    sentence = "'nightly' has the binding 'night' of type 'queueTrigger', which this host does not have"
    with pytest.raises(HostError, match=sentence):
        Host(apps / "queue_binding", {}).start()


def test_a_directory_without_an_app(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"holds no function_app\.py"):
        Host(tmp_path, {}).start()


def test_an_app_that_can_not_be_imported(apps: Path, tmp_path: Path) -> None:
    shutil.copy(apps / "web" / "host.json", tmp_path)
    (tmp_path / "function_app.py").write_text("import nowhere_to_be_found")
    with pytest.raises(HostError, match="nowhere_to_be_found"):
        Host(tmp_path, {}).start()


def test_a_port_that_is_taken(apps: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(HostError, match=f"Port {port} of 127.0.0.1 can't be used"):
            Host(apps / "web", {}, port=port).start()


def test_stop_leaves_no_process_and_functions_are_known(apps: Path) -> None:
    with Host(apps / "durable", {}) as host:
        known = {function.name: function for function in host.functions()}
        assert known["state"] == FunctionInfo("state", "http", "state/{instance}", ("GET",), "ANONYMOUS")
        assert known["one"] == FunctionInfo("one", "orchestrator")
        assert known["same"].kind == "activity"
        assert len(host.workers("durable")) == 1
    assert host.workers("http") == host.workers("durable") == []


def test_stop_is_quick_and_orderly_though_functions_sleep(apps: Path, tmp_path: Path) -> None:
    with Host(apps / "durable", {"EXIT_MARKS": str(tmp_path)}) as host:
        caller = Caller(host)
        caller.start("one", "asleep", {"activity": "sleeps", "input": 3600})
        caller.start("one", "awake", {"activity": "same"})
        caller.ended("awake")
        workers = {*host.workers("http"), *host.workers("durable")}
        begin = time.monotonic()
    assert time.monotonic() - begin < 5
    # What was registered to be done at exit, such as saving coverage, was done.
    assert {int(file.name) for file in tmp_path.iterdir()} == workers
