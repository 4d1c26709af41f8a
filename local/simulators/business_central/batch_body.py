"""Reads the body of a `$batch` in JSON as Microsoft's OData library does, with its texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from local.simulators.business_central.errors import RefusedError, refuse
from local.simulators.common.exact_json import Number, loads

_MEMBERS = ("ID", "METHOD", "URL", "HEADERS", "BODY", "DEPENDSON", "ATOMICITYGROUP")
_REFUSED_GROUP = (
    "Multiple requests within the same change set are not supported by Microsoft Dynamics 365 Business Central "
    "OData web services."
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as it was sent; header names in lower case."""

    id: str | None
    method: str
    url: str
    headers: Mapping[str, str]
    body: object
    has_body: bool
    group: str | None
    depends: Sequence[str]

    @property
    def reference(self) -> str | None:
        """The id that its URL begins with (`$1/journalLines`)."""
        return self.url[1:].partition("/")[0].partition("?")[0] if self.url.startswith("$") else None


@dataclass(slots=True)
class _Seen:
    """The ids and groups that came before."""

    ids: set[str] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)


def read_batch(text: bytes, most: int, malformed_status: int) -> list[Operation]:
    """Return the operations of a batch.

    Raises:
        RefusedError: It is refused as a whole, and nothing of it runs.
    """
    try:
        content = loads(text)
    except ValueError:
        raise RefusedError(malformed_status, "The batch request could not be read.", "Unknown") from None
    requests = content.get("requests") if isinstance(content, dict) else None
    if not isinstance(requests, list):
        refuse("The batch request must be an object with the array 'requests'.")
    if not requests:
        refuse(
            "An unexpected 'EndArray' node was found when reading from the JSON reader. "
            "A 'StartObject' node was expected."
        )
    if len(requests) > most:
        refuse(
            "The current batch message contains too many parts. A maximum number of "
            f"'{most}' query operations and change sets are allowed in a batch message.",
            "Unknown",
        )
    seen = _Seen()
    return [_operation(request, seen) for request in requests]


def _operation(request: object, seen: _Seen) -> Operation:
    if not isinstance(request, dict):
        refuse("An unexpected node was found when reading from the JSON reader. A 'StartObject' node was expected.")
    members = {str(name).upper(): value for name, value in request.items()}
    for name in members:
        if name not in _MEMBERS:
            refuse(f"Unknown property name '{name}' for message in batch.")
    operation = Operation(
        id=_string(members.get("ID")),
        method=_needed(members, "METHOD").upper(),
        url=_needed(members, "URL"),
        headers=_headers(members.get("HEADERS")),
        body=members.get("BODY"),
        has_body="BODY" in members,
        group=_string(members.get("ATOMICITYGROUP")),
        depends=_depends(members.get("DEPENDSON")),
    )
    _check(operation, seen)
    return operation


def _check(operation: Operation, seen: _Seen) -> None:
    own = operation.id
    if own is not None and own in seen.ids | seen.groups:
        refuse(
            f"The content ID '{own}' was found more than once in the same change set or same batch request. "
            "Content IDs have to be unique across all operations of a change set for OData V4.0 and have to be unique "
            "across all operations in the whole batch request for OData V4.01."
        )
    for one in operation.depends:
        if one not in seen.ids | seen.groups:
            refuse(
                f"The dependsOn Id: [{one}] in request [{own}] is not matching any of the request Id and atomic "
                "group Id seen so far. Forward reference is not allowed."
            )
    reference = operation.reference
    if reference is not None and reference not in operation.depends:
        listed = ",".join(operation.depends) or "null"
        refuse(
            f"Request Id reference [{reference}] in Uri [{operation.url}] is not found in effective depends-on-Ids "
            f"[{listed}] of the request."
        )
    if operation.group is not None and operation.group in seen.groups:
        raise RefusedError(500, _REFUSED_GROUP, "Unknown")
    seen.ids.update([own] if own is not None else [])
    seen.groups.update([operation.group] if operation.group is not None else [])


def _needed(members: Mapping[str, object], name: str) -> str:
    found = _string(members.get(name))
    if found is None:
        refuse(f"The required property '{name.lower()}' was not found in a message of the batch.")
    return found


def _string(value: object) -> str | None:
    if isinstance(value, str) or value is None:
        return value
    shown = value.text if isinstance(value, Number) else str(value)
    return refuse(f"Cannot read the value '{shown}' as a quoted JSON string value.")


def _headers(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        refuse("An unexpected node was found when reading from the JSON reader. A 'StartObject' node was expected.")
    return {name.lower(): _string(one) or "" for name, one in value.items()}


def _depends(value: object) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list):
        refuse("An unexpected node was found when reading from the JSON reader. A 'StartArray' node was expected.")
    return [_string(one) or "" for one in value]
