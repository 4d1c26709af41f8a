"""Read a JSON body piece by piece from its bytes: only a window of its text is ever there.

As text, 20 MB may need 80: Python stores each letter of a text with the width of its widest one.
"""

import json
import re
from collections.abc import Callable
from math import isfinite
from typing import Any

from shared.validation.json_text import Reader

WINDOW = 256 * 1024
_BLANK_BEFORE_COLON = re.compile(r'"[ \t\n\r]+:')
_COLON = re.compile(r'"[ \t\n\r]*:')
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_BLANKS = " \t\n\r"
_LONGEST_HALF = 3
_DEEPEST = 8
_ODD = 1 << 60
"""The number of names of a value that needs a closer look: more than any text has."""


class BodyReader(Reader):
    """A cursor over the JSON text in a body.

    Attributes:
        data: The body.
    """

    def __init__(self, data: bytes, window: int = WINDOW) -> None:
        """Start at the root; `window` is the number of bytes that are decoded at a time.

        Raises:
            UnicodeDecodeError: the body is not UTF-8.
        """
        self.data = data
        self._window = window
        self._base = 0
        """The byte at which the text begins, and that up to which the body is decoded."""
        self._ahead = 0
        self._mark = (0, 0)
        """A position in the text, and its byte."""
        self._has_blanks = False
        """A name so far may have blanks before its colon; as `_halves`, it is not known of one piece."""
        self._scan_plainly: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # missing in the stubs
        _check_encoding(data, window)
        super().__init__("")

    def glance(self) -> tuple[dict[str, Any], int]:
        """Return the current value and its end, and don't move.

        Returns:
            An object without faults; an empty one if it is none, is empty, or needs a closer look, by `value` or
            `members`.
        """
        at = self.at
        while True:
            try:
                value, end = self._scan_plainly(self.text, at)
            except (ValueError, StopIteration):
                if not self._grow():
                    return {}, at
            except RecursionError:
                return {}, at
            else:
                break
        if type(value) is not dict or (self._halves and _HALF.search(self.text, at, end)):
            return {}, at
        names = len(_COLON.findall(self.text, at, end)) if self._has_blanks else self.text.count('":', at, end)
        # A string with such characters counts as a name as well, so a name that comes twice can't hide behind it.
        return (value, end) if names == _names_in(value, 0) else ({}, at)

    def span_of(self, name: str, end: int, *, is_last: bool) -> tuple[int, int] | None:
        """Return the bytes of a member of the current object, which `glance` returned.

        No object that comes before it in that object may have a member of the same name.

        Args:
            name: The member's name.
            end: Where the object ends.
            is_last: Whether it is the last member.

        Returns:
            None if it needs a closer look, because a text before it has an escape.
        """
        text, named = self.text, f'"{name}"'
        if self._has_blanks:
            found = re.compile(named + r"[ \t\n\r]*:").search(text, self.at, end)
            at, begin = found.span() if found else (-1, -1)
        else:
            at = text.find(f"{named}:", self.at, end)
            begin = at + len(named) + 1
        if at < 0 or text.find("\\", self.at, at) >= 0:
            return None
        while text[begin] in _BLANKS:
            begin += 1
        if is_last:
            end -= 1
            while text[end - 1] in _BLANKS:
                end -= 1
        else:
            end = self._scan_plainly(text, begin)[1]
        return self._byte_at(begin), self._byte_at(end)

    def spanned(self) -> tuple[Any, int, int]:
        """Return the current value and its bytes, and move to its end."""
        begin = self._byte_at(self.at)
        value = self.value()
        return value, begin, self._byte_at(self.at)

    def pass_over(self, end: int) -> None:
        """Move to the end of the current value, which `glance` returned."""
        self.at, self._is_unread = end, False

    def _grow(self) -> bool:
        if self._ahead == len(self.data):
            return False
        end = _character_end(self.data, self._ahead + max(self._window, len(self.text) - self.at))
        # What begins in the text so far may end in what follows.
        begin = max(min(self.text.rfind('"'), len(self.text) - _LONGEST_HALF), 0)
        self.text, self._ahead = self.text + self.data[self._ahead : end].decode(), end
        self._halves = self._halves or self.text.find("\\ud", begin) >= 0 or self.text.find("\\uD", begin) >= 0
        self._has_blanks = self._has_blanks or _BLANK_BEFORE_COLON.search(self.text, begin) is not None
        return True

    def _byte_at(self, position: int) -> int:
        """Return the byte at which a position of the text is."""
        if self.text.isascii():
            return self._base + position
        at, byte = self._mark if self._mark[0] <= position else (0, self._base)
        self._mark = (position, byte + len(self.text[at:position].encode()))
        return self._mark[1]

    def _slide(self) -> None:
        if self.at > self._window:
            self._base = self._byte_at(self.at)
            self.text, self.at, self._mark = self.text[self.at :], 0, (0, self._base)

    def _error(self, detail: str, at: int) -> json.JSONDecodeError:
        error, byte = super()._error(detail, at), self._byte_at(at)
        begin = self.data.rfind(b"\n", 0, byte) + 1
        error.lineno, error.colno = self.data.count(b"\n", 0, byte) + 1, len(self.data[begin:byte].decode()) + 1
        return error


def _check_encoding(data: bytes, window: int) -> None:
    """Raise UnicodeDecodeError unless the data is UTF-8; its `start` is right, the reason may not be."""
    begin = len(data) if data.isascii() else 0
    while begin < len(data):
        end = _character_end(data, begin + window)
        try:
            data[begin:end].decode()
        except UnicodeDecodeError as error:
            raise UnicodeDecodeError("utf-8", data, begin + error.start, begin + error.end, error.reason) from None
        begin = end


def _character_end(data: bytes, end: int) -> int:
    """Return the next place from a byte on that is not within a character of UTF-8."""
    longest = 3
    for at in range(min(end, len(data)), min(end + longest, len(data))):
        if data[at] & 0xC0 != 0x80:  # noqa: PLR2004 - the mark of a byte that begins no character
            return at
    return min(end + longest, len(data))


def _names_in(value: dict[str, Any] | list[Any], depth: int) -> int:
    """Return how many names an object or array has at all levels; `_ODD` if it is deep, or has what is no number."""
    if depth > _DEEPEST:
        return _ODD
    count, inside = (len(value), value.values()) if isinstance(value, dict) else (0, value)
    for one in inside:
        kind = type(one)
        if kind is str or kind is int:
            continue
        if kind is float:
            if not isfinite(one):
                return _ODD
        elif kind is dict or kind is list:
            count += _names_in(one, depth + 1)
    return count
