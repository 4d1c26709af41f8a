"""A system of one item, and a store that lets things happen between any two steps."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from shared.outcomes import Ending, Outcome
from shared.policy import Facts
from shared.problems import ItemWaiting, NoAnswer, OutcomeUnknown, TargetUnreachable, Throttled
from shared.store import Page, Record, Store
from shared.work import Look


class Killed(BaseException):
    """The process died here."""


@dataclass
class Steps:
    """Counts the steps that touch the world, and does something before one of them."""

    at: int = -1
    do: Callable[[], None] = lambda: None
    taken: int = 0

    def step(self) -> None:
        self.taken += 1
        if self.taken == self.at:
            self.do()


class SteppedStore:
    """A store whose every call is a step."""

    def __init__(self, store: Store, steps: Steps) -> None:
        self._store = store
        self._steps = steps

    def create(self, key: str, data: bytes) -> str:
        self._steps.step()
        return self._store.create(key, data)

    def read(self, key: str) -> Record | None:
        self._steps.step()
        return self._store.read(key)

    def replace(self, key: str, data: bytes, etag: str) -> str:
        self._steps.step()
        return self._store.replace(key, data, etag)

    def delete(self, key: str, etag: str | None = None) -> None:
        self._steps.step()
        self._store.delete(key, etag)

    def list(self, prefix: str, after: str | None = None, limit: int = 1000) -> Page:
        self._steps.step()
        return self._store.list(prefix, after, limit)


@dataclass
class System:
    """One job that failed, and every call that it got."""

    failed: bool = True
    failures: int = 1
    sent: list[str] = field(default_factory=list)
    lose_answers: bool = False
    unreachable: bool = False
    throttled: int = 0
    """How many sendings are turned away before one passes."""
    turned_away: int = 0
    retry_after: float = 2.0
    kill_the_sender: bool = False

    def fail_again(self) -> None:
        self.failed = True
        self.failures += 1


@dataclass
class Work:
    """What a run does to the job (`shared.work.Work`)."""

    system: System
    run: str
    steps: Steps = field(default_factory=Steps)

    item: str = "1"
    hold: timedelta = timedelta(minutes=3)

    def look(self) -> Look:
        self.steps.step()
        if not self.system.failed:
            raise ItemWaiting("The job is Waiting.")
        return Look(str(self.system.failures), Facts("fo", "the job"), {"job": "the job"})

    def send(self) -> Outcome:
        self.steps.step()
        if self.system.unreachable:
            raise TargetUnreachable("No connection.")
        if self.system.throttled:
            self.system.throttled -= 1
            self.system.turned_away += 1
            raise Throttled("Too busy.", members={"retryAfter": self.system.retry_after})
        self.system.sent.append(self.run)
        self.system.failed = False
        self.steps.step()
        if self.system.kill_the_sender:
            self.system.kill_the_sender = False
            raise Killed
        if self.system.lose_answers:
            raise NoAnswer("No answer.")
        return Outcome(ending=Ending.DONE, reason="Done.", sent=True)

    def check(self, episode: str | None) -> Outcome:
        self.steps.step()
        if self.system.failed and str(self.system.failures) == episode:
            raise OutcomeUnknown("The job still shows the failure.")
        return Outcome(ending=Ending.DONE, reason="The job shows that it was done.", sent=True)
