"""Batches of OpenDataDSL: the examples of its page, what POST may answer, repeats, failures, environments."""

import itertools
import json
from collections.abc import Iterator
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.simulators.opendatadsl.answers import REASON, RefusedError
from local.simulators.opendatadsl.behaviour import Acceptance, Repeat
from local.simulators.opendatadsl.samples import DOCUMENTED
from local.simulators.opendatadsl.sent import read_batch
from local.simulators.opendatadsl.server import OpenDataDsl
from local.simulators.testing.finance_operations import Clock
from local.simulators.testing.opendatadsl import OpenDataDslCaller

_BATCH = "00006d91-0fa0-481a-8118-7d6c1f4dba8f"
_SENT = """{
	"_id": "00006d91-0fa0-481a-8118-7d6c1f4dba8f",
	"_type": "VarBatch",
	"elements": [
		{
			"_id": "AAA",
			"example": "property"
		}
	]
}"""
"""The batch of OpenDataDSL's own page."""
_LOADER = "AEMO_NEM_POWER_5MIN_PRICE_AND_DEMAND_EVENTS"
_ITEMS = ["AEMO.5MIN.PRICE_AND_DEMAND:FORECAST", "AEMO.5MIN.PRICE_AND_DEMAND:ACTUAL"]
_NUMBERS = '{ "_id" : "N", "a": 1.10, "b":12345678901234567890, "c": 1E+2, "d": "\\u00e9", "a": 2.00 }'


def test_the_build_information(odsl: OpenDataDslCaller) -> None:
    response = odsl.call("GET", "/batch")
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert isinstance(response.json(), dict)


def test_the_summaries_of_the_page(tenant: OpenDataDsl, odsl: OpenDataDslCaller) -> None:
    tenant.fill()
    assert len(odsl.found()) == 3
    assert odsl.found(name=_LOADER) == [DOCUMENTED]
    assert odsl.found(name=_LOADER.lower()) == []
    summary = odsl.summary(DOCUMENTED)
    assert summary == {
        "_id": DOCUMENTED,
        "user": "user@example.com",
        "environment": "production",
        "timestamp": summary["timestamp"],
        "service": "ETL",
        "name": _LOADER,
        "reason": "Update Batch",
        "source": "private",
        "status": "success",
        "message": "Completed Successfully",
        "summary": {
            "curves": {},
            "failures": {},
            "series": {},
            "matrix": {},
            "events": {summary["timestamp"][:10]: _ITEMS},
        },
    }


def test_the_batch_of_the_page(tenant: OpenDataDsl, odsl: OpenDataDslCaller, clock: Clock) -> None:
    response = odsl.call("POST", "/batch/v1", text=_SENT)
    assert (response.status_code, response.content) == (200, b"")
    summary = odsl.summary(_BATCH)
    assert summary["timestamp"] == f"{clock():%Y-%m-%dT%H:%M:%S}.000"
    assert (summary["status"], summary["environment"]) == ("success", "production")
    assert {"service", "name"}.isdisjoint(summary)
    assert summary["summary"]["objects"] == {f"{clock():%Y-%m-%d}": ["AAA"]}
    assert [(one.batch, one.element, json.loads(one.text)) for one in tenant.book.taken()] == [
        (_BATCH, "AAA", {"_id": "AAA", "example": "property"})
    ]


def test_what_the_language_knows_of_a_batch_is_taken_too(odsl: OpenDataDslCaller) -> None:
    body = {"_id": "b", "_type": "VarBatch", "elements": [], "service": "ETL", "name": "MINE", "correlationId": "c"}
    odsl.call("POST", "/batch/v1", {**body, "history": True}, params={"_reason": "Correction"}).raise_for_status()
    summary = odsl.summary("b")
    assert (summary["service"], summary["name"], summary["reason"]) == ("ETL", "MINE", "Correction")


@pytest.mark.parametrize(
    ("accepted", "status", "content"),
    [
        ("empty", 200, b""),
        ("text", 202, b"Accepted"),
        ("no-content", 204, b""),
        ("id", 200, b'{"_id":"b"}'),
    ],
)
def test_what_is_answered_is_a_choice(
    tenant: OpenDataDsl, odsl: OpenDataDslCaller, accepted: Acceptance, status: int, content: bytes
) -> None:
    tenant.behaviour.accepted = accepted
    response = odsl.send("b", "A")
    assert (response.status_code, response.content) == (status, content)
    assert tenant.book.times() == {"A": 1}


def test_the_summary_may_be_the_answer(tenant: OpenDataDsl, odsl: OpenDataDslCaller) -> None:
    tenant.behaviour.accepted = "whole"
    assert odsl.send("b", "A").json() == odsl.summary("b")


def test_a_summary_appears_later(tenant: OpenDataDsl, odsl: OpenDataDslCaller, clock: Clock) -> None:
    tenant.behaviour.summary_seconds = 30
    odsl.send("b", "A")
    early = odsl.call("GET", "/batch/v1/b")
    assert (early.status_code, early.text) == (404, "Not Found")
    assert early.headers[REASON] == "There is no batch b in production."
    assert odsl.call("DELETE", "/batch/v1/b").status_code == 404
    assert odsl.found() == []
    sent = clock()
    clock.forward(30)
    assert odsl.summary("b")["timestamp"] > f"{sent:%Y-%m-%dT%H:%M:%S}"
    assert tenant.book.taken("A")[0].time == sent


def test_a_summary_never_appears(tenant: OpenDataDsl, odsl: OpenDataDslCaller, clock: Clock) -> None:
    tenant.behaviour.summary_seconds = None
    odsl.send("b", "A")
    clock.forward(1e6)
    assert odsl.found() == []
    assert tenant.book.times() == {"A": 1}


def test_times_are_local_and_have_no_zone(tenant: OpenDataDsl, odsl: OpenDataDslCaller, clock: Clock) -> None:
    clock.forward(0.4331)
    tenant.behaviour.zone_hours = 2
    odsl.send("b", "A")
    local = clock().astimezone(tenant.behaviour.zone)
    summary = odsl.summary("b")
    assert summary["timestamp"] == f"{local:%Y-%m-%dT%H:%M:%S}.{local.microsecond // 1000:03}"
    assert list(summary["summary"]["objects"]) == [f"{local:%Y-%m-%d}"]


def test_numbers_are_kept_as_they_came(tenant: OpenDataDsl, odsl: OpenDataDslCaller) -> None:
    text = f'{{"elements":[ {_NUMBERS} ,{{"_id":"M"}}], "_type":"VarBatch","_id" : "b" }}'
    assert odsl.call("POST", "/batch/v1", text=text).status_code == 200
    assert [one.text for one in tenant.book.taken()] == [_NUMBERS, '{"_id":"M"}']
    assert odsl.control("GET", "objects").json()["objects"][0]["text"] == _NUMBERS


def _spaced(value: object, spaces: Iterator[str]) -> str:
    """Write JSON with other white space in every place where some may be."""
    space = next(spaces)
    if isinstance(value, dict):
        inner = ",".join(f"{space}{json.dumps(name)}{space}:{_spaced(one, spaces)}" for name, one in value.items())
        return f"{space}{{{inner}{space}}}{space}"
    if isinstance(value, list):
        return f"{space}[{','.join(_spaced(one, spaces) for one in value)}{space}]{space}"
    return f"{space}{json.dumps(value)}{space}"


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.lists(st.dictionaries(st.text(max_size=3), _VALUES, max_size=3), max_size=4),
    st.lists(st.sampled_from(["", " ", "\n\t", "\r "]), min_size=1, max_size=5),
)
def test_elements_are_told_apart_however_they_are_written(elements: list[dict[str, object]], spaces: list[str]) -> None:
    elements = [{**element, "_id": f"E{number}"} for number, element in enumerate(elements)]
    body = {"first": [1], "elements": elements, "_id": "b", "_type": "VarBatch"}
    sent = read_batch(_spaced(body, itertools.cycle(spaces)).encode())
    assert [one.id for one in sent.elements] == [one["_id"] for one in elements]
    assert [json.loads(one.text) for one in sent.elements] == elements


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ('{"_id":NaN}', "not JSON"),
        ("[]", "not an object"),
        ('{"_id":"b","_type":"VarList","elements":[]}', "VarBatch"),
        ('{"_id":"b","_type":"VarBatch"}', "elements"),
        ('{"_id":"b","_type":"VarBatch","elements":{}}', "elements"),
        ('{"_type":"VarBatch","elements":[]}', "the batch has no _id"),
        ('{"_id":7,"_type":"VarBatch","elements":[]}', "the batch has no _id"),
        ('{"_id":"b","_type":"VarBatch","elements":[1]}', "not an object"),
        ('{"_id":"b","_type":"VarBatch","elements":[{"_id":""}]}', "an element has no _id"),
        ('{"_id":"b","_type":"VarBatch","elements":[],"name":1}', "name"),
    ],
)
def test_what_is_no_batch_is_refused(tenant: OpenDataDsl, odsl: OpenDataDslCaller, text: str, word: str) -> None:
    response = odsl.call("POST", "/batch/v1", text=text)
    assert (response.status_code, response.text) == (400, "Bad Request")
    assert response.headers[REASON].startswith("[5005] Update Error: ")
    assert word in response.headers[REASON]
    assert tenant.book.effects() == []


def test_a_body_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(RefusedError):
        read_batch(b'{"_id":"\xff"}')


@pytest.mark.parametrize("repeat", ["replace", "ignore", "refuse"])
def test_a_batch_that_comes_again(tenant: OpenDataDsl, odsl: OpenDataDslCaller, clock: Clock, repeat: Repeat) -> None:
    tenant.behaviour.repeat = repeat
    odsl.send("b", "A", "B")
    first = odsl.summary("b")
    odsl.send("c", "C")
    clock.forward(5)
    again = odsl.send("b", "A", "B")
    taken = {"replace": 2, "ignore": 1, "refuse": 1}[repeat]
    assert again.status_code == (409 if repeat == "refuse" else 200)
    assert tenant.book.times() == {"A": taken, "B": taken, "C": 1}
    assert (odsl.summary("b") == first) == (repeat != "replace")
    assert sorted(odsl.found()) == ["b", "c"]
    assert [effect.change for effect in tenant.book.effects()] == [
        *("batch", "batch"),
        *{"replace": ["batch"], "ignore": ["ignored"], "refuse": []}[repeat],
    ]


def test_a_repeat_is_known_before_its_summary_appears(tenant: OpenDataDsl, odsl: OpenDataDslCaller) -> None:
    tenant.behaviour.summary_seconds = None
    tenant.behaviour.repeat = "refuse"
    odsl.send("b", "A")
    response = odsl.send("b", "A")
    assert response.headers[REASON] == "[5005] Update Error: there is a batch b already"


def test_the_id_of_a_batch_belongs_to_its_environment(tenant: OpenDataDsl, odsl: OpenDataDslCaller) -> None:
    tenant.behaviour.repeat = "refuse"
    assert odsl.send("b", "A").status_code == 200
    assert odsl.send("b", "A", "B", environment="test").status_code == 200
    assert odsl.summary("b", "test")["environment"] == "test"
    assert odsl.found() == odsl.found("test") == ["b"]
    assert tenant.book.times("production") == {"A": 1}
    assert tenant.book.times("test") == {"A": 1, "B": 1}
    assert len(tenant.book.taken(environment="test", batch="b")) == 2
    odsl.call("DELETE", "/batch/v1/b", environment="test")
    assert (odsl.found(), odsl.found("test")) == (["b"], [])


def test_an_environment_that_there_is_not(tenant: OpenDataDsl, odsl: OpenDataDslCaller) -> None:
    response = odsl.send("b", "A", environment="Test")
    assert (response.status_code, response.headers[REASON]) == (400, "There is no environment Test.")
    assert tenant.book.effects() == []
    assert [call.environment for call in tenant.book.calls()] == ["Test"]


@pytest.mark.parametrize("status", [200, 204])
def test_a_summary_is_deleted_and_the_objects_stay(
    tenant: OpenDataDsl, odsl: OpenDataDslCaller, status: Literal[200, 204]
) -> None:
    tenant.behaviour.deleted = status
    odsl.send("b", "A")
    assert odsl.call("DELETE", "/batch/v1/b", params={"_reason": "Tidy"}).status_code == status
    assert odsl.call("GET", "/batch/v1/b").status_code == 404
    again = odsl.call("DELETE", "/batch/v1/b")
    assert (again.status_code, again.headers[REASON]) == (404, "There is no batch b in production.")
    assert tenant.batches.stored("A") is not None
    assert [(one.ident, one.reason) for one in tenant.book.effects("delete")] == [("b", "Tidy")]


def test_objects_that_cannot_be_written_are_named(tenant: OpenDataDsl, odsl: OpenDataDslCaller, clock: Clock) -> None:
    tenant.behaviour.failing = frozenset({"B"})
    odsl.send("b", "A", "B")
    summary = odsl.summary("b")
    assert summary["status"] == "success"
    assert summary["summary"]["failures"] == {f"{clock():%Y-%m-%d}": ["B"]}
    assert tenant.book.times() == {"A": 1}


def test_a_batch_fails(tenant: OpenDataDsl, odsl: OpenDataDslCaller) -> None:
    tenant.behaviour.status = "failed"
    tenant.behaviour.failed_message = "The queue is full"
    assert odsl.send("b", "A").status_code == 200
    summary = odsl.summary("b")
    assert (summary["status"], summary["message"]) == ("failed", "The queue is full")
    assert not any(summary["summary"].values())
    assert tenant.book.times() == {}


def test_a_summary_lists_by_type(tenant: OpenDataDsl, odsl: OpenDataDslCaller, clock: Clock) -> None:
    elements = [
        {"_id": "S", "_type": "VarTimeSeries"},
        {"_id": "C", "_type": "VarCurve"},
        {"_id": "E", "_type": "VarEvent"},
        {"_id": "O", "_type": "VarSimpleObject", "SPOT": {"_type": "VarTimeSeries"}, "note": {"_type": "VarNote"}},
        {"_id": "P", "_type": "VarSimpleObject"},
    ]
    odsl.send("b", *elements)
    day = f"{clock():%Y-%m-%d}"
    told = {kind: days.get(day, []) for kind, days in odsl.summary("b")["summary"].items()}
    assert told == {
        "series": ["S", "O:SPOT"],
        "curves": ["C"],
        "events": ["E"],
        "objects": ["P"],
        "failures": [],
        "matrix": [],
    }
    tenant.behaviour.plain_objects = None
    odsl.send("c", "P")
    assert "objects" not in odsl.summary("c")["summary"]


def test_batches_that_are_too_large(tenant: OpenDataDsl, odsl: OpenDataDslCaller) -> None:
    tenant.behaviour.max_elements = 2
    assert odsl.send("b", "A", "B", "C").status_code == 413
    assert odsl.send("b", "A", "B").status_code == 200
    tenant.behaviour.max_bytes = 50
    response = odsl.send("c", "A")
    assert (response.status_code, response.headers[REASON]) == (413, "The body has more than 50 bytes.")
    assert tenant.book.times() == {"A": 1, "B": 1}


def test_an_object_is_as_the_last_batch_wrote_it(tenant: OpenDataDsl, odsl: OpenDataDslCaller) -> None:
    odsl.send("b", {"_id": "A", "old": 1})
    odsl.send("c", {"_id": "A", "new": 2.50})
    stored = tenant.batches.stored("A")
    assert stored
    assert (json.loads(stored.text), stored.batch, stored.times) == ({"_id": "A", "new": 2.5}, "c", 2)


def test_a_large_batch(tenant: OpenDataDsl, odsl: OpenDataDslCaller) -> None:
    ids = [f"OBJECT.{number}" for number in range(5000)]
    odsl.send("b", *ids)
    assert tenant.book.times() == dict.fromkeys(ids, 1)
