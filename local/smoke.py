"""`python -m local smoke`: whether each function answers on the Functions host, or else on the local host."""

import shutil
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import monotonic

import requests

from local import azurite, generated_docs
from local.clock import LocalClock
from local.functions_host import FunctionsHost
from local.host.errors import HostError
from local.simulators.landscape import Landscape
from local.smoke_caller import App, Caller, NotAsPromisedError
from local.smoke_calls import PROMISES, STEPS
from local.stack import Machine

_CALLS_SECONDS = 200.0
"""No call begins later than so many seconds after the host was up; each, and the start, has a limit of its own."""
SETTINGS = {"PYTHON_THREADPOOL_THREAD_COUNT": "32", "SWEEP_MODE": "off"}
"""As in local.settings.sample.json, and no night comes in between."""
_WITHOUT_FUNC = (
    "There is no func on the PATH (Azure Functions Core Tools), so these are calls of the project's own local host."
    " They show nothing about the Functions host: install Core Tools, or name the program by --func."
)

type Check = Callable[[Caller], None]


def run(func: Path | None) -> int:
    """Call each function once, and print of each call whether it went well.

    Args:
        func: The program of Core Tools; that of the PATH if none is named, and the local host if there is none.

    Returns:
        0; 1 if a call failed, a function has no call, or the host can't start.
    """
    begun = monotonic()
    try:
        with _app(func) as app:
            print(f"Calls of {app.host}, at {app.url}:", flush=True)
            failed = _failed(Caller(app), monotonic() + _CALLS_SECONDS)
    except HostError as error:
        print(f"failed  {error}")
        return 1
    told = f"{failed} failed" if failed else "All went well"
    print(f"{told}, on {app.host}, in {monotonic() - begun:.0f} seconds.")
    return 1 if failed else 0


def uncalled(functions: Iterable[str], called: Collection[str]) -> list[str]:
    """Return the functions that nobody calls."""
    return [name for name in functions if name not in called]


def _failed(caller: Caller, until: float) -> int:
    """Make all calls; return how many failed. Those that would begin after `until` (by the monotonic clock) fail."""
    missing = uncalled((one.name for one in generated_docs.http_functions()), STEPS)
    checks: dict[str, Check] = {**STEPS, **dict.fromkeys(missing, _has_no_call), **PROMISES}
    found = (
        _goes_well(caller, title, check if monotonic() < until else _has_no_time) for title, check in checks.items()
    )
    return list(found).count(False)


def _goes_well(caller: Caller, title: str, check: Check) -> bool:
    try:
        check(caller)
    except (NotAsPromisedError, requests.RequestException) as error:
        print(f"failed  {title}: {error}", flush=True)
    except (LookupError, TypeError, ValueError) as error:
        # What an earlier answer should have had is not there.
        print(f"failed  {title}: {type(error).__name__} {error}", flush=True)
    else:
        print(f"ok      {title}", flush=True)
        return True
    return False


def _has_no_call(_: Caller) -> None:
    raise NotAsPromisedError("it has no call; add one to STEPS in local/smoke_calls.py")


def _has_no_time(_: Caller) -> None:
    raise NotAsPromisedError(f"the calls before it took {_CALLS_SECONDS:g} seconds")


@contextmanager
def _app(func: Path | None) -> Iterator[App]:
    """Run the app, and the systems that it talks to.

    Raises:
        HostError: it can't be run.
    """
    found = func or shutil.which("func")
    if found is None:
        print(_WITHOUT_FUNC, flush=True)
        with Machine(SETTINGS) as machine:
            fill(machine.landscape)
            yield App("the local host", machine.host.url, machine.host.function_key, machine.landscape)
        return
    azurite.install()
    with (
        closing(LocalClock(may_be_pushed=False)) as clock,
        Landscape(clock.now, clock.call_at) as landscape,
        FunctionsHost(Path(found), {**SETTINGS, **_targets(landscape), "STORE": "blob"}) as host,
    ):
        fill(landscape)
        yield App("the Functions host", host.url, host.function_key, landscape)


def _targets(landscape: Landscape) -> dict[str, str]:
    """Return the settings of one target for each system, so that each is the default of its system."""
    return {name: value for name, value in landscape.settings.items() if "__FO_MI__" not in name}


def fill(landscape: Landscape) -> None:
    """Put the samples into the simulated systems."""
    for one in landscape.simulated:
        one.fill()
