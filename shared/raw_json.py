"""JSON that is read piece by piece, and keeps the text of each piece as it came.

What is only passed on must not be read and written anew: `1234567890123456.7890` would come back with other digits. So
a large body is never built as one tree: its reader walks over the outer objects and arrays, hands each piece to the
standard library's scanner, and remembers where the piece began and ended.
"""

import json
import math
import re
from collections.abc import Iterator
from itertools import islice
from json.decoder import scanstring  # type: ignore[attr-defined]  # the stubs leave it out
from typing import Any

from shared.problems import MOST_MISTAKES, Mistake
from shared.validation import Doubled, NotFinite, as_object, faults, is_text, pointer, refuse_faults

_BLANKS = re.compile(r"[ \t\n\r]*")
_BETWEEN = re.compile(r"[ \t\n\r]*([,}\]])[ \t\n\r]*")
_PLAIN_NAME = re.compile(r'"([^"\\\x00-\x1f]*)"[ \t\n\r]*:[ \t\n\r]*')
_COLON = re.compile(r"[ \t\n\r]*:[ \t\n\r]*")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_SHALLOW = 32
"""With so few brackets no piece can be nested too deep, wherever it stands."""


class _Noticing:
    """What the scanner calls, to notice what JSON does not allow.

    It is apart from the reader: a reader that knew its own scanner would keep a large text until the collector comes.
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
    """A reader that stands at one value of a JSON text, and moves over it.

    Attributes:
        text: The whole text.
        at: Where in it the reader stands: at the beginning of a value, or behind one.
        path: Where that is in the document.
        mistakes: What JSON does not allow in what was read so far, at most 100.
    """

    def __init__(self, text: str, *, strict: bool = True) -> None:
        """Stand at the beginning; a reader that is not strict is for answers, and finds no mistakes."""
        self.text = text
        self.path: list[str | int] = []
        self.mistakes: list[Mistake] = []
        self._strict = strict
        self._halves = strict and _HALF.search(text) is not None
        self._noticing = _Noticing()
        self._scan = (self._noticing.decoder if strict else json.JSONDecoder()).raw_decode
        self.at = self._behind(_BLANKS, 0)

    @property
    def kind(self) -> str:
        """Return the character with which the value begins: `{` an object, `[` an array."""
        return self.text[self.at : self.at + 1]

    def value(self) -> Any:  # noqa: ANN401 - any JSON value
        """Return the value here, and move behind it.

        Raises:
            ValueError: it can't be read.
            RecursionError: it is nested far too deep, and the reader is strict.
        """
        begin = self.at
        self._noticing.odd = False
        try:
            value, self.at = self._scan(self.text, begin)
        except RecursionError:
            if self._strict:
                raise
            raise json.JSONDecodeError("Nested too deep", self.text, begin) from None
        if self._noticing.odd or (self.at - begin > _SHALLOW and self._may_be_deep(begin)) or self._has_half(begin):
            self._tell(faults(value, tuple(self.path)))
        return value

    def raw(self) -> tuple[Any, str]:
        """Return the value here and its text, and move behind it."""
        begin = self.at
        value = self.value()
        return value, self.text[begin : self.at]

    def members(self) -> Iterator[str]:
        """Yield the name of each member of the object here, while standing at its value.

        Whoever asks may read the value; else it is passed over.
        """
        seen: dict[str, bool] = {}
        self.path.append("")
        for begin in self._pieces("{", "}"):
            plain = _PLAIN_NAME.match(self.text, begin)
            name, before = (plain[1], plain.end()) if plain else self._name(begin)
            self.path[-1] = name
            if self._strict and (name in seen or not plain):
                self._tell_name(name, seen)
            seen[name] = name in seen
            self.at = before
            yield name
            if self.at == before:
                self.value()
        self.path.pop()

    def elements(self) -> Iterator[int]:
        """Yield the position of each element of the array here, while standing at it, as `members` does."""
        self.path.append(0)
        for position, begin in enumerate(self._pieces("[", "]")):
            self.path[-1] = position
            yield position
            if self.at == begin:
                self.value()
        self.path.pop()

    def finish(self) -> None:
        """Make sure that nothing follows, and that nothing was wrong.

        Raises:
            ValueError: more text follows.
            NotJson: there were mistakes.
        """
        end = self._behind(_BLANKS, self.at)
        if end != len(self.text):
            raise json.JSONDecodeError("Extra data", self.text, end)
        refuse_faults(self.mistakes)

    def _pieces(self, opening: str, closing: str) -> Iterator[int]:
        """Yield where each piece between two brackets begins; by the next step, `at` must be behind it."""
        if self.kind != opening:
            raise json.JSONDecodeError(f"Expecting {opening}", self.text, self.at)
        self.at = self._behind(_BLANKS, self.at + 1)
        mark = closing if self.kind == closing else ","
        if mark == closing:
            self.at += 1
        while mark != closing:
            yield self.at
            found = _BETWEEN.match(self.text, self.at)
            mark = found[1] if found else ""
            if not found or mark not in (closing, ","):
                raise json.JSONDecodeError("Expecting ',' delimiter", self.text, self.at)
            # Blanks behind the last bracket belong to what is around it.
            self.at = found.end(1) if mark == closing else found.end()

    def _name(self, begin: int) -> tuple[str, int]:
        """Return a name that has escapes, and where its value begins."""
        if self.text[begin : begin + 1] != '"':
            raise json.JSONDecodeError("Expecting property name", self.text, begin)
        name, end = scanstring(self.text, begin + 1)
        return str(name), self._behind(_COLON, end)

    def _behind(self, pattern: re.Pattern[str], begin: int) -> int:
        found = pattern.match(self.text, begin)
        if not found:
            raise json.JSONDecodeError("Expecting ':' delimiter", self.text, begin)
        return found.end()

    def _may_be_deep(self, begin: int) -> bool:
        """Tell whether the piece that was read must be looked through; few must, and that is slow."""
        brackets = self.text.count("{", begin, self.at) + self.text.count("[", begin, self.at)
        return self._strict and brackets > _SHALLOW

    def _has_half(self, begin: int) -> bool:
        return self._halves and _HALF.search(self.text, begin, self.at) is not None

    def _tell_name(self, name: str, seen: dict[str, bool]) -> None:
        if seen.get(name) is False:
            self._tell(iter([Mistake("comes twice", pointer(tuple(self.path)))]))
        if not is_text(name):
            self._tell(iter([Mistake("has a name that is not Unicode text", pointer(tuple(self.path[:-1])))]))

    def _tell(self, found: Iterator[Mistake]) -> None:
        self.mistakes += islice(found, MOST_MISTAKES - len(self.mistakes))


def members_of(text: str) -> Iterator[tuple[str, Any, str]]:
    """Yield name, value and text of each member of an answer's object; only what can't be read is refused.

    Raises:
        ValueError: it isn't a JSON object.
    """
    reader = Reader(text, strict=False)
    for name in reader.members():
        yield name, *reader.raw()
    reader.finish()


def elements_of(text: str) -> Iterator[tuple[Any, str]]:
    """Yield value and text of each element of an answer's array, as `members_of` does.

    Raises:
        ValueError: it isn't a JSON array.
    """
    reader = Reader(text, strict=False)
    for _ in reader.elements():
        yield reader.raw()
    reader.finish()
