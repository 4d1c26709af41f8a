"""`python -m local COMMAND`: everything that a developer runs. Needs Python 3.13 and pip, and sets itself up.

This file and `environment` use the standard library only, because they run before anything is installed.
"""

import sys

from local import environment

COMMANDS = {
    "demo": "start everything, requeue jobs as a flow would, and show how it went [--json FILE] [--engine PROGRAM]",
    "serve": "the same, and stay, as a test double with URLs and calls [--port N] [--jobs FILE] [--engine PROGRAM]",
    "test": "run the tests and print the coverage of shared/ [pytest's arguments]",
    "lint": "ruff, mypy and import-linter",
    "check": "what takes longer: the slow tests, and the store's contract on Azurite where that is installed",
    "engine": "the tests on the Durable extension itself, which the variable NIGHTSHIFT_ENGINE names",
    "bench": "measure what a fanned-out batch costs, as ratios, into benchmarks/results.json",
    "docs": "write the generated parts of README.md and docs/",
}


def main() -> int:
    """Run one command in the project's own environment; return its exit code."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] not in COMMANDS:
        print("usage: python -m local COMMAND\n")
        print("\n".join(f"  {name:6} {text}" for name, text in COMMANDS.items()))
        return 2
    if not environment.is_ours():
        return environment.run(["-m", "local", *arguments])
    from local import commands  # noqa: PLC0415 - its packages are there only by now

    return commands.run(arguments[0], arguments[1:])


if __name__ == "__main__":
    sys.exit(main())
