"""The app without its host: its own functions over a store in memory, and an engine that gives out its activities."""

import asyncio
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import pytest
import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from shared.core import clock
from shared.core.settings import app_settings
from shared.core.targets import app_targets
from shared.durable import batch_orchestrator, closing, run_orchestrator
from shared.durable.engine import BATCH, Engine, Phase
from shared.durable.open_runs import check_open_runs
from shared.execution.waiting import RetryLater
from shared.fanout import sending
from shared.fanout.schedule import Schedule
from shared.policy.cached_reader import app_reader
from shared.policy.document import put_policy
from shared.policy.rules import Rule, Rules
from shared.policy.switches import How
from shared.runs import records
from shared.storage.app import app_store
from shared.transport.connection import connection
from tests.conftest import TurnedClock
from tests.simulation.actors import ALL, Actor, NeverEndsError, end, step
from tests.simulation.book import System
from tests.simulation.memory import MemoryStore, SteppedStore

Work = dict[str, Any]
type Activity = Callable[[Work], Work]
_TURNS = 1000
"""More turns than all need to come to their end."""
_CHUNKS = 3
"""How many chunks are sent by one call of the activity."""
_FAR = "2100-01-01T00:00:00+00:00"
_SECRET = {"AUTH": "client-secret", "TENANT": "t", "CLIENT_ID": "c", "CLIENT_SECRET": "s"}
_TARGETS = {
    "FO": {"SYSTEM": "finance-operations", "URL": "https://fo.example", **_SECRET},
    "BC": {"SYSTEM": "business-central", "URL": "https://bc.example", "BATCH_OPERATIONS": "3", **_SECRET},
    "CAMUNDA": {"SYSTEM": "camunda", "URL": "https://camunda.example/engine-rest", "AUTH": "none"},
}
_SETTINGS = {
    "SWEEP_MODE": "apply",
    "SWEEP_WAVES": "all",
    "SWEEP_AT": "07:00,08:00",
    "SWEEP_UNTIL": "23:00",
    "BATCH_RETRY": "on",
    "EVENT_WAITS": "0,1",
    "PUBLIC_URL": "https://night.example",
    # Each actor that stands still within a call has a place of its target.
    "PYTHON_THREADPOOL_THREAD_COUNT": "32",
    **{f"TARGETS__{target}__{name}": text for target, fields in _TARGETS.items() for name, text in fields.items()},
}


def now_of[Result](call: Coroutine[Any, Any, Result]) -> Result:
    """Return what a function of the app returns; whatever it awaits is done at once."""
    try:
        call.send(None)
    except StopIteration as ended:
        return cast("Result", ended.value)
    raise AssertionError("it waits for something")


@dataclass
class Job:
    """What the engine does for a run: one activity after the other, as the orchestrators do.

    Attributes:
        run: The run.
        activity: What is called now, and `work` with what.
        due: Until when a timer runs before that.
        number: How many activities have ended.
        cancelled: The engine has been told that the run is cancelled.
    """

    run: str
    steps: Generator[tuple[Activity, Work], Work]
    activity: Any = None
    work: Work = field(default_factory=dict)
    due: datetime | None = None
    number: int = 0
    cancelled: bool = False
    is_over: bool = False

    def go_on(self, result: Work | None) -> None:
        """Take the result of an activity, or begin."""
        self.number += 1
        pause = _pause_of(result or {})
        self.due = clock.now() + timedelta(seconds=pause) if pause is not None else None
        try:
            self.activity, self.work = self.steps.send(result) if result is not None else next(self.steps)
        except StopIteration:
            self.is_over = True


def _pause_of(result: Work) -> float | None:
    """Return after how many seconds the engine calls the next activity; None: at once."""
    waits = result.get("waits", {})
    seconds = list(waits.values()) if isinstance(waits, dict) else [pause for _, pause, _ in waits]
    return result.get("wait", min(seconds, default=None))


def _until_done(activity: Activity, work: Work) -> Generator[tuple[Activity, Work], Work, Work]:
    tries = 0
    while "wait" in (result := (yield activity, {**work, "tries": tries})):
        tries += 1
    return result


def _items(run: str) -> Generator[tuple[Activity, Work], Work]:
    done = yield from _until_done(run_orchestrator.begin_run, {"run": run})
    if "items" in done:
        yield from _parts(run, done)
        done = yield from _until_done(run_orchestrator.finish_run, {"run": run})
    if done.get("follow"):
        yield from _until_done(run_orchestrator.end_run, {"run": run})


def _parts(run: str, found: Work) -> Generator[tuple[Activity, Work], Work]:
    left, tries = list(range(found["parts"])), len(found.get("waits", {}))
    while left:
        work = {"run": run, "items": found["items"], "size": found["size"], "parts": left, "tries": tries}
        result = yield run_orchestrator.perform_parts, work
        left = [*map(int, result.get("waits", {})), *result.get("left", [])]
        tries += 1


def _batch(run: str) -> Generator[tuple[Activity, Work], Work]:
    found = yield from _until_done(batch_orchestrator.prepare_batch, {"run": run})
    # No batch here has more than one segment.
    if found["segments"] and (yield from _segment(run, found["layout"])):
        return
    yield from _until_done(batch_orchestrator.finish_batch, {"run": run})


def _segment(run: str, layout: Work) -> Generator[tuple[Activity, Work], Work, bool]:
    """Send a segment in one slot, a few chunks a time; return whether the batch is finished."""
    after = {int(chunk): others for chunk, others in layout["after"].items()}
    schedule = Schedule(range(layout["first"], layout["first"] + layout["chunks"]), after)
    tries: dict[int, int] = {}
    while schedule.is_ready:
        taken = schedule.take(_CHUNKS)
        chunks = [[one.chunk, tries.get(one.chunk, 0), one.after] for one in taken]
        work = {"run": run, "chunks": chunks, "slots": 1, "until": _FAR, "finish": not schedule.is_open}
        result = yield batch_orchestrator.send_chunks, work
        tries |= {chunk: number for chunk, _, number in result.get("waits", ())}
        schedule.put_back([one for one in taken if one.chunk not in result.get("ended", ())])
        for chunk in result.get("ended", ()):
            schedule.end(chunk)
        if "finished" in result or result.get("stop"):
            return "finished" in result
    return False


def _close(run: str, how: How) -> Generator[tuple[Activity, Work], Work]:
    def close(work: Work) -> Work:
        done = closing.close_run(app_store(), records.read_spec(app_store(), work["run"]), how)
        return {"wait": done.seconds} if isinstance(done, RetryLater) else {}

    yield from _until_done(close, {"run": run})


class _Engine(Engine):
    """The engine, as the functions see it: each call of it is a step."""

    def __init__(self, jobs: dict[str, Job]) -> None:
        self._jobs = jobs

    async def start(self, run: str, orchestrator: str = "") -> None:
        self._begin(run, Job(run, _batch(run) if orchestrator == BATCH else _items(run)))

    async def close(self, run: str, how: str) -> None:
        self._begin(f"{run}-close", Job(run, _close(run, cast("How", how))))

    async def cancel(self, run: str) -> None:
        job = self._jobs.get(run)
        if job:
            # A cancelled run ends its pauses.
            job.cancelled, job.due = True, None
        step()

    async def phase(self, run: str) -> Phase:
        step()
        job = self._jobs.get(run)
        return Phase.MISSING if job is None else Phase.COMPLETED if job.is_over else Phase.RUNNING

    def _begin(self, instance: str, job: Job) -> None:
        # An instance is started once, as by the reuse policy.
        if instance not in self._jobs:
            self._jobs[instance] = job
            job.go_on(None)
        step()


class World:
    """All that there is in one example.

    Attributes:
        turned: The clock.
        system: The only system that is called.
        store: What is stored.
        engine: What the functions start runs with.
        actors: Those at work, and those that are over.
        runs: The ids that were given out, the oldest first.
    """

    def __init__(self, turned: TurnedClock, system: System) -> None:
        self.turned = turned
        self.system = system
        self.store = MemoryStore()
        self.jobs: dict[str, Job] = {}
        self.engine = _Engine(self.jobs)
        self.actors: list[Actor] = []
        self.runs: list[str] = []
        put_policy(self.store, Rules(rules=[Rule(name="all", action="allow")]), 0, "a test", "key")

    @property
    def present(self) -> list[Actor]:
        """Those who are at work."""
        return [one for one in self.actors if not one.is_over]

    @property
    def waiting(self) -> list[str]:
        """The instances that nobody works for at the moment."""
        taken = {one.name for one in self.present}
        return [name for name, job in self.jobs.items() if not job.is_over and f"{name}#{job.number}" not in taken]

    def begin(self, name: str, work: Callable[[], object]) -> Actor:
        """Let another actor appear; it does nothing yet."""
        self.actors.append(Actor(name, work))
        return self.actors[-1]

    def deliver(self, instance: str) -> Actor:
        """Give the next activity of an instance to a worker; time passes until it is due."""
        job = self.jobs[instance]
        if job.due and job.due > self.turned.time:
            self.turned.time = job.due
        number, activity = job.number, job.activity
        asked = {**job.work, "cancelled": job.cancelled}

        def work() -> None:
            result = activity(asked)
            # The engine takes the first result of an activity.
            if job.number == number:
                job.go_on(result)

        return self.begin(f"{instance}#{number}", work)

    def deliver_again(self, actor: Actor) -> None:
        """Give the activity that an actor does, or its next one, to another worker as well."""
        instance = actor.name.partition("#")[0]
        if instance in self.jobs and not self.jobs[instance].is_over:
            self.deliver(instance)

    def carry_on(self) -> None:
        """Let all come to its end: who is at work, what has begun, and what was recorded and not started."""
        for _ in range(_TURNS):
            if self.present:
                self.present[0].go_on(ALL)
            elif self.waiting:
                self.deliver(self.waiting[0])
            elif self.store.list(records.OPEN).keys:
                # Long enough for a run without a spec to be forgotten.
                self.turned.turn(1801)
                now_of(check_open_runs(self.engine))
            else:
                return
        raise self._never_ends()

    def work_off(self) -> None:
        """Let all that has begun in the engine come to its end, but nobody who stands still."""
        for _ in range(_TURNS):
            if not self.waiting:
                return
            self.deliver(self.waiting[0]).go_on()
        raise self._never_ends()

    def _never_ends(self) -> NeverEndsError:
        jobs = {name: (self.jobs[name].number, self.jobs[name].work) for name in self.waiting}
        return NeverEndsError(f"After {_TURNS} turns these have not ended: {jobs}; at work: {self.present}")

    def end(self) -> None:
        """End all threads."""
        end(*self.actors)


class _Unsigned(AuthBase):
    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


def _request(
    session: requests.Session, method: str, url: str, *, data: bytes | None, headers: dict[str, str], **_: object
) -> requests.Response:
    """Give a request to the session's adapter, without what `requests` makes of it: that takes most of the time."""
    request = requests.PreparedRequest()
    request.method, request.url, request.body = method, url, data
    request.headers = requests.structures.CaseInsensitiveDict(headers)
    return session.get_adapter(url).send(request)


class App:
    """The app of one test: its settings and caches, of which each example has its own."""

    def __init__(self) -> None:
        self.world: World | None = None

    @contextmanager
    def world_of(self, system: Callable[[], System]) -> Iterator[World]:
        """Give a new world; all its threads end with it."""
        before, turned = clock._clock, TurnedClock()  # noqa: SLF001 - put back as it was
        clock.use(turned)
        app_reader.cache_clear()
        self.world = World(turned, system())
        try:
            yield self.world
        finally:
            self.world.end()
            clock.use(before)

    def store(self) -> MemoryStore:
        assert self.world
        return self.world.store

    def get(self, request: requests.PreparedRequest, **_: object) -> requests.Response:
        assert self.world
        return self.world.system.get(request)

    def new_id(self) -> str:
        """Return an id that each replay of an example gives again."""
        assert self.world
        self.world.runs.append(f"20261123-{len(self.world.runs):020}")
        return self.world.runs[-1]


async def _at_once[Result](call: Callable[..., Result], *given: object, **named: object) -> Result:
    return call(*given, **named)


def _clear() -> None:
    for cached in (app_settings, app_targets, app_store, app_reader, connection):
        cached.cache_clear()


@contextmanager
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """Put the app where its parts look for settings, store, network and threads."""
    app = App()
    for name, text in _SETTINGS.items():
        monkeypatch.setenv(name, text)
    stepped = SteppedStore(app.store)
    monkeypatch.setattr("shared.storage.app.open_store", lambda _: stepped)
    # What it reads is kept for half a second, under a lock that no actor may stand still with.
    monkeypatch.setattr("shared.policy.cached_reader.app_store", app.store)
    monkeypatch.setattr("shared.transport.connection.auth_for", lambda _: _Unsigned())
    monkeypatch.setattr("shared.runs.records.new_id", app.new_id)
    monkeypatch.setattr(requests.Session, "request", _request)
    # Directly below the look at the clock.
    monkeypatch.setattr(HTTPAdapter, "send", app.get)
    monkeypatch.setattr(asyncio, "to_thread", _at_once)
    # A thread that is no actor would not stop behind its steps.
    monkeypatch.setattr(sending, "_MORE_THREADS", 0)
    _clear()
    yield app
    monkeypatch.undo()
    _clear()
