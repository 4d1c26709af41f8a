"""Operations of a former batch as the body of a new one."""

import json
from collections.abc import Collection, Mapping, Sequence

from shared.systems.operations import BatchHead, BatchOperation
from shared.validation.json_text import members_of
from shared.validation.request import Call


def call_again(batch: BatchHead, operations: Sequence[BatchOperation], replaced: Mapping[str, str]) -> Call:
    """Return a call with operations that are sent again.

    Args:
        batch: The former batch.
        operations: Its operations, in order.
        replaced: The JSON of new bodies, by the operations' ids.
    """
    going = {one.id for one in operations}
    texts = [_again(one, replaced.get(one.id), going) for one in operations]
    body = f'{{"requests":[{",".join(texts)}]}}'.encode()
    headers = {"content-type": "application/json", **_headers_of(batch)}
    return Call("POST", "batch", "", headers, {}, {"root": batch.root}, body)


def _again(one: BatchOperation, body: str | None, going: Collection[str]) -> str:
    """Return the JSON of an operation that is sent again, with its dependencies on others that are sent again."""
    changed = {} if body is None else {"body": body}
    if one.group:
        changed["atomicityGroup"] = json.dumps(one.group, ensure_ascii=False)
    # The stored text names only those to which it refers by `$<id>`; the order of the others counts as well.
    needed = [name for _, name in one.depends if name in going]
    if needed:
        changed["dependsOn"] = json.dumps(needed, ensure_ascii=False)
    if not changed:
        return one.text
    members = {name: raw for name, _, raw in members_of(one.text)} | changed
    return f"{{{','.join(f'{json.dumps(name)}:{raw}' for name, raw in members.items())}}}"


def _headers_of(batch: BatchHead) -> dict[str, str]:
    prefer = [
        *(["odata.continue-on-error"] if not batch.in_order else []),
        *(["return=failures"] if batch.failures_only else []),
    ]
    return {
        **({"prefer": ", ".join(prefer)} if prefer else {}),
        **({"isolation": "snapshot"} if batch.snapshot else {}),
    }
