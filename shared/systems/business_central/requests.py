"""The requests of callers: an OData batch of any size, whose body `body.py` or `multipart.py` has read."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from shared.core.problems import Mistake, NotValid
from shared.core.targets import System, Target
from shared.systems.business_central.answer_form import answer_form
from shared.systems.business_central.body import BODILESS
from shared.systems.business_central.drafts import Head, Written
from shared.systems.business_central.headers import AllHeaders, Headers, WrongHeaders
from shared.systems.business_central.urls import Root, Url, callers_root, service_root
from shared.systems.chunking import NO_TIES, CannotPlan, Chunk, Limits, Ties, plan
from shared.systems.columns import OperationKind, Operations, Safe, encoded
from shared.systems.operations import OperationList
from shared.validation.models import MistakeList, pointer
from shared.validation.request import Call, preferences

SYSTEM: System = "business-central"
_MOST_KNOWN = 1000
_FRAME = len('{"id":},')
"""The bytes around an operation's id, its head and its body, with a comma after it."""
_BODY_FRAME = len(',"body":')
_FIXES = {
    "url": "had an absolute URL; it is sent relative to the root",
    "content-type": "got the header content-type: application/json, because it has a body",
    "company": "got the header company, because it named none",
}


class _Place(NamedTuple):
    """The record that an operation is about, as far as its URL shows it."""

    company: str | None
    below: str
    keyed: bool


class _Checked(NamedTuple):
    """The head of an operation, valid by itself, and what follows from it.

    Attributes:
        url: Its URL.
        headers: Its headers.
        place: The record that it is about; None if it refers to another operation.
        document: The document that it writes to, unless it refers to another operation.
        kind: What is sent of it.
        size: The bytes of its JSON, but for id and body.
        fixes: The corrections that were made.
    """

    url: Url
    headers: Headers
    place: _Place | None
    document: str | None
    kind: OperationKind
    size: int
    fixes: tuple[str, ...]


def batch_of(written: Written, call: Call, target: Target, root: str) -> OperationList:
    """Return the validated operations of a body, for the target that its `options.target` or the caller has chosen.

    Raises:
        NotValid: with all mistakes of all operations counted, and the first 100 listed.
    """
    try:
        api = service_root(root)
    except ValueError as error:
        raise NotValid(f"The root {error}.", mistakes=(Mistake(str(error)),)) from None
    prefers = preferences(call.headers.get("prefer", ""))
    in_order = not _continues(prefers)
    snapshot = _is_snapshot(call, written.mistakes, in_order=in_order)
    validation = _Validation(written, target, api, call, snapshot=snapshot)
    operations = validation.operations()
    if snapshot:
        _check_snapshot(operations, target, written.mistakes)
    written.mistakes.refuse()
    failures_only = prefers.get("return", "").lower() == "failures"
    return OperationList(
        root=api,
        operations=operations,
        options=written.options,
        in_order=in_order,
        snapshot=snapshot,
        failures_only=failures_only,
        fixed=tuple(validation.fixes()),
        mistake=written.mistake,
        form=answer_form(call.headers.get("accept", ""), written.form),
        content_ids=written.content_ids,
        settle_by=tuple(written.options.settleBy or ()),
    )


def chunks(batch: OperationList, target: Target) -> list[Chunk]:
    """Return the chunks of a batch, within the limits of a target.

    Raises:
        NotValid: an operation cannot share a chunk with an operation that it refers to, or with all of its group.
    """
    limits = Limits(target.batch_operations, target.batch_bytes)
    try:
        return plan(batch.operations.ops, limits, in_order=batch.in_order)
    except CannotPlan as error:
        raise NotValid.of(batch.mistake(error.position, error.text)) from None


def _continues(prefers: dict[str, str]) -> bool:
    """Return whether `Prefer` has continue-on-error; OData 4.01 allows the name without its prefix."""
    for name in ("continue-on-error", "odata.continue-on-error"):
        if name in prefers:
            return prefers[name].lower() in ("", "true")
    return False


def _is_snapshot(call: Call, mistakes: MistakeList, *, in_order: bool) -> bool:
    # OData 4.01, 8.2.4; OData 4.0 calls it OData-Isolation.
    name = next((one for one in ("Isolation", "OData-Isolation") if one.lower() in call.headers), None)
    if name is None:
        return False
    if call.headers[name.lower()].strip().lower() != "snapshot":
        mistakes.add(Mistake("must be snapshot, or absent", header=name))
    elif not in_order:
        text = "snapshot reverts all operations when one fails, so it cannot continue on error"
        mistakes.add(Mistake(text, header=name))
    return True


def _check_snapshot(operations: Operations, target: Target, mistakes: MistakeList) -> None:
    """Refuse a snapshot that exceeds one chunk: two chunks are not reverted together."""
    if len(operations) > target.batch_operations or sum(operations.ops.sizes) > target.batch_bytes:
        text = f"snapshot needs one batch: at most {target.batch_operations} operations, {target.batch_bytes} bytes"
        mistakes.add(Mistake(text, header="Isolation"))


class _Validation:
    """One pass over the drafts in their order: an operation may depend only on earlier ones."""

    def __init__(self, written: Written, target: Target, api: str, call: Call, *, snapshot: bool) -> None:
        self._written = written
        self._company = written.options.company or target.company or None
        self._root = Root(target.url, api, callers_root(call.url))
        self._headers = AllHeaders(call)
        self._snapshot = snapshot
        self._groups = Counter(written.drafts.groups)
        self._last_of_group: dict[str, int] = {}
        self._positions: dict[str, int] = {}
        """The first position of each id, also of those that come later."""
        for position, name in enumerate(written.drafts.ids):
            if name is not None:
                self._positions.setdefault(name, position)
        self._places: list[_Place | None] = []
        self._known: dict[tuple[Head, bool], _Checked] = {}
        self._fixes: Counter[str] = Counter()
        self._first: dict[str, int] = {}
        self._spare = len(written.drafts)

    def operations(self) -> Operations:
        """Return the operations, without those that have mistakes, which are collected."""
        drafts, mistakes = self._written.drafts, self._written.mistakes
        operations = Operations(drafts.data, drafts.begins, drafts.ends)
        for position, head in enumerate(drafts.heads):
            before, more, has_body = mistakes.count, drafts.more_of(position), drafts.ends[position] > 0
            found = self._known.get((head, has_body)) or self._checked(position, head, has_body=has_body)
            depends = [self._known_position(one, position, ("dependsOn", n)) for n, one in enumerate(more.depends)]
            refers = self._refers(position, head, found) if found and found.place is None else {}
            name = self._named(position, drafts.ids[position])
            if more.group:
                self._join_group(position, more.group)
            self._places.append((found.place or self._place(found, refers)) if found else None)
            if found and mistakes.count == before:
                operations.add(
                    name,
                    *self._sent(position, name, found, refers),
                    self._ties(more.group, refers, [*depends, *refers.values()]),
                    more.group,
                )
        return operations

    def fixes(self) -> Iterator[str]:
        """Yield a sentence per kind of correction."""
        for kind, count in self._fixes.items():
            others = f" (and {count - 1} more)" if count > 1 else ""
            yield f"{pointer(self._written.path(self._first[kind]))}{others} {_FIXES[kind]}."

    def _mistake(self, position: int, detail: str, *path: str | int) -> None:
        self._written.mistakes.add(self._written.mistake(position, detail, *path))

    def _named(self, position: int, name: str | None) -> str:
        """Return the operation's id; a generated id is its position from 1, or a number that no id uses."""
        if name is None:
            made = str(position + 1)
            while made in self._positions or made in self._last_of_group:
                self._spare += 1
                made = str(self._spare)
            return made
        if self._positions[name] != position:
            self._mistake(position, "is the id of an earlier operation", "id")
        return name

    def _join_group(self, position: int, group: str) -> None:
        """Let later operations depend on a group by its name: on its last member, as it takes effect as a whole."""
        if self._last_of_group.get(group, position - 1) != position - 1:
            self._mistake(position, "is the group of earlier operations that it does not follow", "atomicityGroup")
        self._last_of_group[group] = position

    def _checked(self, position: int, head: Head, *, has_body: bool) -> _Checked | None:
        """Return what is sent of a head; None if its mistakes prevent further checks.

        One without mistakes is kept: many operations have the same.
        """
        before = self._written.mistakes.count
        url = self._url(position, head)
        company = self._company_to_add(head, url) if url else None
        try:
            headers = self._headers.read(head.headers, company=company, typed=has_body)
            self._check_body(position, head, headers, has_body=has_body)
        except WrongHeaders as error:
            for name, text in error.mistakes:
                self._mistake(position, text, "headers", name)
            return None
        if not head.method or url is None:
            return None
        self._check_together(position, head, url, headers)
        found = self._kept(head.method, url, headers)
        if self._written.mistakes.count == before and len(self._known) < _MOST_KNOWN:
            self._known[head, has_body] = found
        return found

    def _kept(self, method: str, url: Url, headers: Headers) -> _Checked:
        text = f',"method":"{method}","url":{encoded(url.text)},"headers":{headers.text}'
        kind = OperationKind(method, url.text, _safe(method, headers), text)
        refers = url.reference is not None or headers.reference is not None
        place = None if refers else _Place(url.company or headers.company, url.below, url.keyed)
        fixes = (*headers.added, *(["url"] if url.absolute else []))
        return _Checked(url, headers, place, self._document(method, place), kind, len(text.encode()), fixes)

    def _check_body(self, position: int, head: Head, headers: Headers, *, has_body: bool) -> None:
        """Collect the mistakes of a body: one body that can't be read spoils the whole `$batch`."""
        if head.method in BODILESS:
            if has_body:
                self._mistake(position, f"is not allowed: {head.method} has no body", "body")
        elif headers.is_json and head.body_kind != "object":
            self._mistake(position, "must be an object, because the content type is application/json", "body")
        elif head.body_kind in ("null", "other"):
            self._mistake(position, "must be an object or a text", "body")

    def _url(self, position: int, head: Head) -> Url | None:
        if not head.url:
            return None
        try:
            if head.host is not None:
                self._root.check_host(head.host)
            return self._root.read(head.url)
        except ValueError as error:
            self._mistake(position, str(error), "url")
            return None

    def _company_to_add(self, head: Head, url: Url) -> str | None:
        """Return the company to add to the headers, if any; a `$<id>` reference has its own."""
        is_named = url.company or url.reference is not None or (url.of_companies and head.method == "GET")
        return None if is_named else self._company

    def _check_together(self, position: int, head: Head, url: Url, headers: Headers) -> None:
        if head.method in ("PATCH", "PUT", "DELETE") and not headers.if_match:
            self._mistake(position, f"{head.method} needs the header If-Match, with an ETag or *", "headers")
        named = url.company or headers.company or url.reference is not None
        if not named and not (url.of_companies and head.method == "GET"):
            # Business Central would silently use a default company.
            self._mistake(position, "names no company, and neither does nightshift.company or the target", "url")

    def _refers(self, position: int, head: Head, found: _Checked) -> dict[str, int]:
        """Return the positions of the operations whose results are referred to, by their ids."""
        if_match = next((name for name in head.headers if name.lower() == "if-match"), "")
        places: tuple[tuple[str | None, tuple[str, ...]], ...] = (
            (found.url.reference, ("url",)),
            (found.headers.reference, ("headers", if_match)),
        )
        refers = {}
        for name, path in places:
            if name is not None:
                refers[name] = self._known_position(name, position, path)
        return refers

    def _known_position(self, name: str, position: int, path: tuple[str | int, ...]) -> int:
        """Return the position of an earlier operation, or record a mistake."""
        first = self._positions.get(name, position)
        known = first if first < position else self._last_of_group.get(name)
        if known is None:
            text = "does not come before this one" if name in self._positions else "does not exist"
            self._mistake(position, f"names an operation that {text}", *path)
        return position if known is None else known

    def _place(self, found: _Checked, refers: dict[str, int]) -> _Place:
        """Return the record that an operation is about that refers to another one."""
        url = found.url
        if url.reference is None:
            return _Place(url.company or found.headers.company, url.below, url.keyed)
        place = self._places[refers[url.reference]] if refers[url.reference] < len(self._places) else None
        if place is None:
            return _Place(None, url.below, keyed=False)
        return place if place.keyed else _Place(place.company, f"{place.below}/{url.below}".strip("/"), url.keyed)

    def _document(self, method: str, place: _Place | None) -> str | None:
        if method == "GET" or place is None or not place.keyed or not self._written.options.documentsInOrder:
            return None
        return f"{place.company or ''}/{place.below}"

    def _ties(self, group: str | None, refers: dict[str, int], depends: list[int]) -> Ties:
        if not group and not depends:
            return NO_TIES
        together = self._together(group) if group else None
        return Ties(tuple(dict.fromkeys(depends)), tuple(dict.fromkeys(refers.values())), together)

    def _sent(
        self, position: int, name: str, found: _Checked, refers: dict[str, int]
    ) -> tuple[OperationKind, int, str | None]:
        """Return what is sent of an operation, its size in a chunk, and the document that it writes to."""
        begin, end = self._written.drafts.begins[position], self._written.drafts.ends[position]
        kind, document = found.kind, found.document
        size = found.size + len(encoded(name).encode()) + _FRAME + (_BODY_FRAME + end - begin if end else 0)
        if refers:
            needed = _needed(refers)
            kind = kind._replace(head=f"{kind.head}{needed}")
            size += len(needed.encode())
            document = self._document(kind.method, self._places[position])
        for fix in found.fixes:
            self._fixes[fix] += 1
            self._first.setdefault(fix, position)
        return kind, size, document

    def _together(self, group: str) -> str | None:
        """Return the group that an operation takes effect with, unless that is the whole batch, or the operation."""
        return group if self._groups[group] > 1 and not self._snapshot else None


def _needed(refers: Iterable[str]) -> str:
    """Return the JSON of the ids to which an operation refers.

    `dependsOn` is left out otherwise: the chunks determine the order, ids of another chunk are unknown in this one, and
    with continue-on-error a server runs a dependent operation anyway. Only the ids of `$<id>` references stay: they are
    in the same chunk, and Microsoft's library refuses a whole batch in which `$<id>` is not in the operation's
    dependsOn.
    """
    return f',"dependsOn":{encoded(list(refers))}'


def _safe(method: str, headers: Headers) -> Safe:
    if method == "GET":
        return "read"
    # Not for POST: no document says that it respects If-Match.
    return "etag" if headers.etag and method != "POST" else "no"
