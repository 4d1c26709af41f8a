"""Read a request body as strict JSON."""

import codecs
import json
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Never

from shared.core.problems import BodyMissing, LengthRequired, Mistake, NotJson, TooLarge, WrongMediaType
from shared.core.settings import app_settings
from shared.validation.models import Path, pointer, refuse_faults
from shared.validation.request import Call

DEEPEST = 64


class Doubled(dict[str, Any]):
    """A JSON object with duplicate names; `doubles` lists them."""

    doubles: tuple[str, ...] = ()


class NotFinite:
    """NaN or an infinity, which JSON does not have (RFC 8259, section 6)."""


def as_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a dict from the members of a JSON object, or a `Doubled` if a name is not unique."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    counted = Counter(name for name, _ in pairs)
    doubled = Doubled(found)
    doubled.doubles = tuple(name for name, times in counted.items() if times > 1)
    return doubled


def _not_finite(_: str) -> NotFinite:
    return NotFinite()


def _own_faults(value: object) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the faults of one value, without those of its members or elements."""
    if isinstance(value, Doubled):
        yield from (((name,), "is a duplicate name") for name in value.doubles)
    if isinstance(value, dict):
        yield from (((), "has a name that is not Unicode text") for name in value if not is_text(name))
    elif isinstance(value, NotFinite) or (isinstance(value, float) and math.isinf(value)):
        yield (), "is not a finite number"
    elif isinstance(value, str) and not is_text(value):
        yield (), "is not Unicode text (half of a surrogate pair)"


def is_text(value: str) -> bool:
    """Return whether a string is Unicode text, without halves of surrogate pairs."""
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def _children(value: object) -> Iterator[tuple[str | int, object]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def faults(value: object, at: Path = ()) -> Iterator[Mistake]:
    """Yield the faults of a value at this path: everything that strict JSON does not allow.

    The walk does not recurse, so that a deep value is a mistake and no `RecursionError`.
    """
    waiting: list[tuple[Path, object]] = [(at, value)]
    while waiting:
        path, here = waiting.pop()
        if len(path) > DEEPEST:
            yield Mistake(f"is nested more than {DEEPEST} deep", pointer(path))
            continue
        yield from (Mistake(text, pointer((*path, *more))) for more, text in _own_faults(here))
        waiting.extend(((*path, name), child) for name, child in _children(here))


def _unreadable(detail: str) -> Never:
    raise NotJson(detail, mistakes=(Mistake(detail, ""),))


@contextmanager
def readable() -> Iterator[None]:
    """Turn the errors of a JSON decoder into a problem.

    Raises:
        NotJson: the body is not UTF-8 or not JSON.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        _unreadable(f"The body is not UTF-8 at byte {error.start}.")
    except json.JSONDecodeError as error:
        _unreadable(f"The body is not JSON at line {error.lineno}, column {error.colno}.")
    except RecursionError:
        _unreadable("The body is nested too deeply.")
    except ValueError:
        _unreadable("The body has a number with too many digits.")


def parse(body: bytes) -> object:
    """Return the JSON value in `body`.

    Raises:
        NotJson: it is not UTF-8 or JSON, a name is not unique, a number is not finite, or the value is nested more than
            64 deep.
    """
    with readable():
        value: object = json.loads(body.decode(), object_pairs_hook=as_object, parse_constant=_not_finite)
    refuse_faults(faults(value))
    return value


def read_json(call: Call, *, any_json: bool = False) -> object:
    """Return the JSON value of a request body; `any_json` also accepts media types such as `application/x+json`.

    Raises:
        LengthRequired, BodyMissing, TooLarge, WrongMediaType, NotJson: the body is refused.
    """
    return parse(json_body(call, any_json=any_json))


def json_body(call: Call, *, any_json: bool = False, undeclared: bool = False) -> bytes:
    """Return the bytes of a request body that is declared as JSON; with `undeclared`, also without a Content-Type.

    Raises:
        LengthRequired, BodyMissing, TooLarge, WrongMediaType: the body is refused.
    """
    body, media_type = plain_body(call), media_type_of(call)
    taken = (any_json and media_type.endswith("+json")) or (undeclared and not media_type)
    if media_type != "application/json" and not taken:
        raise WrongMediaType("The Content-Type must be application/json.")
    # It may be ignored (RFC 8259, 8.1), and some clients of Windows write it.
    return body.removeprefix(codecs.BOM_UTF8)


def media_type_of(call: Call) -> str:
    """Return the media type of a request body, in lower case and without parameters."""
    return call.headers.get("content-type", "").partition(";")[0].strip().lower()


def plain_body(call: Call) -> bytes:
    """Return the bytes of a request body of any media type.

    Raises:
        LengthRequired, BodyMissing, TooLarge, WrongMediaType: it is missing, too large, or encoded.
    """
    if not call.body and "transfer-encoding" in call.headers:
        raise LengthRequired("The body is chunked; the Functions host passes it on as an empty body.")
    if not call.body:
        raise BodyMissing("The request has no body.")
    largest = app_settings().max_body
    if len(call.body) > largest:
        raise TooLarge(f"The body has {len(call.body)} bytes; {largest} are allowed.")
    encoding = call.headers.get("content-encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise WrongMediaType(f"The Content-Encoding {encoding[:20]} is not read; send the body without it.")
    return call.body
