"""`python -m local serve`: the app and the simulated systems, until Ctrl-C; a test double for other people's CI."""

import csv
import itertools
import json
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from pydantic import TypeAdapter, ValidationError

from local.environment import ROOT
from local.extension import Extension
from local.host import FunctionInfo, HostError
from local.machine import Machine
from local.systems.jobs import Jobs, JobSettings

HTTP_FILE = ROOT / ".local" / "nightshift.http"

# What a call of a function holds beside its route. A function that is not named here is told without a body.
_REASON = '{"reason": "Trying it out"}'
_BODIES = {
    **dict.fromkeys(("sweep", "apply", "retry", "check", "cancel", "stop", "resume"), _REASON),
    "set_retries": '{"retries": 1, "jobIds": ["aJob", "secondJob"]}',
    "batch": '{"requests": [{"id": "1", "method": "GET", "url": "companies"}]}',
    "batch_job_event": '{"EventId": "trying-it-out", "JobId": %d, "JobStatus": "Error"}',
    **dict.fromkeys(("requeue", "requeue_native"), '{"batchJobId": %d}'),
    "put_policy": '{"rules": [{"name": "all", "action": "allow"}], "reason": "Trying it out"}',
}
_QUERIES = {"run_result": "?ticket={ticket}"}
_VARIABLES = {"id": "run"}
_ROUTES = {
    "business-central/{*root}": "business-central/api/v2.0/%24batch",
    "camunda/batch/{id}": "camunda/batch/{batch}",
}
"""Routes that are written otherwise: the dollar sign is encoded, because shells would read a variable, and an id that
is not a run's has its own name."""
_SOME_JOB = 5637144576
_JOBS = TypeAdapter(list[JobSettings])


class BadJobsError(ValueError):
    """A list of jobs can't be used; the message says why."""


@dataclass(frozen=True)
class Call:
    """How a function is called, before it is written as curl, PowerShell or a .http file does it.

    Attributes:
        title: The function's name, and its schedule if it has one.
        method: The HTTP method.
        path: The path, with `{name}` for what the caller has to fill in.
        key: Which key opens it: `function`, `master`, or nothing.
        body: JSON, or nothing.
    """

    title: str
    method: str
    path: str
    key: str
    body: str


@dataclass(frozen=True)
class Choices:
    """How it is to serve.

    Attributes:
        deliver_twice: Deliver every activity twice at once.
        azure_latency: Take starts up as late as where HTTP and durable functions run on different machines.
        jobs: A list of jobs to begin with, instead of the samples.
        http_file: Where to write the calls for an editor.
        engine: The program of the Durable extension; the local hub is used if none is given.
    """

    deliver_twice: bool = False
    azure_latency: bool = False
    jobs: Path | None = None
    http_file: Path = HTTP_FILE
    engine: Path | None = None


def run(port: int, choices: Choices) -> int:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        port: The port of the functions; 0 takes a free one.
        choices: How to serve.

    Returns:
        0; 1 if it can't start; 2 if the list of jobs can't be used.
    """
    asked = threading.Event()

    def stop(_: int, __: FrameType | None) -> None:
        asked.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        own = read_jobs(choices.jobs) if choices.jobs else None
        with ExitStack() as stack:
            extension = stack.enter_context(Extension(choices.engine)) if choices.engine else None
            machine = stack.enter_context(
                Machine(
                    port=port,
                    deliver_twice=choices.deliver_twice,
                    durable_workers=2 if choices.deliver_twice else 1,
                    azure_latency=choices.azure_latency,
                    extension=extension,
                )
            )
            _begin(machine, own, choices.http_file)
            while not asked.wait(0.2):
                pass
            print("Stopping ...", flush=True)
    except (BadJobsError, HostError) as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, BadJobsError) else 1
    return 0


def read_jobs(file: Path) -> list[JobSettings]:
    """Read a list of jobs: JSON as `POST /local/jobs` takes it, or CSV with the same names in its first line.

    Raises:
        BadJobsError: The file can't be read, or a job is impossible.
    """
    try:
        text = file.read_text("utf-8-sig")
        settings = _JOBS.validate_json(_as_json(text) if file.suffix.lower() == ".csv" else text)
        _try(settings)
    except ValidationError as error:
        raise BadJobsError(f"{file}: {_sentence(error)}") from error
    except (OSError, ValueError, csv.Error) as error:
        raise BadJobsError(f"{file}: {getattr(error, 'strerror', None) or error}") from error
    return settings


def _try(settings: list[JobSettings]) -> None:
    """Add them where nobody sees it: some mistakes, such as an id that comes twice, show only there."""
    jobs = Jobs(lambda: datetime.now(UTC))
    for job in settings:
        jobs.add(**job)


def _as_json(text: str) -> str:
    # What some spreadsheets call comma-separated is separated by semicolons.
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    rows = csv.DictReader(text.splitlines(), restkey="more cells than names", delimiter=delimiter)
    return json.dumps([{name: _cell(name, cell) for name, cell in row.items() if cell} for row in rows])


def _cell(name: str, text: str) -> object:
    if name == "outcomes":
        return re.split(r"[\s|;]+", text.strip())
    if name == "id" or name.endswith("_seconds"):
        with suppress(ValueError):
            return json.loads(text)
    return text


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = [f"job {part + 1}" if isinstance(part, int) else str(part) for part in first["loc"][:2]]
    return f"{', '.join(where)}: {first['msg']}." if where else f"{first['msg']}."


def _begin(machine: Machine, own: list[JobSettings] | None, http_file: Path) -> None:
    jobs = machine.landscape.finance_operations.jobs
    ids = jobs.sample() if own is None else [jobs.add(**job) for job in own]
    machine.landscape.business_central.sample()
    machine.landscape.camunda.engine.sample()
    failed = [job for job in ids if (found := jobs.get(job)) and found.status == "Error"]
    calls = list(_calls(machine.host.functions(), itertools.cycle(failed or ids or [_SOME_JOB])))
    http_file.parent.mkdir(parents=True, exist_ok=True)
    # It holds keys, though only of this run.
    http_file.touch(mode=0o600)
    http_file.write_text(_as_http_file(machine, calls), encoding="utf-8")
    print(_told(machine, calls, http_file), flush=True)


def _calls(functions: list[FunctionInfo], jobs: Iterator[int]) -> Iterator[Call]:
    for function in functions:
        if function.kind == "http":
            key = "" if function.auth_level == "ANONYMOUS" else "function"
            body = _BODIES.get(function.name, "")
            yield Call(
                title=function.name,
                method=(function.methods or ("GET",))[0],
                path=f"/api/{_path(function)}",
                key="master" if function.auth_level == "ADMIN" else key,
                body=body.replace("%d", str(next(jobs))) if "%d" in body else body,
            )
        elif function.kind == "timer":
            title = f"{function.name} (a timer: {function.schedule} UTC)"
            yield Call(title, "POST", f"/admin/functions/{function.name}", "master", "{}")


def _path(function: FunctionInfo) -> str:
    def variable(found: re.Match[str]) -> str:
        return f"{{{_VARIABLES.get(found[1], found[1])}}}"

    route = function.route or ""
    return re.sub(r"\{\**(\w+)\}", variable, _ROUTES.get(route, route)) + _QUERIES.get(function.name, "")


def _variables(calls: list[Call]) -> list[str]:
    return sorted({name for call in calls for name in re.findall(r"\{(\w+)\}", call.path)})


def _filled(path: str, written: Callable[[str], str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: written(found[1]), path)


def _key(machine: Machine, call: Call) -> str:
    return {"function": machine.host.function_key, "master": machine.host.master_key}.get(call.key, "")


def _told(machine: Machine, calls: list[Call], http_file: Path) -> str:
    """Say where everything is, and how each function is called."""
    host, system, central = machine.host, machine.landscape.finance_operations, machine.landscape.business_central
    engine = machine.landscape.camunda.url
    camunda = engine.removesuffix("/engine-rest")
    blanks = ", ".join(f"${name.upper()}" for name in _variables(calls))
    lines = [
        "Nightshift in the local host: a development tool, and a test double. All of it is gone when it stops.",
        "",
        f"  functions            {host.url}/api",
        f"  function key         {host.function_key}",
        f"  master key           {host.master_key}",
        f"  Finance & Operations {system.url}/data/BatchJobs   (simulated; needs a token)",
        f"  its jobs             curl {system.url}/local/jobs",
        f"  its book of calls    curl {system.url}/local/book",
        f'  a fault              curl -d \'{{"effect":"throttle","retry_after":5}}\' {system.url}/local/faults',
        f"  Business Central     {central.url}/api/v2.0   (simulated; needs a token)",
        f"  its companies        curl {central.url}/local/companies",
        f"  Camunda 7            {engine}/job   (simulated; lets everybody in)",
        f"  its jobs             curl {camunda}/local/jobs",
        f"  its batches          curl {camunda}/local/batches",
        f"  an hour later        {_leap(machine)}",
        f"  for an editor        {http_file}",
        "",
        *(f"  # {call.title}\n  {_curl(machine, call)}" for call in calls),
        "",
        "The same in PowerShell:",
        "",
        *(f"  # {call.title}\n  {_powershell(machine, call)}" for call in calls),
        "",
        *([f"Set {blanks} before you use them. Ctrl-C ends it."] if blanks else ["Ctrl-C ends it."]),
    ]
    return "\n".join(lines)


def _leap(machine: Machine) -> str:
    if machine.is_real:
        return "not here: the Durable extension lives by the real time"
    return f"curl -d '{{\"advance\":3600}}' {machine.host.url}/local/clock"


def _curl(machine: Machine, call: Call) -> str:
    key = f" -H 'x-functions-key: {_key(machine, call)}'" if call.key else ""
    content = f" -H 'Content-Type: application/json' -d '{call.body}'" if call.body else ""
    path = _filled(call.path, lambda name: f"${name.upper()}")
    return f'curl -X {call.method} "{machine.host.url}{path}"{key}{content}'


def _powershell(machine: Machine, call: Call) -> str:
    key = f" -Headers @{{'x-functions-key'='{_key(machine, call)}'}}" if call.key else ""
    content = f" -ContentType 'application/json' -Body '{call.body}'" if call.body else ""
    # In braces: what follows a name, such as a question mark, could be taken for a part of it.
    path = _filled(call.path, lambda name: f"${{{name.upper()}}}")
    return f'Invoke-RestMethod -Method {call.method.title()} -Uri "{machine.host.url}{path}"{key}{content}'


def _as_http_file(machine: Machine, calls: list[Call]) -> str:
    """Write the calls as the REST clients of Visual Studio Code and Visual Studio read them."""
    head = [
        "# Written by `python -m local serve`, and anew at each start: the keys are of this run only.",
        f"@host = {machine.host.url}",
        f"@functionKey = {machine.host.function_key}",
        f"@masterKey = {machine.host.master_key}",
        *(f"@{name} = put-the-{name}-here" for name in _variables(calls)),
    ]
    return "\n".join([*head, *(_request(call) for call in calls)]) + "\n"


def _request(call: Call) -> str:
    lines = ["", f"### {call.title}", f"{call.method} {{{{host}}}}{_filled(call.path, lambda name: f'{{{{{name}}}}}')}"]
    if call.key:
        lines.append(f"x-functions-key: {{{{{call.key}Key}}}}")
    if call.body:
        lines += ["Content-Type: application/json", "", call.body]
    return "\n".join(lines)
