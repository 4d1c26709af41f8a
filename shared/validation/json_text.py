"""Read JSON piece by piece, and keep the original text of each piece.

A value that is only passed on must not be parsed and serialized again: `1234567890123456.7890` would change its digits.
So a large body never becomes one tree: the reader walks over the outer objects and arrays, and passes each piece to the
standard library's scanner. `json_bytes.py` reads a body without ever having all of its text.
"""

import json
import math
import re
from collections.abc import Iterator
from itertools import islice
from json.decoder import scanstring  # type: ignore[attr-defined]  # missing in the stubs
from typing import Any

from shared.core.problems import MOST_MISTAKES, Mistake
from shared.validation.body import Doubled, NotFinite, as_object, faults, is_text
from shared.validation.models import pointer, refuse_faults

_BLANKS = re.compile(r"[ \t\n\r]*")
_BETWEEN = re.compile(r"[ \t\n\r]*([,}\]])[ \t\n\r]*")
_PLAIN_NAME = re.compile(r'"([^"\\\x00-\x1f]*)"[ \t\n\r]*:[ \t\n\r]*')
_COLON = re.compile(r"[ \t\n\r]*:[ \t\n\r]*")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_CUT = 2
"""The most characters at the end of a text that a number without its rest does not count as its own: `1` in `1e+`."""
_SHALLOW = 32
"""A piece with at most this many brackets is within the depth limit at any place."""


class _FaultDetector:
    """The hooks of a JSON decoder; they set `odd` at a value that strict JSON does not allow.

    It is separate from the reader: a reference cycle between the two would keep a large text until garbage collection.
    """

    def __init__(self) -> None:
        self.odd = False
        self.decoder = json.JSONDecoder(
            object_pairs_hook=self._pairs, parse_constant=self._constant, parse_float=self._float
        )

    def _pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = as_object(pairs)
        self.odd = self.odd or isinstance(found, Doubled)
        return found

    def _constant(self, _: str) -> NotFinite:
        self.odd = True
        return NotFinite()

    def _float(self, digits: str) -> float:
        value = float(digits)
        self.odd = self.odd or math.isinf(value)
        return value


class Reader:
    """A cursor over a JSON text.

    Attributes:
        text: The text, from the current position on as far as it is read.
        at: The current position in the text: the start of a value, or the end of one.
        path: The path of the current value in the document.
        mistakes: The faults in the values that were read so far, at most 100.
    """

    def __init__(self, text: str, *, strict: bool = True) -> None:
        """Start at the root; a reader that is not strict, for responses of systems, collects no mistakes."""
        self.text = text
        self.path: list[str | int] = []
        self.mistakes: list[Mistake] = []
        self._strict = strict
        self._is_unread = False
        """Nobody has read the current value yet."""
        self._halves = strict and _has_halves(text)
        self._detector = _FaultDetector()
        self._scan = (self._detector.decoder if strict else json.JSONDecoder()).raw_decode
        self.at = 0
        self.at = self._skip(_BLANKS, 0)

    @property
    def kind(self) -> str:
        """Return the first character of the current value: `{` for an object, `[` for an array."""
        return self.text[self.at : self.at + 1]

    def value(self) -> Any:  # noqa: ANN401 - any JSON value
        """Return the current value, and move to its end.

        Raises:
            ValueError: the text is not JSON.
            RecursionError: the value is nested too deeply for the scanner, and the reader is strict.
        """
        begin, self._is_unread = self.at, False
        self._detector.odd = False
        value, self.at = self._scanned(begin)
        if self._detector.odd or (self.at - begin > _SHALLOW and self._may_be_deep(begin)) or self._has_half(begin):
            self._report(faults(value, tuple(self.path)))
        return value

    def raw(self) -> tuple[Any, str]:
        """Return the current value and its text, and move to its end."""
        begin = self.at
        value = self.value()
        return value, self.text[begin : self.at]

    def _scanned(self, begin: int) -> tuple[Any, int]:
        """Return the value at a position, and its end; one at the end of the text may go on in what follows."""
        while True:
            try:
                value, end = self._scan(self.text, begin)
            except RecursionError:
                if self._strict:
                    raise
                raise self._error("Nested too deep", begin) from None
            except json.JSONDecodeError as error:
                if not self._grow():
                    raise self._error(error.msg, error.pos) from None
            else:
                if end + _CUT < len(self.text) or not self._grow():
                    return value, end

    def members(self) -> Iterator[str]:
        """Yield the name of each member of the current object, with the cursor at its value.

        The caller may read the value; otherwise it is skipped.
        """
        seen: dict[str, bool] = {}
        self.path.append("")
        for begin in self._pieces("{", "}"):
            plain = _PLAIN_NAME.match(self.text, begin)
            if plain and plain.end() == len(self.text):
                plain = None
            name, self.at = (plain[1], plain.end()) if plain else self._name(begin)
            self.path[-1] = name
            if self._strict and (name in seen or not plain):
                self._report_name(name, seen)
            seen[name] = name in seen
            self._is_unread = True
            yield name
            if self._is_unread:
                self.value()
        self.path.pop()

    def elements(self) -> Iterator[int]:
        """Yield the index of each element of the current array, with the cursor at it, as `members` does."""
        self.path.append(0)
        for position, _ in enumerate(self._pieces("[", "]")):
            self.path[-1] = position
            self._is_unread = True
            yield position
            if self._is_unread:
                self.value()
        self.path.pop()

    def finish(self) -> None:
        """Check that no text follows and that there are no mistakes.

        Raises:
            ValueError: more text follows.
            NotJson: there are mistakes.
        """
        end = self._skip(_BLANKS, self.at)
        if end != len(self.text):
            raise self._error("Extra data", end)
        refuse_faults(self.mistakes)

    def _pieces(self, opening: str, closing: str) -> Iterator[int]:
        """Yield the start of each piece between two brackets; the caller moves `at` to its end before the next one."""
        if self.kind != opening:
            raise self._error(f"Expecting {opening}", self.at)
        self._is_unread = False
        self.at = self._skip(_BLANKS, self.at + 1)
        mark = closing if self.kind == closing else ","
        if mark == closing:
            self.at += 1
        while mark != closing:
            self._slide()
            yield self.at
            found = self._match(_BETWEEN, self.at)
            mark = found[1] if found else ""
            if not found or mark not in (closing, ","):
                raise self._error("Expecting ',' delimiter", self.at)
            # Blanks after the last bracket belong to the enclosing piece.
            self.at = found.end(1) if mark == closing else found.end()

    def _name(self, begin: int) -> tuple[str, int]:
        """Return a name with escapes, and the start of its value."""
        if self.text[begin : begin + 1] != '"':
            raise self._error("Expecting property name", begin)
        while True:
            try:
                name, end = scanstring(self.text, begin + 1)
            except json.JSONDecodeError as error:
                if not self._grow():
                    raise self._error(error.msg, error.pos) from None
            else:
                return str(name), self._skip(_COLON, end)

    def _skip(self, pattern: re.Pattern[str], begin: int) -> int:
        found = self._match(pattern, begin)
        if not found:
            raise self._error("Expecting ':' delimiter", begin)
        return found.end()

    def _match(self, pattern: re.Pattern[str], begin: int) -> re.Match[str] | None:
        """Match a pattern at a position; at the end of the text it may match more of what follows."""
        found = pattern.match(self.text, begin)
        while (found is None or found.end() == len(self.text)) and self._grow():
            found = pattern.match(self.text, begin)
        return found

    def _grow(self) -> bool:
        """Read more text, and return whether there was more."""
        return False

    def _slide(self) -> None:
        """Drop the text before the current position; called between pieces only."""

    def _error(self, detail: str, at: int) -> json.JSONDecodeError:
        """Return the error at a position of the text."""
        return json.JSONDecodeError(detail, self.text, at)

    def _may_be_deep(self, begin: int) -> bool:
        """Return whether a piece needs the slow search for faults, because it may be nested too deeply."""
        brackets = self.text.count("{", begin, self.at) + self.text.count("[", begin, self.at)
        return self._strict and brackets > _SHALLOW

    def _has_half(self, begin: int) -> bool:
        return self._halves and _HALF.search(self.text, begin, self.at) is not None

    def _report_name(self, name: str, seen: dict[str, bool]) -> None:
        if seen.get(name) is False:
            self._report(iter([Mistake("is a duplicate name", pointer(tuple(self.path)))]))
        if not is_text(name):
            self._report(iter([Mistake("has a name that is not Unicode text", pointer(tuple(self.path[:-1])))]))

    def _report(self, found: Iterator[Mistake]) -> None:
        self.mistakes += islice(found, MOST_MISTAKES - len(self.mistakes))


def _has_halves(text: str) -> bool:
    """Return whether a text may have a half of a surrogate pair, as an escape."""
    return "\\ud" in text or "\\uD" in text


def members_of(text: str) -> Iterator[tuple[str, Any, str]]:
    """Yield name, value and text of each member of a JSON object in a response; it need not be strict JSON.

    Raises:
        ValueError: the text is not a JSON object.
    """
    reader = Reader(text, strict=False)
    for name in reader.members():
        yield name, *reader.raw()
    reader.finish()


def elements_of(text: str) -> Iterator[tuple[Any, str]]:
    """Yield value and text of each element of a JSON array in a response, as `members_of` does.

    Raises:
        ValueError: the text is not a JSON array.
    """
    reader = Reader(text, strict=False)
    for _ in reader.elements():
        yield reader.raw()
    reader.finish()
