"""The OpenAPI document as a whole."""

from collections.abc import Iterable
from typing import Any

from shared import __version__
from shared.api.openapi.functions import described
from shared.api.openapi.headers import COMPONENTS
from shared.api.openapi.operations import operation, paths_of, schemas_of
from shared.api.openapi.problems import ProblemAnswer
from shared.api.openapi.schemas import Schemas
from shared.api.openapi.sharing import shared_responses
from shared.validation.described import Described
from shared.validation.functions import HttpFunction

_INFO = {
    "title": "Nightshift",
    "summary": "Azure Functions that look after batch work in five business systems.",
    "description": "Every answer of a run names it in the header `Nightshift-Run`. Every answer that is not a success "
    "is a problem (RFC 9457) that says in `next` what to do.",
    "version": __version__,
    "license": {"name": "MIT", "identifier": "MIT"},
}
_SECURITY = {
    "functionKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-functions-key",
        "description": "A function key of the app.",
    },
    "functionKeyInQuery": {
        "type": "apiKey",
        "in": "query",
        "name": "code",
        "description": "A key of this function alone, for systems that send no headers.",
    },
    "ticket": {
        "type": "apiKey",
        "in": "query",
        "name": "ticket",
        "description": "The ticket of one run, as it is in its Location.",
    },
}
_ENTRA = {
    "entra": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "A token of Microsoft Entra, because sign-in is on.",
    }
}
_OWN_TAGS = {
    "runs": "What was started, and how it ends.",
    "state": "What is wrong, and what needs a person.",
    "control": "The policy, and the stop switches.",
}


def document(functions: Iterable[HttpFunction], url: str, *, signed_in: bool) -> dict[str, Any]:
    """Return the document of some functions.

    Args:
        functions: The functions.
        url: The public URL of the app.
        signed_in: Callers need a token of Entra.

    Raises:
        KeyError: a function has no row.
    """
    rows = [(function, described()[function.name]) for function in functions]
    schemas = Schemas()
    schemas.add(ProblemAnswer, "answer")
    for function, row in rows:
        for schema, use in schemas_of(function.name, row):
            schemas.add(schema, use)
    schemas.build()
    paths: dict[str, dict[str, Any]] = {}
    for function, row in rows:
        for path, method, name in paths_of(function, row):
            paths.setdefault(path, {})[method] = operation(
                function, row, schemas, path, method, name, signed_in=signed_in
            )
    paths = dict(sorted(paths.items()))
    responses = shared_responses(paths)
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "servers": [{"url": f"{url}/api"}],
        "tags": [{"name": name, "description": _OWN_TAGS.get(name, f"Functions for {name}.")} for name in _tags(rows)],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.components.items())),
            "responses": responses,
            "headers": COMPONENTS,
            "securitySchemes": {**_SECURITY, **(_ENTRA if signed_in else {})},
        },
    }


def _tags(rows: Iterable[tuple[HttpFunction, Described]]) -> Iterable[str]:
    return dict.fromkeys(row.tag for _, row in rows)
