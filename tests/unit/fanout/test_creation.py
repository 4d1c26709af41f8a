"""The stored chunks of a batch have what was validated."""

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from shared.core import clock
from shared.core.targets import Target
from shared.fanout import batch_records
from shared.fanout.batch_records import Payload
from shared.fanout.creation import write_chunks
from shared.runs.spec import RunSpec
from shared.storage.sqlite import SqliteStore
from shared.systems.operations import BatchOperation
from shared.systems.registry import fan_out_of
from shared.validation.request import Call

TARGET = Target(name="bc", system="business-central", url="https://bc.example/v2.0", auth="managed-identity")
HEADERS = {"content-type": "application/json", "prefer": "odata.continue-on-error"}


def stored(tmp_path: Path, *requests: Mapping[str, object]) -> list[Payload]:
    """Return the payloads of the chunks of a batch."""
    store, now = SqliteStore(str(tmp_path / "store.db")), clock.now()
    told = {"function": "batch", "system": "business-central", "shape": "operations", "target": "bc", "origin": "http"}
    times = {"created": now, "give_up": now + timedelta(hours=1)}
    spec = RunSpec.model_validate({"run": "r", "ticket": "t", "actor": "key", "base": "", **told, **times})
    body = json.dumps({"requests": requests}, ensure_ascii=False).encode()
    fan_out = fan_out_of("business-central")
    call = Call("POST", "batch", "http://x", HEADERS, {}, {"root": "api/v2.0/$batch"}, body)
    operations = fan_out.read(call).validated(TARGET)
    write_chunks(store, spec, operations, fan_out.chunks(operations, TARGET))
    chunks = len(batch_records.read_plan(store, "r").chunks)
    return [one for number in range(chunks) if (one := batch_records.read_payload(store, "r", number))]


def test_a_payload_is_written_as_its_model_would_be(tmp_path: Path) -> None:
    name, url, text = "ü😀", "companies(1)/journals('ü\"')/lines?$filter=1", {"name": 'ü "quoted" \\ \n 😀'}
    headers = {"If-Match": 'W/"1"'}
    post = {"id": name, "method": "POST", "url": url, "body": text}
    [first, free, group] = stored(
        tmp_path,
        post,
        {"id": "2", "method": "PATCH", "url": f"${name}", "headers": headers, "body": {}, "dependsOn": [name]},
        {"id": 'a"\\', "method": "GET", "url": "companies"},
        {"id": "4", "method": "POST", "url": "companies(2)/a", "body": {}, "atomicityGroup": "g"},
        {"id": "5", "method": "POST", "url": "companies(2)/a", "body": {}, "atomicityGroup": "g"},
    )
    assert [(one.stops, one.atomic) for one in (first, free, group)] == [(True, False), (False, False), (True, True)]
    assert first.operations[0].text.endswith(f'"body":{json.dumps(text, ensure_ascii=False)}}}')
    assert [one.model_copy(update={"text": ""}) for one in (*first.operations, *free.operations)] == [
        BatchOperation(place=0, id=name, method="POST", url=url.partition("?")[0]),
        BatchOperation(place=1, id="2", method="PATCH", url=f"${name}", safe="etag", depends=[(0, name)]),
        BatchOperation(place=2, id='a"\\', method="GET", url="companies", safe="read"),
    ]
    assert [(one.id, one.group) for one in group.operations] == [("4", "g"), ("5", "g")]
