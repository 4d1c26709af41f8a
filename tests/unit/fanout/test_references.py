"""The URL of an entity in place of a reference `$<id>`."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.fanout.history import ChunkHistory
from shared.fanout.references import names_in, resolved
from shared.systems.operations import BatchOperation, Entity

NAMES = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1, max_size=4)
JOURNAL = Entity(url="companies(1)/journals(2)", etag='W/"1"')


def operation(url: str, needed: list[str], body: str = "1.50", **headers: str) -> BatchOperation:
    text = f'{{"id":"x","method":"POST","url":{json.dumps(url)},"headers":{json.dumps(headers)}'
    text += f',"dependsOn":{json.dumps(needed)},"body":{{"amount":{body}}}}}'
    depends = [(0, name) for name in needed]
    return BatchOperation(place=1, id="x", method="POST", url=url.partition("?")[0], depends=depends, text=text)


def read(one: BatchOperation | None) -> dict[str, Any]:
    assert one
    found: dict[str, Any] = json.loads(one.text)
    return found


@given(NAMES, st.sampled_from(["", "/journalLines", "/journalLines?$expand=a"]), st.booleans())
def test_c5_a_reference_becomes_the_url_unless_the_other_one_is_sent_with_it(name: str, rest: str, here: bool) -> None:  # noqa: FBT001 - hypothesis passes it by place
    one = operation(f"${name}{rest}", [name])
    found = resolved(one, [name] if here else [], {name: JOURNAL})
    if here:
        assert found == one
        return
    told = read(found)
    assert told["url"] == f"companies(1)/journals(2){rest}"
    assert "dependsOn" not in told
    assert found
    assert found.url == told["url"].partition("?")[0]


def test_c5_numbers_keep_their_digits() -> None:
    found = resolved(operation("$1/lines", ["1"], "1234567890123456.7890"), [], {"1": JOURNAL})
    assert found
    assert '{"amount":1234567890123456.7890}' in found.text


def test_c5_an_etag_is_replaced_as_well_and_other_references_stay() -> None:
    one = operation("$2", ["2", "1"], **{"if-match": "$1"})
    told = read(resolved(one, ["2"], {"1": JOURNAL}))
    assert (told["url"], told["headers"], told["dependsOn"]) == ("$2", {"if-match": 'W/"1"'}, ["2"])


def test_c5_without_a_known_entity_or_etag_there_is_nothing_to_send() -> None:
    assert resolved(operation("$1/lines", ["1"]), [], {}) is None
    assert resolved(operation("$1", ["1"], **{"if-match": "$1"}), [], {"1": Entity(url="journals(2)")}) is None


def test_c5_the_company_goes_with_a_url_that_names_none() -> None:
    entity = Entity(url="journals(2)", company="CRONUS")
    assert read(resolved(operation("$1/lines", ["1"]), [], {"1": entity}))["headers"] == {"company": "CRONUS"}
    own = operation("$1/lines", ["1"], company="Adatum")
    assert read(resolved(own, [], {"1": entity}))["headers"] == {"company": "Adatum"}


def test_a_body_that_mentions_depends_on_has_no_references() -> None:
    text = '{"id":"1","body":{"dependsOn":["2"]}}'
    one = BatchOperation(place=1, id="1", method="POST", url="a", depends=[(0, "2")], text=text)
    assert names_in(one) == []
    assert resolved(one, [], {}) == one


def test_what_depends_on_nothing_may_have_a_member_of_that_name() -> None:
    """An element of another system has members of its own."""
    one = BatchOperation(place=1, id="1", method="POST", url="a", text='{"_id":"1","dependsOn":["2"]}')
    assert names_in(one) == []
    assert resolved(one, [], {}) == one


def test_c5_an_operation_with_an_unknown_reference_has_no_text_to_send() -> None:
    """C5: the system would refuse the whole batch for a `$<id>` that is not in it."""
    one = operation("$1/lines", ["1"])
    history = ChunkHistory([one])
    with pytest.raises(ValueError, match="refers"):
        history.text_of(one)
    history.entities["1"] = JOURNAL
    assert json.loads(history.text_of(one))["url"] == "companies(1)/journals(2)/lines"
