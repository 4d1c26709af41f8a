"""A system of one item, and a store that lets things happen between any two steps."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.core import clock
from shared.core.outcome import Ending, Outcome
from shared.core.problems import ItemWaiting, NoAnswer, NotTaken, TargetUnreachable, Throttled
from shared.policy.rules import Facts
from shared.storage.base import Page, Record, Store
from shared.systems.contract import Snapshot
from shared.transport import deadline

CALL = timedelta(minutes=2)
"""The longest that a request may take."""
DONE_WITHIN = timedelta(minutes=10)


class Killed(BaseException):
    """The process died here."""


@dataclass
class Steps:
    """Counts the steps that touch the world, and does something before one of them."""

    at: int = -1
    do: Callable[[], None] = lambda: None
    taken: int = 0
    behind: int = -1
    """Behind which call of the store it pauses: the store was slow to answer, or the process stood still."""
    pause: Callable[[], None] = lambda: None
    answered: int = 0

    def step(self) -> None:
        self.taken += 1
        if self.taken == self.at:
            self.do()

    def answer(self) -> None:
        self.answered += 1
        if self.answered == self.behind:
            self.pause()


class SteppedStore:
    """A store whose every call is a step."""

    def __init__(self, store: Store, steps: Steps) -> None:
        self._store = store
        self._steps = steps

    def create(self, key: str, data: bytes) -> str:
        return self._step(lambda: self._store.create(key, data))

    def create_from(self, key: str, pieces: Iterable[bytes]) -> str:
        return self._step(lambda: self._store.create_from(key, pieces))

    def read(self, key: str) -> Record | None:
        return self._step(lambda: self._store.read(key))

    def replace(self, key: str, data: bytes, etag: str) -> str:
        return self._step(lambda: self._store.replace(key, data, etag))

    def delete(self, key: str, etag: str | None = None) -> None:
        self._step(lambda: self._store.delete(key, etag))

    def list(self, prefix: str, after: str | None = None, limit: int = 1000) -> Page:
        return self._step(lambda: self._store.list(prefix, after, limit))

    def _step[Told](self, call: Callable[[], Told]) -> Told:
        self._steps.step()
        told = call()
        self._steps.answer()
        return told


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
    kill_in_flight: bool = False
    """The sender dies once its request has left, and before the system has come to it."""
    late: float | None = None
    """After how many seconds the system comes to a request whose sender died; None: never."""
    pending: list[tuple[datetime, str]] = field(default_factory=list)
    open_until: datetime | None = None
    """Until when a request may still take effect of which nobody has an answer."""
    too_early: int = 0
    """How many requests came while an earlier one might still have taken effect."""

    def fail_again(self) -> None:
        self.failed = True
        self.failures += 1

    def come_to(self) -> None:
        """Do what is due by now."""
        for due, run in list(self.pending):
            if due <= clock.now():
                self.pending.remove((due, run))
                self.take(run)

    def take(self, run: str) -> None:
        self.sent.append(run)
        self.failed = False

    def lose(self, run: str) -> None:
        """Get a request whose sender dies."""
        self.kill_in_flight = False
        self.open_until = clock.now() + DONE_WITHIN
        if self.late is not None:
            self.pending.append((clock.now() + timedelta(seconds=self.late), run))


@dataclass
class Work:
    """What a run does to the job (`ItemAction`)."""

    system: System
    run: str
    steps: Steps = field(default_factory=Steps)

    item: str = "1"
    hold: timedelta = timedelta(minutes=3)
    done_within: timedelta = DONE_WITHIN

    def look(self) -> Snapshot:
        self.steps.step()
        self.system.come_to()
        if not self.system.failed:
            raise ItemWaiting("The job is Waiting.")
        return Snapshot(str(self.system.failures), Facts("fo", "the job"), {"job": "the job"})

    def send(self) -> Outcome:
        self.steps.step()
        deadline.check_time(CALL)
        self.system.come_to()
        self.system.too_early += bool(self.system.open_until and clock.now() < self.system.open_until)
        if self.system.unreachable:
            raise TargetUnreachable("No connection.")
        if self.system.throttled:
            self.system.throttled -= 1
            self.system.turned_away += 1
            raise Throttled("Too busy.", members={"retryAfter": self.system.retry_after})
        if self.system.kill_in_flight:
            self.system.lose(self.run)
            raise Killed
        self.system.take(self.run)
        self.steps.step()
        if self.system.kill_the_sender:
            self.system.kill_the_sender = False
            raise Killed
        if self.system.lose_answers:
            raise NoAnswer("No answer.")
        return Outcome(ending=Ending.DONE, reason="Done.", sent=True)

    def check(self, episode: str | None) -> Outcome:
        self.steps.step()
        self.system.come_to()
        if self.system.failed and str(self.system.failures) == episode:
            raise NotTaken("The job still shows the failure.")
        return Outcome(ending=Ending.DONE, reason="The job shows that it was done.", sent=True)
