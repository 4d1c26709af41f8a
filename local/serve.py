"""`python -m local serve`: the app and the systems it talks to, until Ctrl-C; a test double for other people's CI."""

import itertools
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from local import own_settings
from local.arguments import FIXED_PORTS
from local.calls import Call, calls_of, curl, http_file, powershell, variables
from local.environment import ROOT
from local.extension import Extension
from local.host.errors import HostError, PortError
from local.job_list import BadJobsError, read_jobs
from local.own_settings import BadSettingsError, OwnSettings
from local.simulators.finance_operations.batch_job import JobSettings
from local.simulators.finance_operations.server import FinanceOperations
from local.simulators.landscape import SIMULATORS
from local.stack import Machine

HTTP_FILE = ROOT / ".local" / "nightshift.http"
_TITLES = {one.system: one.title for one in SIMULATORS}
_SOME_JOB = 5637144576
_NO_JOB = 0
"""Stands in the calls for a job of a system that is a person's own: the lines must not touch what they don't know."""


@dataclass(frozen=True)
class Choices:
    """How it is to serve.

    Attributes:
        port: The port of the functions; 0 takes a free one.
        fixed_ports: Let what is simulated take fixed ports, too.
        key: The function key; a random one if none is given.
        settings: A person's own app settings.
        jobs: A list of jobs to begin with, instead of the samples.
        http_file: Where to write the calls for an editor.
        deliver_twice: Deliver every activity twice at once.
        azure_latency: Take starts up as late as where HTTP and durable functions run on different machines.
        engine: The program of the Durable extension; the local hub is used if none is given.
    """

    port: int = 0
    fixed_ports: bool = False
    key: str | None = None
    settings: Path | None = None
    jobs: Path | None = None
    http_file: Path = HTTP_FILE
    deliver_twice: bool = False
    azure_latency: bool = False
    engine: Path | None = None


def run(choices: Choices) -> int:
    """Serve until Ctrl-C or SIGTERM.

    Returns:
        0; 1 if it can't start; 2 if the settings or the list of jobs can't be used.
    """
    with _asked_to_stop() as asked:
        try:
            _serve(choices, asked)
        except (BadJobsError, BadSettingsError) as error:
            print(error, file=sys.stderr)
            return 2
        except PortError as error:
            print(error, _advice(error.port, choices), file=sys.stderr)
            return 1
        except HostError as error:
            # What was asked to stop while it started may have lost a part of itself.
            if asked.is_set():
                return 0
            print(error, file=sys.stderr)
            return 1
    return 0


@contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """Give an event that Ctrl-C and SIGTERM set, instead of what they do otherwise."""
    asked = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        asked.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _serve(choices: Choices, asked: threading.Event) -> None:
    own = own_settings.read(choices.settings, os.environ)
    jobs = _own_jobs(choices.jobs, own)
    with ExitStack() as stack:
        extension = stack.enter_context(Extension(choices.engine)) if choices.engine else None
        machine = stack.enter_context(_machine(choices, own, extension))
        if not asked.is_set():
            _begin(machine, own, jobs, choices.http_file)
        # In slices: on Windows a signal interrupts no wait.
        while not asked.wait(0.2):
            pass
        print("Stopping ...", flush=True)


def _own_jobs(file: Path | None, own: OwnSettings) -> list[JobSettings] | None:
    if file and FinanceOperations.system not in own.systems:
        raise BadJobsError(
            f"{file}: --jobs is for the simulated {FinanceOperations.title}, and your settings name yours."
        )
    return read_jobs(file) if file else None


def _machine(choices: Choices, own: OwnSettings, extension: Extension | None) -> Machine:
    return Machine(
        own.values,
        port=choices.port,
        ports=FIXED_PORTS if choices.fixed_ports else None,
        function_key=choices.key,
        systems=own.systems,
        deliver_twice=choices.deliver_twice,
        durable_workers=2 if choices.deliver_twice else 1,
        azure_latency=choices.azure_latency,
        extension=extension,
    )


def _advice(port: int, choices: Choices) -> str:
    if port == choices.port:
        return "It is for the functions: --port names another one, and 0 takes a free one."
    whose = next(name for name, fixed in FIXED_PORTS.items() if fixed == port)
    return f"--fixed-ports gives it to the simulated {whose}: end what uses it, or leave that option out."


def _begin(machine: Machine, own: OwnSettings, jobs: list[JobSettings] | None, file: Path) -> None:
    ids = itertools.cycle(_fill(machine, jobs))
    calls = list(calls_of(machine.host.functions(), ids))
    file.parent.mkdir(parents=True, exist_ok=True)
    # It holds keys, though only of this run.
    file.touch(mode=0o600)
    file.write_text(http_file(machine.host, calls), encoding="utf-8")
    print("\n".join(_told(machine, own, calls, file)), flush=True)


def _fill(machine: Machine, own: list[JobSettings] | None) -> list[int]:
    """Give the simulated systems what is in them; return the batch jobs that the calls are to name."""
    landscape = machine.landscape
    for one in landscape.simulated:
        if one is not landscape.finance_operations or own is None:
            one.fill()
    if FinanceOperations.system not in landscape.systems:
        return [_NO_JOB]
    jobs = landscape.finance_operations.jobs
    ids = [job.id for job in jobs.all()] if own is None else [jobs.add(**job) for job in own]
    failed = [job for job in ids if (found := jobs.get(job)) and found.status == "Error"]
    return failed or ids or [_SOME_JOB]


def _told(machine: Machine, own: OwnSettings, calls: list[Call], file: Path) -> Iterator[str]:
    """Say where everything is, and how each function is called."""
    host = machine.host
    kept = f"The store is yours, and stays: {own.store}." if own.store else "All of it is gone when it stops."
    yield f"Nightshift in the local host: a development tool, and a test double. {kept}\n"
    yield _line("functions", f"{host.url}/api")
    yield _line("function key", host.function_key)
    yield _line("master key", host.master_key)
    yield from _simulated(machine, own.tuned)
    yield from _not_simulated(own)
    yield _line("an hour later", _leap(machine, own))
    yield _line("for an editor", str(file))
    yield ""
    yield from (f"  # {call.title}\n  {curl(host, call)}" for call in calls)
    yield "\nThe same in PowerShell:\n"
    yield from (f"  # {call.title}\n  {powershell(host, call)}" for call in calls)
    yield f"\n{_to_be_set(machine, calls)}Ctrl-C ends it."


def _line(name: str, text: str) -> str:
    return f"  {name:20} {text}"


def _simulated(machine: Machine, tuned: Mapping[str, list[str]]) -> Iterator[str]:
    for one in machine.landscape.simulated:
        yours = f", with your {', '.join(tuned[one.system])}" if tuned.get(one.system) else ""
        yield _line(one.title, f"{one.url}{one.shown}   (simulated: target {one.target.lower()}{yours}; {one.access})")
        origin = one.url.removesuffix(one.root)
        yield from (_line(name, f"curl {origin}{path}") for name, path in one.looks.items())
        yield _line("a fault", f'curl -d \'{{"effect":"throttle","retry_after":5}}\' {origin}/local/faults')


def _not_simulated(own: OwnSettings) -> Iterator[str]:
    for target in own.targets:
        yield _line(_TITLES[target.system], f"{target.url}   (your own: target {target.name}, {target.auth})")
    for name, complaint in own.off.items():
        yield _line(f"target {name}", f"is off: {complaint}   (your own)")


def _leap(machine: Machine, own: OwnSettings) -> str:
    if machine.is_real:
        return "not here: the Durable extension lives by the real time"
    beside = "   (your own systems don't follow)" if own.targets else ""
    return f"curl -d '{{\"advance\":3600}}' {machine.host.url}/local/clock{beside}"


def _to_be_set(machine: Machine, calls: list[Call]) -> str:
    yours = (
        ""
        if FinanceOperations.system in machine.landscape.systems
        else f"Put a job of yours where {_NO_JOB} is its id. "
    )
    blanks = ", ".join(f"${name.upper()}" for name in variables(calls))
    return f"{yours}Set {blanks} before you use them. " if blanks else yours
