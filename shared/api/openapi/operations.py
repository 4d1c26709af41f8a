"""One operation of the document, from a function and its row."""

import re
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from shared.api.openapi import examples, problems
from shared.api.openapi.functions import ADDED
from shared.api.openapi.headers import OF_RUNS, references
from shared.api.openapi.schemas import Schemas, Use
from shared.reports.responses import Accepted
from shared.runs.report import Run
from shared.validation.described import NAMED_TARGET, Answer, Described, Parameter, Schema
from shared.validation.functions import HttpFunction

_ACCEPTED = Answer("The run is under way.", Accepted, 202, headers=("Location", "Retry-After"))
_RUN = Answer("The run, with the outcome of each item.", Run)
_REFUSED = Answer("The run: nothing was done, or not all under `handling=strict`.", Run, 422)
_HEADERS_OF_RUNS = ("Nightshift-Outcome", "Nightshift-Replayed", "Nightshift-Ignored", "Preference-Applied")


def answers_of(name: str, row: Described) -> Sequence[Answer]:
    """Return all answers of a function that are no problems."""
    of_runs = (_RUN, _REFUSED) if row.shows_run else ()
    return (*row.answers, *ADDED.get(name, ()), *of_runs, *((_ACCEPTED,) if row.starts_run else ()))


def schemas_of(name: str, row: Described) -> Iterator[tuple[Schema, Use]]:
    """Yield what the schemas of a function are made from."""
    if row.body is not None:
        yield row.body, "request"
    for one in answers_of(name, row):
        if one.schema is not None:
            yield one.schema, "answer"


def paths_of(function: HttpFunction, row: Described) -> Iterator[tuple[str, str, str]]:
    """Yield path, method and operationId of each operation of a function."""
    paths = row.paths or {"": function.route}
    for more, path in paths.items():
        for place, method in enumerate(function.methods):
            second = f"_{method.lower()}" if place else ""
            yield f"/{re.sub(r'\{\*+', '{', path)}", method.lower(), f"{function.name}{more}{second}"


def operation(
    function: HttpFunction, row: Described, schemas: Schemas, path: str, method: str, name: str, *, signed_in: bool
) -> dict[str, Any]:
    """Return the operation of a function for one of its paths and methods."""
    recorded = examples.of(function.name)
    content = {
        "operationId": name,
        "summary": function.summary,
        "tags": [row.tag],
        "parameters": [_parameter(one) for one in _parameters(row, path)],
        "responses": _responses(function, row, schemas, recorded),
        "security": _security(function, row, signed_in=signed_in),
    }
    if row.body is not None and method in ("post", "put", "patch"):
        content["requestBody"] = _request(row, row.body, schemas, recorded)
    return content


def _parameters(row: Described, path: str) -> Iterator[Parameter]:
    for name in re.findall(r"\{(\w+)\}", path):
        yield Parameter(name, row.path.get(name, ""), place="path", required=True)
    yield from row.parameters
    if row.starts_run:
        # The target of a run that a route names is that of the run.
        named = {*(one.name for one in row.parameters), *([NAMED_TARGET.name] if path.startswith("/runs/") else [])}
        yield from (one for one in OF_RUNS if one.name not in named)


def _parameter(one: Parameter) -> dict[str, Any]:
    return {
        "name": one.name,
        "in": one.place,
        "description": one.description,
        "required": one.required,
        "schema": {"type": "string", **one.schema} if "enum" in one.schema else one.schema,
    }


def _request(row: Described, body: Schema, schemas: Schemas, recorded: Sequence[examples.Example]) -> dict[str, Any]:
    good = [one for one in recorded if one.request is not None and one.status < HTTPStatus.BAD_REQUEST]
    bodies = {one.name: {"value": one.request} for one in good}
    content: dict[str, Any] = {}
    for media_type in row.body_types:
        json = media_type.endswith("json")
        content[media_type] = {"schema": schemas.of(body, "request") if json else {"type": "string"}}
    if bodies:
        content[row.body_types[0]]["examples"] = bodies
    return {"required": row.body_required, "content": content}


def _responses(
    function: HttpFunction, row: Described, schemas: Schemas, recorded: Sequence[examples.Example]
) -> dict[str, Any]:
    found = problems.responses(row, function)
    answers = answers_of(function.name, row)
    for status in dict.fromkeys(one.status for one in answers):
        some = [one for one in answers if one.status == status]
        found[str(status)] = _merged(_response(some, row, schemas), found.get(str(status)))
    _add_examples(found, recorded)
    return dict(sorted(found.items()))


def _response(some: Sequence[Answer], row: Described, schemas: Schemas) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for media_type in dict.fromkeys(kind for one in some if one.schema is not None for kind in one.media_types):
        listed = [schemas.of(one.schema, "answer") for one in some if one.schema and media_type in one.media_types]
        if not media_type.endswith("json"):
            content[media_type] = {"schema": {"type": "string"}}
        else:
            content[media_type] = {"schema": listed[0] if len(listed) == 1 else {"anyOf": listed}}
    named = [name for one in some for name in one.headers]
    names = dict.fromkeys(("Nightshift-Run", *named, *(_HEADERS_OF_RUNS if row.starts_run else ())))
    response = {"description": "\n".join(f"- {one.description}" for one in some), "headers": references(*names)}
    return {**response, "content": content} if content else response


def _merged(answer: dict[str, Any], problem: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the response of a status that both an answer and problems have."""
    if problem is None:
        return answer
    return {
        "description": f"{answer['description']}\n{problem['description']}",
        "headers": {**answer["headers"], **problem["headers"]},
        "content": {**answer.get("content", {}), **problem["content"]},
    }


def _add_examples(responses: Mapping[str, Any], recorded: Sequence[examples.Example]) -> None:
    for one in recorded:
        content = responses.get(str(one.status), {}).get("content", {}).get(one.media_type)
        if content is not None and one.body is not None:
            content.setdefault("examples", {})[one.name] = {"value": one.body}


def _security(function: HttpFunction, row: Described, *, signed_in: bool) -> list[dict[str, list[str]]]:
    """Return what opens a function; each element is one way, and needs all that it names."""
    token: dict[str, list[str]] = {"entra": []} if signed_in and not row.without_token else {}
    if function.name == "run_result":
        return [{"ticket": [], **token}]
    if function.level == "ANONYMOUS":
        return [token] if token else []
    keys = ["functionKey", *(["functionKeyInQuery"] if row.without_token else [])]
    return [{key: [], **token} for key in keys]
