"""What is deployed: which files and packages, how large they are, and that the app runs from them alone."""

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

import pytest
from pathspec import GitIgnoreSpec

from local import commands, package
from local.environment import ROOT
from local.generated_docs import http_functions

HERE = Path(__file__).resolve().parent
FILES, DISTRIBUTIONS, SIZE = HERE / "files.txt", HERE / "distributions.txt", HERE / "size.json"
AGAIN = "If it should be so, write the lists anew: .venv/bin/python -m tests.package.test_package"
PATIENCE = 60
SECRETS = (
    ".env",
    ".env.*",
    "local.settings*",
    "*.pem",
    "*.pfx",
    "*.p12",
    "*.key",
    "id_rsa*",
    "id_ed25519*",
    ".git*",
    ".npmrc",
)
PUBLIC = {"certifi/cacert.pem", "grpc/_cython/_credentials/roots.pem"}
"""Certificates of public authorities, which come with packages."""
NOT_OURS = {"tests", "local", "docs", "infra", "benchmarks", "connector", "node_modules"}
INDEXED = """
import json, sys
sys.path[:0] = sys.argv[1:]
import function_app
print(json.dumps(sorted(function.get_function_name() for function in function_app.app.get_functions())))
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what is deployed."""
    folder = tmp_path_factory.mktemp("built")
    package.build(folder)
    return folder


def lines(file: Path) -> list[str]:
    return file.read_text("utf-8").splitlines()


def below(folder: Path) -> list[str]:
    """Return all files below a folder, with slashes."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def ours(folder: Path) -> list[str]:
    """Return the files of a built folder that are not packages, nor made from others."""
    return [name for name in below(folder) if not name.startswith(".python_packages/") and "__pycache__" not in name]


def installed(folder: Path) -> list[str]:
    found = distributions(path=[str(folder / package.SITE_PACKAGES)])
    return sorted((f"{one.name}=={one.version}" for one in found), key=str.lower)


def indexed(*given: str, cwd: Path) -> list[str]:
    """Return the names of all functions as a fresh Python indexes them, with an environment that sets nothing."""
    environment = {"PATH": os.environ["PATH"]}
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, *given],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    names: list[str] = json.loads(done.stdout)
    return names


def test_a_file_is_deployed_only_if_it_is_listed() -> None:
    assert package.own_files() == lines(FILES), AGAIN


@pytest.mark.slow
def test_what_is_built_has_the_listed_files(built: Path) -> None:
    assert ours(built) == lines(FILES), AGAIN


@pytest.mark.slow
def test_what_is_built_has_the_listed_packages(built: Path) -> None:
    assert installed(built) == lines(DISTRIBUTIONS), AGAIN


@pytest.mark.slow
@pytest.mark.skipif(
    (platform.system(), platform.machine()) != ("Linux", "x86_64"), reason="the packages are those of Linux on x64"
)
def test_the_app_has_all_its_functions_with_what_is_deployed_alone(built: Path, tmp_path: Path) -> None:
    # Packages before the standard library, as on Azure: one that hides a module of it would show.
    paths = [str(built / package.SITE_PACKAGES), str(built)]
    # -I and -S: no variable, no current folder and no packages of this interpreter; -B keeps the folder as it is.
    deployed = indexed("-I", "-S", "-B", "-c", INDEXED, *paths, cwd=tmp_path)
    assert deployed == indexed("-c", INDEXED, str(ROOT), cwd=ROOT)
    assert len(deployed) > len(http_functions())
    assert set(deployed) > {function.name for function in http_functions()}


@pytest.mark.slow
def test_the_zip_is_as_large_as_it_was(built: Path, tmp_path: Path) -> None:
    size = package.archive(built, tmp_path / "out.zip")
    known = json.loads(SIZE.read_text("utf-8"))
    assert {"zip": size.zipped, "unzipped": size.unzipped} == pytest.approx(known, rel=0.1), AGAIN
    with ZipFile(tmp_path / "out.zip") as written:
        assert written.namelist() == below(built)


@pytest.mark.slow
def test_nothing_that_is_secret_or_local_is_deployed(built: Path) -> None:
    names = [name.removeprefix(f"{package.SITE_PACKAGES.as_posix()}/") for name in below(built)]
    secret = {name for name in names if any(fnmatch(name.rpartition("/")[2], pattern) for pattern in SECRETS)}
    assert secret == PUBLIC
    tops = {name.partition("/")[0] for name in names}
    assert tops & NOT_OURS == set()


@pytest.mark.slow
def test_nothing_that_is_deployed_names_the_machine_that_built_it(built: Path) -> None:
    paths = [str(built).encode(), sys.executable.encode()]
    assert [name for name in below(built) if any(path in (built / name).read_bytes() for path in paths)] == []
    assert not (built / package.SITE_PACKAGES / "bin").exists()


@pytest.mark.slow
def test_what_is_deployed_is_compiled_and_needs_no_dates(built: Path) -> None:
    for source in (built / "function_app.py", built / package.SITE_PACKAGES / "pydantic" / "main.py"):
        compiled = source.parent / "__pycache__" / f"{source.stem}.cpython-313.pyc"
        # PEP 552: by the hash of its source, which is not checked.
        assert compiled.read_bytes()[4:8] == b"\x01\x00\x00\x00"


def test_a_zip_has_the_same_bytes_whenever_its_files_were_made(tmp_path: Path) -> None:
    for name, mode, time in (("one", 0o600, 1_000_000_000), ("two", 0o755, 1_700_000_000)):
        folder = tmp_path / name
        (folder / "b").mkdir(parents=True)
        for file in (folder / "b" / "c.py", folder / "a.py", folder / "b.py"):
            file.write_text("text\n" * 100, "utf-8")
            file.chmod(mode)
            os.utime(file, (time, time))
        size = package.archive(folder, tmp_path / "new" / f"{name}.zip")
        assert size == package.Size(3, (tmp_path / "new" / f"{name}.zip").stat().st_size, 1500)
    one, two = ((tmp_path / "new" / f"{name}.zip").read_bytes() for name in ("one", "two"))
    assert one == two
    with ZipFile(tmp_path / "new" / "one.zip") as written:
        entries = [(entry.filename, entry.external_attr >> 16, entry.date_time[0]) for entry in written.infolist()]
    assert entries == [("a.py", 0o100644, 1980), ("b.py", 0o100644, 1980), ("b/c.py", 0o100644, 1980)]


def test_only_modules_and_named_files_are_deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = ["LICENSE", "function_app.py", "host.json", "policy.json", "requirements.txt"]
    recorded = "shared/api/openapi/examples.json"
    shutil.copy(ROOT / ".gitignore", tmp_path)
    monkeypatch.setattr(package, "ROOT", tmp_path)
    others = ("shared/local/x.py", "shared/x.pem", "shared/__pycache__/x.py", "local/x.py", "x.pem", "nightshift.db")
    for name in (*named, recorded, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert package.own_files() == [*named, recorded, "shared/local/x.py"]


def test_what_core_tools_and_azd_would_send_is_the_same() -> None:
    """They read `.funcignore` in a checkout that has nothing else in it."""
    ignored = GitIgnoreSpec.from_lines((ROOT / ".funcignore").read_text("utf-8").splitlines())
    for top in ROOT.iterdir():
        if top.name not in {"shared", *package.own_files()} and not _ignored_by_git(top):
            assert ignored.match_file(top.name), top.name
    assert not any(ignored.match_file(name) for name in package.own_files())


def _ignored_by_git(path: Path) -> bool:
    spec = GitIgnoreSpec.from_lines([*(ROOT / ".gitignore").read_text("utf-8").splitlines(), ".git"])
    return spec.match_file(path.name + "/" * path.is_dir())


def test_nothing_is_built_into_a_folder_that_has_something(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    with pytest.raises(package.PackageError, match="is not empty"):
        package.build(tmp_path)


def test_what_cant_be_installed_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "call", lambda *_, **__: 1)
    with pytest.raises(package.PackageError, match=r"requirements\.txt lists can't be installed"):
        package.build(tmp_path)


def test_a_zip_that_cant_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(package.PackageError, match=re.escape(f"{tmp_path} can't be written: ")):
        package.archive(tmp_path, tmp_path)


def test_the_command_tells_how_large_the_zip_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(package, "build", lambda folder: (folder / "host.json").write_bytes(b"0" * 2_500_000))
    file = tmp_path / "out.zip"
    assert commands.run("package", [str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: 1 files, 0.0 MB, 2.5 MB unzipped.\n"
    with ZipFile(file) as written:
        assert written.namelist() == ["host.json"]


def write() -> None:
    """Write the lists and the size anew, from what would be deployed now."""
    with TemporaryDirectory() as name:
        folder = Path(name) / "built"
        package.build(folder)
        size = package.archive(folder, Path(name) / "out.zip")
        FILES.write_text("".join(f"{line}\n" for line in ours(folder)), "utf-8")
        DISTRIBUTIONS.write_text("".join(f"{line}\n" for line in installed(folder)), "utf-8")
    SIZE.write_text(json.dumps({"zip": size.zipped, "unzipped": size.unzipped}, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    write()
