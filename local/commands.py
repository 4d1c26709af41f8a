"""The commands of `python -m local`, once everything is installed."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from local import azurite
from local.environment import ROOT
from local.extension import VARIABLE, program_of, version_of
from local.host import HostError

_COVERED = 90
_QUICK = "not slow and not engine"
_NO_TESTS = 5
_PARALLEL = ("--numprocesses", "2", "--dist", "loadfile")
"""Two processes, and each file in one of them: its fixtures start hosts, which are shared within the file."""


def run(name: str, arguments: list[str]) -> int:
    """Run one command; return its exit code."""
    return {
        "demo": _demo,
        "serve": _serve,
        "test": _test,
        "lint": _lint,
        "check": _check,
        "engine": _engine,
        "docs": _docs,
        "bench": _bench,
    }[name](arguments)


def _demo(arguments: list[str]) -> int:
    from local import demo  # noqa: PLC0415 - each command imports only what it needs

    parser = argparse.ArgumentParser(prog="python -m local demo")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was seen to FILE as well")
    parser.add_argument("--engine", type=Path, metavar="PROGRAM", help="play on the Durable extension, run by PROGRAM")
    given = parser.parse_args(arguments)
    try:
        return demo.run(given.json, given.engine)
    except HostError as error:
        print(error, file=sys.stderr)
        return 1


def _serve(arguments: list[str]) -> int:
    from local import serve  # noqa: PLC0415 - as above

    parser = argparse.ArgumentParser(prog="python -m local serve")
    parser.add_argument("--port", type=int, default=7071, help="the port of the functions (7071); 0 takes a free one")
    parser.add_argument("--deliver-twice", action="store_true", help="deliver every activity twice, as Azure may")
    parser.add_argument("--jobs", type=Path, metavar="FILE", help="your own batch jobs (JSON or CSV), not the samples")
    parser.add_argument(
        "--http", type=Path, metavar="FILE", default=serve.HTTP_FILE, help="where to write the .http file"
    )
    parser.add_argument("--azure-latency", action="store_true", help="take starts up as late as on Flex Consumption")
    parser.add_argument(
        "--engine",
        metavar="PROGRAM",
        help=f"run on the Durable extension and Azurite; PROGRAM runs the extension (or set {VARIABLE})",
    )
    given = parser.parse_args(arguments)
    choices = serve.Choices(
        deliver_twice=given.deliver_twice,
        azure_latency=given.azure_latency,
        jobs=given.jobs,
        http_file=given.http,
        engine=program_of(given.engine),
    )
    return serve.run(given.port, choices)


def _test(arguments: list[str]) -> int:
    """Run the quick tests, and print how much of shared/ they cover; workers in other processes count."""
    for old in ROOT.glob(".coverage*"):
        old.unlink()
    tested = _python("-m", "coverage", "run", "-m", "pytest", *_PARALLEL, "-m", _QUICK, *arguments)
    _python("-m", "coverage", "combine", "--quiet")
    covered = _python("-m", "coverage", "report", f"--fail-under={_COVERED}")
    return tested or covered


def _lint(_: list[str]) -> int:
    steps = [
        ("-m", "ruff", "check"),
        ("-m", "ruff", "format", "--check"),
        ("-m", "mypy"),
        ("-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"),
    ]
    return max(_python(*step) for step in steps)


def _check(arguments: list[str]) -> int:
    if not azurite.install():
        print("Azurite can't be installed (no npm): the store's contract runs on SQLite only.")
    tested = _python("-m", "pytest", *_PARALLEL, "-m", "slow", *arguments)
    if program_of(None) is None:
        print(f"The Durable extension isn't here ({VARIABLE} names no program): its tests are skipped.")
        return 0 if tested == _NO_TESTS else tested
    return _engine(arguments) or (0 if tested == _NO_TESTS else tested)


def _engine(arguments: list[str]) -> int:
    """Run the tests on the Durable extension; without it there is nothing to be run, which is an error."""
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
    return _python("-m", "pytest", *_PARALLEL, "-m", "engine", *arguments)


def _docs(_: list[str]) -> int:
    from local import docs  # noqa: PLC0415 - as above

    docs.write()
    return 0


def _bench(_: list[str]) -> int:
    from benchmarks import batch  # noqa: PLC0415 - as above

    return batch.run()


def _python(*arguments: str) -> int:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.call([sys.executable, *arguments], cwd=ROOT, env=environment)  # noqa: S603 - our own interpreter
