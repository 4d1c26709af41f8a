"""What it takes to import the app, over what the platform it stands on takes."""

import subprocess
import sys

from benchmarks.table import Row, row
from local import environment
from local.environment import ROOT

_ROUNDS = 9
_APP = "function_app"
_PLATFORM = "azure.functions, azure.durable_functions, pydantic"


def cold_start() -> list[Row]:
    """Measure both in fresh processes, in turns."""
    for modules in (_APP, _PLATFORM):
        # Their code is compiled by then.
        imported(modules)
    values = [imported(_APP) / imported(_PLATFORM) for _ in range(_ROUNDS)]
    return [row("import of function_app over import of the bare platform", values, 1.25)]


def imported(modules: str) -> float:
    """Return the seconds of CPU that a fresh process needs to import some modules.

    Of CPU: an import waits for nothing but the disk, and other processes of the machine are not its own time.
    """
    code = f"import time; began = time.process_time(); import {modules}; print(time.process_time() - began)"
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", code], cwd=ROOT, env=environment.variables(), stdout=subprocess.PIPE, check=True
    )
    return float(done.stdout)
