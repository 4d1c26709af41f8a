"""Azurite, the emulator of Azure Storage: installed by npm where that is there, and run on free ports of loopback."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from time import monotonic, sleep

from local.environment import ROOT

_HOME = ROOT / ".local" / "azurite"
_MAIN = _HOME / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
_VERSION = "3.35.0"
_ACCOUNT = "devstoreaccount1"
# The account key of the emulator: published by Microsoft, the same on every machine, and no secret.
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


def is_installed() -> bool:
    """Tell whether it can be run."""
    return _MAIN.is_file() and shutil.which("node") is not None


def install() -> bool:
    """Install it where npm is there; tell whether it can be run."""
    npm = shutil.which("npm")
    if npm and not is_installed():
        _HOME.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(_HOME), f"azurite@{_VERSION}"]
        subprocess.run(command, check=False)  # noqa: S603 - npm itself
    return is_installed()


@contextmanager
def running() -> Iterator[str]:
    """Run its blob service, and give the connection string."""
    node, port = shutil.which("node") or "node", _free_port()
    command = [
        *(node, str(_MAIN), "--blobHost", "127.0.0.1", "--blobPort", str(port)),
        *("--inMemoryPersistence", "--skipApiVersionCheck", "--silent", "--disableTelemetry"),
    ]
    with subprocess.Popen(command) as process:  # noqa: S603 - Azurite itself
        try:
            _await(process, port)
            yield (
                f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};"
                f"BlobEndpoint=http://127.0.0.1:{port}/{_ACCOUNT};"
            )
        finally:
            process.terminate()


def _free_port() -> int:
    with closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _await(process: subprocess.Popen[bytes], port: int) -> None:
    until = monotonic() + 30
    while monotonic() < until:
        if process.poll() is not None:
            break
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        sleep(0.05)
    raise RuntimeError("Azurite did not start")
