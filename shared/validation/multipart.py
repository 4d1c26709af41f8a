"""Read a multipart message (RFC 2046, 5.1): its parts, and the headers and the content of each.

It works on bytes, because a content must stay as it was received. A line may also end with LF alone, as some clients
write it. Each search continues where the last one ended, so the time is linear.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_PARAMETER = re.compile(r';[ \t]*([^\s=;"]+)[ \t]*=[ \t]*(?:"([^"]*)"|([^;\s"]+))')
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class Malformed(ValueError):  # noqa: N818 - named like the problems
    """A text that can't be read.

    Attributes:
        detail: What is wrong.
        line: The line where it is wrong, from 1.
    """

    def __init__(self, detail: str, line: int) -> None:
        super().__init__(f"{detail} (line {line})")
        self.detail = detail
        self.line = line


@dataclass(frozen=True, slots=True)
class Headed:
    """Headers and the content after them.

    Attributes:
        headers: As written.
        lower: By their names in lower case.
        content: The bytes after the empty line.
        line: The line in which the content begins.
    """

    headers: dict[str, str]
    lower: dict[str, str]
    content: bytes
    line: int

    @property
    def media_type(self) -> str:
        """Return the media type, in lower case and without parameters."""
        return self.lower.get("content-type", "").partition(";")[0].strip().lower()


def boundary_of(content_type: str) -> bytes:
    """Return the boundary that a Content-Type names.

    Raises:
        ValueError: it names none that is valid.
    """
    for name, quoted, plain in _PARAMETER.findall(content_type):
        if name.lower() == "boundary":
            if not _BOUNDARY.fullmatch(quoted or plain):
                raise ValueError("has a boundary that is not 1 to 70 of the characters that RFC 2046 allows")
            return str(quoted or plain).encode()
    raise ValueError("has no parameter boundary")


def split(data: bytes, boundary: bytes, line: int) -> Iterator[tuple[bytes, int]]:
    """Yield the bytes of each part, and the line in which it begins.

    Args:
        data: The whole text, with what is before the first and after the last boundary.
        boundary: The boundary.
        line: The line in which the text begins.

    Raises:
        Malformed: the last boundary is missing.
    """
    begin, counted = -1, 0
    for at, after, is_last in _delimiters(data, b"--" + boundary):
        line += data.count(b"\n", counted, at)
        if begin >= 0:
            yield data[begin : _line_end(data, begin, at)], line - data.count(b"\n", begin, at)
        if is_last:
            return
        begin, counted = after, at
    text = "ends before the last boundary, which has -- at its end" if begin >= 0 else "has no line with its boundary"
    raise Malformed(text, line + data.count(b"\n", counted))


def _delimiters(data: bytes, mark: bytes) -> Iterator[tuple[int, int, bool]]:
    """Yield where each boundary line begins and ends, and whether it is the last one."""
    at = data.find(mark)
    while at >= 0:
        after = at + len(mark)
        if at == 0 or data[at - 1 : at] == b"\n":
            end = data.find(b"\n", after)
            end = len(data) if end < 0 else end
            rest = data[after:end].strip(b" \t\r")
            after = end
            if rest in (b"", b"--"):
                yield at, min(end + 1, len(data)), rest == b"--"
        at = data.find(mark, after)


def _line_end(data: bytes, begin: int, at: int) -> int:
    """Return where a content ends: the line break before a boundary belongs to the boundary."""
    end = at - 1 if at > begin and data[at - 1 : at] == b"\n" else at
    return end - 1 if end > begin and data[end - 1 : end] == b"\r" else end


def headed(data: bytes, line: int) -> Headed:
    """Return the headers at the beginning of a text, and the content after them.

    Raises:
        Malformed: a line is not a header, or a header is repeated.
    """
    found: dict[str, list[str]] = {}
    lower: dict[str, str] = {}
    at, values = 0, list[str]()
    while at < len(data):
        end = data.find(b"\n", at)
        end = len(data) if end < 0 else end
        text, at = data[at:end].removesuffix(b"\r"), end + 1
        if not text:
            line += 1
            break
        if text[:1] in (b" ", b"\t"):
            if not lower:
                raise Malformed("begins with a blank, so its first line is not a header", line)
            values.append(_decoded(text, line))
        else:
            name, values = _header(text, line)
            if name.lower() in lower:
                raise Malformed(f"repeats the header {name}", line)
            found[name], lower[name.lower()] = values, name
        line += 1
    headers = {name: " ".join(values) for name, values in found.items()}
    return Headed(headers, {name: headers[written] for name, written in lower.items()}, data[at:], line)


def _header(text: bytes, line: int) -> tuple[str, list[str]]:
    name, colon, value = text.partition(b":")
    if not colon or not _NAME.fullmatch(name):
        raise Malformed("has a line that is not a header", line)
    return name.decode(), [_decoded(value, line)]


def _decoded(value: bytes, line: int) -> str:
    try:
        return value.strip(b" \t").decode()
    except UnicodeDecodeError:
        raise Malformed("has a header that is not UTF-8", line) from None
