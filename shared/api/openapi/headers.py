"""The headers of requests and answers that many functions share."""

from collections.abc import Mapping
from typing import Any

from shared.validation.described import NAMED_TARGET, Parameter
from shared.validation.request import LONGEST_WAIT

OF_RUNS = (
    Parameter(
        "Prefer",
        f"`wait=N` (seconds, at most {LONGEST_WAIT}), `respond-async`, and `handling=strict` (RFC 7240).",
        place="header",
    ),
    Parameter(
        "Idempotency-Key",
        "The same call may come again under the same key: it joins its run, and sends nothing.",
        {"type": "string", "minLength": 1, "maxLength": 257},
        place="header",
    ),
    NAMED_TARGET,
)
"""What functions take that start runs."""

_TEXTS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "Nightshift-Run": ("The id of the run that the answer is about.", {}),
    "Nightshift-Outcome": (
        "Whether all items were done.",
        {"enum": ["complete", "partial", "failed", "planned"]},
    ),
    "Nightshift-Replayed": ("The call was a repeat, and joined its run.", {"enum": ["true"]}),
    "Nightshift-Ignored": ("The fields and headers of the request that were not sent to the system.", {}),
    "Preference-Applied": ("The preferences that were applied (RFC 7240).", {}),
    "Location": ("Where the answer will be, without a function key.", {"format": "uri"}),
    "Retry-After": ("Seconds until the next call makes sense.", {"pattern": "^[0-9]+$"}),
    "Link": ("The next page (RFC 8288).", {}),
    "Content-Disposition": ("The name under which to save it.", {}),
    "ETag": ("The version of what is returned.", {}),
    "OData-Version": ("The version of OData.", {}),
    "x-odsl-error": ("The reason of an error, for clients of OpenDataDSL.", {}),
    "x-total-count": ("How many there are.", {"pattern": "^[0-9]+$"}),
    "WebHook-Allowed-Origin": ("The origin that may send events (CloudEvents).", {}),
    "WebHook-Allowed-Rate": ("How often events may come (CloudEvents).", {}),
}

COMPONENTS: Mapping[str, Any] = {
    name: {"description": text, "schema": {"type": "string", **more}} for name, (text, more) in _TEXTS.items()
}
"""All headers of answers, by name."""


def references(*names: str) -> dict[str, Any]:
    """Return the headers of an answer, by name."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
