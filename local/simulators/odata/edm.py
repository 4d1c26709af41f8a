"""The types of fields that the simulated OData services know, and the shape of an entity that queries are read by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

NAMESPACE = "Microsoft.Dynamics.DataEntities"

type Row = dict[str, Any]


class Edm(StrEnum):
    """The types of the fields."""

    INT64 = "Edm.Int64"
    INT32 = "Edm.Int32"
    DECIMAL = "Edm.Decimal"
    STRING = "Edm.String"
    BOOLEAN = "Edm.Boolean"
    GUID = "Edm.Guid"
    DATE = "Edm.Date"
    DATE_TIME_OFFSET = "Edm.DateTimeOffset"
    BINARY = "Edm.Binary"
    BATCH_STATUS = f"{NAMESPACE}.BatchStatus"
    BATCH_LOG_LEVEL = f"{NAMESPACE}.BatchLogLevel"


@dataclass(frozen=True, slots=True)
class Shape:
    """An entity type: its name, its fields, the field that orders its rows, and the members of its enums."""

    name: str
    fields: Mapping[str, Edm]
    key: str
    enums: Mapping[Edm, tuple[str, ...]] = field(default_factory=dict)
