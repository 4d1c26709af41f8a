"""Moves responses that several operations have into the components of the document, so that it stays small."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any


def shared_responses(paths: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Put references in place of responses that come more than once, and return these by their names."""
    found = list(_responses(paths))
    counted = Counter(_text(responses[status]) for responses, status in found)
    names: dict[str, str] = {}
    components: dict[str, Any] = {}
    for responses, status in found:
        text = _text(responses[status])
        if counted[text] > 1:
            if text not in names:
                names[text] = _free(f"Status{status}", components)
                components[names[text]] = responses[status]
            responses[status] = {"$ref": f"#/components/responses/{names[text]}"}
    return components


def _responses(paths: dict[str, dict[str, Any]]) -> Iterator[tuple[dict[str, Any], str]]:
    for operations in paths.values():
        for operation in operations.values():
            for status in operation["responses"]:
                yield operation["responses"], status


def _free(name: str, taken: dict[str, Any]) -> str:
    """Return a name that is not taken: the name itself, or with a number."""
    count = sum(one.partition("_")[0] == name for one in taken)
    return f"{name}_{count + 1}" if count else name


def _text(response: Any) -> str:  # noqa: ANN401 - JSON values
    return json.dumps(response, sort_keys=True)
