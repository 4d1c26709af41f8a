"""Sends the batch business events: what Finance & Operations posts to its endpoints when a job starts or ends.

It lives by the clock: at the instant at which a job's step is due, the event goes out from a timer of the clock.
Delivery is that of the business events page: 10 s for an answer, three more attempts a second apart, then the error
log. An endpoint's URL may hold a key, so its query is never written down.
"""

import itertools
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Literal
from urllib.parse import urlsplit

from local.simulators.finance_operations import endpoints
from local.simulators.finance_operations.batch_job import Happening
from local.simulators.finance_operations.event_shapes import BusinessEvent, Shape, event_of, message, trial_event
from local.simulators.finance_operations.jobs import Jobs

type CallAt = Callable[[datetime, Callable[[], None]], object]
"""Calls back once when it is that time or later."""

_RETRIES = 3
_RETRY_AFTER = timedelta(seconds=1)
_LOOPBACK = ("127.0.0.1", "localhost")
_FIRST_CONTROL_NUMBER = 5637985363
_GAPS = (1, 3, 2, 7)
"""Control numbers rise, and other events of the environment take some of them."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One endpoint.

    Attributes:
        id: Its number.
        address: Its URL without the query.
        shape: The shape of what it gets.
        kinds: What it hears of.
        accepted: Whether it took part in the handshake as it should, or none was asked of it. Else it gets nothing.
    """

    id: int
    address: str
    shape: Shape
    kinds: frozenset[Happening]
    accepted: bool = True


@dataclass(slots=True)
class Delivery:
    """One event on its way to one endpoint.

    Attributes:
        time: When it was first sent.
        subscription: The number of the endpoint.
        event: EventId.
        control_number: ControlNumber.
        job: BatchJobRecId.
        kind: What happened, or "test".
        attempts: How often it was posted.
        status: The last HTTP status, or none without an answer.
        error: Why the last attempt failed.
        given_up: Whether it is in the error log.
    """

    time: datetime
    subscription: int
    event: str
    control_number: int
    job: int | None
    kind: Happening | Literal["test"]
    attempts: int = 0
    status: int | None = None
    error: str | None = None
    given_up: bool = False


@dataclass(slots=True)
class _Endpoint:
    subscription: Subscription
    url: str = field(repr=False)


class BusinessEvents:
    """The endpoints, and the book of what they were sent.

    Args:
        now: Tells the time.
        jobs: The jobs to tell of.
        call_at: Calls back at an instant; without it nobody can subscribe.
    """

    def __init__(self, now: Callable[[], datetime], jobs: Jobs, call_at: CallAt | None) -> None:
        self._now = now
        self._jobs = jobs
        self._call_at = call_at
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._timer: datetime | None = None
        self._watched = False
        self._forget()

    def subscribe(
        self, url: str, shape: Shape = "plain", kinds: Collection[Happening] = frozenset({"failed"})
    ) -> Subscription:
        """Shake hands where Event Grid would, send the test message, and from now on what happens to jobs.

        Raises:
            ValueError: The URL leads away from this machine, or there is no clock to send by.
        """
        if self._call_at is None:
            raise ValueError("Business events need a clock that calls back, and this system was given none.")
        parts = urlsplit(url)
        if parts.scheme != "http" or parts.hostname not in _LOOPBACK:
            raise ValueError("Business events go to http://127.0.0.1 and http://localhost only.")
        accepted = endpoints.shake_hands(url, shape, self._now())
        address = f"http://{parts.netloc.rpartition('@')[2]}{parts.path}"
        subscription = Subscription(next(self._numbers), address, shape, frozenset(kinds), accepted)
        endpoint = _Endpoint(subscription, url)
        with self._lock:
            self._endpoints[subscription.id] = endpoint
        if accepted:
            # An endpoint that fails its test isn't tried again: somebody is there to see it.
            self._post(endpoint, trial_event(self._now()), last=1)
        self._watch()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Send no more to an endpoint, not even what is to be tried again."""
        with self._lock:
            self._endpoints.pop(subscription.id, None)
        self._watch()

    def subscriptions(self) -> list[Subscription]:
        """Return the endpoints."""
        with self._lock:
            return [endpoint.subscription for endpoint in self._endpoints.values()]

    def deliveries(self, kind: Happening | Literal["test"] | None = None, job: int | None = None) -> list[Delivery]:
        """Return the book, in order, of one kind and about one job if these are given."""
        with self._lock:
            return [
                replace(delivery)
                for delivery in self._book
                if kind in (None, delivery.kind) and job in (None, delivery.job)
            ]

    def errors(self) -> list[Delivery]:
        """Return the error log: what was given up."""
        return [delivery for delivery in self.deliveries() if delivery.given_up]

    def send_again(self, event: str) -> None:
        """Deliver an event once more to all who hear of its kind, as somebody does from the error log.

        Raises:
            KeyError: There was no event with this EventId.
        """
        with self._lock:
            again = self._events[event]
        self._send(again)

    def clear(self) -> None:
        """Forget all endpoints and what they were sent."""
        self._forget()
        self._watch()

    def _forget(self) -> None:
        with self._lock:
            self._endpoints: dict[int, _Endpoint] = {}
            self._book: list[Delivery] = []
            self._events: dict[str, BusinessEvent] = {}
            self._control_number = _FIRST_CONTROL_NUMBER
            self._gaps = itertools.cycle(_GAPS)

    def _watch(self) -> None:
        with self._lock:
            heard, watched = bool(self._endpoints), self._watched
            self._watched = heard
        if heard != watched:
            self._jobs.watch(self._wait if heard else None)
        if heard:
            self._wait()

    def _wait(self) -> None:
        """See to it that somebody looks when there is something to see."""
        when = self._jobs.next_look()
        if when is None or self._call_at is None:
            return
        with self._lock:
            if self._timer is not None and self._timer <= when:
                return
            self._timer = when
        self._call_at(when, partial(self._look, when))

    def _look(self, timer: datetime) -> None:
        with self._lock:
            # One that an earlier timer has overtaken must not start a row of timers of its own.
            if self._timer == timer:
                self._timer = None
        for occurrence in self._jobs.occurrences():
            with self._lock:
                event = event_of(occurrence, self._control_number)
                self._control_number += next(self._gaps)
                self._events[event.id] = event
            self._send(event)
        self._wait()

    def _send(self, event: BusinessEvent) -> None:
        with self._lock:
            hearers = list(self._endpoints.values())
        for endpoint in hearers:
            if endpoint.subscription.accepted and event.kind in endpoint.subscription.kinds:
                self._post(endpoint, event, last=1 + _RETRIES)

    def _post(self, endpoint: _Endpoint, event: BusinessEvent, last: int) -> None:
        delivery = Delivery(
            time=self._now(),
            subscription=endpoint.subscription.id,
            event=event.id,
            control_number=event.payload["ControlNumber"],
            job=event.job,
            kind=event.kind,
        )
        with self._lock:
            self._book.append(delivery)
        self._try(endpoint, event, delivery, last)

    def _try(self, endpoint: _Endpoint, event: BusinessEvent, delivery: Delivery, last: int) -> None:
        with self._lock:
            if endpoint.subscription.id not in self._endpoints:
                return
            delivery.attempts += 1
        headers, body = message(event, endpoint.subscription.shape, delivery.attempts)
        status, error = endpoints.post(endpoint.url, headers, body)
        with self._lock:
            delivery.status, delivery.error = status, error
            delivery.given_up = error is not None and delivery.attempts >= last
        if error is not None and not delivery.given_up and self._call_at is not None:
            self._call_at(self._now() + _RETRY_AFTER, partial(self._try, endpoint, event, delivery, last))
