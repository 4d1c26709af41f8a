"""What OpenDataDSL's REST API does for each path: batches, executions of processes, and the processes themselves."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import unquote

from starlette.responses import Response

from local.simulators.common.faults import Kind
from local.simulators.opendatadsl.answers import RefusedError, accepted, answer
from local.simulators.opendatadsl.batches import Batches, Sender
from local.simulators.opendatadsl.behaviour import OpenDataDslBehaviour, Process
from local.simulators.opendatadsl.call_log import Effect, OpenDataDslBook
from local.simulators.opendatadsl.dates import Dates
from local.simulators.opendatadsl.executions import Executions
from local.simulators.opendatadsl.search import Row, answer_query, read_query
from local.simulators.opendatadsl.sent import member_texts, read_batch, read_object

_TOTAL = "x-total-count"


@dataclass(frozen=True, slots=True)
class Asked:
    """A call: its query parameters in order, its body, the id in its path, who calls, and in which environment."""

    params: Sequence[tuple[str, str]]
    body: bytes
    ident: str
    user: str
    environment: str

    @property
    def sender(self) -> Sender:
        """Who calls, where, and why."""
        return Sender(self.user, self.environment, dict(self.params).get("_reason"))


type Handler = Callable[[Asked], Response]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What answers a method on a path, and what kind of call that is in the book."""

    method: str
    pattern: re.Pattern[str]
    kind: Kind
    handler: Handler


class OpenDataDslApi:
    """The paths below the service's /api."""

    def __init__(
        self,
        batches: Batches,
        executions: Executions,
        book: OpenDataDslBook,
        now: Callable[[], datetime],
        behaviour: Callable[[], OpenDataDslBehaviour],
    ) -> None:
        self._batches = batches
        self._executions = executions
        self._book = book
        self._now = now
        self._behaviour = behaviour
        self._endpoints = [_endpoint(*each) for each in self._table()]

    def find(self, method: str, path: str) -> tuple[Endpoint | None, str, list[str]]:
        """Return what answers, the id in the path, and the methods that the path knows."""
        matches = [(each, match) for each in self._endpoints if (match := each.pattern.fullmatch(path))]
        for each, match in matches:
            if each.method == method:
                return each, unquote(match.groupdict().get("id") or ""), []
        return None, "", sorted({each.method for each, _ in matches})

    def _table(self) -> list[tuple[str, str, Kind, Handler]]:
        return [
            ("GET", "/(?:batch|process-exec|process)", "other", self._build),
            ("POST", "/batch/v1", "action", self._send),
            ("GET", "/batch/v1", "list", self._summaries),
            ("GET", "/batch/v1/{id}", "read", self._summary),
            ("DELETE", "/batch/v1/{id}", "delete", self._delete),
            ("POST", "/process-exec/v1", "process", self._run),
            ("GET", "/process-exec/v1", "list", self._logs),
            ("GET", "/process-exec/v1/{id}", "read", self._log),
            ("GET", "/process/v1", "list", self._processes),
            ("GET", "/process/v1/{id}", "read", self._process),
        ]

    def _build(self, _asked: Asked) -> Response:
        # The members are not documented.
        return answer({"name": "OpenDataDSL, simulated", "version": "1.0.0", "build": "1", "time": self._now()})

    def _send(self, asked: Asked) -> Response:
        behaviour = self._behaviour()
        if behaviour.max_bytes is not None and len(asked.body) > behaviour.max_bytes:
            raise RefusedError(413, f"The body has more than {behaviour.max_bytes} bytes.")
        sent = read_batch(asked.body)
        if behaviour.max_elements is not None and len(sent.elements) > behaviour.max_elements:
            raise RefusedError(413, f"The batch has more than {behaviour.max_elements} elements.")
        summary = self._batches.send(sent, asked.sender)
        return accepted(behaviour.accepted, sent.id, summary)

    def _summaries(self, asked: Asked) -> Response:
        behaviour = self._behaviour()
        dates = Dates(behaviour.zone, whole_days=behaviour.range_end == "day")
        return _listed(self._batches.summaries(asked.environment), asked, dates)

    def _summary(self, asked: Asked) -> Response:
        found = self._batches.summary(asked.environment, asked.ident)
        if found is None:
            raise _no_batch(asked)
        return answer(found)

    def _delete(self, asked: Asked) -> Response:
        if not self._batches.remove(asked.ident, asked.sender):
            raise _no_batch(asked)
        return Response(status_code=self._behaviour().deleted)

    def _run(self, asked: Asked) -> Response:
        behaviour = self._behaviour()
        wanted, text = read_object(asked.body)
        name = wanted.get("name")
        if not isinstance(name, str) or name not in behaviour.processes:
            raise RefusedError(404, f"There is no process {name}.")
        sender = asked.sender
        ident = self._executions.add(
            _delay(asked),
            name=name,
            environment=asked.environment,
            run_as=asked.user,
            reason=sender.reason or "",
        )
        given = member_texts(text).get(behaviour.input_key)
        self._book.write(Effect(self._now(), "run", asked.environment, ident, name, sender.reason, given))
        return accepted(behaviour.triggered, ident, self._log_of(asked.environment, ident))

    def _logs(self, asked: Asked) -> Response:
        dates = Dates(UTC, whole_days=self._behaviour().range_end == "day")
        return _listed(self._executions.logs(asked.environment), asked, dates)

    def _log(self, asked: Asked) -> Response:
        found = self._log_of(asked.environment, asked.ident)
        if found is None:
            raise RefusedError(404, f"There is no execution {asked.ident}.")
        return answer(found)

    def _log_of(self, environment: str, ident: str) -> dict[str, object] | None:
        return next((log for log in self._executions.logs(environment) if log["_id"] == ident), None)

    def _processes(self, asked: Asked) -> Response:
        rows = [_shown(name, process) for name, process in self._behaviour().processes.items()]
        return _listed(rows, asked, Dates(UTC))

    def _process(self, asked: Asked) -> Response:
        process = self._behaviour().processes.get(asked.ident)
        if process is None:
            raise RefusedError(404, f"There is no process {asked.ident}.")
        return answer(_shown(asked.ident, process))


def _endpoint(method: str, path: str, kind: Kind, handler: Handler) -> Endpoint:
    return Endpoint(method, re.compile(path.replace("{id}", "(?P<id>[^/]+)")), kind, handler)


def _listed(rows: Iterable[Row], asked: Asked, dates: Dates) -> Response:
    page, total = answer_query(rows, read_query(asked.params, dates))
    return answer(page, {_TOTAL: str(total)})


def _no_batch(asked: Asked) -> RefusedError:
    return RefusedError(404, f"There is no batch {asked.ident} in {asked.environment}.")


def _delay(asked: Asked) -> float:
    text = dict(asked.params).get("_delay", "0")
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise RefusedError(400, "_delay is not a number of milliseconds.")
    return int(text) / 1000


def _shown(name: str, process: Process) -> dict[str, object]:
    told = process.model_dump(include={"service", "description", "workflow", "cron", "enabled", "input"})
    return {"_id": name, "_type": "VarProcess", "name": name, **told}
