"""The batches that came, their summaries, and the objects that they wrote, each in its environment."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pydantic import TypeAdapter

from local.simulators.opendatadsl.answers import update_error
from local.simulators.opendatadsl.behaviour import PRODUCTION, OpenDataDslBehaviour
from local.simulators.opendatadsl.call_log import Change, Effect, OpenDataDslBook, Taken
from local.simulators.opendatadsl.samples import sample_summaries
from local.simulators.opendatadsl.sent import Element, SentBatch
from local.simulators.opendatadsl.summary import SUCCESS_MESSAGE, SummarySettings, groups_of, summary_of

_SETTINGS = TypeAdapter(SummarySettings)


@dataclass(frozen=True, slots=True)
class Sender:
    """Who sends something, where, and why."""

    user: str
    environment: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Kept:
    """A summary, and when it appears, which may be never."""

    environment: str
    appears: datetime | None
    summary: dict[str, object]


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as the last batch wrote it; nothing is merged here.

    Attributes:
        environment: Where it is.
        id: Its id.
        text: Its JSON text, as it came.
        batch: The batch that wrote it last.
        times: How often it was written.
    """

    environment: str
    id: str
    text: str
    batch: str
    times: int = 1


class Batches:
    """All batches. The objects are written when a batch comes; its summary may appear later.

    Args:
        now: Tells the time, in UTC with its zone.
        behaviour: Tells how the service behaves.
        book: Where effects are written down.
    """

    def __init__(
        self, now: Callable[[], datetime], behaviour: Callable[[], OpenDataDslBehaviour], book: OpenDataDslBook
    ) -> None:
        self._now = now
        self._behaviour = behaviour
        self._book = book
        self._lock = threading.RLock()
        self.clear()

    def clear(self) -> None:
        """Begin anew: no summaries and no objects."""
        with self._lock:
            self._kept: dict[tuple[str, str], Kept] = {}
            self._objects: dict[tuple[str, str], StoredObject] = {}

    def sample(self) -> None:
        """Add a few summaries as a company may have them."""
        for settings in sample_summaries(self._now()):
            self.add(settings)

    def add(self, settings: SummarySettings) -> None:
        """Add a summary of a batch that was sent by somebody else.

        Raises:
            ValueError: A setting is unknown or impossible.
        """
        valid = _SETTINGS.validate_python(settings)
        if "id" not in valid:
            raise ValueError("A summary needs an id.")
        whole: SummarySettings = {"timestamp": self._now(), **valid}
        with self._lock:
            self._keep(whole, self._now())

    def send(self, sent: SentBatch, sender: Sender) -> dict[str, object]:
        """Take a batch, and return its summary, whether that can be seen already or not.

        Raises:
            RefusedError: There is a batch of its id, and repeats are refused.
        """
        behaviour = self._behaviour()
        with self._lock:
            there = self._kept.get((sender.environment, sent.id))
            if there and behaviour.repeat == "refuse":
                raise update_error(f"there is a batch {sent.id} already", 409)
            if there and behaviour.repeat == "ignore":
                self._book.write(self._effect("ignored", sent, sender))
                return there.summary
            self._take(sent, sender)
            return self._summarise(sent, sender)

    def summaries(self, environment: str) -> list[dict[str, object]]:
        """Return the summaries that can be seen in an environment, in the order in which their batches came."""
        return [kept.summary for kept in self.all() if kept.environment == environment and self._is_seen(kept)]

    def summary(self, environment: str, ident: str) -> dict[str, object] | None:
        """Return a summary, if it can be seen."""
        with self._lock:
            kept = self._kept.get((environment, ident))
            return kept.summary if kept and self._is_seen(kept) else None

    def remove(self, ident: str, sender: Sender) -> bool:
        """Delete a summary and leave the objects; tell whether there was one."""
        with self._lock:
            if self.summary(sender.environment, ident) is None:
                return False
            del self._kept[sender.environment, ident]
            self._book.write(Effect(self._now(), "delete", sender.environment, ident, reason=sender.reason))
            return True

    def all(self) -> list[Kept]:
        """Return all summaries, also those that can't be seen yet."""
        with self._lock:
            return list(self._kept.values())

    def objects(self) -> list[StoredObject]:
        """Return the objects of all environments."""
        with self._lock:
            return list(self._objects.values())

    def stored(self, ident: str, environment: str = PRODUCTION) -> StoredObject | None:
        """Return an object, if there is one of that id."""
        with self._lock:
            return self._objects.get((environment, ident))

    def _take(self, sent: SentBatch, sender: Sender) -> None:
        behaviour, now = self._behaviour(), self._now()
        takes = [one for one in sent.elements if behaviour.status == "success" and one.id not in behaviour.failing]
        for element in takes:
            self._store(element, sent.id, sender.environment)
        taken = [Taken(now, sender.environment, sent.id, element.id, element.text) for element in takes]
        self._book.write(self._effect("batch", sent, sender), taken)

    def _store(self, element: Element, batch: str, environment: str) -> None:
        key = (environment, element.id)
        new = StoredObject(environment, element.id, element.text, batch)
        before = self._objects.get(key)
        self._objects[key] = replace(new, times=before.times + 1) if before else new

    def _summarise(self, sent: SentBatch, sender: Sender) -> dict[str, object]:
        behaviour, now = self._behaviour(), self._now()
        seconds = behaviour.summary_seconds
        at = now + timedelta(seconds=seconds or 0)
        succeeded = behaviour.status == "success"
        settings: SummarySettings = {
            "id": sent.id,
            "environment": sender.environment,
            "user": sender.user,
            "timestamp": at,
            "service": sent.service,
            "name": sent.name,
            "status": behaviour.status,
            "message": SUCCESS_MESSAGE if succeeded else behaviour.failed_message,
            "summary": groups_of(sent.elements, at, behaviour) if succeeded else {},
        }
        if sender.reason:
            settings["reason"] = sender.reason
        return self._keep(settings, None if seconds is None else at)

    def _keep(self, settings: SummarySettings, appears: datetime | None) -> dict[str, object]:
        environment = settings.get("environment", PRODUCTION)
        kept = Kept(environment, appears, summary_of(settings, self._behaviour()))
        # A batch that came again stands where it came last.
        self._kept.pop((environment, settings["id"]), None)
        self._kept[environment, settings["id"]] = kept
        return kept.summary

    def _is_seen(self, kept: Kept) -> bool:
        return kept.appears is not None and kept.appears <= self._now()

    def _effect(self, change: Change, sent: SentBatch, sender: Sender) -> Effect:
        return Effect(self._now(), change, sender.environment, sent.id, sent.name, sender.reason)
