"""The Durable extension itself, on Azurite: a program outside of this project, started and ended here.

A person names the program by its path (`--engine`, or the variable NIGHTSHIFT_ENGINE); CONTRIBUTING.md says how it is
called and what it must speak.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from copy import copy
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Self, override

from local import azurite
from local.environment import ROOT
from local.host.errors import HostError
from local.host.remote_hub import RemoteHub
from local.host.task_hub import DurableFunction

VARIABLE = "NIGHTSHIFT_ENGINE"
_COMPILED_ONCE = {"DOTNET_TieredCompilation": "0"}
"""It lives for minutes: compiling what is called often a second time would cost it more than that saves."""
_START_SECONDS = 120.0
"""The extension holds a lease for its app, which one that was killed leaves for up to a minute."""
_END_SECONDS = 10.0
_LINES = 200
_SOME = [DurableFunction("orchestrator", "someOrchestrator"), DurableFunction("entity", "someEntity")]
"""Without any function, the extension does not start."""
_VERSION_MARK = '"ExtensionVersion":"'


def program_of(named: str | None) -> Path | None:
    """Return the program that a person has named, by an option or by the variable; None if nobody did."""
    found = named or os.environ.get(VARIABLE)
    return Path(found) if found else None


def version_of(program: Path) -> str:
    """Start the program once, and return which version of the extension it runs.

    Raises:
        HostError: it can't be run; the message says why.
    """
    with Extension(program) as extension:
        hub = extension.hub(ROOT / "host.json")
        try:
            hub.start(_SOME)
        finally:
            hub.close()
        return hub.version


class Extension:
    """Azurite and a task hub of its own name on it; each host that works on it starts the program once."""

    def __init__(self, program: Path) -> None:
        """Name the program; nothing runs yet.

        Raises:
            HostError: there is no such program, or it can't be run.
        """
        self._program = program.resolve()
        if not self._program.is_file():
            raise HostError(f"There is no engine at {program}.")
        if not os.access(self._program, os.X_OK):
            raise HostError(f"The engine {program} can't be executed: set its permission to run.")
        self.hub_name = _new_name()
        self.storage = ""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self.storage = self._stack.enter_context(azurite.running())
        except azurite.AzuriteError as error:
            raise HostError(str(error)) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def renamed(self) -> "Extension":
        """Return the same storage with a task hub of another name, which sees nothing of this one."""
        other = copy(self)
        other.hub_name = _new_name()
        return other

    def hub(self, host_json: Path, *, client_only: bool = False) -> "ExtensionHub":
        """Return one instance of the extension on this storage, which isn't started yet; it may take no work."""
        return ExtensionHub(self._program, self.storage, self.hub_name, host_json, client_only=client_only)


class ExtensionHub(RemoteHub):
    """One instance of the extension, in a process of its own."""

    def __init__(
        self, program: Path, storage: str, hub_name: str, host_json: Path, *, client_only: bool = False
    ) -> None:
        self._more = ["--client-only"] if client_only else []
        self._port = azurite.free_ports(1)[0]
        super().__init__(f"127.0.0.1:{self._port}")
        self._program = program
        self._storage = storage
        self._hub_name = hub_name
        self._host_json = host_json
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._process: subprocess.Popen[str] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="nightshift-engine-", ignore_cleanup_errors=True)
        self.version = ""

    @override
    def start(self, functions: Sequence[DurableFunction]) -> str:
        """Start the program, and return when the extension runs."""
        folder = Path(self._folder.name)
        (folder / "functions.txt").write_text("".join(f"{one.kind} {one.name}\n" for one in functions), "utf-8")
        (folder / "host.json").write_text(json.dumps(self._settings()), "utf-8")
        command = [
            *(str(self._program), "--functions", str(folder / "functions.txt")),
            *("--host-json", str(folder / "host.json"), "--storage", self._storage, "--port", str(self._port)),
            *self._more,
        ]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the program that a person has named
                command,
                env={**_COMPILED_ONCE, **os.environ},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise HostError(f"The engine {self._program} can't be started: {error.strerror}.") from error
        reader = threading.Thread(target=self._read, args=(self._process,), name="engine", daemon=True)
        reader.start()
        self._await(self._process, reader)
        address = super().start(functions)
        print(
            f"The Durable extension {self.version} runs on Azurite, with the task hub {self._hub_name}, at {address}.",
            file=sys.stderr,
        )
        return address

    @override
    def close(self) -> None:
        """Let it end by itself, and end it if it doesn't within some seconds."""
        super().close()
        self._end(signal.SIGTERM)

    @override
    def crash(self) -> None:
        """End the process at once."""
        super().close()
        self._end(getattr(signal, "SIGKILL", signal.SIGTERM))

    def log(self) -> str:
        """Return the last lines that it has written."""
        return "\n".join(self._lines)

    def _settings(self) -> object:
        # A hub of its own: other starts, and other checkouts, must not meet in it.
        found = json.loads(self._host_json.read_text("utf-8"))
        found.setdefault("extensions", {}).setdefault("durableTask", {})["hubName"] = self._hub_name
        return found

    def _await(self, process: subprocess.Popen[str], reader: threading.Thread) -> None:
        until = monotonic() + _START_SECONDS
        while not azurite.is_listening(self._port):
            if process.poll() is not None:
                reader.join(_START_SECONDS)
                raise HostError(f"The engine ended with code {process.returncode} before it was up:\n{self._tail()}")
            if monotonic() > until:
                self._end(signal.SIGTERM)
                raise HostError(f"The engine was not up within {_START_SECONDS:g} seconds:\n{self._tail()}")
            sleep(0.05)

    def _read(self, process: subprocess.Popen[str]) -> None:
        for line in process.stdout or ():
            self._lines.append(line.rstrip())
            if not self.version and _VERSION_MARK in line and "WebJobs-Extensions-DurableTask" in line:
                self.version = line.partition(_VERSION_MARK)[2].partition('"')[0]

    def _tail(self) -> str:
        return "\n".join(list(self._lines)[-20:])

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_SECONDS)
        self._folder.cleanup()


def _new_name() -> str:
    return f"Nightshift{secrets.token_hex(4)}"
