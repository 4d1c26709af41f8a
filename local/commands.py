"""The commands of `python -m local`, once everything is installed. Each imports only what it needs, when it runs."""

import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from tempfile import TemporaryDirectory

from local import arguments, environment
from local.environment import ROOT

_COVERED = 90
_QUICK = ("-m", "not slow and not engine")
_THOROUGH = "slow or (hypothesis and not engine)"
_NO_TESTS = 5
_PARALLEL = ("--numprocesses", "2", "--dist", "loadfile")
"""Two processes, and each file in one of them: its fixtures start hosts, which are shared within the file."""
_IN_THREE = ("--numprocesses", "3", "--dist", "loadfile")
"""For tests that mostly wait, such as for hosts that start."""
_ON_THE_ENGINE = (*_IN_THREE, "--no-loadscope-reorder")
"""In the order of `tests/engine/conftest.py`, the longest files first."""


def run(name: str, given: list[str]) -> int:
    """Run one command with its arguments; return its exit code."""
    return {
        "demo": _demo,
        "serve": _serve,
        "test": _test,
        "lint": _lint,
        "check": _check,
        "engine": _engine,
        "docs": _docs,
        "examples": _examples,
        "smoke": _smoke,
        "bench": _bench,
        "package": _package,
        "infra": _infra,
    }[name](arguments.parse([name, *given]))


def _demo(given: Namespace) -> int:
    from local.demo import run as demo  # noqa: PLC0415 - each command imports only what it needs
    from local.host.errors import HostError  # noqa: PLC0415 - as above

    try:
        return demo.run(given.json, given.engine)
    except HostError as error:
        print(error, file=sys.stderr)
        return 1


def _serve(given: Namespace) -> int:
    from local import serve  # noqa: PLC0415 - as above
    from local.extension import program_of  # noqa: PLC0415 - as above

    choices = serve.Choices(
        port=given.port,
        fixed_ports=given.fixed_ports,
        key=given.key,
        settings=given.settings,
        jobs=given.jobs,
        http_file=given.http or serve.HTTP_FILE,
        deliver_twice=given.deliver_twice,
        azure_latency=given.azure_latency,
        engine=program_of(given.engine),
    )
    return serve.run(choices)


def _test(given: Namespace) -> int:
    if given.rest:
        return _some_tests(given.rest)
    return _covered() if given.coverage else _python("-m", "pytest", *_IN_THREE, *_QUICK)


def _covered() -> int:
    """Run all tests but those on the engine, and print what they cover of shared/; other processes count too."""
    for old in _measured():
        old.unlink()
    tested = _python("-m", "coverage", "run", "-m", "pytest", *_PARALLEL, "-m", "not engine")
    _python("-m", "coverage", "combine", "--quiet")
    covered = _python("-m", "coverage", "report", f"--fail-under={_COVERED}")
    return tested or covered


def _measured() -> list[Path]:
    return list(ROOT.glob(".coverage*"))


def _some_tests(rest: list[str]) -> int:
    """Run what the arguments name, as pytest does; of a file or folder the quick ones, unless they say `-m`."""
    paths = [path for one in rest if (path := ROOT / one.partition("::")[0]).exists()]
    parallel = () if len(paths) == 1 and paths[0].is_file() else _PARALLEL
    quick = () if any("::" in one for one in rest) else _QUICK
    return _python("-m", "pytest", *parallel, *quick, *rest)


def _lint(_: Namespace) -> int:
    steps = [
        ("-m", "ruff", "check"),
        ("-m", "ruff", "format", "--check"),
        ("-m", "mypy"),
        ("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"),
    ]
    return max(_python(*step) for step in steps)


def _check(given: Namespace) -> int:
    from local import azurite, clients  # noqa: PLC0415 - as above
    from local.extension import VARIABLE, program_of  # noqa: PLC0415 - as above

    if not azurite.install():
        print("Azurite can't be installed (no npm): the store's contract runs on SQLite only.")
    if not clients.install():
        print("The clients of OData can't be installed (no npm): their tests are skipped.")
    tested = _python("-m", "pytest", *_IN_THREE, "-m", _THOROUGH, *given.rest, HYPOTHESIS_PROFILE="thorough")
    if program_of(None) is None:
        print(f"The Durable extension isn't here ({VARIABLE} names no program): its tests are skipped.")
        return 0 if tested == _NO_TESTS else tested
    return _engine(given) or (0 if tested == _NO_TESTS else tested)


def _engine(given: Namespace) -> int:
    """Run the tests on the Durable extension; without it there is nothing to be run, which is an error."""
    from local import azurite  # noqa: PLC0415 - as above
    from local.extension import VARIABLE, program_of, version_of  # noqa: PLC0415 - as above
    from local.host.errors import HostError  # noqa: PLC0415 - as above

    program = program_of(None)
    if program is None or not program.is_file():
        print(f"The Durable extension isn't here: set {VARIABLE} to the program that runs it.", file=sys.stderr)
        return 1
    if not azurite.install():
        print("Azurite can't be installed: the extension needs it, and npm to install it.", file=sys.stderr)
        return 1
    try:
        version = version_of(program)
    except HostError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Tests on the Durable extension {version} and Azurite {azurite.VERSION}.", flush=True)
    return _python("-m", "pytest", *_ON_THE_ENGINE, "-m", "engine", *given.rest)


def _docs(_: Namespace) -> int:
    from local import generated_docs  # noqa: PLC0415 - as above

    generated_docs.write()
    return 0


def _smoke(given: Namespace) -> int:
    from local import smoke  # noqa: PLC0415 - as above

    return smoke.run(given.func)


def _bench(given: Namespace) -> int:
    from benchmarks import run as bench  # noqa: PLC0415 - as above

    return bench.run(given.only)


def _examples(_: Namespace) -> int:
    from local import examples  # noqa: PLC0415 - as above

    examples.write()
    return 0


def _infra(given: Namespace) -> int:
    from local import infra  # noqa: PLC0415 - as above

    return infra.run(write=given.write)


def _package(given: Namespace) -> int:
    from local import package  # noqa: PLC0415 - as above

    try:
        with TemporaryDirectory() as folder:
            package.build(Path(folder))
            size = package.archive(Path(folder), given.file)
    except package.PackageError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{given.file}: {size.files} files, {size.zipped / 1e6:.1f} MB, {size.unzipped / 1e6:.1f} MB unzipped.")
    return 0


def _python(*arguments: str, **variables: str) -> int:
    command = [sys.executable, *arguments]
    return subprocess.call(command, cwd=ROOT, env={**environment.variables(), **variables})  # noqa: S603 - our own interpreter
