"""An operation that is read as nearly all are is read as any other."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.systems.business_central import body
from shared.systems.business_central.drafts import Draft, Written
from shared.validation.json_bytes import BodyReader

LEAVES: st.SearchStrategy[object] = st.sampled_from([None, True, 1, 1.0, "", "1", "body", "ü", '"', "a,b}", []])
BODIES = st.sampled_from([None, "text", {}, {"body": {"body": 1}}, {"a": [{"id": "x"}], "ü": 1.50}, [1], 5])
OPERATIONS = st.fixed_dictionaries(
    {},
    optional={
        "id": LEAVES,
        "method": st.sampled_from(["GET", "get", "POST", "PATCH", "X", 1]),
        "url": st.sampled_from(["companies(1)/x", "$1/ü", "", 5]),
        "headers": st.dictionaries(st.sampled_from(["If-Match", "body", "ü", "a"]), LEAVES, max_size=2) | LEAVES,
        "body": BODIES,
        "atomicityGroup": LEAVES,
        "dependsOn": st.lists(LEAVES, max_size=2) | LEAVES,
        "if": LEAVES,
    },
)


def told(draft: Draft) -> dict[str, object]:
    head = draft.head
    members = (
        head.method,
        head.url,
        dict(head.headers),
        head.body_kind,
        draft.id,
        list(draft.more.depends),
        draft.more.group,
    )
    return {"members": members, "body": draft.data[draft.begin : draft.end] if draft.end else None}


@given(values=st.lists(OPERATIONS.flatmap(lambda one: st.permutations(list(one.items())).map(dict)), max_size=4))
def test_the_usual_way_reads_what_the_careful_way_does(values: list[dict[str, Any]]) -> None:
    data = json.dumps(values, ensure_ascii=False).encode()
    quick, careful, found, other = BodyReader(data), BodyReader(data), Written(), Written()
    for _ in zip(quick.elements(), careful.elements(), strict=True):
        before = other.mistakes.count
        slow = body._draft(careful, other)  # noqa: SLF001 - the two ways are not told apart from outside
        usual = body._usual(quick, found)  # noqa: SLF001 - as above
        assert usual is None or other.mistakes.count == before
        assert usual is None or told(usual) == told(slow)
        if usual is None:
            body._draft(quick, found)  # noqa: SLF001 - as above
    quick.finish()


def test_what_operations_have_in_common_is_there_once() -> None:
    one = {"method": "POST", "url": "companies(1)/x", "headers": {"a": "b"}, "body": {}}
    reader, found = BodyReader(json.dumps([one, {**one, "body": {"x": 1}}, {**one, "url": "y"}]).encode()), Written()
    drafts = [body._usual(reader, found) for _ in reader.elements()]  # noqa: SLF001 - as above
    assert [draft and draft.head for draft in drafts].count(drafts[0] and drafts[0].head) == 2
