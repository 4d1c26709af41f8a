"""For tests of the Camunda client: an engine that lives by a clock, connections to it, and one that says anything."""

import json
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from types import TracebackType
from typing import Any, Self

from local.simulators.landscape import Landscape
from shared.core.problems import Problem
from shared.core.targets import Target, Targets
from shared.systems.camunda.jobs import Job, jobs_by_id
from shared.transport.connection import Connection, Reply
from tests.conftest import TurnedClock

RUN = "run-1"
FIELDS = [
    "id",
    "type",
    "totalJobs",
    "jobsCreated",
    "batchJobsPerSeed",
    "invocationsPerBatchJob",
    "seedJobDefinitionId",
    "monitorJobDefinitionId",
    "batchJobDefinitionId",
    "suspended",
    "tenantId",
    "createUserId",
    "startTime",
    "executionStartTime",
]


class Rig:
    """The simulated engine, which begins anew and lives by the turned clock."""

    def __init__(self, landscape: Landscape, turned: TurnedClock) -> None:
        self.landscape = landscape
        self.clock = turned
        self.camunda = landscape.camunda
        self.camunda.reset()
        landscape.issuer.reset()
        self.engine = self.camunda.engine
        self.behaviour = self.camunda.behaviour
        self.faults = self.camunda.faults
        self.connection = self.connect()

    def connect(self, **settings: str) -> Connection:
        """Return a new connection, with some settings of its target changed."""
        return Connection(self.target(**settings))

    def target(self, **settings: str) -> Target:
        """Return the target, with some of its settings changed."""
        changed = {f"TARGETS__CAMUNDA__{name}": value for name, value in settings.items()}
        return Targets({**self.landscape.settings, **changed}).named("camunda")

    def failed(self, number: int, **more: Any) -> list[str]:  # noqa: ANN401 - what add_job takes
        """Add some jobs that have failed, unless told otherwise."""
        return [self.engine.add_job(**more) for _ in range(number)]

    def read(self, ids: Iterable[str]) -> list[Job]:
        """Return some jobs as the client reads them, and forget that in the book."""
        found = list(jobs_by_id(self.connection, ids, RUN).values())
        self.camunda.book.clear()
        return found

    def calls(self, kind: str | None = None) -> list[str]:
        """Return the calls of a kind, as method and path."""
        return [f"{call.method} {call.path.partition('/engine-rest')[2]}" for call in self.camunda.book.calls(kind)]

    def kinds(self) -> list[str]:
        """Return the kinds of all calls, in order."""
        return [call.kind for call in self.camunda.book.calls()]

    def instance(self, job: str) -> str:
        """Return the process instance of a job that is there."""
        found = self.engine.job(job)
        assert found is not None
        return str(found.instance)

    def failed_at(self, job: str) -> str:
        """Return when a job failed last, as the engine writes it."""
        found = self.engine.job(job)
        assert found is not None
        assert found.failed is not None
        return f"{found.failed:%Y-%m-%dT%H:%M:%S}.{found.failed.microsecond // 1000:03}+0000"

    def fail_anew(self, job: str) -> None:
        """Give a job a retry, and let it fail a minute later."""
        self.engine.set_retries(job, 1)
        self.clock.turn(60)
        assert getattr(self.engine.job(job), "retries", None) == 0


def keep(rig: Rig, history: Any, *, incidents: bool = True) -> None:  # noqa: ANN401 - one of three levels
    """Set the history level of the engine, and whether it creates incidents."""
    rig.behaviour.history = history
    rig.behaviour.incidents = incidents


class Meddled(Connection):
    """A connection on which something happens right before one of the calls, counted from 1 on."""

    def __init__(self, target: Target, at: int, do: Callable[[], object]) -> None:
        super().__init__(target)
        self._at = at
        self._do = do

    def call(self, *args: Any, **kwargs: Any) -> Reply:  # noqa: ANN401 - passed on as they are
        self._at -= 1
        if self._at == 0:
            self._do()
        return super().call(*args, **kwargs)


class Canned:
    """A server that answers what it is told, the last answer for ever: what no simulated engine would say."""

    def __init__(self, *answers: tuple[int, object], kind: str = "application/json") -> None:
        self.received: list[tuple[str, str, Any]] = []
        left = list(answers)
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                received.append((self.command, self.path, json.loads(body) if body else None))
                status, content = left.pop(0) if len(left) > 1 else left[0]
                told = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            do_GET = do_POST = do_DELETE = answer  # noqa: N815 - the library's names

            def log_message(self, *_: object) -> None:
                """Stay silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        url = f"http://127.0.0.1:{self._server.server_port}/engine-rest"
        self.connection = Connection(
            Target.model_validate({"name": "camunda", "system": "camunda", "url": url, "auth": "none"})
        )

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def whole_text(problem: Problem) -> str:
    """Return all that anybody is told of a problem."""
    return f"{problem} {problem.detail} {problem.members} {problem.answer().body!r}"
