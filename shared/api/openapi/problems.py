"""The problems of a function, by status."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from pydantic import Field

from shared.access.roles import NEEDS
from shared.api.openapi.headers import references
from shared.core.problem_body import ProblemBody
from shared.core.problems import (
    PREFIX,
    Expired,
    HeaderNotValid,
    ItemProblem,
    KeyNotValid,
    KeyReused,
    NotReady,
    NotValid,
    Problem,
    RoleMissing,
    catalogue,
)
from shared.policy.rules import Rule
from shared.validation.described import Described
from shared.validation.functions import HttpFunction


class ProblemAnswer(ProblemBody):
    """A problem (RFC 9457, application/problem+json); `docs/problems.md` has all types."""

    wouldAllow: Rule | None = Field(  # noqa: N815 - as callers see it
        default=None, description="The rule that would allow an item that the policy does not allow."
    )


ALWAYS: tuple[type[Problem], ...] = (HeaderNotValid, NotValid, NotReady)
"""What each function may answer."""
OF_RUNS: tuple[type[Problem], ...] = (KeyNotValid, KeyReused, Expired, ItemProblem)
"""What a function may answer that starts runs."""
MEDIA_TYPE = "application/problem+json"
_PLATFORM = {"description": "No function key, or a wrong one. It comes from the platform, without a body."}


def problems_of(described: Described, function: str) -> list[type[Problem]]:
    """Return the problems that a function may answer, in the order of the catalogue."""
    of_role = (RoleMissing,) if NEEDS[function].role else ()
    kinds = (*ALWAYS, *of_role, *described.problems, *(OF_RUNS if described.starts_run else ()))
    return [kind for kind in catalogue().values() if issubclass(kind, kinds)]


def responses(described: Described, function: HttpFunction) -> dict[str, Any]:
    """Return the responses of a function that are problems, by status."""
    found: dict[str, Any] = {"401": _PLATFORM} if function.level != "ANONYMOUS" else {}
    kinds = sorted(problems_of(described, function.name), key=lambda kind: kind.status)
    for status, some in groupby(kinds, key=lambda kind: kind.status):
        found[str(status)] = _response(list(some), described)
    return found


def _response(kinds: list[type[Problem]], described: Described) -> Mapping[str, Any]:
    types = [PREFIX + kind.slug for kind in kinds]
    own = {"properties": {"type": {"enum": types}, "status": {"const": kinds[0].status}}}
    schema = {"allOf": [{"$ref": f"#/components/schemas/{ProblemAnswer.__name__}"}, own]}
    lines = [f"- `{kind.slug}`: {kind.title}." for kind in kinds]
    return {
        "description": "\n".join(lines),
        "headers": references(*_headers(kinds, described)),
        "content": {MEDIA_TYPE: {"schema": schema}},
    }


def _headers(kinds: Iterable[type[Problem]], described: Described) -> list[str]:
    is_not_ready = NotReady in kinds
    more = ("Preference-Applied", "Nightshift-Replayed", "Nightshift-Outcome", "Nightshift-Ignored")
    return [
        "Nightshift-Run",
        *(["Retry-After"] if is_not_ready else []),
        *(more if described.starts_run else ()),
        *described.error_headers,
    ]
