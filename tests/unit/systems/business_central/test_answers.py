"""The answer to a `$batch` in all its shapes, and a batch that is refused whole."""

import json

import pytest
from requests.structures import CaseInsensitiveDict

from shared.core.problems import AccessDenied, ItemProblem, NoAnswer, RefusedBySystem, Throttled, TimedOut
from shared.fanout.merging import merge
from shared.systems.business_central.answers import answers_in
from shared.systems.business_central.client import _refuse
from shared.systems.business_central.lookup import _literal
from shared.transport.connection import Reply

MULTIPART = (
    "--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: r1\r\n\r\n"
    'HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nLocation: x\r\n\r\n{"amount":1234567890123456.7890}\r\n'
    "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n"
    "--c\r\nContent-Type: application/http\r\nContent-ID: <r2>\r\n\r\n"
    'HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n\r\n{"error":{"code":"Bad","message":"No"}}\r\n'
    "--c--\r\n--b--\r\n"
)


def reply(body: str, status: int = 200, kind: str = "application/json", **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, CaseInsensitiveDict({"Content-Type": kind, **named}), body.encode())


def test_json_keeps_every_digit() -> None:
    members = '"status":201,"headers":{"Content-Type":"a"},"id":"1","body" :{"amount":1234567890123456.7890}'
    body = f'{{"responses":[{{{members}}}]}}'
    [given] = answers_in(reply(body))
    assert (given.id, given.status, given.headers) == ("1", 201, {"content-type": "a"})
    assert given.body == '{"amount":1234567890123456.7890}'


def test_multipart_in_spite_of_accept_is_read() -> None:
    first, second = answers_in(reply(MULTIPART, kind='multipart/mixed; boundary="b"'))
    assert (first.id, first.status, first.body) == ("r1", 201, '{"amount":1234567890123456.7890}')
    assert (second.id, second.status, second.reason) == ("r2", 400, "Bad: No")


def test_what_has_no_id_matches_nothing() -> None:
    [given] = answers_in(reply('{"responses":[{"id":null,"status":"201"}]}'))
    assert (given.id, given.status) == (None, 201)


@pytest.mark.parametrize(
    "body", ["", "<html>", "[]", '{"value":[]}', '{"responses":{}}', '{"responses":[{"id":"1"}]}', '{"responses":[']
)
def test_what_cannot_be_read_says_nothing(body: str) -> None:
    with pytest.raises(NoAnswer):
        answers_in(reply(body))


def test_a_page_that_is_no_multipart_says_nothing() -> None:
    with pytest.raises(NoAnswer) as caught:
        answers_in(reply("secret words", kind="multipart/mixed; boundary=b"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, "", AccessDenied),
        (403, "", AccessDenied),
        (408, "", TimedOut),
        (504, "", TimedOut),
        (429, "", Throttled),
        (503, "", Throttled),
        (400, '{"error":{"code":"Unknown","message":"too many parts"}}', RefusedBySystem),
        (500, '{"error":{"code":"BadRequest","message":"malformed"}}', RefusedBySystem),
        (413, "", RefusedBySystem),
        # A7: any other code may come after writes.
        (500, '{"error":{"code":"Unknown","message":"The connection to the database was lost."}}', NoAnswer),
        (500, '{"error":{"code":"Internal_ServerError","message":"x"}}', NoAnswer),
        (500, "", NoAnswer),
        (502, "<html>", NoAnswer),
    ],
)
def test_a_batch_is_refused_whole_or_says_nothing(status: int, body: str, kind: type[ItemProblem]) -> None:
    with pytest.raises(kind) as caught:
        _refuse(reply(body, status))
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("raw", "literal"),
    [
        ('"O\'Neil"', "'O''Neil'"),
        ('"2020-10-20"', "2020-10-20"),
        ('"0a1b2c3d-0000-1111-2222-333344445555"', "0a1b2c3d-0000-1111-2222-333344445555"),
        ("-3250.50", "-3250.50"),
        ("true", "true"),
        ("null", "null"),
    ],
)
def test_a_field_becomes_a_literal_of_odata(raw: str, literal: str) -> None:
    assert _literal(json.loads(raw), raw) == literal


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            (
                '{"responses":[{"id":"1","status":201,"headers":{},"body":{}},'
                '{"id":"2","status":404,"headers":{}, "body" : }]}'
            ),
            [("1", 201)],
        ),
        (
            (
                '{"responses":[{"id":"1","status":400,"body":{"error":{"code":"x","message":"a\tb}{"}}},'
                '{"id":"2","status":201}]}'
            ),
            [("1", 400), ("2", 201)],
        ),
        (
            (
                '{"responses":[{"id":"1","status":400,"body":{"error":{"code":"x","message":"\\ud800"}}},'
                '{"id":"2","status":201}]}'
            ),
            [("1", 400), ("2", 201)],
        ),
        ('\ufeff{"responses":[{"id":"1","status":201}]}', [("1", 201)]),
        ('{"responses":[{"id":"1","status":201},{"id":"2","sta', [("1", 201)]),
    ],
)
def test_c3_what_can_be_read_of_an_answer_counts(text: str, found: list[tuple[str, int]]) -> None:
    responses = answers_in(reply(text))
    assert [(one.id, one.status) for one in responses if one.id is not None] == found
    assert all(one.reason.encode() is not None for one in responses)


@pytest.mark.parametrize("text", ["", "<html>", '{"responses":', '{"responses":[{]}', "[]", '{"value":[{"id":"1"}]}'])
def test_c3_of_an_answer_without_responses_nothing_counts(text: str) -> None:
    with pytest.raises(NoAnswer):
        answers_in(reply(text))


def test_c3_what_cant_be_read_may_be_about_any_operation() -> None:
    """After a failure that ends the batch, a missing response must not be taken for one that was not attempted."""
    text = '{"responses":[{"id":"1","status":400},{"id":"2","status":201,"body":{"a'
    ends = merge(["1", "2", "3"], answers_in(reply(text)), stopped=True, snapshot=False)
    assert [end.verdict for end in ends] == ["rejected", "unknown", "unknown"]
