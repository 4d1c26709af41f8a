"""The schema that a flow's "Parse JSON" makes of a sample ("Generate from sample"), and how a flow compares by it."""

from collections.abc import Iterator, Mapping
from typing import Any

_TYPES = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"))


def sample_schema(value: object) -> dict[str, Any]:
    """Return the schema of a sample: every member required, with the type that it has; of null any type."""
    if isinstance(value, Mapping):
        members = {name: sample_schema(one) for name, one in value.items()}
        return {"type": "object", "properties": members, "required": list(members)}
    if isinstance(value, list):
        return {"type": "array", **({"items": sample_schema(value[0])} if value else {})}
    return next(({"type": name} for kind, name in _TYPES if isinstance(value, kind)), {})


def fits(schema: Mapping[str, Any], value: object, *, or_null: bool = False) -> list[str]:
    """Return why a value doesn't match such a schema; with `or_null`, null matches everything."""
    return list(_faults(schema, value, "$", or_null=or_null))


def _faults(schema: Mapping[str, Any], value: object, at: str, *, or_null: bool) -> Iterator[str]:
    kind = schema.get("type")
    if kind is None or (or_null and value is None):
        return
    found = sample_schema(value).get("type", "null")
    if found != kind and (kind, found) != ("number", "integer"):
        yield f"{at} is {found}, not {kind}"
    elif isinstance(value, Mapping):
        yield from (f"{at} has no {name}" for name in schema["required"] if name not in value)
        for name, one in schema["properties"].items():
            if name in value:
                yield from _faults(one, value[name], f"{at}.{name}", or_null=or_null)
    elif isinstance(value, list) and "items" in schema:
        for place, one in enumerate(value):
            yield from _faults(schema["items"], one, f"{at}[{place}]", or_null=or_null)
