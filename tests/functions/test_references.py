"""Operations that refer to what others create (`$<id>`), while the system throttles single operations."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from local.stack import Machine
from tests.functions.calling import get, problem
from tests.functions.test_batch import Batcher, statuses
from tests.functions.test_handed_on import CONTINUED, NO_TARGET, retry

LATER = {"Prefer": "odata.continue-on-error, respond-async"}


@pytest.fixture
def batcher(any_machine: Machine) -> Iterator[Batcher]:
    batcher = Batcher(any_machine)
    yield batcher
    batcher.central.faults.clear()


def journal(batcher: Batcher, number: int) -> dict[str, Any]:
    url = f"companies({batcher.company})/journals"
    return {"id": f"j{number}", "method": "POST", "url": url, "body": {"code": f"J{number}"}}


def child(batcher: Batcher, number: int) -> dict[str, Any]:
    return {**batcher.line(f"c{number}"), "url": f"$j{number}/journalLines", "dependsOn": [f"j{number}"]}


def pairs(batcher: Batcher, count: int) -> list[dict[str, Any]]:
    made = ((journal(batcher, number), child(batcher, number)) for number in range(count))
    return [one for pair in made for one in pair]


def lines_by_journal(batcher: Batcher) -> dict[str, list[str]]:
    """Return the document numbers of the lines of each journal that was created, by its operation."""
    made = {str(one.operation): one.entity or "" for one in batcher.central.book.writes() if one.took_effect}
    lines = {name: batcher.central.lines(entity) for name, entity in made.items() if name.startswith("j")}
    return {name: [str(line["documentNumber"]) for line in some] for name, some in lines.items()}


def outcomes(batcher: Batcher, answer: requests.Response) -> dict[str, str]:
    told = get(batcher, f"runs/{answer.headers['Nightshift-Run']}", limit="1000")
    return {item["id"]: item["outcome"] for item in told["items"]}


@pytest.mark.slow
def test_c5_children_go_again_with_the_url_of_their_parent(batcher: Batcher) -> None:
    batcher.central.faults.add("throttle", kind="operation", share=0.03, seed=5, times=None)
    operations = pairs(batcher, 300)
    accepted = batcher.post(
        "business-central/api/v2.0/$batch", {"requests": operations}, headers={**NO_TARGET, **LATER}
    )
    answer = batcher.result(accepted)
    assert Counter(statuses(answer).values()) == {201: 600}
    assert lines_by_journal(batcher) == {f"j{number}": [f"c{number}"] for number in range(300)}
    throttled = [one for one in batcher.central.book.writes() if one.status == 429]
    assert any((one.operation or "").startswith("c") for one in throttled)


def given_up(batcher: Batcher, *throttled: str) -> requests.Response:
    """Send three pairs, of which the system throttles some operations for longer than the run waits."""
    for name in throttled:
        batcher.central.faults.add("throttle", kind="operation", operation=name, times=None, retry_after=60)
    answer = batcher.batch(pairs(batcher, 3), {"giveUpAfter": 0}, **CONTINUED)
    batcher.central.faults.clear()
    return answer


def test_c5_a_retry_sends_children_under_parents_that_are_done(batcher: Batcher) -> None:
    answer = given_up(batcher, "c0", "c1")
    left = [name for name, outcome in outcomes(batcher, answer).items() if outcome != "done"]
    assert "c0" in left
    retried = retry(batcher, answer)
    assert set(statuses(retried).values()) == {201}
    assert lines_by_journal(batcher) == {f"j{number}": [f"c{number}"] for number in range(3)}


def test_c5_a_child_whose_parent_is_retried_too_refers_to_it(batcher: Batcher) -> None:
    answer = given_up(batcher, "j0")
    assert set(outcomes(batcher, answer).values()) <= {"failed", "not_attempted", "skipped"}
    names = list(outcomes(batcher, answer))
    retried = retry(batcher, answer, only=names)
    assert set(statuses(retried).values()) == {201}
    assert lines_by_journal(batcher) == {f"j{number}": [f"c{number}"] for number in range(3)}


def test_c5_a_parent_that_another_retry_created_counts(batcher: Batcher) -> None:
    answer = given_up(batcher, "j0")
    names = [name for name in outcomes(batcher, answer) if name != "c0"]
    assert set(statuses(retry(batcher, answer, only=names)).values()) == {201}
    assert statuses(retry(batcher, answer, only=["c0"])) == {"c0": 201}
    assert lines_by_journal(batcher)["j0"] == ["c0"]


def test_c5_what_cannot_be_retried_is_named_and_does_not_spoil_the_rest(batcher: Batcher) -> None:
    # The answer to the first journal has no Location.
    batcher.central.faults.add("status", kind="operation", operation="j0", status=201, after=True)
    answer = given_up(batcher, "c0", "c2")
    told = problem(retry(batcher, answer, only=["c0"]), 422, "not-valid")
    assert [one["pointer"] for one in told["errors"]] == ["/only/0"]
    assert "no known URL" in told["errors"][0]["detail"]
    rest = retry(batcher, answer)
    assert "c0" not in statuses(rest)
    assert set(statuses(rest).values()) == {201}
    notes = " ".join(note["text"] for note in batcher.run(rest)["notes"])
    assert "Operation c0 was left out" in notes
    assert {name: lines for name, lines in lines_by_journal(batcher).items() if name != "j0"} == {
        "j1": ["c1"],
        "j2": ["c2"],
    }
    nothing = problem(retry(batcher, answer, only=["c0"], reason="again"), 422, "not-valid")
    assert nothing["errors"][0]["pointer"] == "/only/0"


def test_c5_a_group_is_refused_as_a_whole_and_does_not_spoil_the_rest(batcher: Batcher) -> None:
    """Its first operation was rejected, so the second one has nothing to refer to, and the third one not its group."""
    bad = {**journal(batcher, 0), "body": {"code": 5}}
    grouped = [{**one, "atomicityGroup": "g"} for one in (bad, child(batcher, 0), batcher.line("x"))]
    batcher.central.faults.add("throttle", kind="operation", operation="1", times=None, retry_after=60)
    answer = batcher.batch([*grouped, batcher.line("1")], {"giveUpAfter": 0}, **CONTINUED)
    batcher.central.faults.clear()
    assert outcomes(batcher, answer)["j0"] == "rejected"
    told = problem(retry(batcher, answer, only=["c0", "x"]), 422, "not-valid")
    assert [one["pointer"] for one in told["errors"]] == ["/only/0", "/only/1"]
    assert all(one["detail"].endswith("list all of it, operation j0 too") for one in told["errors"])
    rest = retry(batcher, answer)
    assert statuses(rest) == {"1": 201}
    notes = " ".join(note["text"] for note in batcher.run(rest)["notes"])
    assert all(f"Operation {one} was left out" in notes for one in ("c0", "x"))
    assert batcher.documents() == ["1"]
    whole = retry(batcher, answer, only=["j0", "c0", "x"], replace={"j0": {"code": "J0"}})
    assert statuses(whole) == {"j0": 201, "c0": 201, "x": 201}
    assert lines_by_journal(batcher)["j0"] == ["c0"]


def test_c5_what_was_lost_is_looked_for_under_its_parent(batcher: Batcher) -> None:
    """A child in doubt has the URL of its parent, so that `settleBy` can find it."""
    batcher.central.faults.add("throttle", kind="operation", operation="c0", retry_after=1)
    accepted = batcher.batch(
        pairs(batcher, 1), {"settleBy": ["documentNumber"]}, Prefer="odata.continue-on-error, respond-async"
    )
    answer = batcher.result(accepted)
    assert statuses(answer) == {"j0": 201, "c0": 201}
    assert lines_by_journal(batcher) == {"j0": ["c0"]}
