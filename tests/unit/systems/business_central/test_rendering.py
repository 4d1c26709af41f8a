"""The response to a batch, in JSON and in multipart/mixed."""

import email
import email.policy
import json
from collections.abc import Mapping, Sequence
from email.message import MIMEPart
from itertools import pairwise
from typing import NamedTuple

import hypothesis
from hypothesis import strategies as st

from shared.core.outcome import Ending, Outcome
from shared.systems.business_central import rendering
from shared.systems.operations import BatchHead, EndedOperation, OperationGroup, OperationResponse

RUN = "20261124-0f"
JSON = {"content-type": "application/json; charset=utf-8"}


def batch(*groups: tuple[str, int, int], **more: object) -> BatchHead:
    found = [OperationGroup(name=name, first=first, count=count) for name, first, count in groups]
    told = {"root": "api/v2.0", "form": "multipart", "groups": found}
    return BatchHead.model_validate({**told, **more})


def given(
    name: str, status: int, headers: Mapping[str, str], body: str | None = None, ending: Ending = Ending.REJECTED
) -> EndedOperation:
    outcome = Outcome(ending=ending, reason="As it was.", sent=True)
    return EndedOperation(name, outcome, OperationResponse(name, status, headers, body))


def done(name: str, body: str | None = '{"a": 1.10}') -> EndedOperation:
    return given(name, 201, JSON, body, Ending.DONE)


class Written(NamedTuple):
    media_type: str
    headers: Mapping[str, str]
    body: bytes


def rendered(spec: BatchHead, run: str, ended: Sequence[EndedOperation | None], cuts: Sequence[int] = ()) -> Written:
    """Return the response to a batch whose chunks end before the positions `cuts`."""
    pieces: list[bytes] = []
    for begin, end in pairwise((0, *cuts, len(ended))):
        pieces += rendering.pieces(spec, run, range(begin, end), ended[begin:end])
    found = rendering.rendered(spec, run, pieces)
    return Written(found.media_type, found.headers, b"".join(found.body))


def parts(spec: BatchHead, *ended: EndedOperation | None) -> list[MIMEPart]:
    found = rendered(spec, RUN, ended)
    head = f"Content-Type: {found.media_type}\r\n\r\n".encode()
    whole = email.message_from_bytes(head + found.body, policy=email.policy.HTTP)
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
        spec, done("2.1"), given("x", 204, {"odata-version": "4.0", "etag": 'W/"1"'}, ending=Ending.DONE)
    )
    assert (first["Content-ID"], second["Content-ID"]) == ("1", "x")
    assert inner(first) == ["HTTP/1.1 201 Created", f"Content-Type: {JSON['content-type']}", "", '{"a": 1.10}']
    assert inner(second) == ["HTTP/1.1 204 No Content", "OData-Version: 4.0", 'ETag: W/"1"', "", ""]


def test_e6_a_change_set_is_a_part_of_parts_and_one_that_failed_is_one_response() -> None:
    spec = batch(("a", 0, 2), ("b", 2, 3))
    stopped = given("5", 424, {})
    found = parts(spec, done("1"), done("2"), given("3", 424, {}), given("4", 400, {}), stopped, done("6"))
    assert [part.get_content_type() for part in found] == ["multipart/mixed", "application/http", "application/http"]
    assert [part["Content-ID"] for part in found[0].iter_parts()] == ["1", "2"]
    assert [(part["Content-ID"], inner(part)[0]) for part in found[1:]] == [
        ("4", "HTTP/1.1 400 Bad Request"),
        ("6", "HTTP/1.1 201 Created"),
    ]


def test_e6_boundaries_are_written_as_clients_read_them() -> None:
    found = rendered(batch(("a", 0, 1)), RUN, [done("1")])
    # They take all that follows the last "=", and know a change set by how its boundary begins.
    assert found.media_type == f"multipart/mixed; boundary=batchresponse_{RUN}"
    assert found.body.split(b"\r\n")[1] == f"Content-Type: multipart/mixed; boundary=changesetresponse_{RUN}_0".encode()


def test_e6_what_is_left_out_leaves_no_part() -> None:
    spec = batch(("a", 1, 2))
    assert len(parts(spec, None, None, None, given("4", 400, {}))) == 1
    assert rendered(spec, RUN, [None, None, None]).body == f"--batchresponse_{RUN}--\r\n".encode()


def test_e6_a_value_of_the_system_begins_no_header_and_no_part() -> None:
    [part] = parts(batch(), given("1\r\nX: y", 599, {"x\n": "a\r\n\r\n--b"}))
    assert part["Content-ID"] == "1  X: y"
    assert inner(part)[:2] == ["HTTP/1.1 599 Unknown", "X : a    --b"]


def test_e6_other_types_are_written_as_they_are() -> None:
    text, binary, odd = parts(
        batch(),
        given("1", 200, {"content-type": "text/plain"}, '"a\\u00e4"'),
        given("2", 200, {"content-type": "image/png"}, '"AAH_"'),
        given("3", 200, {"content-type": "image/png"}, '"no base64!"'),
    )
    assert (inner(text)[-1], inner(odd)[-1]) == ("aä", "no base64!")
    payload = binary.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.endswith(b"\x00\x01\xff")


def test_json_names_the_group_of_an_operation() -> None:
    found = rendered(batch(("g", 1, 1), form="json"), RUN, [done("1"), done("2", None), None])
    assert (found.media_type, found.headers) == ("application/json", {"OData-Version": "4.0"})
    assert json.loads(found.body)["responses"] == [
        {"id": "1", "status": 201, "headers": JSON, "body": {"a": 1.1}},
        {"id": "2", "atomicityGroup": "g", "status": 201, "headers": JSON},
    ]


TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)


ENDED = st.builds(given, TEXTS, st.integers(0, 999), st.dictionaries(TEXTS, TEXTS), TEXTS.map(json.dumps))


@hypothesis.given(st.lists(ENDED))
def test_e6_any_responses_can_be_written_and_are_told_apart(found: list[EndedOperation]) -> None:
    assert len(rendered(batch(), RUN, found).body.split(f"--batchresponse_{RUN}".encode())) == len(found) + 2


def test_what_the_system_did_not_answer_is_told_by_its_outcome() -> None:
    ended = [
        EndedOperation("1", Outcome(ending=Ending.UNKNOWN, reason="Lost.", sent=True)),
        EndedOperation("2", Outcome(ending=Ending.DONE, reason="Found.", sent=True)),
    ]
    first, second = json.loads(rendered(batch(form="json"), RUN, ended).body)["responses"]
    assert (first["status"], first["body"]) == (424, {"error": {"code": "Nightshift_unknown", "message": "Lost."}})
    assert (second["status"], "body" in second) == (204, False)


@hypothesis.given(cuts=st.sets(st.sampled_from([1, 2, 4, 5])), form=st.sampled_from(["json", "multipart"]))
def test_a_response_has_the_same_bytes_however_its_operations_were_sent(cuts: set[int], form: str) -> None:
    spec = batch(("a", 0, 1), ("b", 2, 2), form=form)
    ended = [done("1"), None, done("3"), given("4", 400, JSON, "{}"), None, done("6", None)]
    assert rendered(spec, RUN, ended, sorted(cuts)) == rendered(spec, RUN, ended)
