"""Clients of OData from npm, as they are published: installed where npm is there, and run by the tests."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from local.environment import ROOT

SCRIPTS = ROOT / "tests" / "clients"
_HOME = ROOT / ".local" / "clients"
_LISTS = ("package.json", "package-lock.json", ".npmrc")
_STAMP = _HOME / "node_modules" / ".package-lock.json"
_SECONDS = 120.0


class ClientError(Exception):
    """A client's script failed; the message is what it printed."""


def is_installed() -> bool:
    """Tell whether the clients can be run, in the versions that are pinned."""
    return _STAMP.is_file() and _is_fresh() and shutil.which("node") is not None


def install() -> bool:
    """Install them where npm is there; tell whether they can be run."""
    npm = shutil.which("npm")
    if npm and not is_installed():
        _HOME.mkdir(parents=True, exist_ok=True)
        for name in _LISTS:
            shutil.copyfile(SCRIPTS / name, _HOME / name)
        command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
        subprocess.run(command, check=False, cwd=_HOME)  # noqa: S603 - npm itself
    return is_installed()


def run(script: str, told: Mapping[str, object]) -> Any:  # noqa: ANN401 - JSON is any value
    """Run a client's script, and return what it found; it is told by an argument.

    Raises:
        ClientError: It failed.
    """
    command = [shutil.which("node") or "node", str(SCRIPTS / script), json.dumps(told)]
    environment = {**os.environ, "NODE_PATH": str(_HOME / "node_modules")}
    ended = subprocess.run(  # noqa: S603 - our own script
        command, env=environment, capture_output=True, encoding="utf-8", timeout=_SECONDS, check=False
    )
    if ended.returncode:
        raise ClientError(ended.stderr or ended.stdout)
    return json.loads(ended.stdout)


def _is_fresh() -> bool:
    """Tell whether what is installed is what the lock file lists."""
    return all(
        (_HOME / name).is_file() and (_HOME / name).read_bytes() == (SCRIPTS / name).read_bytes() for name in _LISTS
    )
