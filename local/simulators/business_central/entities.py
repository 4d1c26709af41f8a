"""The entities of Business Central's API v2.0 that are simulated, and the check of what is written to them."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Never

from local.simulators.business_central.errors import refuse
from local.simulators.common.exact_json import Number, is_number
from local.simulators.odata.edm import Edm, Row, Shape

_NO_GUID = "00000000-0000-0000-0000-000000000000"
_NO_DATE = "0001-01-01"
_WHOLE = re.compile(r"-?\d{1,10}", re.ASCII)
_MODIFIED = "lastModifiedDateTime"
_BLANK: dict[Edm, object] = {
    Edm.GUID: _NO_GUID,
    Edm.STRING: "",
    Edm.DATE: _NO_DATE,
    Edm.DECIMAL: Number("0"),
    Edm.INT32: Number("0"),
    Edm.BOOLEAN: False,
}

type Values = dict[str, object]
"""The fields of an entity as JSON has them, numbers with their digits."""


@dataclass(frozen=True, slots=True)
class EntitySet:
    """A set of entities.

    Attributes:
        name: Its name in a URL.
        shape: Its entity type.
        parent: The set of the entity that it hangs under; empty for companies.
        number: The field that must differ among those of one parent; empty for none.
        step: What the system counts on by, where it gives that field a value.
    """

    name: str
    shape: Shape
    parent: str
    number: str = ""
    step: int = 1

    def blank(self) -> Values:
        """Return the fields as they are before anything is written."""
        return {name: _BLANK[edm] for name, edm in self.shape.fields.items() if name not in ("id", _MODIFIED)}


def _set(
    name: str, type_name: str, parent: str, fields: Mapping[str, Edm], number: str = "", step: int = 1
) -> EntitySet:
    whole = {"id": Edm.GUID, **fields, _MODIFIED: Edm.DATE_TIME_OFFSET}
    return EntitySet(name, Shape(type_name, whole, number or "name"), parent, number, step)


COMPANIES = _set("companies", "company", "", {"name": Edm.STRING, "displayName": Edm.STRING})
CUSTOMERS = _set(
    "customers",
    "customer",
    "companies",
    {
        "number": Edm.STRING,
        "displayName": Edm.STRING,
        "email": Edm.STRING,
        "city": Edm.STRING,
        "creditLimit": Edm.DECIMAL,
        "taxLiable": Edm.BOOLEAN,
    },
    "number",
)
ITEMS = _set(
    "items",
    "item",
    "companies",
    {
        "number": Edm.STRING,
        "displayName": Edm.STRING,
        "unitPrice": Edm.DECIMAL,
        "unitCost": Edm.DECIMAL,
        "inventory": Edm.DECIMAL,
    },
    "number",
)
JOURNALS = _set("journals", "journal", "companies", {"code": Edm.STRING, "displayName": Edm.STRING}, "code")
LINES = _set(
    "journalLines",
    "journalLine",
    "journals",
    {
        "journalId": Edm.GUID,
        "lineNumber": Edm.INT32,
        "accountType": Edm.STRING,
        "accountId": Edm.GUID,
        "accountNumber": Edm.STRING,
        "postingDate": Edm.DATE,
        "documentNumber": Edm.STRING,
        "externalDocumentNumber": Edm.STRING,
        "amount": Edm.DECIMAL,
        "description": Edm.STRING,
        "comment": Edm.STRING,
    },
    "lineNumber",
    10_000,
)
SETS = {one.name: one for one in (COMPANIES, CUSTOMERS, ITEMS, JOURNALS, LINES)}
_MADE_BY_THE_SYSTEM = ("id", "journalId", "lineNumber", _MODIFIED)


def checked(body: object, entity_set: EntitySet, *, as_strings: bool) -> Values:
    """Return the fields of a body that is written.

    Args:
        body: The JSON.
        entity_set: What it is written to.
        as_strings: Decimals come as strings (IEEE754Compatible=true).

    Raises:
        RefusedError: A field is unknown, not writable, or has a value that it cannot have.
    """
    if not isinstance(body, dict):
        refuse("An unexpected node was found when reading from the JSON reader. A 'StartObject' node was expected.")
    fields = entity_set.shape.fields
    values: Values = {}
    for name, value in body.items():
        if name.startswith("@odata."):
            continue
        if name not in fields:
            type_name = f"Microsoft.NAV.{entity_set.shape.name}"
            refuse(
                f"The property '{name}' does not exist on type '{type_name}'. "
                "Make sure to only use property names that are defined by the type."
            )
        if name in _MADE_BY_THE_SYSTEM:
            refuse(f"The property '{name}' is read-only and cannot be written.")
        values[name] = _value(fields[name], value, as_strings=as_strings)
    return values


def _value(edm: Edm, value: object, *, as_strings: bool) -> object:
    if value is None:
        return _BLANK[edm]
    if edm is Edm.DECIMAL:
        return _decimal(value, as_strings=as_strings)
    if edm is Edm.BOOLEAN:
        return value if isinstance(value, bool) else _conflict(value, edm)
    if not isinstance(value, str):
        _conflict(value, edm)
    return _text(edm, value)


def _text(edm: Edm, value: str) -> str:
    try:
        if edm is Edm.DATE and date.fromisoformat(value).isoformat() != value:
            _conflict(value, edm)
        if edm is Edm.GUID:
            return str(uuid.UUID(value))
    except ValueError:
        _conflict(value, edm)
    return value


def _decimal(value: object, *, as_strings: bool) -> object:
    if isinstance(value, Number) and not as_strings:
        return value
    if isinstance(value, str) and as_strings:
        return Number(value) if is_number(value) else _conflict(value, Edm.DECIMAL)
    if isinstance(value, Number | str):
        refuse(
            f"Cannot convert a value to target type '{Edm.DECIMAL}' because of conflict between input format "
            "string/number and parameter 'IEEE754Compatible' false/true."
        )
    return _conflict(value, Edm.DECIMAL)


def _conflict(value: object, edm: Edm) -> Never:
    shown = value.text if isinstance(value, Number) else value
    refuse(f"Cannot convert the literal '{shown}' to the expected type '{edm}'.")


def comparable(values: Values, shape: Shape) -> Row:
    """Return an entity's fields as filters compare them."""
    return {name: _comparable(shape.fields.get(name), value) for name, value in values.items()}


def _comparable(edm: Edm | None, value: object) -> object:
    if isinstance(value, Number):
        return int(value.text) if edm is Edm.INT32 else value.value
    if edm is Edm.DATE:
        return date.fromisoformat(str(value))
    return datetime.fromisoformat(str(value)) if edm is Edm.DATE_TIME_OFFSET else value


def as_written(values: Values, *, as_strings: bool) -> Values:
    """Return an entity's fields as they are answered; decimals as strings if the caller asked for that."""
    if not as_strings:
        return values
    return {
        name: value.text if isinstance(value, Number) and name != "lineNumber" else value
        for name, value in values.items()
    }


def instant(now: datetime) -> str:
    """Return a moment as Business Central writes it."""
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
