"""Reading an OpenAPI document, and comparing answers with it."""

from collections.abc import Mapping
from typing import Any

import requests
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

_URI = "urn:document"
_OWN_HEADERS = (
    "nightshift-",
    "location",
    "retry-after",
    "preference-applied",
    "etag",
    "odata-version",
    "x-",
    "webhook-",
)
"""How the names of headers begin that the app itself writes."""


class Reader:
    """An OpenAPI document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self._registry: Registry[Any] = Registry().with_resource(_URI, DRAFT202012.create_resource(document))

    def operation(self, name: str) -> dict[str, Any]:
        """Return the operation with an id."""
        for path in self.document["paths"].values():
            for one in path.values():
                if one["operationId"] == name:
                    found: dict[str, Any] = one
                    return found
        raise KeyError(name)

    def found(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Return what a reference leads to; other values as they are."""
        here: Any = value
        while "$ref" in here:
            path = here["$ref"].removeprefix("#/").split("/")
            here = self.document
            for name in path:
                here = here[name]
        return dict(here)

    def mistakes(self, schema: Mapping[str, Any], value: object) -> list[str]:
        """Return why a value doesn't match a schema of the document."""
        whole = {"$id": _URI + "/here", **_absolute(schema)}
        validator = Draft202012Validator(whole, registry=self._registry)
        return [f"{one.json_path}: {one.message}" for one in validator.iter_errors(value)]

    def differences(self, function: str, answer: requests.Response) -> list[str]:
        """Return how an answer differs from what the document says of it."""
        operation = self.operation(function)
        response = operation["responses"].get(str(answer.status_code))
        if response is None:
            return [f"{function}: the status {answer.status_code} is not in the document"]
        response = self.found(response)
        own = [name for name in answer.headers if name.lower().startswith(_OWN_HEADERS)]
        known = {name.lower() for name in response.get("headers", {})}
        found = [f"{function}: the header {name} is not in the document" for name in own if name.lower() not in known]
        media_type = answer.headers.get("Content-Type", "").partition(";")[0]
        content = response.get("content", {})
        if not answer.content:
            return found
        if media_type not in content:
            return [*found, f"{function}: {answer.status_code} {media_type} is not in the document"]
        if media_type.endswith("json"):
            found += [f"{function}: {one}" for one in self.mistakes(content[media_type]["schema"], answer.json())]
        return found


def _absolute(value: Any) -> Any:  # noqa: ANN401 - any part of a schema
    if isinstance(value, Mapping):
        return {
            name: f"{_URI}{one}" if name == "$ref" and isinstance(one, str) else _absolute(one)
            for name, one in value.items()
        }
    return [_absolute(one) for one in value] if isinstance(value, list) else value
