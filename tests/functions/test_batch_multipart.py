"""A `$batch` in multipart/mixed, as clients of OData write it, and groups that take effect as a whole."""

import email
import email.policy
import json
from collections import Counter
from collections.abc import Iterator
from email.message import MIMEPart
from typing import Any

import pytest
import requests

from local.stack import Machine
from tests.functions.calling import problem, put_rules
from tests.functions.test_batch import BATCH, Batcher


@pytest.fixture
def batcher(any_machine: Machine) -> Iterator[Batcher]:
    batcher = Batcher(any_machine)
    yield batcher
    batcher.central.faults.clear()


def part(one: dict[str, Any]) -> str:
    """Return an operation in the JSON form as a part."""
    inner = "".join(f"{name}: {value}\r\n" for name, value in one.get("headers", {}).items())
    body = json.dumps(one["body"]) if "body" in one else ""
    head = f"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: {one['id']}"
    return f"{head}\r\n\r\n{one['method']} {one['url']} HTTP/1.1\r\n{inner}\r\n{body}"


def joined(*parts: str, boundary: str = "batch_1") -> str:
    return "".join(f"--{boundary}\r\n{one}\r\n" for one in parts) + f"--{boundary}--\r\n"


def change_set(*operations: dict[str, Any]) -> str:
    inside = joined(*map(part, operations), boundary="changeset_1")
    return f"Content-Type: multipart/mixed; boundary=changeset_1\r\n\r\n{inside}"


def send(batcher: Batcher, *parts: str, **headers: str) -> requests.Response:
    named = {"Nightshift-Target": None, "Content-Type": "multipart/mixed; boundary=batch_1"}
    named |= {name.replace("_", "-"): value for name, value in headers.items()}
    return batcher.post(BATCH, data=joined(*parts).encode(), headers=named)


def responses(answer: requests.Response) -> list[Any]:
    """Return the responses in an answer, those of a change set as a list of their own: Content-ID, status, body."""
    assert answer.status_code == 200, answer.text
    whole = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode() + answer.content
    return _responses(email.message_from_bytes(whole, policy=email.policy.HTTP))


def _responses(whole: MIMEPart) -> list[Any]:
    return [_responses(one) if one.is_multipart() else _response(one) for one in whole.iter_parts()]


def _response(one: MIMEPart) -> tuple[str, int, Any]:
    text = one.get_payload(decode=True)
    assert isinstance(text, bytes)
    head, _, body = text.decode().partition("\r\n\r\n")
    return str(one["Content-ID"]), int(head.split(" ")[1]), json.loads(body) if body.strip() else None


def statuses(answer: requests.Response) -> list[Any]:
    found = responses(answer)
    return [[one[:2] for one in each] if isinstance(each, list) else each[:2] for each in found]


def test_e6_a_batch_in_multipart_is_answered_in_multipart(batcher: Batcher) -> None:
    """E6: reads, writes, a change set and references, in one body."""
    journal = {"id": "j", "method": "POST", "url": f"companies({batcher.company})/journals", "body": {"code": "NEW"}}
    line = {**batcher.line("l"), "url": "$j/journalLines"}
    read = {"id": "r", "method": "GET", "url": "companies"}
    answer = send(batcher, part(read), change_set(journal, line), part(batcher.line("1")))
    assert answer.headers["Content-Type"].startswith("multipart/mixed; boundary=batchresponse_")
    assert answer.headers["Nightshift-Outcome"] == "complete"
    assert statuses(answer) == [("r", 200), [("j", 201), ("l", 201)], ("1", 201)]
    made = responses(answer)[1][0][2]["id"]
    assert len(batcher.central.lines(made)) == 1
    assert batcher.documents() == ["1"]


def test_e6_a_result_and_a_repeat_are_the_same_bytes(batcher: Batcher) -> None:
    """E6: the stored response is that of the call, whichever form it has."""
    key = batcher.new_key()
    accepted = send(batcher, part(batcher.line("1")), Idempotency_Key=key, Prefer="respond-async")
    assert accepted.status_code == 202
    result = batcher.result(accepted)
    repeated = send(batcher, part(batcher.line("1")), Idempotency_Key=key)
    assert (repeated.content, repeated.headers["Content-Type"]) == (result.content, result.headers["Content-Type"])
    assert statuses(result) == [("1", 201)]
    assert batcher.documents() == ["1"]


def test_e6_accept_chooses_the_form(batcher: Batcher) -> None:
    """E6: JSON for multipart, and multipart for JSON."""
    of_multipart = send(batcher, change_set(batcher.line("1")), Accept="application/json")
    told = of_multipart.json()["responses"]
    assert [(one["id"], one["atomicityGroup"], one["status"]) for one in told] == [("1", "changeset_1", 201)]
    assert statuses(batcher.batch([batcher.line("2")], Accept="multipart/mixed")) == [("2", 201)]


def test_e6_there_is_a_response_for_what_was_not_reached(batcher: Batcher) -> None:
    """E6: after a stop, too, and one for a change set that failed."""
    bad = batcher.line("b", postingDate="x")
    answer = send(batcher, part(batcher.line("1")), change_set(batcher.line("a"), bad), part(batcher.line("2")))
    assert statuses(answer) == [("1", 201), ("b", 400), ("2", 424)]
    assert responses(answer)[2][2]["error"]["code"] == "Nightshift_not_attempted"
    assert batcher.documents() == ["1"]
    going_on = send(
        batcher, change_set(batcher.line("a"), bad), part(batcher.line("2")), Prefer="odata.continue-on-error"
    )
    assert statuses(going_on) == [("b", 400), ("2", 201)]
    assert batcher.documents() == ["1", "2"]


def test_e6_mistakes_name_part_and_line(batcher: Batcher) -> None:
    """E6: nothing is sent then."""
    told = problem(send(batcher, part(batcher.line("1")), part({**batcher.line("2"), "method": "X"})), 422, "not-valid")
    assert [(one["pointer"], one["detail"].rpartition("(")[2]) for one in told["errors"]] == [
        ("/parts/2/method", "line 15)")
    ]
    cut = joined(part(batcher.line("1")))[:-10].encode()
    headers = {"Nightshift-Target": None, "Content-Type": "multipart/mixed; boundary=batch_1"}
    problem(batcher.post(BATCH, data=cut, headers=headers), 400, "not-multipart")
    assert not batcher.central.book.batches()


def test_e6_more_parts_than_a_chunk_are_sent_in_chunks(batcher: Batcher) -> None:
    """E6: change sets are chunks of their own."""
    parts = [part(batcher.line(str(number))) for number in range(120)]
    answer = send(batcher, *parts, change_set(batcher.line("a"), batcher.line("b")))
    assert Counter(one[1] for one in statuses(answer)[:120]) == {201: 120}
    assert statuses(answer)[120] == [("a", 201), ("b", 201)]
    assert len(batcher.central.book.batches()) == 3


def test_a_group_in_json_takes_effect_as_a_whole_and_is_retried_as_a_whole(batcher: Batcher) -> None:
    grouped = [{**batcher.line(name), "atomicityGroup": "g"} for name in ("a", "b", "c")]
    grouped[1]["body"]["postingDate"] = "x"
    answer = batcher.batch([*grouped, batcher.line("1")], Prefer="odata.continue-on-error")
    assert [(one["id"], one["status"]) for one in answer.json()["responses"]] == [
        *(("a", 424), ("b", 400), ("c", 424), ("1", 201)),
    ]
    assert batcher.documents() == ["1"]
    path, headers = f"runs/{answer.headers['Nightshift-Run']}/retry", {"Nightshift-Target": None}
    body = {"reason": "date mended", "replace": {"b": {**grouped[1]["body"], "postingDate": "2020-10-20"}}}
    told = problem(batcher.post(path, body, headers=headers), 422, "not-valid")
    assert [one["pointer"] for one in told["errors"]] == ["/replace/b"]
    retried = batcher.post(path, {**body, "only": ["a", "b", "c"]}, headers=headers)
    assert [one["status"] for one in retried.json()["responses"]] == [201] * 3
    assert batcher.documents() == ["1", "a", "b", "c"]


def test_nothing_of_a_group_is_sent_if_a_rule_denies_one_of_its_operations(batcher: Batcher) -> None:
    put_rules(batcher, [{"name": "no customers", "action": "deny", "job": "POST customers"}])
    customer = {**batcher.line("c"), "url": f"companies({batcher.company})/customers", "body": {"displayName": "A"}}
    answer = batcher.batch([{**one, "atomicityGroup": "g"} for one in (batcher.line("a"), customer)])
    put_rules(batcher, [])
    assert [(item["id"], item["outcome"]) for item in batcher.run(answer)["items"]] == [
        ("a", "not_attempted"),
        ("c", "skipped"),
    ]
    assert batcher.documents() == []
