"""How each function is called: as curl, PowerShell and a .http file write it."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from local.host.functions import FunctionInfo
from local.host.host import Host

# What a call of a function holds beside its route. A function that is not named here is told without a body.
_REASON = '{"reason": "Trying it out"}'
_BODIES = {
    **dict.fromkeys(("sweep", "apply", "retry", "check", "cancel", "stop", "resume", "acknowledge"), _REASON),
    "settle": '{"happened": true, "reason": "Trying it out"}',
    "set_retries": '{"retries": 1, "jobIds": ["aJob", "secondJob"]}',
    "batch": '{"requests": [{"id": "1", "method": "GET", "url": "companies"}]}',
    "batch_job_event": '{"EventId": "trying-it-out", "JobId": %d, "JobStatus": "Error"}',
    **dict.fromkeys(("requeue", "requeue_native"), '{"batchJobId": %d}'),
    "send_objects": '{"_type": "VarBatch", "elements": [{"_id": "AAA", "example": "property"}]}',
    "run_process": '{"name": "ECB_FX"}',
    "start_task": '{"Name": "REPORTER"}',
    "put_policy": '{"rules": [{"name": "all", "action": "allow"}], "reason": "Trying it out"}',
}
_VERSIONS = {"put_policy": "policy"}
"""A change that is made to a version, and the function that answers that version as ETag."""
_QUERIES = {"run_result": "?ticket={ticket}"}
_VARIABLES = {"id": "run"}
_ROUTES = {
    "business-central/{*root}": "business-central/api/v2.0/%24batch",
    "camunda/batch/{id}": "camunda/batch/{batch}",
    "items/{target}/{*id}": "items/{target}/{item}",
    "needs-person/{id}/acknowledge": "needs-person/{need}/acknowledge",
    "opendatadsl/batch/{*release}": "opendatadsl/batch/v1",
    "opendatadsl/batch/v1/{id}": "opendatadsl/batch/v1/{summary}",
    "opendatadsl/process-exec/{*release}": "opendatadsl/process-exec/v1",
    "opendatadsl/process-exec/v1/{id}": "opendatadsl/process-exec/v1/{execution}",
    "superoffice/v1/BatchTask/{id}": "superoffice/v1/BatchTask/{task}",
    "superoffice/v1/BatchTask/{id}/Stop": "superoffice/v1/BatchTask/{task}/Stop",
}
"""Routes that are written otherwise: the dollar sign is encoded, because shells would read a variable, and an id that
is not a run's has its own name."""


@dataclass(frozen=True)
class Call:
    """How a function is called, before it is written for a tool.

    Attributes:
        title: The function's name, and its schedule if it has one.
        method: The HTTP method.
        path: The path, with `{name}` for what the caller has to fill in.
        key: Which key opens it: `function`, `master`, or nothing.
        body: JSON, or nothing.
        version: The path whose ETag goes into If-Match, opened by the same key, or nothing.
    """

    title: str
    method: str
    path: str
    key: str
    body: str = ""
    version: str = ""


def calls_of(functions: list[FunctionInfo], jobs: Iterator[int]) -> Iterator[Call]:
    """Return how each function with a route and each timer is called, with batch jobs from `jobs`."""
    paths = {function.name: f"/api/{_path(function)}" for function in functions}
    for function in functions:
        if function.kind == "http":
            body = _BODIES.get(function.name, "")
            yield Call(
                title=function.name,
                method=(function.methods or ("GET",))[0],
                path=paths[function.name],
                key={"ANONYMOUS": "", "ADMIN": "master"}.get(function.auth_level or "", "function"),
                body=body.replace("%d", str(next(jobs))) if "%d" in body else body,
                version=paths.get(_VERSIONS.get(function.name, ""), ""),
            )
        elif function.kind == "timer":
            title = f"{function.name} (a timer: {function.schedule} UTC)"
            yield Call(title, "POST", f"/admin/functions/{function.name}", "master", "{}")


def variables(calls: list[Call]) -> list[str]:
    """Return the names of what callers have to fill in."""
    return sorted({name for call in calls for name in re.findall(r"\{(\w+)\}", call.path)})


def curl(host: Host, call: Call) -> str:
    """Write a call as a line for a POSIX shell."""
    key = f" -H 'x-functions-key: {_keys(host)[call.key]}'" if call.key else ""
    seen = f"curl -si \"{host.url}{call.version}\"{key} | grep -i ^etag: | cut -c7- | tr -d '\\r'"
    version = f' -H "If-Match: $({seen})"' if call.version else ""
    content = f" -H 'Content-Type: application/json' -d '{call.body}'" if call.body else ""
    path = _filled(call.path, lambda name: f"${name.upper()}")
    return f'curl -X {call.method} "{host.url}{path}"{key}{version}{content}'


def powershell(host: Host, call: Call) -> str:
    """Write a call as a line for PowerShell."""
    # In braces: what follows a name, such as a question mark, could be taken for a part of it.
    path = _filled(call.path, lambda name: f"${{{name.upper()}}}")
    content = f" -ContentType 'application/json' -Body '{call.body}'" if call.body else ""
    headers = _powershell_headers(host, call)
    return f'Invoke-RestMethod -Method {call.method.title()} -Uri "{host.url}{path}"{headers}{content}'


def _powershell_headers(host: Host, call: Call) -> str:
    if not call.key:
        return ""
    key = f"'x-functions-key'='{_keys(host)[call.key]}'"
    if not call.version:
        return f" -Headers @{{{key}}}"
    seen = f'Invoke-WebRequest -UseBasicParsing -Uri "{host.url}{call.version}" -Headers @{{{key}}}'
    return f" -Headers @{{{key}; 'If-Match'=[string]({seen}).Headers.ETag}}"


def http_file(host: Host, calls: list[Call]) -> str:
    """Write the calls as the REST clients of Visual Studio Code and Visual Studio read them."""
    head = [
        "# Written by `python -m local serve`, and anew at each start: the keys are of this run only.",
        f"@host = {host.url}",
        *(f"@{name}Key = {key}" for name, key in _keys(host).items()),
        *(f"@{name} = put-the-{name}-here" for name in variables(calls)),
    ]
    return "\n".join([*head, *(_request(call) for call in calls)]) + "\n"


def _request(call: Call) -> str:
    key = f"\nx-functions-key: {{{{{call.key}Key}}}}" if call.key else ""
    path = _filled(call.path, lambda name: f"{{{{{name}}}}}")
    lines = ["", f"### {call.title}", f"{call.method} {{{{host}}}}{path}{key}"]
    if call.version:
        # Sent by hand before: the clients remember the answer of a request that has a name.
        seen = ["", f"### the version for {call.title}", "# @name seen", f"GET {{{{host}}}}{call.version}{key}"]
        lines = [*seen, *lines, "If-Match: {{seen.response.headers.ETag}}"]
    if call.body:
        lines += ["Content-Type: application/json", "", call.body]
    return "\n".join(lines)


def _keys(host: Host) -> Mapping[str, str]:
    return {"function": host.function_key, "master": host.master_key}


def _path(function: FunctionInfo) -> str:
    def variable(found: re.Match[str]) -> str:
        return f"{{{_VARIABLES.get(found[1], found[1])}}}"

    route = function.route or ""
    return re.sub(r"\{\**(\w+)\}", variable, _ROUTES.get(route, route)) + _QUERIES.get(function.name, "")


def _filled(path: str, written: Callable[[str], str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: written(found[1]), path)
