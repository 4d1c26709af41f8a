"""What is kept of a run, from its order to its answer.

    runs/{run}/order              what was asked for, by whom, and the ticket that opens the result
    runs/{run}/{items}/{page}     what is to be done: up to 1,000 items a page
    runs/{run}/selection          by what the run finds its items, where it does that itself
    runs/{run}/prepared           which pages those are, and how many items they hold
    runs/{run}/sending/{part}     the one call that is about all items of a part (`together.py`)
    runs/{run}/outcomes/{part}    how the items of a part ended: up to 20
    runs/{run}/report             the run's model, when every item has an outcome
    runs/{run}/report/{page}      its items: up to 1,000 a page
    runs/{run}/answer             the HTTP answer, byte by byte, kept for RESULT_RETENTION_HOURS
    runs/{run}/final[/{page}]     the report again, when what became of the items is known, too
    runs/{run}/begun              its orchestrator has begun
    runs/{run}/halt               why nothing more of it is sent, if so (`control.py`)
    open/{run}                    the run has not ended
    index/{day}/{name}            the run's name in the list of runs, the newest first

Each is created once and never changed, so work that is delivered twice writes nothing twice; `runs/{run}/progress`
(`following.py`) and the sendings are changed by compare-and-set.
"""

import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import batched
from typing import Any, Literal

from pydantic import Field

from shared import clock
from shared.answers import Answer
from shared.orders import Order
from shared.outcomes import Item, Note, Outcome, Plain, Run, Stored
from shared.problems import Exists, Expired, UnknownRun
from shared.store import Store

Report = Literal["report", "final"]

OPEN = "open/"
PAGE = 1000
PART = 20


class Task(Plain):
    """One item of a run, and what is to be done with it."""

    id: str
    operation: dict[str, Any]
    episode: str | None = None
    """The failure that is meant; another one is left alone."""
    about: dict[str, str] = Field(default={})
    """What the item is called, for people."""
    outcome: Outcome | None = None
    """How it ended before anything was done: what the policy skips, a plan's items."""


class Tasks(Stored):
    """A page of items."""

    tasks: list[Task]


class Wave(Plain):
    """Which items are tried together, and in which parts."""

    number: int
    items: str
    count: int
    first: int

    @property
    def parts(self) -> range:
        """The numbers of its parts."""
        return range(self.first, self.first + parts_of(self.count))


class Opened(Stored):
    """That a run has not ended."""

    at: datetime


class Begun(Stored):
    """That a run's orchestrator has begun: one that the engine doesn't know was lost, and is not started again."""

    at: datetime


class Prepared(Stored):
    """What a run found to be done; the first delivery that wrote it is right."""

    items: str
    count: int
    notes: list[Note] = Field(default=[])
    """What a report should say of what it found."""


class Chosen(Stored):
    """By what a run finds its items: a request, as the system's file reads it again."""

    selection: dict[str, Any]


class Ended(Plain):
    """How one item ended."""

    id: str
    outcome: Outcome
    episode: str | None = None
    about: dict[str, str] = Field(default={})
    sending: str | None = None
    """The system's name for the call by which it was done together with others."""


class Part(Stored):
    """How the items of a part ended."""

    ended: list[Ended]


class ReportPage(Stored):
    """Some items of a report."""

    items: list[Item]


class Kept(Stored):
    """An answer as it is kept."""

    status: int
    content_type: str
    headers: dict[str, str]
    body: str
    apart: bool = False
    """The body is large, and kept by itself."""
    sent: bool
    expires: datetime


def new_id() -> str:
    """Return a new run's id: the day, for people who read it, and 80 random bits."""
    return f"{clock.now():%Y%m%d}-{secrets.token_hex(10)}"


def new_ticket() -> str:
    """Return what opens a result: 192 random bits."""
    return secrets.token_urlsafe(24)


def parts_of(count: int) -> int:
    """Return in how many parts that many items are done."""
    return -(-count // PART)


def parts_in(order: Order, prepared: "Prepared | None") -> range:
    """Return the numbers of the parts in which a run does what it found."""
    count = prepared.count if prepared else 0
    return range(min(count, 1) if order.is_whole else parts_of(count))


def write_order(store: Store, order: Order, tasks: Sequence[Task] | None) -> None:
    """Write what a run is to do; that it is there already is no error."""
    if tasks is not None:
        write_tasks(store, order.run, "items", tasks)
        create(store, f"runs/{order.run}/prepared", Prepared(items="items", count=len(tasks)))
    create(store, f"{OPEN}{order.run}", Opened(at=clock.now()))
    create(store, f"runs/{order.run}/order", order)
    create(store, _index_key(order), order)


def write_tasks(store: Store, run: str, items: str, tasks: Sequence[Task]) -> None:
    """Write the items of a run."""
    for page, some in enumerate(batched(tasks, PAGE, strict=False)):
        create(store, f"runs/{run}/{items}/{page}", Tasks(tasks=list(some)))


def prepare(store: Store, run: str, tasks: Sequence[Task], notes: Sequence[Note] = ()) -> Prepared:
    """Write what a run found to be done; a second delivery gets what the first one wrote."""
    items = f"items-{secrets.token_hex(4)}"
    write_tasks(store, run, items, tasks)
    found = Prepared(items=items, count=len(tasks), notes=list(notes))
    create(store, f"runs/{run}/prepared", found)
    return read_prepared(store, run) or found


def write_selection(store: Store, run: str, selection: Mapping[str, Any]) -> None:
    """Write by what a run finds its items; that it is there already is no error."""
    create(store, f"runs/{run}/selection", Chosen(selection=dict(selection)))


def read_selection(store: Store, run: str) -> dict[str, Any]:
    """Return by what a run finds its items.

    Raises:
        UnknownRun: it has none.
    """
    found = store.read(f"runs/{run}/selection")
    if found is None:
        raise UnknownRun("The run has no selection.")
    return Chosen.read(found.data).selection


def read_prepared(store: Store, run: str) -> Prepared | None:
    """Return what a run found to be done, if it has looked."""
    found = store.read(f"runs/{run}/prepared")
    return Prepared.read(found.data) if found else None


def write_wave(store: Store, run: str, number: int, first: int, tasks: Sequence[Task]) -> Wave:
    """Write items that are to be tried together, under a name of their own."""
    wave = Wave(number=number, items=f"wave-{number}-{secrets.token_hex(4)}", count=len(tasks), first=first)
    write_tasks(store, run, wave.items, tasks)
    return wave


def tasks_of_wave(store: Store, run: str, wave: Wave) -> Iterator[Task]:
    """Yield the items that are tried together."""
    for page in range(-(-wave.count // PAGE)):
        yield from read_tasks(store, run, wave.items, page)


def read_order(store: Store, run: str) -> Order:
    """Return what a run was asked for.

    Raises:
        UnknownRun: there is no such run.
    """
    found = store.read(f"runs/{run}/order") if _is_id(run) else None
    if found is None:
        raise UnknownRun("There is no run of this id.")
    return Order.read(found.data)


def source_of(store: Store, order: Order) -> Order:
    """Return the order of the run that a check, perhaps of a check, was about; any other run's own."""
    while order.function == "check" and order.parent:
        order = read_order(store, order.parent)
    return order


def known_order(store: Store, run: str) -> Order | None:
    """Return what a run was asked for; None if the call that began it died before it wrote that."""
    try:
        return read_order(store, run)
    except UnknownRun:
        return None


def read_order_of(store: Store, key: str) -> Order | None:
    """Return what the run was asked for that a key of `open/` names; None if it was never written."""
    found = store.read(f"runs/{key.removeprefix(OPEN)}/order")
    return Order.read(found.data) if found else None


def opened(store: Store, key: str) -> datetime | None:
    """Return since when a key of `open/` is there; None if it isn't any more."""
    found = store.read(key)
    return Opened.read(found.data).at if found else None


def mark_begun(store: Store, run: str) -> None:
    """Write that a run's orchestrator has begun."""
    create(store, f"runs/{run}/begun", Begun(at=clock.now()))


def has_begun(store: Store, run: str) -> bool:
    """Tell whether a run's orchestrator has begun."""
    return store.read(f"runs/{run}/begun") is not None


def read_tasks(store: Store, run: str, items: str, page: int) -> list[Task]:
    """Return a page of a run's items; none beyond the last."""
    found = store.read(f"runs/{run}/{items}/{page}")
    return Tasks.read(found.data).tasks if found else []


def tasks_of_part(store: Store, run: str, items: str, part: int) -> list[Task]:
    """Return the items of one part."""
    first = part * PART
    return read_tasks(store, run, items, first // PAGE)[first % PAGE :][:PART]


def all_tasks(store: Store, run: str) -> Iterator[Task]:
    """Yield a run's items, page after page."""
    prepared = read_prepared(store, run)
    page = 0
    while prepared and (some := read_tasks(store, run, prepared.items, page)):
        yield from some
        page += 1


def read_part(store: Store, run: str, part: int) -> Part | None:
    """Return how the items of a part ended, if they all did."""
    found = store.read(f"runs/{run}/outcomes/{part}")
    return Part.read(found.data) if found else None


def write_part(store: Store, run: str, part: int, ended: Part) -> None:
    """Write how the items of a part ended; the first one to say so is right."""
    create(store, f"runs/{run}/outcomes/{part}", ended)


def read_kept(store: Store, run: str) -> Kept | None:
    """Return the answer of a run, if it is ready."""
    found = store.read(f"runs/{run}/answer")
    return Kept.read(found.data) if found else None


def write_report(store: Store, head: Run, items: Sequence[Item], name: Report) -> None:
    """Write a run's report; the first one that was written is right."""
    for page, some in enumerate(batched(items, PAGE, strict=False)):
        create(store, f"runs/{head.id}/{name}/{page}", ReportPage(items=list(some)))
    create(store, f"runs/{head.id}/{name}", head)


def keep_apart(store: Store, run: str, kept: Kept, body: bytes) -> None:
    """Write an answer whose body is large, the body first; a second delivery finds the first one's."""
    with contextlib.suppress(Exists):
        store.create(f"runs/{run}/body", body)
    create(store, f"runs/{run}/answer", kept)


def answer_of(store: Store, run: str, kept: Kept) -> Answer:
    """Return a kept answer as it was answered first."""
    found = store.read(f"runs/{run}/body") if kept.apart else None
    return Answer(kept.status, found.data if found else kept.body.encode(), kept.content_type, kept.headers)


def read_report(store: Store, run: str, *names: Report) -> Run | None:
    """Return the head of a run's report, if it is ready: the final one, if that is."""
    for name in names or ("final", "report"):
        found = store.read(f"runs/{run}/{name}")
        if found:
            return Run.read(found.data)
    return None


def all_items(store: Store, run: str) -> Iterator[Item]:
    """Yield a report's items, page after page."""
    name, page = "final" if store.read(f"runs/{run}/final") else "report", 0
    while found := store.read(f"runs/{run}/{name}/{page}"):
        yield from ReportPage.read(found.data).items
        page += 1


def refuse_expired(order: Order, kept: Kept) -> None:
    """Let no answer pass that is kept no longer.

    Raises:
        Expired: it isn't; the problem links to the report.
    """
    if clock.now() >= kept.expires:
        text = f"The answer was kept until {kept.expires:%Y-%m-%dT%H:%M:%SZ}."
        raise Expired(text, run=order.run, members={"links": {"self": order.links["self"]}})


def create(store: Store, key: str, record: Stored) -> None:
    """Write a record that may be there already."""
    with contextlib.suppress(Exists):
        store.create(key, record.data())


def index_prefix(day: str | None) -> str:
    """Return what the names of a day's runs begin with, or of all runs; later days come first."""
    return f"index/{99999999 - int(day.replace('-', '')):08}/" if day else "index/"


def _index_key(order: Order) -> str:
    """Name a run so that the newest comes first in a list by name."""
    begin = order.created.replace(hour=0, minute=0, second=0, microsecond=0)
    moment = 86_400_000 - int((order.created - begin).total_seconds() * 1000)
    return f"{index_prefix(f'{begin:%Y-%m-%d}')}{moment:08}-{order.run}"


def _is_id(run: str) -> bool:
    """Let nothing through that could name another record."""
    return run.replace("-", "").isalnum() and run.isascii() and len(run) <= 40  # noqa: PLR2004 - longer than ours
