"""References `$<id>` of an operation to the entity that another operation returns.

They work only in a `$batch` that has both operations. If the other one is done, the entity's URL takes their place.
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

from shared.systems.operations import BatchOperation, Entity
from shared.validation.json_text import members_of

NOT_KNOWN = (
    "It refers to an operation that is done, and whose response does not show the URL of its entity; use that URL "
    "instead."
)
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def names_in(one: BatchOperation) -> list[str]:
    """Return the ids to which an operation refers: of those on which it depends, the ones that its JSON names."""
    # What depends on nothing may have a member of this name that means something else.
    if not one.depends or '"dependsOn":' not in one.text:
        return []
    found: list[str] = next((value for name, value, _ in members_of(one.text) if name == "dependsOn"), [])
    return found


def resolved(one: BatchOperation, here: Collection[str], entities: Mapping[str, Entity]) -> BatchOperation | None:
    """Return an operation with an entity's URL or ETag in place of each reference; None if one is not known.

    Args:
        one: The operation.
        here: The ids of the operations that are sent with it: references to them stay.
        entities: The entities of operations that are done, by the operations' ids.
    """
    named = names_in(one)
    gone = {name: entities.get(name) for name in named if name not in here}
    if not gone:
        return one
    members: dict[str, tuple[Any, str]] = {name: (value, raw) for name, value, raw in members_of(one.text)}
    replaced = _replaced(members["url"][0], members["headers"][0], gone)
    if replaced is None:
        return None
    url, headers = replaced
    rest = [name for name in named if name not in gone]
    raws = {name: raw for name, (_, raw) in members.items() if name != "dependsOn" or rest}
    raws |= {"url": _ENCODE(url), "headers": _ENCODE(headers)}
    raws |= {"dependsOn": _ENCODE(rest)} if rest else {}
    text = ",".join(f"{_ENCODE(name)}:{raw}" for name, raw in raws.items())
    return one.model_copy(update={"url": url.partition("?")[0], "text": f"{{{text}}}"})


def _replaced(
    url: str, headers: Mapping[str, str], gone: Mapping[str, Entity | None]
) -> tuple[str, dict[str, str]] | None:
    """Return URL and headers without references to the operations `gone`; None if an entity is not known."""
    changed = dict(headers)
    name, slash, path = url[1:].partition("/")
    if url.startswith("$") and name in gone:
        entity = gone[name]
        if entity is None:
            return None
        url = f"{entity.url}{slash}{path}"
        # Without a company, the system would use a default one.
        changed |= {"company": entity.company} if entity.company and not changed.get("company") else {}
    if_match = changed.get("if-match", "").strip()
    if if_match.startswith("$") and if_match[1:] in gone:
        entity = gone[if_match[1:]]
        if entity is None or entity.etag is None:
            return None
        changed["if-match"] = entity.etag
    return url, changed
