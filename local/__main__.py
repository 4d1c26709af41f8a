"""`python -m local COMMAND`: everything that a developer runs. Needs Python 3.13 and pip, and sets itself up.

This file, `arguments` and `environment` use the standard library only, because they run before anything is installed.
"""

import signal
import sys

from local import arguments, environment

_INTERRUPTED = 128 + signal.SIGINT


def main() -> int:
    """Run one command in the project's own environment; return its exit code."""
    given = sys.argv[1:]
    # Mistakes and --help end here, before anything is set up.
    arguments.parse(given)
    try:
        if environment.is_ours():
            return _run(given[0], given[1:])
        return environment.run(["-m", "local", *given])
    except KeyboardInterrupt:
        return _INTERRUPTED


def _run(command: str, rest: list[str]) -> int:
    from local import commands  # noqa: PLC0415 - its imports are installed by now

    # Not at once: what was started is ended on the way out.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    return commands.run(command, rest)


if __name__ == "__main__":
    sys.exit(main())
