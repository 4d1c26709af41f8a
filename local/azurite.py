"""Azurite, the emulator of Azure Storage: installed by npm where that is there, and run on free ports of loopback."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from time import monotonic, sleep

from local.environment import ROOT

_HOME = ROOT / ".local" / "azurite"
_PACKAGE = _HOME / "node_modules" / "azurite"
_MAIN = _PACKAGE / "dist" / "src" / "azurite.js"
VERSION = "3.37.0"
_SERVICES = ("blob", "queue", "table")
_START_SECONDS = 30.0
_END_SECONDS = 10.0
_ACCOUNT = "devstoreaccount1"
# The account key of the emulator: published by Microsoft, the same on every machine, and no secret.
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


class AzuriteError(Exception):
    """Azurite can't be run; the message says why."""


def is_installed() -> bool:
    """Tell whether it can be run, in the version that is pinned here."""
    return _MAIN.is_file() and _installed_version() == VERSION and shutil.which("node") is not None


def install() -> bool:
    """Install it where npm is there; tell whether it can be run."""
    npm = shutil.which("npm")
    if npm and not is_installed():
        _HOME.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(_HOME), f"azurite@{VERSION}"]
        subprocess.run(command, check=False)  # noqa: S603 - npm itself
    return is_installed()


@contextmanager
def running() -> Iterator[str]:
    """Run it in memory, and give the connection string of its blob, queue and table services.

    Raises:
        AzuriteError: It isn't installed, or did not start.
    """
    if not is_installed():
        raise AzuriteError(f"Azurite {VERSION} is not installed: `make check` or `make engine` installs it with npm.")
    ports = dict(zip(_SERVICES, free_ports(len(_SERVICES)), strict=True))
    command = [
        *(shutil.which("node") or "node", str(_MAIN)),
        *("--inMemoryPersistence", "--skipApiVersionCheck", "--silent", "--disableTelemetry"),
    ]
    for service, port in ports.items():
        command += [f"--{service}Host", "127.0.0.1", f"--{service}Port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:  # noqa: S603 - Azurite itself
        try:
            for port in ports.values():
                _await(process, port)
            yield _connection_string(ports)
        finally:
            process.terminate()
            try:
                process.wait(_END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens on at present."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


def is_listening(port: int) -> bool:
    """Tell whether somebody listens on a port of loopback."""
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _installed_version() -> str | None:
    try:
        found = json.loads((_PACKAGE / "package.json").read_text("utf-8"))["version"]
    except (OSError, ValueError, KeyError):
        return None
    return str(found)


def _connection_string(ports: dict[str, int]) -> str:
    ends = (f"{name.title()}Endpoint=http://127.0.0.1:{port}/{_ACCOUNT}" for name, port in ports.items())
    return f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};{';'.join(ends)};"


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    until = monotonic() + _START_SECONDS
    while monotonic() < until and process.poll() is None:
        if is_listening(port):
            return
        sleep(0.05)
    raise AzuriteError("Azurite did not start.")
