"""The response to a batch, in JSON and in multipart/mixed."""

import email
import email.policy
import json
from email.message import MIMEPart

from hypothesis import given
from hypothesis import strategies as st

from shared.fanout.batch_records import BatchSpec, OperationGroup
from shared.fanout.rendering import Rendered, rendered

RUN = "20261124-0f"
JSON = {"content-type": "application/json; charset=utf-8"}


def batch(*groups: tuple[str, int, int], **more: object) -> BatchSpec:
    found = [OperationGroup(name=name, first=first, count=count) for name, first, count in groups]
    told = {"root": "api/v2.0", "count": 1, "in_order": True, "form": "multipart", "groups": found}
    return BatchSpec.model_validate({**told, **more})


def done(name: str, body: str | None = '{"a": 1.10}') -> Rendered:
    return Rendered(name, 201, JSON, body, is_done=True)


def parts(spec: BatchSpec, *responses: Rendered | None) -> list[MIMEPart]:
    body, media_type = rendered(spec, RUN, responses)
    whole = email.message_from_bytes(f"Content-Type: {media_type}\r\n\r\n".encode() + body, policy=email.policy.HTTP)
    assert whole.is_multipart()
    return list(whole.iter_parts())


def inner(part: MIMEPart) -> list[str]:
    assert part["Content-Type"] == "application/http"
    text = part.get_payload(decode=True)
    assert isinstance(text, bytes)
    return text.decode().split("\r\n")


def test_e6_a_response_is_a_part_with_status_headers_and_body() -> None:
    spec = batch(content_ids={"2.1": "1"})
    first, second = parts(
        spec, done("2.1"), Rendered("x", 204, {"odata-version": "4.0", "etag": 'W/"1"'}, is_done=True)
    )
    assert (first["Content-ID"], second["Content-ID"]) == ("1", "x")
    assert inner(first) == ["HTTP/1.1 201 Created", f"Content-Type: {JSON['content-type']}", "", '{"a": 1.10}']
    assert inner(second) == ["HTTP/1.1 204 No Content", "OData-Version: 4.0", 'ETag: W/"1"', "", ""]


def test_e6_a_change_set_is_a_part_of_parts_and_one_that_failed_is_one_response() -> None:
    spec = batch(("a", 0, 2), ("b", 2, 3))
    stopped = Rendered("5", 424, {})
    found = parts(spec, done("1"), done("2"), Rendered("3", 424, {}), Rendered("4", 400, {}), stopped, done("6"))
    assert [part.get_content_type() for part in found] == ["multipart/mixed", "application/http", "application/http"]
    assert [part["Content-ID"] for part in found[0].iter_parts()] == ["1", "2"]
    assert [(part["Content-ID"], inner(part)[0]) for part in found[1:]] == [
        ("4", "HTTP/1.1 400 Bad Request"),
        ("6", "HTTP/1.1 201 Created"),
    ]


def test_e6_boundaries_are_written_as_clients_read_them() -> None:
    body, media_type = rendered(batch(("a", 0, 1)), RUN, [done("1")])
    # They take all that follows the last "=", and know a change set by how its boundary begins.
    assert media_type == f"multipart/mixed; boundary=batchresponse_{RUN}"
    assert body.split(b"\r\n")[1] == f"Content-Type: multipart/mixed; boundary=changesetresponse_{RUN}_0".encode()


def test_e6_what_is_left_out_leaves_no_part() -> None:
    spec = batch(("a", 1, 2))
    assert len(parts(spec, None, None, None, Rendered("4", 400, {}))) == 1
    assert rendered(spec, RUN, [None, None, None])[0] == f"--batchresponse_{RUN}--\r\n".encode()


def test_e6_a_value_of_the_system_begins_no_header_and_no_part() -> None:
    [part] = parts(batch(), Rendered("1\r\nX: y", 599, {"x\n": "a\r\n\r\n--b"}))
    assert part["Content-ID"] == "1  X: y"
    assert inner(part)[:2] == ["HTTP/1.1 599 Unknown", "X : a    --b"]


def test_e6_other_types_are_written_as_they_are() -> None:
    text, binary, odd = parts(
        batch(),
        Rendered("1", 200, {"content-type": "text/plain"}, '"a\\u00e4"'),
        Rendered("2", 200, {"content-type": "image/png"}, '"AAH_"'),
        Rendered("3", 200, {"content-type": "image/png"}, '"no base64!"'),
    )
    assert (inner(text)[-1], inner(odd)[-1]) == ("aä", "no base64!")
    payload = binary.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.endswith(b"\x00\x01\xff")


def test_json_names_the_group_of_an_operation() -> None:
    body, media_type = rendered(batch(("g", 1, 1), form="json"), RUN, [done("1"), done("2", None), None])
    assert media_type == "application/json"
    assert json.loads(body)["responses"] == [
        {"id": "1", "status": 201, "headers": JSON, "body": {"a": 1.1}},
        {"id": "2", "atomicityGroup": "g", "status": 201, "headers": JSON},
    ]


TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)


@given(st.lists(st.builds(Rendered, TEXTS, st.integers(0, 999), st.dictionaries(TEXTS, TEXTS), TEXTS.map(json.dumps))))
def test_e6_any_responses_can_be_written_and_are_told_apart(found: list[Rendered]) -> None:
    assert len(rendered(batch(), RUN, found)[0].split(f"--batchresponse_{RUN}".encode())) == len(found) + 2
