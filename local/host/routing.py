"""Routes, matched as Azure matches them; pure functions over text."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from local.host.errors import HostError

_ENCODED_SLASH = re.compile("(%2f)", re.IGNORECASE)
_SEGMENT = re.compile(r"\{(?P<rest>\*{0,2})(?P<name>\w+)\}|(?P<literal>[^{}]*)")


class BadPathError(ValueError):
    """The server itself refuses this path."""


@dataclass(frozen=True)
class Segment:
    """One piece of a route between slashes: a literal text, a parameter, or a parameter that takes all the rest."""

    text: str
    parameter: bool = False
    rest: bool = False


@dataclass(frozen=True)
class Route:
    """A function's route and methods (none: all)."""

    segments: tuple[Segment, ...]
    methods: tuple[str, ...] | None

    def match(self, method: str, path: Sequence[str]) -> dict[str, str] | None:
        """Return the route parameters if `method` and the segments of the path match, else nothing."""
        if self.methods is not None and method not in self.methods:
            return None
        return _match(self.segments, path)


def parse_route(function: str, template: str, methods: tuple[str, ...] | None) -> Route:
    """Read a route as it is written in the app.

    Raises:
        HostError: The route uses constraints, defaults or mixed segments.
    """
    pieces = [piece for piece in template.strip("/").split("/") if piece]
    return Route(tuple(_segment(function, template, piece) for piece in pieces), methods)


def decode_path(raw: bytes) -> str:
    """Return the path as the server hands it on: decoded once except %2F, with `.` and `..` resolved.

    Raises:
        BadPathError: The path holds a zero character.
    """
    segments = [_decode(segment) for segment in raw.decode("latin-1").split("/")[1:]]
    if any("\0" in segment for segment in segments):
        raise BadPathError("a path can't hold a zero character")
    return "/" + "/".join(_resolve(segments))


def split_path(path: str, prefix: str) -> list[str] | None:
    """Return the segments of `path` after the route prefix, or nothing if it doesn't begin with that."""
    segments = path.split("/")[1:]
    expected = [piece.casefold() for piece in prefix.split("/") if piece]
    if [segment.casefold() for segment in segments[: len(expected)]] != expected:
        return None
    return segments[len(expected) :]


def _segment(function: str, template: str, piece: str) -> Segment:
    match = _SEGMENT.fullmatch(piece)
    if match is None:
        raise HostError(f"The function {function!r} has the route {template!r}; this host does not know {piece!r}.")
    if match["name"] is None:
        return Segment(piece.casefold())
    return Segment(match["name"], parameter=True, rest=bool(match["rest"]))


def _match(route: Sequence[Segment], path: Sequence[str]) -> dict[str, str] | None:
    values: dict[str, str] = {}
    for index, segment in enumerate(route):
        if segment.rest:
            return values | _rest(segment.text, path[index:])
        if index >= len(path) or not _takes(segment, path[index]):
            return None
        if segment.parameter:
            values[segment.text] = path[index]
    # One slash at the end is ignored: it leaves one empty segment.
    return values if list(path[len(route) :]) in ([], [""]) else None


def _takes(segment: Segment, text: str) -> bool:
    return bool(text) if segment.parameter else text.casefold() == segment.text


def _rest(name: str, path: Sequence[str]) -> dict[str, str]:
    text = "/".join(path)
    return {name: text} if text else {}


def _decode(segment: str) -> str:
    pieces = _ENCODED_SLASH.split(segment)
    return "".join(piece if _ENCODED_SLASH.fullmatch(piece) else _decode_piece(piece) for piece in pieces)


def _decode_piece(piece: str) -> str:
    try:
        return unquote_to_bytes(piece.encode("latin-1")).decode("utf-8")
    except UnicodeDecodeError:
        # What is not UTF-8 stays as it was written.
        return piece


def _resolve(segments: Sequence[str]) -> list[str]:
    resolved: list[str] = []
    for index, segment in enumerate(segments):
        if segment == "..":
            del resolved[-1:]
        elif segment != ".":
            resolved.append(segment)
        if segment in {".", ".."} and index == len(segments) - 1:
            resolved.append("")
    return resolved
