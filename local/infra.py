"""Checks of infra/ without a cloud: the Bicep CLI compiles, lints and predicts, checkov looks at what is predicted."""

import json
import os
import shutil
import subprocess
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

from local.environment import ROOT

VARIABLE = "BICEP"
INFRA = ROOT / "infra"
MAIN = INFRA / "main.bicep"
SETTINGS = INFRA / "checkov.yaml"
_CHECKOV = "3.3.30"
_HOME = ROOT / ".local" / "checkov"
_SECONDS = 300.0
_NOBODY = "00000000-0000-0000-0000-000000000000"
_PLACE = ("--subscription-id", _NOBODY, "--tenant-id", _NOBODY, "--location", "westeurope")
_SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#"


class InfraError(Exception):
    """A check has found something; the message says what."""


def program() -> str | None:
    """Return the Bicep CLI that the variable BICEP names, or that is on the PATH; None if there is none."""
    return os.environ.get(VARIABLE) or shutil.which("bicep")


def environments() -> list[Path]:
    """Return the parameters of each environment."""
    return sorted((INFRA / "environments").glob("*.bicepparam"))


def run(*, write: bool = False) -> int:
    """Run all checks; `write` writes the snapshots instead of comparing them. Return the exit code."""
    bicep = program()
    if bicep is None:
        print(f"The Bicep CLI isn't here ({VARIABLE} names no program; it isn't on the PATH): nothing was compiled.")
        return _missing()
    try:
        for line in _checks(bicep, write=write):
            print(line, flush=True)
    except InfraError as error:
        print(error, flush=True)
        return 1
    return 0


def settings_of(parameters: Path) -> dict[str, str]:
    """Return the app settings that the parameters of an environment make, with expressions where Azure knows a value.

    Raises:
        InfraError: the template or the parameters are not valid.
    """
    bicep = program()
    if bicep is None:
        raise InfraError("The Bicep CLI isn't here.")
    _call(bicep, "snapshot", str(parameters), *_PLACE)
    found: dict[str, str] = settings_in(parameters.with_suffix(".snapshot.json"))
    return found


def settings_in(snapshot: Path) -> dict[str, str]:
    """Return the app settings in a snapshot."""
    resources = json.loads(snapshot.read_text("utf-8"))["predictedResources"]
    found: dict[str, str] = next(one["properties"] for one in resources if one["id"].endswith("/config/appsettings"))
    return found


def _checks(bicep: str, *, write: bool) -> Iterator[str]:
    yield f"{_call(bicep, '--version').strip()}."
    files = sorted(INFRA.rglob("*.bicep"))
    for file in files:
        _quiet(bicep, "lint", file)
        if _call(bicep, "format", str(file), "--stdout") != file.read_text("utf-8"):
            raise InfraError(f"{_name(file)} is not formatted: bicep format {_name(file)}")
    _quiet(bicep, "build", MAIN, "--stdout")
    yield f"Compiled, linted and compared with its format: {len(files)} files, no warning."
    for parameters in environments():
        _quiet(bicep, "lint", parameters)
        _call(bicep, "snapshot", str(parameters), *_PLACE, "--mode", "overwrite" if write else "validate")
        yield f"{'Wrote' if write else 'Compared'} the snapshot of {_name(parameters)}."
    yield _checkov()


def _quiet(bicep: str, command: str, file: Path, *more: str) -> None:
    """Run a command that must have nothing to say.

    Raises:
        InfraError: it fails, or warns.
    """
    ended = _ended(bicep, command, str(file), *more)
    if ended.returncode or ended.stderr.strip():
        raise InfraError(f"bicep {command} {_name(file)}:\n{ended.stderr or ended.stdout}")


def _call(bicep: str, *arguments: str) -> str:
    ended = _ended(bicep, *arguments)
    if ended.returncode:
        raise InfraError(f"bicep {' '.join(arguments[:2])}:\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def _checkov() -> str:
    """Look at the predicted resources with checkov, which can't read all of today's Bicep.

    Raises:
        InfraError: it finds something that `infra/checkov.yaml` does not ignore, or is missing where it must not be.
    """
    if not _installed():
        told = f"checkov {_CHECKOV} can't be installed here: the predicted resources were not looked at by it."
        if _missing():
            raise InfraError(told)
        return told
    with tempfile.TemporaryDirectory() as folder:
        for parameters in environments():
            found = json.loads(parameters.with_suffix(".snapshot.json").read_text("utf-8"))["predictedResources"]
            template = {"$schema": _SCHEMA, "contentVersion": "1.0.0.0", "resources": found}
            (Path(folder) / f"{parameters.stem}.json").write_text(json.dumps(template, indent=1), "utf-8")
        wanted = ("--directory", folder, "--framework", "arm", "--config-file", str(SETTINGS), "--skip-download")
        ended = _ended(str(_of_checkov("checkov")), *wanted, CKV_PARSE_ERROR_FAIL="true")
    if ended.returncode:
        raise InfraError(f"checkov {_CHECKOV}:\n{ended.stdout}{ended.stderr}")
    return f"checkov {_CHECKOV}: {_passed(ended.stdout)}"


def _missing() -> int:
    """Return whether what is missing is an error: on a machine that checks for others (`CI`) it is."""
    return int(bool(os.environ.get("CI")))


def _passed(printed: str) -> str:
    return next((line for line in printed.splitlines() if line.startswith("Passed checks")), "nothing to say.")


def _installed() -> bool:
    """Install checkov in an environment of its own: its requirements would hold back the project's."""
    stamp = _HOME / _CHECKOV
    if not stamp.is_file():
        venv.create(_HOME, with_pip=True, clear=True)
        install = ("-m", "pip", "install", "--quiet", f"checkov=={_CHECKOV}")
        if _ended(str(_of_checkov("python")), *install).returncode:
            return False
        stamp.touch()
    return True


def _of_checkov(name: str) -> Path:
    # On Windows checkov is a script of Python's, which needs its name in full.
    return _HOME / "Scripts" / f"{name}.exe" if os.name == "nt" else _HOME / "bin" / name


def _ended(*command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - programs that a person has named, and what was installed above
        command, capture_output=True, encoding="utf-8", timeout=_SECONDS, check=False, env={**os.environ, **variables}
    )


def _name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()
