"""The app as it is deployed, on the Functions host itself: `func start` of Azure Functions Core Tools, with Azurite."""

import json
import os
import platform
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Self

import requests
from azure.core.exceptions import AzureError
from azure.storage.blob import ContainerClient

from local import azurite, package
from local.environment import ROOT
from local.host.errors import HostError
from shared.core.settings import Settings

LOG_FILE = ROOT / ".local" / "func.log"
_PYTHON = "languageWorkers:python:defaultExecutablePath"
"""The variable by which Core Tools are told which Python runs the app."""
_KEYS = "azure-webjobs-secrets"
"""Where the host keeps its keys: there is no command that shows those of `func start` (azure-functions-core-tools
issues 3394 and 5312)."""
_START_SECONDS = 170.0
"""At its first start it downloads the extension bundle that host.json names."""
_KEY_SECONDS = 30.0
_END_SECONDS = 10.0
_REQUEST_SECONDS = 10.0
_TAIL = 40
_ON_WINDOWS = sys.platform == "win32"


class FunctionsHost:
    """The host of Core Tools in processes of its own, and Azurite, from start to stop.

    Attributes:
        url: Where it listens.
        function_key: The key that opens all functions of level FUNCTION.
    """

    def __init__(self, program: Path, settings: Mapping[str, str]) -> None:
        """Name the program and the app settings; nothing runs yet.

        Raises:
            HostError: there is no such program.
        """
        found = shutil.which(program)
        if found is None:
            raise HostError(f"There is no program {program} that can be run.")
        self._program = str(Path(found).absolute())
        self._settings = settings
        self._port = azurite.free_ports(1)[0]
        self._process: subprocess.Popen[bytes] | None = None
        self._stack = ExitStack()
        self.url = f"http://127.0.0.1:{self._port}"
        self.function_key = ""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self) -> None:
        folder = self._stack.enter_context(
            tempfile.TemporaryDirectory(prefix="nightshift-func-", ignore_cleanup_errors=True)
        )
        # Without links: the worker looks for what the app requires below the folder as the host names it.
        app = Path(folder).resolve()
        try:
            storage = self._stack.enter_context(azurite.running())
            variables = _put_app(app)
        except (azurite.AzuriteError, package.PackageError) as error:
            raise HostError(str(error)) from error
        self._run(app, {**_kept(self._settings), **variables}, storage)
        self._await(self._is_healthy, _START_SECONDS, "did not answer")
        self._await(lambda: self._finds_key(storage), _KEY_SECONDS, "made no keys")

    def _run(self, app: Path, variables: Mapping[str, str], storage: str) -> None:
        values = {"FUNCTIONS_WORKER_RUNTIME": "python", "AzureWebJobsStorage": storage, **self._settings}
        file = app / "local.settings.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps({"IsEncrypted": False, "Values": values}), encoding="utf-8")
        LOG_FILE.parent.mkdir(parents=True, exist_ok=True)
        log = self._stack.enter_context(LOG_FILE.open("wb"))
        # Without --enableAuth it would let everybody in.
        command = [self._program, "start", "--port", str(self._port), "--enableAuth"]
        self._process = subprocess.Popen(  # noqa: S603 - the program that a person has named
            command,
            cwd=app,
            # It would listen on all addresses: this is how ASP.NET Core is told another one.
            env={**variables, "Kestrel__Endpoints__Http__Url": self.url},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # In a group of its own, which ends as a whole: it starts the host, and that the workers.
            start_new_session=True,
        )
        self._stack.callback(_end, self._process)

    def _await(self, done: Callable[[], bool], seconds: float, failing: str) -> None:
        until = monotonic() + seconds
        while not done():
            if self._process is None or self._process.poll() is not None:
                raise HostError(f"func ended before it was up:\n{_tail()}")
            if monotonic() > until:
                raise HostError(f"func {failing} within {seconds:g} seconds:\n{_tail()}")
            sleep(0.5)

    def _is_healthy(self) -> bool:
        return self._asked("health") == 200

    def _finds_key(self, storage: str) -> bool:
        """Look for the key of all functions; the host makes its keys when somebody comes with one."""
        self._asked("runs", {"x-functions-key": secrets.token_urlsafe()})
        with suppress(AzureError, LookupError, ValueError):
            self.function_key = _key_in(storage)
        return bool(self.function_key)

    def _asked(self, route: str, headers: Mapping[str, str] | None = None) -> int:
        """Return the status that a route answers with; 0 if it doesn't answer."""
        with suppress(requests.RequestException), requests.Session() as session:
            session.trust_env = False
            return session.get(f"{self.url}/api/{route}", headers=headers, timeout=_REQUEST_SECONDS).status_code
        return 0


def _put_app(app: Path) -> dict[str, str]:
    """Put the app into a folder, and return the variables by which the worker finds what it requires."""
    if (sys.platform, platform.machine()) == ("linux", "x86_64"):
        # The very files that are deployed, and a Python that has nothing besides: what is missing there shows here.
        package.build(app)
        bare: str = sys._base_executable  # type: ignore[attr-defined]  # noqa: SLF001 - nothing else names it
        return {_PYTHON: bare, "PYTHONPATH": str(app / package.SITE_PACKAGES)}
    for name in package.own_files():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, app / name)
    return {_PYTHON: sys.executable}


def _kept(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without app settings: they would go before those that are given here."""
    own = {name.casefold() for name in [*settings, *Settings.model_fields, "PYTHONPATH", "FUNCTIONS_WORKER_RUNTIME"]}
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.casefold() not in own and not name.casefold().startswith(("targets__", "azurewebjobs"))
    }
    return {**kept, "FUNCTIONS_CORE_TOOLS_TELEMETRY_OPTOUT": "1"}


def _key_in(storage: str) -> str:
    """Return the key of all functions; nothing as long as there is none."""
    with ContainerClient.from_connection_string(storage, _KEYS, retry_total=0) as container:
        for name in container.list_blob_names():
            if name.endswith("host.json"):
                keys = json.loads(container.download_blob(name).readall())["functionKeys"]
                return next((str(key["value"]) for key in keys if not key.get("encrypted")), "")
    return ""


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it has started, by its id."""
    if _ON_WINDOWS:
        subprocess.run(["taskkill", "/PID", str(process.pid), "/T", "/F"], capture_output=True, check=False)  # noqa: S603, S607 - a part of Windows
        process.wait(_END_SECONDS)
        return
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)
    # Of its group some may be left, even where it has ended.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(_END_SECONDS)


def _tail() -> str:
    lines = LOG_FILE.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join([*lines[-_TAIL:], f"All of it is in {LOG_FILE}."])
