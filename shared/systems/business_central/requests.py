"""What callers may ask of Business Central: an OData JSON batch of any size (OData JSON Format 4.01, 19.1)."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from shared.fanout import CannotPlan, Chunk, Limits, Op, plan
from shared.problems import Mistake, NotValid
from shared.systems.business_central.drafts import Draft, Options, Written, read
from shared.systems.business_central.headers import AllHeaders, Headers, WrongHeaders
from shared.systems.business_central.urls import Root, Url, service_root
from shared.targets import System, Target
from shared.validation import Call, Mistakes, pointer, preferences

SYSTEM: System = "business-central"
_ENCODE = json.JSONEncoder(ensure_ascii=False).encode
_MENDED = {
    "url": "had an absolute URL, which is sent relative to the root",
    "content-type": "got the header content-type: application/json, since it has a body",
    "company": "got the header company, since it named none",
}

Safe = Literal["read", "etag", "no"]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a batch, validated.

    Attributes:
        id: Its id; made where it came without one.
        method: In upper case.
        url: Relative to the root.
        text: Its JSON as it is sent, the body as it came.
        safe: Why it may be sent twice: it only reads, or an ETag keeps the second from taking effect; or it may not.
        op: What its chunk is planned by.
        body_at: Where in `text` the body begins.
    """

    id: str
    method: str
    url: str
    text: str
    safe: Safe
    op: Op
    body_at: int | None = None

    @property
    def body(self) -> str | None:
        """Return the body's text as it came; it is the last member of `text`, and not kept a second time."""
        return None if self.body_at is None else self.text[self.body_at : -1]


@dataclass(frozen=True)
class Batch:
    """A whole batch, validated.

    Attributes:
        root: The API's root, such as `api/v2.0`.
        operations: In the order of the body.
        options: The member `nightshift`.
        in_order: The first operation that fails stops the rest, which is what Business Central does by itself.
        snapshot: All or nothing.
        failures_only: The answer is to hold failed operations only.
        mended: What was mended, in words.
    """

    root: str
    operations: list[Operation]
    options: Options
    in_order: bool
    snapshot: bool
    failures_only: bool
    mended: tuple[str, ...]


class _Place(NamedTuple):
    """Which record an operation is about, as far as its URL tells."""

    company: str | None
    below: str
    keyed: bool


class _Checked(NamedTuple):
    """An operation of which all parts are right by themselves."""

    method: str
    url: Url
    headers: Headers
    body: str | None


def batch(call: Call, target: Target, root: str) -> Batch:
    """Return what a call of `batch` asks for; `root` is the rest of its route, with or without `$batch`.

    Raises:
        Refused: the request isn't readable or valid.
    """
    return batch_of(read(call), call, target, root)


def batch_of(written: Written, call: Call, target: Target, root: str) -> Batch:
    """Return what a body asks for that is read already, so that its `options.target` could choose the target.

    Raises:
        NotValid: with all mistakes of all operations, of which 100 are told.
    """
    try:
        api = service_root(root)
    except ValueError as error:
        raise NotValid(f"The route's rest {error}.", mistakes=(Mistake(str(error)),)) from None
    prefers = preferences(call.headers.get("prefer", ""))
    in_order = not _continues(prefers)
    snapshot = _is_snapshot(call, written.mistakes, in_order=in_order)
    work = _Validation(written, target, api)
    operations = list(work.operations())
    if snapshot:
        _check_snapshot(operations, target, written.mistakes)
    written.mistakes.refuse()
    failures_only = prefers.get("return", "").lower() == "failures"
    return Batch(api, operations, written.options, in_order, snapshot, failures_only, tuple(work.mended()))


def chunks(batch: Batch, target: Target) -> list[Chunk]:
    """Return how a batch is sent.

    Raises:
        NotValid: an operation is too large, or refers to one that can't share its chunk.
    """
    limits = Limits(target.batch_operations, target.batch_bytes)
    try:
        return plan([operation.op for operation in batch.operations], limits, in_order=batch.in_order)
    except CannotPlan as error:
        raise NotValid.of(Mistake(error.text, pointer(("requests", error.position)))) from None


def _continues(prefers: dict[str, str]) -> bool:
    """Tell whether `Prefer` wants the rest to be run; OData 4.01 writes the name without its prefix, and it counts."""
    for name in ("continue-on-error", "odata.continue-on-error"):
        if name in prefers:
            return prefers[name].lower() in ("", "true")
    return False


def _is_snapshot(call: Call, mistakes: Mistakes, *, in_order: bool) -> bool:
    isolation = call.headers.get("isolation")
    if isolation is None:
        return False
    if isolation.strip().lower() != "snapshot":
        mistakes.add(Mistake("must be snapshot, or not be there", header="Isolation"))
    elif not in_order:
        text = "snapshot reverts all when one operation fails, so none can continue on error"
        mistakes.add(Mistake(text, header="Isolation"))
    return True


def _check_snapshot(operations: list[Operation], target: Target, mistakes: Mistakes) -> None:
    """Refuse a snapshot that isn't one chunk: what is sent in two is not reverted together."""
    size = sum(operation.op.size for operation in operations)
    if len(operations) > target.batch_operations or size > target.batch_bytes:
        text = f"snapshot holds within one batch only: {target.batch_operations} operations, {target.batch_bytes} bytes"
        mistakes.add(Mistake(text, header="Isolation"))


class _Validation:
    """One pass over the drafts, in their order: an operation may depend only on those before it."""

    def __init__(self, written: Written, target: Target, api: str) -> None:
        self._written = written
        self._company = written.options.company or target.company or None
        self._root = Root(target.url, api)
        self._headers = AllHeaders()
        self._given = {draft.id for draft in written.drafts if draft.id is not None}
        self._positions: dict[str, int] = {}
        self._places: list[_Place | None] = []
        self._mended: Counter[str] = Counter()
        self._first: dict[str, int] = {}
        self._spare = len(written.drafts)

    def operations(self) -> Iterator[Operation]:
        """Yield the operations that have no mistakes; the mistakes of the others are collected."""
        for position, draft in enumerate(self._written.drafts):
            before = self._written.mistakes.count
            found = self._checked(position, draft)
            depends = [self._known(one, position, ("dependsOn", n)) for n, one in enumerate(draft.depends)]
            refers = self._refers(position, draft, found) if found else {}
            name = self._named(position, draft.id)
            self._places.append(self._place(found, refers) if found else None)
            if found and self._written.mistakes.count == before:
                depends = [*depends, *refers.values()]
                yield self._operation(position, name, found, refers, depends)

    def mended(self) -> Iterator[str]:
        """Yield what was mended, each kind once."""
        for what, count in self._mended.items():
            others = f" (and {count - 1} more)" if count > 1 else ""
            yield f"{pointer(('requests', self._first[what]))}{others} {_MENDED[what]}."

    def _mistake(self, position: int, detail: str, *path: str | int) -> None:
        self._written.mistakes.at(("requests", position, *path), detail)

    def _named(self, position: int, name: str | None) -> str:
        """Return the operation's id; a made one is the number of its place, or one that nobody gave."""
        if name is None:
            made = str(position + 1)
            while made in self._given:
                self._spare += 1
                made = str(self._spare)
            return made
        if name in self._positions:
            self._mistake(position, "is the id of an operation before it", "id")
        self._positions.setdefault(name, position)
        return name

    def _checked(self, position: int, draft: Draft) -> _Checked | None:
        """Return the parts of an operation, or None when it can't be looked at any further."""
        url = self._url(position, draft)
        company = self._company_to_add(draft, url) if url else None
        try:
            headers = self._headers.read(draft.headers, company=company, typed=draft.body is not None)
        except WrongHeaders as error:
            for name, text in error.mistakes:
                self._mistake(position, text, "headers", name)
            return None
        if not draft.method or url is None:
            return None
        self._check_together(position, draft, url, headers)
        return _Checked(draft.method, url, headers, draft.body)

    def _url(self, position: int, draft: Draft) -> Url | None:
        if not draft.url:
            return None
        try:
            return self._root.read(draft.url)
        except ValueError as error:
            self._mistake(position, str(error), "url")
            return None

    def _company_to_add(self, draft: Draft, url: Url) -> str | None:
        """Return the company's name where it must be added; a result that is referred to has one already."""
        is_named = url.company or url.reference is not None or (url.of_companies and draft.method == "GET")
        return None if is_named else self._company

    def _check_together(self, position: int, draft: Draft, url: Url, headers: Headers) -> None:
        if draft.method in ("GET", "DELETE") and draft.body is not None:
            self._mistake(position, f"is not allowed: {draft.method} has none", "body")
        if draft.method in ("PATCH", "PUT", "DELETE") and not headers.if_match:
            self._mistake(position, f"{draft.method} needs the header If-Match, with an ETag or *", "headers")
        named = url.company or headers.company or url.reference is not None
        if not named and not (url.of_companies and draft.method == "GET"):
            # Business Central would silently take a default company.
            self._mistake(position, "names no company, nor does nightshift.company or the target", "url")

    def _refers(self, position: int, draft: Draft, found: _Checked) -> dict[str, int]:
        """Return the positions of those whose result is referred to, by their ids."""
        if found.url.reference is None and found.headers.reference is None:
            return {}
        if_match = next((name for name in draft.headers if name.lower() == "if-match"), "")
        places: tuple[tuple[str | None, tuple[str, ...]], ...] = (
            (found.url.reference, ("url",)),
            (found.headers.reference, ("headers", if_match)),
        )
        refers = {}
        for name, path in places:
            if name is not None:
                refers[name] = self._known(name, position, path)
        return refers

    def _known(self, name: str, position: int, path: tuple[str | int, ...]) -> int:
        """Return the position of an operation that comes before, or tell that it doesn't."""
        known = self._positions.get(name)
        if known is None:
            text = "does not come before this one" if name in self._given else "is not there"
            self._mistake(position, f"names an operation that {text}", *path)
        return position if known is None else known

    def _place(self, found: _Checked, refers: dict[str, int]) -> _Place:
        url = found.url
        if url.reference is None:
            return _Place(url.company or found.headers.company, url.below, url.keyed)
        place = self._places[refers[url.reference]] if refers[url.reference] < len(self._places) else None
        if place is None:
            return _Place(None, url.below, keyed=False)
        return place if place.keyed else _Place(place.company, f"{place.below}/{url.below}".strip("/"), url.keyed)

    def _document(self, position: int, method: str) -> str | None:
        place = self._places[position]
        if method == "GET" or place is None or not place.keyed or not self._written.options.documentsInOrder:
            return None
        return f"{place.company or ''}/{place.below}"

    def _operation(
        self, position: int, name: str, found: _Checked, refers: dict[str, int], depends: list[int]
    ) -> Operation:
        head = _head(name, found, refers)
        text = f'{head},"body":{found.body}}}' if found.body is not None else f"{head}}}"
        op = Op(
            # One more, for the comma behind it.
            size=(len(text) if text.isascii() else len(text.encode())) + 1,
            depends=tuple(dict.fromkeys(depends)) if depends else (),
            refers=tuple(dict.fromkeys(refers.values())) if refers else (),
            document=self._document(position, found.method),
        )
        self._note_mended(position, found)
        body_at = None if found.body is None else len(text) - len(found.body) - 1
        return Operation(name, found.method, found.url.text, text, _safe(found), op, body_at)

    def _note_mended(self, position: int, found: _Checked) -> None:
        for what in (*found.headers.added, *(["url"] if found.url.mended else [])):
            self._mended[what] += 1
            self._first.setdefault(what, position)


def _head(name: str, found: _Checked, refers: dict[str, int]) -> str:
    """Return the JSON of an operation up to its body.

    `dependsOn` is left out: the order is decided by the chunks, ids of another chunk would be unknown in this one, and
    a server that keeps on runs a dependent all the same. Only the ids that are referred to stay, and are in the same
    chunk: Microsoft's library refuses a whole batch in which `$<id>` is not in the operation's dependsOn.
    """
    needed = f',"dependsOn":{_ENCODE(list(refers))}' if refers else ""
    url = _ENCODE(found.url.text)
    return f'{{"id":{_ENCODE(name)},"method":"{found.method}","url":{url},"headers":{found.headers.text}{needed}'


def _safe(found: _Checked) -> Safe:
    if found.method == "GET":
        return "read"
    # A POST is not among them: nothing says that it heeds If-Match.
    return "etag" if found.headers.etag and found.method != "POST" else "no"
