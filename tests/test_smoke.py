"""`python -m local smoke`: on the local host, on a stand-in for `func start`, and where something is missing."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local import azurite, functions_host, generated_docs, smoke
from local.azurite import is_listening
from local.environment import ROOT
from local.host.errors import HostError
from local.simulators.landscape import Landscape
from local.smoke_caller import App, Caller, NotAsPromisedError
from local.smoke_calls import PROMISES, STEPS

PATIENCE = 290
FUNCTIONS = [function.name for function in generated_docs.http_functions()]
FUNC = """#!{python}
import json, subprocess, sys, time
from pathlib import Path

sys.path.insert(0, {root!r})
from azure.storage.blob import ContainerClient
from local.host.host import Host

assert sys.argv[1:3] == ["start", "--port"] and sys.argv[4:] == ["--enableAuth"], sys.argv
values = json.loads(Path("local.settings.json").read_text("utf-8"))["Values"]
assert values["FUNCTIONS_WORKER_RUNTIME"] == "python"
host = Host(Path.cwd(), values, port=int(sys.argv[3]), function_key="key-of-the-host").start()
print("child", subprocess.Popen(["sleep", "600"]).pid, flush=True)
keys = {{"masterKey": {{}}, "functionKeys": [{{"name": "default", "value": "key-of-the-host", "encrypted": False}}]}}
container = ContainerClient.from_connection_string(values["AzureWebJobsStorage"], "azure-webjobs-secrets")
container.create_container()
container.upload_blob("a-host-id/host.json", json.dumps(keys))
time.sleep(600)
"""
"""Stands for func: it is called like it, keeps its keys where it does, and serves with the local host."""
on_posix = pytest.mark.skipif(sys.platform == "win32", reason="the stand-in is a script, and processes end by signals")


def smoked(*given: str, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "local", "smoke", *given],
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )


def ends(process: int) -> bool:
    """Tell whether a process is gone, or is within some seconds: the system needs a moment to take away a dead one."""
    for _ in range(100):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def told(done: subprocess.CompletedProcess[str]) -> list[tuple[str, str]]:
    """Return the lines about calls: `ok` or `failed`, and the title."""
    return re.findall(r"^(ok|failed) +(.+)$", done.stdout, re.MULTILINE)


def test_a_function_that_nobody_calls_is_found() -> None:
    assert smoke.uncalled(["health", "new_one", "runs"], STEPS) == ["new_one"]


def test_every_function_has_a_call_and_every_call_a_function() -> None:
    assert smoke.uncalled(FUNCTIONS, STEPS) == []
    assert smoke.uncalled(STEPS, FUNCTIONS) == []


@contextmanager
def nothing(_: Path | None) -> Iterator[App]:
    """An app that nobody has started."""
    landscape = Landscape(lambda: datetime.now(UTC))
    yield App("nothing", f"http://127.0.0.1:{azurite.free_ports(1)[0]}", "", landscape)
    landscape.stop()


def test_it_fails_where_a_function_has_no_call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(smoke, "_app", nothing)
    monkeypatch.setattr(smoke, "STEPS", {name: _does_nothing for name in FUNCTIONS if name != "sweep"})
    monkeypatch.setattr(smoke, "PROMISES", {})
    assert smoke.run(None) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("failed")] == [
        "failed  sweep: it has no call; add one to STEPS in local/smoke_calls.py"
    ]
    assert lines[-1].startswith("1 failed, on nothing, in ")


def _does_nothing(_: Caller) -> None:
    pass


def _breaks_a_promise(_: Caller) -> None:
    raise NotAsPromisedError("500 ")


def test_it_goes_on_after_a_call_that_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(smoke, "_app", nothing)
    monkeypatch.setattr(smoke, "STEPS", {**dict.fromkeys(FUNCTIONS, _does_nothing), "health": STEPS["health"]})
    monkeypatch.setattr(smoke, "PROMISES", {"one": _breaks_a_promise, "two": _does_nothing})
    assert smoke.run(None) == 1
    out = capsys.readouterr().out
    assert re.search(r"^failed  health: .*refused", out, re.MULTILINE | re.IGNORECASE)
    assert "failed  one: 500" in out
    assert "ok      two\n2 failed" in out


def test_a_program_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert smoke.run(tmp_path / "func") == 1
    assert f"failed  There is no program {tmp_path / 'func'} that can be run." in capsys.readouterr().out


def test_what_would_begin_too_late_fails_and_is_not_called(capsys: pytest.CaptureFixture[str]) -> None:
    nobody = App("nobody", "http://127.0.0.1:9", "", Landscape(lambda: datetime.now(UTC)))
    failed = smoke._failed(Caller(nobody), time.monotonic())  # noqa: SLF001 - a whole run would take minutes
    lines = capsys.readouterr().out.splitlines()
    assert failed == len(lines) == len(STEPS) + len(PROMISES)
    assert {line.partition(": ")[2] for line in lines} == {"the calls before it took 200 seconds"}


def test_app_settings_of_the_environment_do_not_reach_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"TARGETS__MINE__URL": "https://mine.example", "SWEEP_MODE": "apply", "AzureWebJobsStorage": "x"}
    for name, value in {**settings, "STORE": "sqlite", "HOME_SWEET_HOME": "1"}.items():
        monkeypatch.setenv(name, value)
    kept = functions_host._kept({"IDENTITY_HEADER": "x"})  # noqa: SLF001 - a whole run would take minutes
    assert kept["HOME_SWEET_HOME"] == "1"
    assert kept.keys().isdisjoint({*settings, "STORE"})


@pytest.mark.slow
def test_all_goes_well_on_the_local_host(tmp_path: Path) -> None:
    done = smoked(path=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("There is no func on the PATH (Azure Functions Core Tools)")
    assert told(done) == [("ok", title) for title in [*STEPS, *PROMISES]]
    assert re.search(r"^All went well, on the local host, in \d+ seconds\.$", done.stdout, re.MULTILINE)


@pytest.mark.slow
@on_posix
@pytest.mark.skipif(not azurite.is_installed(), reason="Azurite is not installed")
def test_the_deployed_files_run_by_a_program_that_is_called_as_func(tmp_path: Path) -> None:
    func = tmp_path / "func"
    func.write_text(FUNC.format(python=sys.executable, root=str(ROOT)), "utf-8")
    func.chmod(0o700)
    done = smoked("--func", str(func), path=os.environ["PATH"])
    log = functions_host.LOG_FILE.read_text("utf-8")
    assert done.returncode == 0, done.stdout + done.stderr + log
    assert {title for went, title in told(done) if went == "ok"} == {*STEPS, *PROMISES}
    url = re.search(r"^Calls of the Functions host, at http://127\.0\.0\.1:(\d+):$", done.stdout, re.MULTILINE)
    assert url
    assert not is_listening(int(url[1]))
    child = re.search(r"^child (\d+)$", log, re.MULTILINE)
    assert child
    assert ends(int(child[1]))


@pytest.mark.slow
@on_posix
@pytest.mark.skipif(not azurite.is_installed(), reason="Azurite is not installed")
def test_a_func_that_ends_before_it_is_up_is_told_with_its_last_lines(tmp_path: Path) -> None:
    func = tmp_path / "func"
    func.write_text("#!/bin/sh\necho Can not find the runtime\nexit 3\n", "utf-8")
    func.chmod(0o700)
    with (
        pytest.raises(HostError, match=r"ended before it was up:\nCan not find the runtime\n"),
        functions_host.FunctionsHost(func, {}),
    ):
        pass
