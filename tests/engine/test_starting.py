"""What a person is told when the engine can't be run; no extension is needed for that."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import azurite, commands
from local.environment import ROOT
from local.extension import VARIABLE, Extension, ExtensionHub
from local.host.errors import HostError
from local.host.remote_hub import RemoteHub


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A program that says two lines and ends with an error."""
    if sys.platform == "win32":
        pytest.skip("a script is no program on Windows")
    file = tmp_path / "engine"
    file.write_text("#!/bin/sh\necho first line\necho the hub is broken\nexit 3\n", "utf-8")
    file.chmod(0o755)
    return file


@pytest.fixture
def hub(script: Path) -> Iterator[ExtensionHub]:
    hub = ExtensionHub(script, "no storage", "Hub", ROOT / "host.json")
    yield hub
    hub.close()


def test_an_engine_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"There is no engine at .*nowhere"):
        Extension(tmp_path / "nowhere")


def test_an_engine_that_may_not_be_executed_is_named(script: Path) -> None:
    script.chmod(0o644)
    if os.access(script, os.X_OK):
        pytest.skip("this user may execute everything")
    with pytest.raises(HostError, match="can't be executed"):
        Extension(script)


def test_azurite_that_is_not_there_is_named(script: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(azurite, "_MAIN", tmp_path / "nothing.js")
    with pytest.raises(HostError, match=r"Azurite .* is not installed"), Extension(script):
        pass


def test_an_engine_that_dies_at_its_start_tells_its_last_lines(hub: ExtensionHub) -> None:
    with pytest.raises(HostError, match=r"ended with code 3 before it was up:\nfirst line\nthe hub is broken"):
        hub.start([])


def test_an_address_where_nobody_answers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.host.remote_hub._START_SECONDS", 0.2)
    address = f"127.0.0.1:{azurite.free_ports(1)[0]}"
    with pytest.raises(HostError, match=f"No task hub answers at {address}"):
        RemoteHub(address).start([])


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "local", "serve", "--port", port]
        environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
        ended = subprocess.run(  # noqa: S603 - our own command
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert f"Port {port} of 127.0.0.1 can't be used" in ended.stderr


def test_serve_and_demo_say_that_there_is_no_engine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("serve", "demo"):
        assert commands.run(command, ["--engine", str(tmp_path / "nowhere")]) == 1
        assert "There is no engine at" in capsys.readouterr().err


def test_the_engines_tests_without_an_engine_are_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert commands.run("engine", []) == 1
    assert VARIABLE in capsys.readouterr().err
