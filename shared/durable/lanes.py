"""The parts of a run at work, some at the same time."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from durabletask.task import OrchestrationContext, Task, TaskFailedError

type Begin = Callable[[list[int], int, bool], Task[Any]]
"""Calls the activity that does parts; with how often they were tried, and whether the run is cancelled."""


class Lanes:
    """Parts in lanes: each lane has some of them, and does one after another.

    A part that waits keeps its lane, and is begun again after its pause, or once the run is cancelled. After a part
    that broke no other is begun, and those at work are waited for.
    """

    def __init__(
        self, context: OrchestrationContext, cancelled: Task[Any], lanes: int, parts: Iterable[int], begin: Begin
    ) -> None:
        """Begin nothing yet; at most `lanes` activities will be at work at the same time."""
        self._context = context
        self._cancelled = cancelled
        self._lanes = lanes
        self._call = begin
        self._waiting = deque(parts)
        """Parts that no lane has begun."""
        self._again: deque[int] = deque()
        """Parts whose pause is over."""
        self._tries: Counter[int] = Counter()
        self._working: dict[Task[Any], bool] = {}
        """The activities at work, and whether they know that the run is cancelled."""
        self._pausing: dict[Task[Any], int] = {}
        self.broken = False

    def has_work(self) -> bool:
        """Return whether something is at work, or still to be done."""
        return bool(self._working) or (bool(self._waiting or self._again or self._pausing) and not self.broken)

    def only_pauses(self) -> bool:
        """Return whether all that is left waits."""
        return bool(self._pausing) and not self._working

    def awaited(self) -> list[Task[Any]]:
        """Return what may happen next."""
        return [*self._working, *self._pausing, *([] if self._cancelled.is_complete else [self._cancelled])]

    def start(self) -> None:
        """Give parts to all free lanes; one that waits keeps its lane."""
        while self._again and not self.broken and len(self._working) < self._lanes:
            self._begin([self._again.popleft()])
        free = self._lanes - len(self._working) - len(self._pausing)
        if self.broken or free <= 0:
            return
        # Half of what is left is dealt, in ever smaller shares, so that all lanes end at about the same time.
        some = max(len(self._waiting) // (2 * self._lanes), 1) * free
        dealt = [self._waiting.popleft() for _ in range(min(some, len(self._waiting)))]
        for lane in range(free):
            if numbers := dealt[lane::free]:
                self._begin(numbers)

    def handle(self, done: Task[Any]) -> None:
        """Take in what has happened."""
        if done in self._pausing:
            self._again.append(self._pausing.pop(done))
        elif done in self._working:
            self._take_in(done, informed=self._working.pop(done))
        else:
            self._again.extend(self._pausing.values())
            self._pausing.clear()

    def pause(self, waits: Mapping[str, float], *, informed: bool) -> None:
        """Start the pauses that parts need; of 0 seconds if the run is cancelled, and they were not `informed`."""
        at_once = self._cancelled.is_complete and not informed
        for name, seconds in waits.items():
            number = int(name)
            self._tries[number] += 1
            if number in self._waiting:
                self._waiting.remove(number)
            self._pausing[self._context.create_timer(timedelta(seconds=0.0 if at_once else seconds))] = number

    def _take_in(self, done: Task[Any], *, informed: bool) -> None:
        try:
            result = done.get_result()
        except TaskFailedError:
            self.broken = True
            return
        self._waiting.extendleft(reversed(result.get("left", [])))
        self.pause(result.get("waits", {}), informed=informed)

    def _begin(self, numbers: list[int]) -> None:
        informed = self._cancelled.is_complete
        self._working[self._call(numbers, self._tries[numbers[0]], informed)] = informed
