"""The headers of one operation: which are allowed, and how they are sent."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from shared.validation.request import Call

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ETAG = re.compile(r'(?:W/)?"[^"]*"')
_OURS = frozenset({"authorization", "cookie", "host", "proxy-authorization", "x-functions-key"})
_OF_BATCH = ("accept", "accept-language", "company", "data-access-intent", "odata-maxversion")
"""Headers of a batch that count for its operations (OData JSON Format 4.01, 19), as far as they mean the operations."""
_MOST_KNOWN = 1000
_USUAL = frozenset({"accept", "accept-language", "company", "content-type", "if-match", "prefer"})
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Headers:
    """The headers of one operation, ready to be sent.

    Attributes:
        text: Their JSON, with names in lower case (OData JSON Format 4.01, 19.1; one server reads no others).
        company: The company that they name, normalized for comparison.
        if_match: The value of If-Match.
        etag: If-Match is an ETag, not `*` or `$<id>`.
        reference: The id of the operation whose ETag If-Match refers to by `$<id>`.
        added: The names of headers that were added.
        is_json: The body is, or must be, a JSON object.
    """

    text: str
    company: str | None
    if_match: str | None
    etag: bool
    reference: str | None
    added: tuple[str, ...]
    is_json: bool


class WrongHeaders(ValueError):  # noqa: N818 - named like the problems
    """Headers that may not be sent; `mistakes` has each name and what is wrong with it."""

    def __init__(self, mistakes: list[tuple[str, str]]) -> None:
        super().__init__(mistakes)
        self.mistakes = mistakes


class AllHeaders:
    """The headers of a batch; many operations have the same ones, so results are cached."""

    def __init__(self, call: Call) -> None:
        self._known: dict[tuple[object, ...], Headers] = {}
        self._of_call = {name: call.headers[name] for name in _OURS if name in call.headers}
        self._of_batch = {name: call.headers[name] for name in _OF_BATCH if call.headers.get(name)}
        # An operation's response is JSON in any case; what counts is a parameter, such as IEEE754Compatible.
        accept = self._of_batch.get("accept", "").lower()
        if not accept.startswith("application/json") or ";" not in accept:
            self._of_batch.pop("accept", None)

    def read(self, written: Mapping[str, str], *, company: str | None, typed: bool) -> Headers:
        """Return headers as they are sent.

        Args:
            written: The headers as received.
            company: The company to add, unless they name one.
            typed: Add a media type, unless they have one.

        Raises:
            WrongHeaders: some of them may not be sent.
        """
        key = (company, typed, *written.items())
        known = self._known.get(key)
        if known is None:
            named = {name: value for name, value in written.items() if not self._repeats(name.lower(), value)}
            wrong = list(_mistakes_in(named))
            if wrong:
                raise WrongHeaders(wrong)
            known = _read(self._of_batch, named, company, typed=typed)
            if len(self._known) < _MOST_KNOWN:
                self._known[key] = known
        return known

    def _repeats(self, name: str, value: str) -> bool:
        """Return whether a header is the call's own: some clients repeat its host, key or token in each operation."""
        own = self._of_call.get(name)
        return own == value or (own is not None and name == "host" and own.lower() == value.lower())


def _mistakes_in(written: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the name of each wrong header, and what is wrong with it."""
    seen: set[str] = set()
    for name, value in written.items():
        lower = name.lower()
        if not (lower in _USUAL or _TOKEN.fullmatch(name)):
            yield name, "is not a valid header name"
        elif lower in _OURS:
            yield name, "is not allowed in an operation: the batch is sent with the target's own"
        elif lower in seen:
            yield name, "is repeated in another case"
        if not value.isprintable() and _CONTROL.search(value):
            yield name, "has control characters"
        seen.add(lower)


def _read(of_batch: Mapping[str, str], written: Mapping[str, str], company: str | None, *, typed: bool) -> Headers:
    found = {**of_batch, **{name.lower(): value for name, value in written.items()}}
    added = {}
    if typed and not found.get("content-type"):
        added["content-type"] = "application/json"
    if company and not found.get("company"):
        added["company"] = company
    found |= added
    if_match = found.get("if-match", "").strip()
    named = "".join(found.get("company", "").split()).casefold()
    return Headers(
        text=_ENCODE(found),
        company=named or None,
        if_match=if_match or None,
        etag=_ETAG.fullmatch(if_match) is not None,
        reference=if_match[1:] if if_match.startswith("$") else None,
        added=tuple(added),
        is_json=found.get("content-type", "").partition(";")[0].strip().lower() == "application/json",
    )
