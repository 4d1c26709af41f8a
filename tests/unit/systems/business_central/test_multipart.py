"""A `$batch` in multipart/mixed becomes the same operations as one in JSON, or a problem that names part and line."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.core.problems import NotMultipart, NotValid, Refused
from shared.core.targets import Target
from shared.systems.business_central.answer_form import answer_form
from shared.systems.business_central.definition import BUSINESS_CENTRAL
from shared.systems.business_central.requests import chunks
from shared.systems.operations import OperationList
from shared.validation.request import Call
from tests.conftest import examples

BASE = "https://api.businesscentral.dynamics.com/v2.0/contoso.com/Production"
OURS = "https://night.example/api/business-central/api/v2.0/"
TARGET = Target(name="bc", system="business-central", url=BASE, auth="managed-identity", company="c")
LINES = "companies(c)/journals(j)/journalLines"
TYPED = {"Content-Type": "application/json"}


def request(method: str, url: str, body: str = "", headers: dict[str, str] | None = None, name: str = "") -> str:
    """Return a part with one request."""
    inner = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    named = f"Content-ID: {name}\r\n" if name else ""
    return f"Content-Type: application/http\r\n{named}\r\n{method} {url} HTTP/1.1\r\n{inner}\r\n{body}"


def change_set(*parts: str, boundary: str = "cs") -> str:
    return f"Content-Type: multipart/mixed; boundary={boundary}\r\n\r\n{joined(*parts, boundary=boundary)}"


def joined(*parts: str, boundary: str = "b") -> str:
    return "".join(f"--{boundary}\r\n{part}\r\n" for part in parts) + f"--{boundary}--\r\n"


def asked(body: str | bytes, boundary: str = "b", **headers: str) -> OperationList:
    data = body if isinstance(body, bytes) else body.encode()
    told = {"content-type": f"multipart/mixed; boundary={boundary}", **headers}
    return validated(Call("POST", "batch", f"{OURS}$batch", told, {}, {"root": "api/v2.0/$batch"}, data))


def validated(call: Call) -> OperationList:
    fan_out = BUSINESS_CENTRAL.fan_out
    assert fan_out
    return fan_out.read(call).validated(TARGET)


def as_json(requests: list[dict[str, Any]], **headers: str) -> OperationList:
    told = {"content-type": "application/json", **headers}
    data = json.dumps({"requests": requests}, ensure_ascii=False).encode()
    return validated(Call("POST", "batch", f"{OURS}$batch", told, {}, {"root": "api/v2.0/$batch"}, data))


def mistakes(*parts: str) -> list[tuple[str | None, str]]:
    with pytest.raises(NotValid) as caught:
        asked(joined(*parts))
    return [(one.pointer, one.detail) for one in caught.value.mistakes]


def sent(found: OperationList) -> list[Any]:
    return [json.loads(one.text) for one in found.operations]


def test_e6_parts_become_operations() -> None:
    body = '{"amount": 1234567890123456.7890}'
    found = asked(
        "to be ignored\r\n"
        + joined(
            request("GET", "companies"),
            change_set(
                request("POST", LINES, body, TYPED, "1"), request("PATCH", "$1", "{}", {"If-Match": "*"}, name="2")
            ),
            request("get", "companies(c)/items?$filter=number eq '1'", headers={"Accept": "application/json"}),
        )
        + "as well"
    )
    lines, change = TYPED["Content-Type"], {"if-match": "*", "content-type": "application/json"}
    assert sent(found) == [
        {"id": "5", "method": "GET", "url": "companies", "headers": {}},
        {"id": "1", "method": "POST", "url": LINES, "headers": {"content-type": lines}, "body": json.loads(body)},
        {"id": "2", "method": "PATCH", "url": "$1", "headers": change, "dependsOn": ["1"], "body": {}},
        {"id": "4", "method": "GET", "url": "companies(c)/items?$filter=number eq '1'"}
        | {"headers": {"accept": "application/json"}},
    ]
    assert found.operations[1].text.endswith(f'"body":{body}}}')
    assert [one.group for one in found.operations] == [None, "changeset_2", "changeset_2", None]
    assert found.form == "multipart"
    assert [(one.operations, one.atomic) for one in chunks(found, TARGET)] == [
        ((0,), False),
        ((1, 2), True),
        ((3,), False),
    ]


def test_e6_lines_may_end_with_lf_alone_and_blanks_may_stand_anywhere_they_may() -> None:
    text = joined(request("POST", LINES, '\r\n\r\n{"a":\r\n1}\r\n', TYPED), "\r\n" * 2).replace("\r\n", "\n")
    part = request("GET", "companies").replace("\r\n", "\n").replace("GET", "\n\nGET")
    folded = "Content-Type:\n application/http\n\nGET companies HTTP/1.1"
    text = f"--b \t\n{text[4:].partition('--b')[0]}--b\n{part}\n--b\n{folded}\n--b--"
    assert [one["method"] for one in sent(asked(text))] == ["POST", "GET", "GET"]


@pytest.mark.parametrize("written", ['"b c"', "b", "b==b", '"b"; charset=utf-8', "b;type=x"])
def test_e6_a_boundary_is_quoted_or_not(written: str) -> None:
    boundary = written.partition(";")[0].strip('"')
    assert len(asked(joined(request("GET", "companies"), boundary=boundary), written).operations) == 1


@pytest.mark.parametrize("kind", ["", "; boundary=", '; boundary=""', "; boundary=ä", f"; boundary={'b' * 71}"])
def test_e6_a_boundary_that_is_missing_or_wrong_is_told(kind: str) -> None:
    call = Call("POST", "batch", "u", {"content-type": f"multipart/mixed{kind}"}, {}, {}, b"--b--")
    with pytest.raises(NotMultipart) as caught:
        validated(call)
    assert [one.header for one in caught.value.mistakes] == ["Content-Type"]


@pytest.mark.parametrize(
    ("text", "line"),
    [("nothing", 1), (joined(request("GET", "companies"))[:-5], 7), ("--b\r\nx\r\n--bc--\r\n--b --x", 4)],
)
def test_e6_a_body_that_ends_too_early_is_not_taken(text: str, line: int) -> None:
    with pytest.raises(NotMultipart, match=rf"\(line {line}\)"):
        asked(text)


def test_e6_no_parts_are_no_operations() -> None:
    assert not asked("--b--").operations


def test_e6_every_mistake_names_its_part_and_line() -> None:
    found = mistakes(
        "Content-Type: text/plain\r\n\r\nGET companies HTTP/1.1",
        "Content-Type: application/http\r\nno header\r\n\r\n",
        request("HEAD", "companies"),
        "Content-Type: application/http\r\n\r\nGET companies\r\n\r\n",
        request("POST", LINES, "<a/>", {"Content-Type": "application/atom+xml"}),
        request("POST", LINES, '{"a":\r\n x}', TYPED),
        request("POST", LINES, '{"a": 1, "a": 2}', TYPED),
        change_set(request("GET", "companies"), request("DELETE", f"{LINES}(1)")),
        change_set(),
        change_set(change_set(request("POST", LINES, "{}"), boundary="inner")),
        request("GET", "companies", headers={"Host": "elsewhere.example"}),
        request("GET", "companies", name="x") + "\r\n--b\r\n" + request("GET", "companies", name="x"),
        "Content-Type: application/http\r\nContent-Transfer-Encoding: base64\r\n\r\n" + "R0VU",
        request("GET", "companies", headers={"Authorization": "Bearer x"}),
        request("POST", LINES, "[]", TYPED),
    )
    assert [place for place, _ in found] == [
        *("/parts/1/Content-Type", "/parts/2", "/parts/3/method", "/parts/4", "/parts/5/headers/Content-Type"),
        *("/parts/6/body", "/parts/7/body/a", "/parts/8.1/method", "/parts/9", "/parts/10.1/Content-Type"),
        *("/parts/13/Content-ID", "/parts/14/Content-Transfer-Encoding", "/parts/14"),
        *("/parts/8.2/headers", "/parts/11/url", "/parts/15/headers/Authorization", "/parts/16/body"),
    ]
    texts = dict(found)
    assert texts["/parts/2"] == "has a line that is not a header (line 7)"
    assert texts["/parts/6/body"] == "is not JSON at column 2 (line 36)"
    assert all("(line " in text for text in texts.values())


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("/v2.0/contoso.com/Production/api/v2.0/companies", "api.businesscentral.dynamics.com"),
        (f"{BASE}/api/v2.0/companies", "api.businesscentral.dynamics.com"),
        ("/api/business-central/api/v2.0/companies", "night.example"),
        (f"{OURS}companies", "NIGHT.example:443"),
        ("companies", "night.example"),
    ],
)
def test_e6_a_url_is_absolute_or_a_path_with_its_host_or_relative(url: str, host: str) -> None:
    [found] = sent(asked(joined(request("GET", url, headers={"Host": host}))))
    assert (found["url"], found["headers"]) == ("companies", {})


def test_e6_content_ids_are_those_of_their_change_set() -> None:
    found = asked(
        joined(
            change_set(request("POST", LINES, "{}", name="1"), request("PATCH", "$1", "{}", {"If-Match": "$1"}, "2")),
            change_set(request("POST", LINES, "{}", name="1"), request("PATCH", "$1/x", "{}", {"If-Match": "*"}, "2")),
            request("GET", "$1", name="2"),
        ),
        prefer="odata.continue-on-error",
    )
    assert [(one["id"], one["url"]) for one in sent(found)][:4] == [
        *(("1", LINES), ("2", "$1")),
        *(("2.1", LINES), ("2.2", "$2.1/x")),
    ]
    assert found.content_ids == {"2.1": "1", "2.2": "2", "3": "2"}
    with pytest.raises(NotValid) as caught:
        chunks(found, TARGET)
    assert [one.pointer for one in caught.value.mistakes] == ["/parts/3"]


@pytest.mark.parametrize(
    ("accept", "of_json", "of_multipart"),
    [
        ("", "json", "multipart"),
        ("*/*", "json", "multipart"),
        ("application/json", "json", "json"),
        ("application/json;IEEE754Compatible=true", "json", "json"),
        ("multipart/mixed", "multipart", "multipart"),
        ("multipart/mixed, application/json", "json", "multipart"),
        ("multipart/mixed;q=0.9, application/json;q=0.8", "multipart", "multipart"),
        ("multipart/mixed;q=0.1, application/JSON ; q=0.8", "json", "json"),
        ("multipart/mixed;q=0", "json", "multipart"),
        ("text/html;;,", "json", "multipart"),
    ],
)
def test_e6_a_batch_is_answered_in_kind_unless_accept_says_otherwise(
    accept: str, of_json: str, of_multipart: str
) -> None:
    assert (answer_form(accept, "json"), answer_form(accept, "multipart")) == (of_json, of_multipart)
    assert as_json([], accept=accept).form == of_json


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
BODIES = st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=6), JSON, max_size=4)


@st.composite
def operations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return operations in the JSON form, groups of which follow each other."""
    found: list[dict[str, Any]] = []
    for number in range(draw(st.integers(0, 6))):
        one: dict[str, Any] = {"id": f"op{number}", "headers": {}}
        group = f"g{draw(st.integers(0, 2)) + 10 * number}" if draw(st.booleans()) else None
        count = draw(st.integers(1, 3)) if group else 1
        for inner in range(count):
            method = draw(st.sampled_from(["POST", "PATCH", "DELETE"] if group else ["GET", "POST", "PATCH"]))
            headers = {} if method in ("GET", "POST") else {"If-Match": "*"}
            body = {} if method in ("GET", "DELETE") else {"body": draw(BODIES)}
            earlier = f"op{number}-{inner - 1}"
            url = f"${earlier}/lines" if inner and draw(st.booleans()) else "companies(c)/journals(j)/journalLines"
            one = {"id": f"op{number}-{inner}", "method": method, "url": url, "headers": headers, **body}
            found.append({**one, **({"atomicityGroup": group} if group else {})})
    return found


def as_multipart(found: list[dict[str, Any]]) -> str:
    parts: list[str] = []
    sets: dict[str, list[str]] = {}
    for one in found:
        body = json.dumps(one["body"], ensure_ascii=False) if "body" in one else ""
        part = request(one["method"], one["url"], body, one["headers"], one["id"])
        group = one.get("atomicityGroup")
        if group is None:
            parts.append(part)
        elif group in sets:
            sets[group].append(part)
        else:
            sets[group] = [part]
            parts.append(group)
    return joined(*(change_set(*sets[one], boundary="inner") if one in sets else one for one in parts))


@given(operations(), st.sampled_from(["", "odata.continue-on-error"]))
def test_e6_a_list_means_the_same_in_both_forms(found: list[dict[str, Any]], prefer: str) -> None:
    of_json, of_multipart = as_json(found, prefer=prefer), asked(as_multipart(found), prefer=prefer)
    assert [one.text for one in of_multipart.operations] == [one.text for one in of_json.operations]
    assert chunks(of_multipart, TARGET) == chunks(of_json, TARGET)
    assert [one.kind.safe for one in of_multipart.operations] == [one.kind.safe for one in of_json.operations]


PIECES = st.sampled_from(
    [
        *(
            b"--b",
            b"--b--",
            b"--cs",
            b"--cs--",
            b"\r\n",
            b"\n",
            b"\r",
            b" ",
            b":",
            b"{",
            b"}",
            b"\x00",
            b"\xff",
            b"$1/x",
        ),
        *(b"Content-Type: application/http", b"Content-Type: multipart/mixed; boundary=cs", b"Content-ID: 1"),
        *(b"GET companies HTTP/1.1", b"POST companies(c)/items HTTP/1.1", b"Host: [", b'{"a": 1}', b"NaN"),
    ]
)
GOOD = joined(request("GET", "companies", name="1"), change_set(request("POST", LINES, '{"a": 1}', TYPED))).encode()


@given(st.lists(PIECES, max_size=40).map(b"".join) | st.lists(PIECES, max_size=40).map(b"\r\n".join) | st.binary())
@example(b"--b\r\n\r\n--b--")
@example(b"--b\n--b--")
def test_e6_any_bytes_are_taken_or_refused(data: bytes) -> None:
    clean(data or b"x")


@given(st.data())
def test_e6_a_good_body_with_changes_is_taken_or_refused(data: st.DataObject) -> None:
    text = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        begin = data.draw(st.integers(0, len(text)))
        text[begin : begin + data.draw(st.integers(0, 5))] = data.draw(PIECES | st.binary(max_size=3))
    clean(bytes(text) or b"x")


def clean(data: bytes) -> None:
    try:
        found = asked(data)
        chunks(found, TARGET)
    except Refused as problem:
        assert 400 <= problem.status < 500  # noqa: PT017 - either end
        assert problem.mistakes  # noqa: PT017 - as above


@pytest.mark.slow
def test_e6_a_large_body_takes_linear_time() -> None:
    body = joined(*[request("POST", LINES, json.dumps({"a": "b" * 200}), TYPED)] * (examples(10_000)))
    assert len(asked(body).operations) == examples(10_000)
    for odd in (b"--b" * 300_000, b"--b\n" * 300_000, b"\n--bb" * 300_000, b": " * 300_000, b"\r\n" * 300_000):
        clean(odd)
