"""What may be written after `python -m local`. Standard library only: it is read before anything is installed."""

import argparse
import os
import re
from collections.abc import Mapping
from pathlib import Path

FIXED_PORTS = {
    "issuer": 7081,
    "finance-operations": 7082,
    "business-central": 7083,
    "camunda": 7084,
    "managed-identity": 7085,
    "superoffice": 7086,
    "superoffice-login": 7087,
    "opendatadsl": 7088,
}
KEY_VARIABLE = "NIGHTSHIFT_KEY"
_PASSED_ON = {"test", "check", "engine"}
"""Commands that give pytest what they don't know themselves."""


def parse(arguments: list[str]) -> argparse.Namespace:
    """Return the command and its options; what pytest is to have is in `rest`.

    Raises:
        SystemExit: 0 after --help, 2 where they can't be understood.
    """
    parser = argparse.ArgumentParser(
        prog="python -m local",
        description="Nightshift on one machine. The first command sets up .venv, which needs Python 3.13 and pip.",
        epilog="COMMAND --help tells a command's options.",
        allow_abbrev=False,
    )
    commands = _commands(parser)
    given, rest = parser.parse_known_args(arguments)
    if rest and given.command not in _PASSED_ON:
        commands[given.command].error(f"unrecognized arguments: {' '.join(rest)}")
    given.rest = rest
    return given


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND", required=True)
    lines = {
        "demo": "play scenes of a flow's and a person's day, and show each",
        "serve": "run the app and the systems it talks to, as a test double",
        "test": "run the quick tests, or those you name",
        "lint": "run ruff, mypy and import-linter",
        "check": "run the slow tests, all examples of properties, and the engine tests",
        "engine": "run the tests on the Durable extension (NIGHTSHIFT_ENGINE)",
        "bench": "measure speed and size as ratios, into benchmarks/results.json",
        "docs": "write the generated parts of README.md and docs/",
        "examples": "call each function, and write what it answers as the examples of openapi.json",
        "smoke": "call each function once on the Functions host, if it is there",
        "package": "build what is deployed, into a zip",
        "infra": "compile, lint and look at infra/ (the Bicep CLI that BICEP names, or that is on the PATH)",
    }
    commands = {
        name: found.add_parser(name, help=line, description=f"{line[0].upper()}{line[1:]}.", allow_abbrev=False)
        for name, line in lines.items()
    }
    _add_demo(commands["demo"])
    _add_serve(commands["serve"])
    commands["smoke"].add_argument(
        "--func",
        type=Path,
        metavar="PROGRAM",
        help="func of Azure Functions Core Tools (that of the PATH; without it, the local host is called)",
    )
    commands["infra"].add_argument(
        "--write", action="store_true", help="write the snapshots of what is deployed, instead of comparing them"
    )
    commands["package"].add_argument("file", type=Path, metavar="OUT.zip", help="the zip to be written")
    commands["bench"].add_argument(
        "--only",
        type=lambda text: text.split(","),
        default=[],
        metavar="NAME,...",
        help="only these measurements, and no file: benchmarks/README.md has their names",
    )
    for name in _PASSED_ON:
        commands[name].usage = f"python -m local {name} [-h] [PYTEST ARGUMENT ...]"
    commands["test"].usage = "python -m local test [-h] [--coverage | PYTEST ARGUMENT ...]"
    commands["test"].epilog = (
        "Without arguments: all quick tests in three processes. Other arguments go to pytest; one process if a single "
        "file is named. For example: test tests/test_serve.py; test -k policy; test -m slow tests/engine."
    )
    commands["test"].add_argument(
        "--coverage",
        action="store_true",
        help="with the slow ones: tell what they cover of shared/; less than 90 %% is an error",
    )
    return commands


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was seen to FILE as well")
    parser.add_argument(
        "--engine", type=Path, metavar="PROGRAM", help="play on the Durable extension, which PROGRAM runs, and Azurite"
    )


def _add_serve(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--port", type=_port, metavar="N", default=7071, help="the port of the functions (7071); 0 takes a free one")
    add(
        "--fixed-ports",
        action="store_true",
        help=f"take fixed ports for what is simulated, too: {_told(FIXED_PORTS)}",
    )
    add(
        "--key",
        type=_key,
        default=os.environ.get(KEY_VARIABLE) or None,
        help=f"the function key; {KEY_VARIABLE} sets it as well, without either it is a random one",
    )
    add(
        "--settings",
        type=Path,
        metavar="FILE",
        help="your own app settings, as local.settings.json or a plain JSON object of texts; a target there is used as"
        " it is, and its system isn't simulated. The environment's TARGETS__* and other app settings count as well,"
        " FILE goes before them",
    )
    add("--jobs", type=Path, metavar="FILE", help="your own batch jobs (JSON or CSV), not the samples")
    add("--http", type=Path, metavar="FILE", help="where to write the .http file (.local/nightshift.http)")
    add("--deliver-twice", action="store_true", help="deliver every activity twice, as Azure may")
    add("--azure-latency", action="store_true", help="take starts up as late as on Flex Consumption")
    add(
        "--engine",
        metavar="PROGRAM",
        help="run on the Durable extension, which PROGRAM runs, and Azurite (or set NIGHTSHIFT_ENGINE)",
    )


def _told(ports: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {port}" for name, port in ports.items())


def _port(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or int(text) > 65535:
        raise argparse.ArgumentTypeError("must be a number from 0 to 65535")
    return int(text)


def _key(text: str) -> str:
    # What needs no quoting: it stands in a header, in URLs and in the lines for the shell.
    if not re.fullmatch(r"[A-Za-z0-9._~=+/-]+", text):
        raise argparse.ArgumentTypeError(f"must be letters, digits and ._~=+/- only ({KEY_VARIABLE} as well)")
    return text
