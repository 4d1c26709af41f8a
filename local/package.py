"""What is deployed: the app's own files and what they require, as one zip that Azure Functions runs as it is."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from pathspec import GitIgnoreSpec

from local.environment import ROOT

SITE_PACKAGES = Path(".python_packages", "lib", "site-packages")
"""Where the Python worker on Azure looks for what the app requires."""
_FILES = (
    "LICENSE",
    "function_app.py",
    "host.json",
    "policy.json",
    "requirements.txt",
    "shared/api/openapi/examples.json",
)
_MODULES = "shared"
_PLATFORMS = ("manylinux_2_28_x86_64", "manylinux2014_x86_64")
"""Linux on x64, which the plan Flex Consumption runs, whatever machine builds this; the newer wheel goes first."""
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
_FILE_MODE = 0o100644
_UNIX = 3


class PackageError(Exception):
    """The package can't be built; the message says why."""


class Size(NamedTuple):
    """How much a zip has.

    Attributes:
        files: How many files.
        zipped: Bytes of the zip.
        unzipped: Bytes of its files.
    """

    files: int
    zipped: int
    unzipped: int


def own_files() -> list[str]:
    """Return the files of the repository that are deployed: sorted paths below its root, with slashes.

    Only what is named here is deployed, without what git ignores: a key or a database that lies there stays there.
    """
    ignored = GitIgnoreSpec.from_lines((ROOT / ".gitignore").read_text("utf-8").splitlines())
    modules = (path.relative_to(ROOT).as_posix() for path in (ROOT / _MODULES).rglob("*.py"))
    return sorted([*_FILES, *(name for name in modules if not ignored.match_file(name))])


def build(folder: Path) -> None:
    """Put what is deployed into an empty folder; what is required comes from the package index.

    Raises:
        PackageError: The folder isn't empty, or pip failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise PackageError(f"{folder} is not empty.")
    for name in own_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    _install(folder / SITE_PACKAGES)
    _compile(folder)


def archive(folder: Path, file: Path) -> Size:
    """Write all files of a folder into a zip, the same bytes whenever and by whomever the folder was made.

    Raises:
        PackageError: The zip can't be written.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with ZipFile(file, "w") as written:
            for name in names:
                written.writestr(_entry(name), (folder / name).read_bytes(), ZIP_DEFLATED)
            unzipped = sum(entry.file_size for entry in written.infolist())
        return Size(len(names), file.stat().st_size, unzipped)
    except OSError as error:
        raise PackageError(f"{file} can't be written: {error.strerror or error}.") from error


def _entry(name: str) -> ZipInfo:
    entry = ZipInfo(name, _LONG_AGO)
    entry.create_system = _UNIX
    entry.external_attr = _FILE_MODE << 16
    return entry


def _install(target: Path) -> None:
    platforms = [part for one in _PLATFORMS for part in ("--platform", one)]
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"),
        *("--only-binary=:all:", "--implementation", "cp", "--python-version", "3.13", *platforms),
        *("--target", str(target), "--requirement", "requirements.txt"),
    ]
    if subprocess.call(command, cwd=ROOT) != 0:  # noqa: S603 - our own interpreter
        raise PackageError("What requirements.txt lists can't be installed: see above.")
    _remove_scripts(target)


def _compile(folder: Path) -> None:
    """Compile all modules, which saves seconds of each cold start: the platform may not keep what it compiles.

    By hash, so that two builds are the same; a source can't change once it is deployed, so nobody checks it.
    """
    # In a process of its own: compiled code of this one may be kept elsewhere (PYTHONPYCACHEPREFIX).
    kept_here = ("-I", "-X", "pycache_prefix", "-m", "compileall", "-q", "-f", "-r", "20")
    command = [sys.executable, *kept_here, "--invalidation-mode", "unchecked-hash", "-s", str(folder), str(folder)]
    if subprocess.call(command) != 0:  # noqa: S603 - our own interpreter
        raise PackageError("A module that is deployed can't be compiled: see above.")


def _remove_scripts(target: Path) -> None:
    """Remove the command line tools of packages, which nobody calls on Azure, and which name the Python that built."""
    shutil.rmtree(target / "bin", ignore_errors=True)
    for record in target.glob("*.dist-info/RECORD"):
        lines = record.read_bytes().splitlines(keepends=True)
        record.write_bytes(b"".join(line for line in lines if not line.startswith(b"../../bin/")))
