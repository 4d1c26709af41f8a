"""The records of a run in the store.

    runs/{run}/spec               the spec: request, caller, and the ticket of the result
    runs/{run}/{items}/{page}     the items: up to 1,000 per page
    runs/{run}/selection          the selection by which the run finds its items, if they are not named (`selection.py`)
    runs/{run}/waiting            why the run waits to list its items (`listing.py`)
    runs/{run}/pause              what a part of the run waits for (`pauses.py`)
    runs/{run}/manifest           the manifest: the name of the item pages, and the number of items; or a few items
    runs/{run}/sending/{part}     the bulk call of a part (`execution/bulk_calls.py`)
    runs/{run}/outcomes/{part}    the results of the items of a part
    runs/{run}/progress           waves, and the recovery of items (`recovery/progress.py`)
    runs/{run}/report             the report without items, once every item has an outcome
    runs/{run}/report/{page}      the items of the report: up to 1,000 per page
    runs/{run}/response           the HTTP response, repeated byte by byte for RESULT_RETENTION_HOURS
    runs/{run}/body               the body of the response, if it may be large
    runs/{run}/final[/{page}]     the report once it is also known whether the items recovered
    runs/{run}/begun              the orchestrator has started
    runs/{run}/halt               why the run may send nothing more (`policy/switches.py`)
    runs/{run}/settled            what a person said of its unknown items (`settled.py`)
    runs/{run}/handed-on          which runs send its items again (`handed_on.py`)
    runs/{run}/known-later        what became known later of its unknown items (`known_later.py`)
    runs/{run}/purged             how far its instances in the engine are removed (`removal.py`)
    runs/{run}/forgotten          its items and operations are no longer stored (`removal.py`)
    open/{run}                    the run has not ended
    index/...                     the run in the list of runs (`index.py`)
    due/{step}/{when}~{run}       what housekeeping will remove of it (`retention.py`)

A record is created once and never changed, so a second delivery of the same work writes nothing. Only bulk calls,
`progress`, `waiting`, `pause`, `halt`, `handed-on`, `settled` and `known-later` are changed, by compare-and-set, and
so is `response`, once, when its body is removed; of `purged`, the last writer wins.
`fanout/batch_records.py` lists the records of a batch.
"""

import secrets
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import batched
from typing import Any, Literal

from pydantic import Field

from shared.core import clock
from shared.core.model import Plain, Stored
from shared.core.outcome import Outcome
from shared.core.problems import Exists, Expired, UnknownRun
from shared.core.response import Response
from shared.runs import index
from shared.runs.layout import PART, Layout, parts_of, size_of
from shared.runs.report import Item, Note, Run
from shared.runs.spec import RunSpec
from shared.storage.base import Store, keys
from shared.storage.parallel import both

ReportName = Literal["report", "final"]

OPEN = "open/"
PAGE = 1000
_FEW = "manifest"


class RunItem(Plain):
    """One item of a run, and the operation on it."""

    id: str
    operation: dict[str, Any]
    episode: str | None = None
    """The planned failure; an item with another failure is skipped."""
    about: dict[str, str] = Field(default={})
    """What people call the item."""
    outcome: Outcome | None = None
    """The outcome, if it is known before execution: skipped items, and those of a plan."""
    unread: bool = False
    """Its claim was not read when it was listed: whether earlier attempts forbid it is still to be decided."""


class ItemPage(Stored):
    """A page of items."""

    run_items: list[RunItem]


class OpenRun(Stored):
    """The mark of a run that has not ended."""

    at: datetime


class BegunRun(Stored):
    """The mark of a run whose orchestrator has started: if the engine loses it, it is not started again."""

    at: datetime


class Manifest(Stored):
    """The items that a run found: `items` names their pages; the first delivery that writes it wins.

    A few items stand in the manifest itself, which `items` then names.
    """

    items: str
    count: int
    few: list[RunItem] = Field(default=[])
    size: int = PART
    """How many items a part has."""
    notes: list[Note] = Field(default=[])
    """Notes for the report."""

    @property
    def layout(self) -> Layout:
        """Where the items of its parts are."""
        return Layout(self.items, self.size)


class ItemResult(Plain):
    """How one item ended."""

    id: str
    outcome: Outcome
    episode: str | None = None
    about: dict[str, str] = Field(default={})
    sending: str | None = None
    """The system's id of the bulk call that included the item."""


class PartResult(Stored):
    """The results of the items of a part."""

    ended: list[ItemResult]


class ReportPage(Stored):
    """A page of the items of a report."""

    items: list[Item]


class StoredResponse(Stored):
    """A stored HTTP response; `sent`: something may have reached the system."""

    status: int
    content_type: str
    headers: dict[str, str]
    body: str
    apart: bool = False
    """The body may be large, and has a record of its own."""
    sent: bool
    expires: datetime


def new_id() -> str:
    """Return the id of a new run: the date, for people, and 80 random bits."""
    return f"{clock.now():%Y%m%d}-{secrets.token_hex(10)}"


def new_ticket() -> str:
    """Return the ticket of a result: 192 random bits."""
    return secrets.token_urlsafe(24)


def parts_in(spec: RunSpec, manifest: "Manifest | None") -> range:
    """Return the numbers of the parts of a run without waves."""
    if manifest is None:
        return range(0)
    return range(min(manifest.count, 1) if spec.is_whole else parts_of(manifest.count, manifest.size))


def write_spec(store: Store, spec: RunSpec, run_items: Sequence[RunItem] | None) -> None:
    """Store the spec of a run, its items if they are known, and its index records; existing records are kept.

    The spec comes last: a run that has one is open, or has ended, and is in the list. Its mark in `open/` comes first:
    housekeeping leaves what has one alone.
    """
    mark_open(store, spec.run)
    both(lambda: run_items is not None and _write_named(store, spec, run_items), lambda: index.add(store, spec))
    create(store, f"runs/{spec.run}/spec", spec)


def _write_named(store: Store, spec: RunSpec, run_items: Sequence[RunItem]) -> bool:
    return create(store, f"runs/{spec.run}/manifest", _manifest(store, spec, "items", run_items))


def mark_open(store: Store, run: str) -> None:
    """Mark a run as open; the mark of one that is never recorded goes after an hour."""
    create(store, f"{OPEN}{run}", OpenRun(at=clock.now()))


def write_items(store: Store, run: str, items: str, run_items: Sequence[RunItem]) -> None:
    """Store items of a run, in pages that are named `items`; existing pages are kept."""
    for page, some in enumerate(batched(run_items, PAGE, strict=False)):
        create(store, f"runs/{run}/{items}/{page}", ItemPage(run_items=list(some)))


def write_manifest(store: Store, spec: RunSpec, run_items: Sequence[RunItem], notes: Sequence[Note] = ()) -> Manifest:
    """Store the items that a run found; a second delivery gets the manifest of the first."""
    found = _manifest(store, spec, f"items-{secrets.token_hex(4)}", run_items, notes)
    return found if create(store, f"runs/{spec.run}/manifest", found) else read_manifest(store, spec.run) or found


def _manifest(
    store: Store, spec: RunSpec, items: str, run_items: Sequence[RunItem], notes: Sequence[Note] = ()
) -> Manifest:
    """Return the manifest of some items; many are stored in pages."""
    count = len(run_items)
    found = Manifest(items=items, count=count, size=size_of(spec, count), notes=list(notes))
    if count <= PART:
        return found.model_copy(update={"items": _FEW, "few": list(run_items)})
    write_items(store, spec.run, items, run_items)
    return found


def read_manifest(store: Store, run: str) -> Manifest | None:
    """Return the manifest of a run; None until the run has found its items."""
    found = store.read(f"runs/{run}/manifest")
    return Manifest.read(found.data) if found else None


def read_spec(store: Store, run: str) -> RunSpec:
    """Return the spec of a run.

    Raises:
        UnknownRun: there is no such run.
    """
    found = store.read(f"runs/{run}/spec") if _is_id(run) else None
    if found is None:
        raise UnknownRun("There is no run with this id.")
    return RunSpec.read(found.data)


def source_of(store: Store, spec: RunSpec) -> RunSpec:
    """Return the spec of the run that a check or a settle, or a check of a check, is about; of another run, its own."""
    while spec.function in ("check", "settle") and spec.parent:
        spec = read_spec(store, spec.parent)
    return spec


def handed_on_key(run: str) -> str:
    """Return the key of the record of the runs that send a run's items again."""
    return f"runs/{run}/handed-on"


def known_spec(store: Store, run: str) -> RunSpec | None:
    """Return the spec of a run; None if the call that created the run died before it stored the spec."""
    try:
        return read_spec(store, run)
    except UnknownRun:
        return None


def read_spec_of(store: Store, key: str) -> RunSpec | None:
    """Return the spec of the run of a key `open/{run}`; None if it was never stored."""
    found = store.read(f"runs/{key.removeprefix(OPEN)}/spec")
    return RunSpec.read(found.data) if found else None


def opened_at(store: Store, key: str) -> datetime | None:
    """Return when a key `open/{run}` was created; None if it is gone."""
    found = store.read(key)
    return OpenRun.read(found.data).at if found else None


def mark_begun(store: Store, run: str) -> bool:
    """Record that a run's orchestrator has started; return false if it had before."""
    return create(store, f"runs/{run}/begun", BegunRun(at=clock.now()))


def has_begun(store: Store, run: str) -> bool:
    """Return whether a run's orchestrator has started."""
    return store.read(f"runs/{run}/begun") is not None


def read_items(store: Store, run: str, items: str, page: int) -> list[RunItem]:
    """Return a page of a run's items; it is empty beyond the last page."""
    if items == _FEW:
        manifest = None if page else read_manifest(store, run)
        return manifest.few if manifest else []
    found = store.read(f"runs/{run}/{items}/{page}")
    return ItemPage.read(found.data).run_items if found else []


def items_of_part(store: Store, run: str, layout: Layout, part: int) -> list[RunItem]:
    """Return the items of one part, which may begin on one page and end on the next."""
    first, last = layout.place(part), layout.place(part + 1) - 1
    pages = [read_items(store, run, layout.items, page) for page in range(first // PAGE, last // PAGE + 1)]
    return [one for page in pages for one in page][first % PAGE :][: layout.size]


def all_run_items(store: Store, run: str) -> Iterator[RunItem]:
    """Yield all items of a run, page by page."""
    manifest = read_manifest(store, run)
    page = 0
    if manifest:
        yield from manifest.few
    while manifest and manifest.items != _FEW and (some := read_items(store, run, manifest.items, page)):
        yield from some
        page += 1


def read_part(store: Store, run: str, part: int) -> PartResult | None:
    """Return the results of a part; None until all its items have ended."""
    found = store.read(f"runs/{run}/outcomes/{part}")
    return PartResult.read(found.data) if found else None


def ended_parts(store: Store, run: str) -> set[int]:
    """Return the numbers of the parts whose items have all ended."""
    return {int(key.rpartition("/")[2]) for key in keys(store, f"runs/{run}/outcomes/")}


def write_part(store: Store, run: str, part: int, ended: PartResult) -> PartResult:
    """Store the results of a part, and return what is stored: existing ones are kept."""
    return ended if create(store, f"runs/{run}/outcomes/{part}", ended) else read_part(store, run, part) or ended


def read_response(store: Store, run: str) -> StoredResponse | None:
    """Return the stored response of a run, or None."""
    found = store.read(f"runs/{run}/response")
    return StoredResponse.read(found.data) if found else None


def write_report(store: Store, head: Run, items: Sequence[Item], name: ReportName) -> Run:
    """Store a run's report, the items first, and return the head that is stored: existing records are kept."""
    for page, some in enumerate(batched(items, PAGE, strict=False)):
        create(store, f"runs/{head.id}/{name}/{page}", ReportPage(items=list(some)))
    return head if create(store, f"runs/{head.id}/{name}", head) else read_report(store, head.id, name) or head


def response_of(store: Store, run: str, kept: StoredResponse) -> Response:
    """Return a stored response as it was returned first."""
    found = store.read(f"runs/{run}/body") if kept.apart else None
    return Response(kept.status, found.data if found else kept.body.encode(), kept.content_type, kept.headers)


def read_report(store: Store, run: str, *names: ReportName) -> Run | None:
    """Return a run's report without items, or None; the first that exists of `names`, by default the final one."""
    for name in names or ("final", "report"):
        found = store.read(f"runs/{run}/{name}")
        if found:
            return Run.read(found.data)
    return None


def all_items(store: Store, run: str) -> Iterator[Item]:
    """Yield the items of a run's report, page by page; of the final one, if it exists."""
    name, page = "final" if store.read(f"runs/{run}/final") else "report", 0
    while found := store.read(f"runs/{run}/{name}/{page}"):
        yield from ReportPage.read(found.data).items
        page += 1


def refuse_expired(spec: RunSpec, kept: StoredResponse) -> None:
    """Raise if a stored response is past its retention.

    Raises:
        Expired: it is; the problem links to the report.
    """
    if clock.now() >= kept.expires:
        text = f"The result expired at {kept.expires:%Y-%m-%dT%H:%M:%SZ}."
        raise Expired(text, run=spec.run, members={"links": {"self": spec.links().own}})


def create(store: Store, key: str, record: Stored | bytes) -> bool:
    """Create a record, also from its data; return False if there is one, which is kept."""
    try:
        store.create(key, record if isinstance(record, bytes) else record.data())
    except Exists:
        return False
    return True


def _is_id(run: str) -> bool:
    """Return whether a text can be the id of a run; any other text could name another record."""
    return run.replace("-", "").isalnum() and run.isascii() and len(run) <= 40  # noqa: PLR2004 - longer than ours
