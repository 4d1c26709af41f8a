"""What a function takes and returns, as `openapi` describes it: one row for each function.

The rows of a system are in its package (`described.py`), the others in `shared/api/openapi/functions.py`. Route,
methods, level and summary are not in a row: they come from the registered function.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel

from shared.core.problems import (
    BodyMissing,
    Failed,
    ItemNotFound,
    LengthRequired,
    NotJson,
    Problem,
    RefusedBySystem,
    TargetOff,
    TooLarge,
    UnknownTarget,
    WrongMediaType,
)

type Schema = type[BaseModel] | Mapping[str, Any]
"""A model, or a JSON Schema (2020-12) in which models may stand in place of schemas."""
JSON, MULTIPART = "application/json", "multipart/mixed"
BODY: tuple[type[Problem], ...] = (BodyMissing, NotJson, LengthRequired, TooLarge, WrongMediaType)
"""The problems of a function that reads a body."""
TARGET: tuple[type[Problem], ...] = (UnknownTarget, TargetOff)
"""The problems of a function whose call may name a target."""
SHOWN: tuple[type[Problem], ...] = (*TARGET, ItemNotFound, RefusedBySystem, Failed)
"""The problems of a function that reads a system."""


@dataclass(frozen=True)
class Parameter:
    """A parameter of a request.

    Attributes:
        name: Its name.
        description: What it means.
        schema: Its JSON Schema.
        place: Where it stands.
        required: Whether a request without it is refused; parameters of the path always are.
    """

    name: str
    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    place: Literal["query", "header", "path"] = "query"
    required: bool = False


NAMED_TARGET = Parameter(
    "Nightshift-Target",
    "The name of the target; without it, the only target of the system.",
    place="header",
)
TARGET_IN_QUERY = Parameter("target", "The name of the target, as the header Nightshift-Target.")


@dataclass(frozen=True)
class Answer:
    """One answer that is no problem.

    Attributes:
        description: What it means.
        schema: Its body; None if it has none.
        status: Its HTTP status.
        media_types: The media types of its body.
        headers: The names of its headers, besides `Nightshift-Run` and those of runs.
    """

    description: str
    schema: Schema | None
    status: int = 200
    media_types: tuple[str, ...] = (JSON,)
    headers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Described:
    """What one function takes and returns.

    Attributes:
        tag: The group of functions that it belongs to; of a system, its name.
        answers: Its answers, without problems and without those of runs.
        problems: Its problems; a class stands for all below it. All functions have those of a request that can't be
            read, and `not-ready`.
        body: Its request body; None if it takes none.
        body_types: The media types of the body.
        body_required: Whether a request without a body is refused.
        parameters: Parameters of the query, and headers, besides those of runs.
        path: Descriptions of the parameters of the path.
        starts_run: It starts a run: it may answer 202, and takes the headers `Prefer` and `Idempotency-Key`.
        shows_run: Its answer may be the run, as for a list or a dry run.
        paths: The paths in place of the route, where that ends in a parameter that takes all the rest: by what is added
            to the function's name to make an operationId.
        error_headers: The names of headers that only its problems have.
        without_token: It needs no token of Entra where sign-in is on.
    """

    tag: str
    answers: tuple[Answer, ...] = ()
    problems: tuple[type[Problem], ...] = ()
    body: Schema | None = None
    body_types: tuple[str, ...] = (JSON,)
    body_required: bool = True
    parameters: tuple[Parameter, ...] = ()
    path: Mapping[str, str] = field(default_factory=dict)
    starts_run: bool = False
    shows_run: bool = False
    paths: Mapping[str, str] = field(default_factory=dict)
    error_headers: tuple[str, ...] = ()
    without_token: bool = False
