"""From models to the schemas of an OpenAPI document (JSON Schema 2020-12)."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal, override

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema
from pydantic_core import core_schema

from shared.validation.described import Schema

type Use = Literal["request", "answer"]
_TEMPLATE = "#/components/schemas/{model}"
_MODES: Mapping[Use, JsonSchemaMode] = {"request": "validation", "answer": "serialization"}
_BOUNDS = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}
"""How pydantic leaves the bounds of a number that a function reads first, and what they are in JSON Schema."""
_PACKAGES = 3
"""A model of a system is in a module of `shared.systems.{system}`."""
_INT64 = 2**63
"""Bounds of this size are read as numbers by few clients; the format says the same."""


class Schemas:
    """The schemas of a document: `add` what it uses, then read `components` and `of`."""

    def __init__(self) -> None:
        self._models: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {}
        self._references: Mapping[tuple[object, JsonSchemaMode], Mapping[str, Any]] = {}
        self.components: dict[str, Any] = {}

    def add(self, schema: Schema, use: Use) -> None:
        """Add a schema, with the models in it."""
        for model in _models_in(schema):
            self._models[model, _MODES[use]] = None

    def build(self) -> None:
        """Make the components of all that was added.

        Raises:
            ValueError: two models have the same name, and the same system or module.
        """
        references, whole = models_json_schema(list(self._models), schema_generator=_Generator, ref_template=_TEMPLATE)
        names = {old: _name(old) for old in whole.get("$defs", {})}
        if len(set(names.values())) < len(names):
            raise ValueError(f"models need names of their own: {', '.join(names)}")
        self._references = {key: _renamed(one, names) for key, one in references.items()}
        self.components = {names[old]: _renamed(one, names) for old, one in whole.get("$defs", {}).items()}

    def of(self, schema: Schema, use: Use) -> Mapping[str, Any]:
        """Return a schema, with references in place of models."""
        found: Mapping[str, Any] = self._resolved(schema, _MODES[use])
        return found

    def _resolved(self, value: Any, mode: JsonSchemaMode) -> Any:  # noqa: ANN401 - any part of a schema
        if isinstance(value, type):
            return self._references[value, mode]
        if isinstance(value, Mapping):
            return {name: self._resolved(one, mode) for name, one in value.items()}
        return [self._resolved(one, mode) for one in value] if isinstance(value, list) else value


class _Generator(GenerateJsonSchema):
    """Writes schemas for clients: in an answer every member is there, and no name is repeated as a title."""

    @override
    def field_title_should_be_set(self, schema: Any) -> bool:
        del schema
        return False

    @override
    def field_is_required(
        self,
        field: core_schema.ModelField | core_schema.DataclassField | core_schema.TypedDictField,
        total: bool,
    ) -> bool:
        return self.mode == "serialization" or super().field_is_required(field, total)

    @override
    def default_schema(self, schema: core_schema.WithDefaultSchema) -> dict[str, Any]:
        if self.mode == "serialization" or schema.get("default", self) is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)


def _models_in(schema: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - any part of a schema
    if isinstance(schema, type):
        yield schema
    elif isinstance(schema, Mapping):
        for one in schema.values():
            yield from _models_in(one)
    elif isinstance(schema, list):
        for one in schema:
            yield from _models_in(one)


def _name(name: str) -> str:
    """Return the name of a component: that of the class; if several have it, with that of its system or module."""
    path, _, use = name.partition("-")
    *packages, kind = path.split("__")
    of_system = packages[1:2] == ["systems"] and len(packages) > _PACKAGES
    place = packages[2] if of_system else packages[-1] if packages else ""
    prefix = "".join(part.title() for part in place.split("_"))
    return f"{prefix}{kind}{'Input' if use == 'Input' else ''}"


def _renamed(value: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401 - any part of a schema
    """Return a part of a schema with the new names of components, and as tools read it."""
    if isinstance(value, list):
        return [_renamed(one, names) for one in value]
    if not isinstance(value, dict):
        return value
    found = {str(name): _renamed(one, names) for name, one in value.items()}
    if isinstance(found.get("$ref"), str):
        found["$ref"] = _TEMPLATE.format(model=names[found["$ref"].rpartition("/")[2]])
    return _plain(_nullable(found))


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with the bounds of numbers as JSON Schema has them, and without those of 64 bits."""
    found = {_BOUNDS.get(name, name) if isinstance(one, int) else name: one for name, one in schema.items()}
    if found.get("type") != "integer" or found.get("exclusiveMaximum") != _INT64:
        return found
    kept = {name: one for name, one in found.items() if name != "exclusiveMaximum" and one != -_INT64}
    return {**kept, "format": "int64"}


def _nullable(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema; one of one type or null has `"type": [..., "null"]`, which more tools read.

    The "Parse JSON" of flows is one of these tools.
    """
    one, *others = schema.get("anyOf", [None])
    if others != [{"type": "null"}] or not isinstance(one.get("type"), str) or "enum" in one or "const" in one:
        return schema
    rest = {name: value for name, value in schema.items() if name != "anyOf"}
    return {**one, **rest, "type": [one["type"], "null"]}
