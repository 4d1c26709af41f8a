"""A request becomes a model, or a problem.

What people write is read strictly: every member must be known and right, and every mistake is told at once, with a JSON
Pointer (RFC 6901).
"""

import json
import math
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Never

import azure.functions as func
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from shared.answers import Answer
from shared.problems import (
    MOST_MISTAKES,
    BodyMissing,
    KeyNotValid,
    LengthRequired,
    Mistake,
    NotJson,
    NotReady,
    NotValid,
    Problem,
    TooLarge,
    WrongMediaType,
)
from shared.settings import app_settings

DEEPEST = 64
LONGEST_WAIT = 100


class Strict(BaseModel):
    """What callers write: unknown members and values of another type are mistakes."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


def _int64(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,19}", value):
        return int(value)
    return value


Int64Id = Annotated[
    int,
    BeforeValidator(_int64),
    Field(
        gt=0, lt=2**63, description="An Edm.Int64 above 0; a string of digits is accepted (IEEE754Compatible clients)."
    ),
]


@dataclass(frozen=True)
class Call:
    """One HTTP request, as the functions need it. Header names are in lower case."""

    method: str
    function: str
    url: str
    headers: Mapping[str, str]
    params: Mapping[str, str]
    route_params: Mapping[str, str]
    body: bytes

    @classmethod
    def of(cls, request: func.HttpRequest, function: str) -> "Call":
        """Return what `function` was called with."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        return cls(
            request.method.upper(),
            function,
            request.url,
            headers,
            dict(request.params),
            dict(request.route_params),
            request.get_body(),
        )

    @property
    def preference(self) -> "Preference":
        """Return what `Prefer` asks for (RFC 7240)."""
        return Preference.read(self.headers.get("prefer", ""))

    @property
    def idempotency_key(self) -> str | None:
        """Return the Idempotency-Key, without its quotes.

        Raises:
            KeyNotValid: it is empty, too long, or not visible ASCII.
        """
        sent = self.headers.get("idempotency-key")
        if sent is None:
            return None
        quoted = re.fullmatch(r'"(.*)"', sent.strip())
        key = quoted[1] if quoted else sent.strip()
        if not re.fullmatch(r"[\x21-\x7e]{1,255}", key) or '"' in key:
            raise KeyNotValid("The header Idempotency-Key is empty, too long or not visible ASCII.")
        return key


@dataclass(frozen=True)
class Preference:
    """What `Prefer` asks for (RFC 7240); what can't be read is ignored, as its section 2 wants."""

    wait: int | None = None
    respond_async: bool = False
    strict: bool = False

    @classmethod
    def read(cls, header: str) -> "Preference":
        """Return the preferences in `header`; `wait` is in seconds, at most 100."""
        found = preferences(header)
        wait = found.get("wait", "")
        seconds = min(int(wait), LONGEST_WAIT) if re.fullmatch(r"[0-9]{1,9}", wait) else None
        return cls(seconds, "respond-async" in found, found.get("handling") == "strict")

    @property
    def applied(self) -> str:
        """Return what of it was applied (RFC 7240, section 3)."""
        waits = "" if self.wait is None else f"wait={self.wait}"
        parts = ("respond-async" if self.respond_async else waits, "handling=strict" if self.strict else "")
        return ", ".join(part for part in parts if part)


def preferences(header: str) -> dict[str, str]:
    """Return what `Prefer` names, in lower case, with its values; the first one of a name counts (RFC 7240, 2)."""
    found: dict[str, str] = {}
    for part in re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*(?:"|\\?\Z))+', header):
        name, _, value = part.partition(";")[0].partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found


Path = tuple[str | int, ...]
"""Where a value stands in a body: names of members, and positions of elements."""


class Mistakes:
    """The mistakes of one request: a hundred are kept to be told, all are counted."""

    def __init__(self) -> None:
        self.told: list[Mistake] = []
        self.count = 0

    def add(self, mistake: Mistake) -> None:
        """Count one more mistake."""
        self.count += 1
        if len(self.told) < MOST_MISTAKES:
            self.told.append(mistake)

    def at(self, path: Path, detail: str) -> None:
        """Count a mistake of the body."""
        self.add(Mistake(detail, pointer(path)))

    def refuse(self) -> None:
        """Refuse the request if there are any.

        Raises:
            NotValid: with the mistakes that are told.
        """
        if self.count:
            counted = "1 mistake" if self.count == 1 else f"{self.count} mistakes"
            raise NotValid(f"The request has {counted}.", mistakes=tuple(self.told))


class Doubled(dict[str, Any]):
    """A JSON object that remembers which names came twice."""

    doubles: tuple[str, ...] = ()


class NotFinite:
    """NaN or an infinity, which JSON doesn't have (RFC 8259, section 6)."""


def as_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object as a dict, or as `Doubled` if a name comes twice."""
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    counted = Counter(name for name, _ in pairs)
    doubled = Doubled(found)
    doubled.doubles = tuple(name for name, times in counted.items() if times > 1)
    return doubled


def _not_finite(_: str) -> NotFinite:
    return NotFinite()


def pointer(path: Path) -> str:
    """Return `path` as a JSON Pointer (RFC 6901); what isn't Unicode text in a name becomes `?`."""
    told = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
    return told.encode(errors="replace").decode()


def _own_faults(value: object) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield what is wrong with one value itself, apart from what it holds."""
    if isinstance(value, Doubled):
        yield from (((name,), "comes twice") for name in value.doubles)
    if isinstance(value, dict):
        yield from (((), "has a name that is not Unicode text") for name in value if not is_text(name))
    elif isinstance(value, NotFinite) or (isinstance(value, float) and math.isinf(value)):
        yield (), "is not a finite number"
    elif isinstance(value, str) and not is_text(value):
        yield (), "is not Unicode text (half of a surrogate pair)"


def is_text(value: str) -> bool:
    """Tell whether a string is Unicode text, without halves of surrogate pairs."""
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def _children(value: object) -> Iterator[tuple[str | int, object]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def faults(value: object, at: Path = ()) -> Iterator[Mistake]:
    """Yield what JSON does not allow in a value that stands there.

    The walk is without recursion, so that depth is a mistake and not an accident.
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
    """Turn what reading a body as JSON raises into a problem.

    Raises:
        NotJson: the body isn't UTF-8 or JSON.
    """
    try:
        yield
    except UnicodeDecodeError as error:
        _unreadable(f"The body is not UTF-8 at byte {error.start}.")
    except json.JSONDecodeError as error:
        _unreadable(f"The body is not JSON at line {error.lineno}, column {error.colno}.")
    except RecursionError:
        _unreadable("The body is nested too deep.")
    except ValueError:
        _unreadable("The body has a number with too many digits.")


def refuse_faults(found: Iterable[Mistake]) -> None:
    """Refuse a body that has faults, of which the first 100 are told.

    Raises:
        NotJson: it has.
    """
    mistakes = tuple(mistake for mistake, _ in zip(found, range(MOST_MISTAKES), strict=False))
    if mistakes:
        raise NotJson(f"The body has {len(mistakes)} mistakes that JSON does not allow.", mistakes=mistakes)


def parse(body: bytes) -> object:
    """Return the JSON value in `body`.

    Raises:
        NotJson: it isn't UTF-8 or JSON, a name comes twice, a number isn't finite, or it is nested too deep.
    """
    with readable():
        value: object = json.loads(body.decode(), object_pairs_hook=as_object, parse_constant=_not_finite)
    refuse_faults(faults(value))
    return value


def read_json(call: Call, *, any_json: bool = False) -> object:
    """Return the JSON value of a request's body; `any_json` lets media types such as `application/x+json` pass.

    Raises:
        LengthRequired, BodyMissing, TooLarge, WrongMediaType, NotJson: as their names say.
    """
    return parse(json_body(call, any_json=any_json))


def json_body(call: Call, *, any_json: bool = False) -> bytes:
    """Return a request's body that is declared as JSON, unread.

    Raises:
        LengthRequired, BodyMissing, TooLarge, WrongMediaType: as their names say.
    """
    if not call.body and "transfer-encoding" in call.headers:
        raise LengthRequired("The body came in chunks, which the Functions host passes on as an empty body.")
    if not call.body:
        raise BodyMissing("The request has no body.")
    largest = app_settings().max_body
    if len(call.body) > largest:
        raise TooLarge(f"The body has {len(call.body)} bytes; {largest} are allowed.")
    media_type = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not (any_json and media_type.endswith("+json")):
        raise WrongMediaType("The Content-Type must be application/json.")
    return call.body


def checked[Model: BaseModel](kind: type[Model], value: object, at: Path = ()) -> Model:
    """Return `value`, which stands there in the body, as a model.

    Raises:
        NotValid: with up to 100 mistakes, each with its pointer.
    """
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise NotValid.of(*(Mistake(one["msg"], pointer((*at, *one["loc"]))) for one in found)) from None


async def served(
    request: func.HttpRequest, function: str, work: Callable[[Call], Awaitable[Answer]]
) -> func.HttpResponse:
    """Answer a request by `work`, or by the problem that it raises."""
    try:
        answer = await work(Call.of(request, function))
    except Problem as problem:
        retry = {"Retry-After": "10"} if isinstance(problem, NotReady) else {}
        answer = problem.answer().with_headers(retry)
    return _response(answer)


def _response(answer: Answer) -> func.HttpResponse:
    return func.HttpResponse(
        answer.body, status_code=answer.status, headers=dict(answer.headers), mimetype=answer.content_type
    )
