"""What a retry can't send again is left out, noted, and free for a later retry; the rest goes, in its order."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from local.stack import Machine
from tests.functions.calling import allow_all, get, only, problem, put_rules, together
from tests.functions.test_batch import Batcher, statuses
from tests.functions.test_handed_on import CONTINUED, NO_TARGET, retry
from tests.functions.test_night import pass_night, wait_for_day
from tests.functions.test_references import child, journal, lines_by_journal, outcomes, pairs

pytestmark = pytest.mark.slow


@pytest.fixture
def batcher(any_machine: Machine) -> Iterator[Batcher]:
    batcher = Batcher(any_machine)
    put_rules(batcher, [])
    yield batcher
    batcher.central.faults.clear()


def unreachable(batcher: Batcher) -> None:
    batcher.central.faults.add("throttle", kind="batch", times=None, retry_after=7200)


def given_up(batcher: Batcher, operations: list[dict[str, Any]], **headers: str) -> requests.Response:
    """Send operations of which the system takes none."""
    unreachable(batcher)
    answer = batcher.batch(operations, {"giveUpAfter": 0}, **(headers or CONTINUED))
    batcher.central.faults.clear()
    return answer


def failed_again(batcher: Batcher, answer: requests.Response, **body: Any) -> requests.Response:  # noqa: ANN401 - members of a body
    unreachable(batcher)
    again = retry(batcher, answer, giveUpAfter=0, **body)
    assert again.headers["Nightshift-Outcome"] == "failed"
    batcher.central.faults.clear()
    return again


def notes(batcher: Batcher, run: str) -> str:
    return " ".join(note["text"] for note in get(batcher, f"runs/{run}")["notes"])


@pytest.mark.parametrize("selection", [{"only": ["j0"]}, {"cap": 1}])
def test_c5_a_parent_that_failed_again_does_not_spoil_the_rest(batcher: Batcher, selection: dict[str, Any]) -> None:
    """C5: its child is left out and noted, and goes once the parent is done."""
    answer = given_up(batcher, pairs(batcher, 3))
    parent = failed_again(batcher, answer, **selection)
    rest = retry(batcher, answer)
    assert statuses(rest) == {"j1": 201, "c1": 201, "j2": 201, "c2": 201}
    assert "Operation c0 was left out" in notes(batcher, rest.headers["Nightshift-Run"])
    assert retry(batcher, answer).content == rest.content
    told = problem(retry(batcher, answer, only=["c0"]), 422, "not-valid")
    assert [one["pointer"] for one in told["errors"]] == ["/only/0"]
    second = failed_again(batcher, parent)
    assert statuses(retry(batcher, second)) == {"j0": 201}
    assert statuses(retry(batcher, answer)) == {"c0": 201}
    assert lines_by_journal(batcher) == {f"j{number}": [f"c{number}"] for number in range(3)}


def test_c5_a_pointer_leads_to_what_the_caller_sent(batcher: Batcher) -> None:
    """C5: nothing can be sent, and the request has no member `only`."""
    # The answer to the journal has no Location.
    batcher.central.faults.add("status", kind="operation", operation="j0", status=201, after=True)
    batcher.central.faults.add("throttle", kind="operation", operation="c0", times=None, retry_after=7200)
    answer = batcher.batch(pairs(batcher, 1), {"giveUpAfter": 0}, **CONTINUED)
    batcher.central.faults.clear()
    told = problem(retry(batcher, answer), 422, "not-valid")
    assert [one["pointer"] for one in told["errors"]] == [""]
    assert told["errors"][0]["detail"].startswith("operation c0 ")


def test_c5_a_part_of_a_group_does_not_spoil_the_rest(batcher: Batcher) -> None:
    """C5: a group is retried as a whole; a cap that is less than it is refused, if nothing else goes."""
    grouped = [{**batcher.line(name), "atomicityGroup": "g"} for name in ("a", "b")]
    answer = given_up(batcher, [*grouped, batcher.line("1")])
    told = problem(retry(batcher, answer, only=["a", "1"]), 422, "not-valid")
    assert [one["pointer"] for one in told["errors"]] == ["/only/0"]
    told = problem(retry(batcher, answer, cap=1), 422, "not-valid")
    assert [one["pointer"] for one in told["errors"]] == ["/cap"]
    assert statuses(retry(batcher, answer, cap=2)) == {"a": 201, "b": 201}
    assert statuses(retry(batcher, answer)) == {"1": 201}


def test_c5_a_plan_is_applied_without_a_parent_only_if_its_children_are_left_out(batcher: Batcher) -> None:
    plan = batcher.batch(pairs(batcher, 2), {"dryRun": True}, **CONTINUED)
    path = f"runs/{plan.headers['Nightshift-Run']}/apply"
    told = problem(batcher.post(path, {"reason": "r", "except": ["j0"]}, headers=NO_TARGET), 422, "not-valid")
    assert [one["pointer"] for one in told["errors"]] == ["/except"]
    applied = batcher.post(path, {"reason": "r", "except": ["j0", "c0"]}, headers=NO_TARGET)
    assert statuses(applied) == {"j1": 201, "c1": 201}


def test_c5_a_night_leaves_out_and_notes_what_it_cannot_send() -> None:
    """C5: a person retried the parent, in vain; the night sends the rest, and the parent by that retry's own line."""
    settings = {"BATCH_RETRY": "on", "SWEEP_AT": "02:00", "SWEEP_UNTIL": "06:00"}
    others = only("nightly_batch")
    with Machine({**settings, **others}) as machine:
        batcher = Batcher(machine)
        wait_for_day(machine)
        allow_all(batcher)
        answer = given_up(batcher, pairs(batcher, 3))
        failed_again(batcher, answer, only=["j0"])
        ordered = given_up(batcher, [journal(batcher, 7), child(batcher, 7), batcher.line("x")], Prefer="wait=100")
        failed_again(batcher, ordered, only=["j7"])
        pass_night(machine)
        nights = get(batcher, "runs", function="nightly_batch")["value"]
        [night] = [one for one in nights if one["parent"] == answer.headers["Nightshift-Run"]]
        assert "Operation c0 was left out" in notes(batcher, night["id"])
        assert lines_by_journal(batcher) == {"j1": ["c1"], "j2": ["c2"], "j0": [], "j7": []}
        # In order, the last line must not go on without the one before.
        assert ordered.headers["Nightshift-Run"] not in [one["parent"] for one in nights]
        assert batcher.documents() == []
        assert statuses(retry(batcher, answer, only=["c0"])) == {"c0": 201}


def test_c5_a_retry_keeps_the_dependency_beside_a_reference(batcher: Batcher) -> None:
    """C5: a line of one journal depends on another operation as well, which fails again."""
    line = {**child(batcher, 0), "dependsOn": ["j0", "b"]}
    answer = given_up(batcher, [journal(batcher, 0), batcher.line("b"), line])
    batcher.central.faults.add("throttle", kind="operation", operation="b", times=None, retry_after=7200)
    again = retry(batcher, answer, giveUpAfter=0)
    batcher.central.faults.clear()
    found = outcomes(batcher, again)
    assert (found["j0"], found["b"]) == ("done", "failed")
    assert found["c0"] != "done"
    assert lines_by_journal(batcher).get("j0", []) == []
    assert batcher.documents() == []


def test_a1_two_different_retries_of_a_large_batch_at_once_write_each_line_once(batcher: Batcher) -> None:
    """A1: 2,300 lines in order stop at the 1,233rd; then two different retries come at once, each three times."""
    names = [f"{number:04}" for number in range(1, 2301)]
    lines = [batcher.line(name, **({"postingDate": "x"} if name == "1233" else {})) for name in names]
    stopped = batcher.result(batcher.batch(lines, Prefer="respond-async"))
    assert Counter(outcomes_of_all(batcher, stopped)) == {"done": 1232, "rejected": 1, "not_attempted": 1067}
    mended = {"replace": {"1233": batcher.line("1233")["body"]}}
    bodies: list[dict[str, Any]] = [mended, {"reason": "the rest"}] * 3
    given = together(len(bodies), lambda number: retry(batcher, stopped, **bodies[number]))
    assert {one.status_code for one in given} <= {200, 202, 409, 422}
    for accepted in given:
        if accepted.status_code == 202:
            batcher.result(accepted)
    for body in bodies:
        batcher.patient(retry(batcher, stopped, **body))
    if "1233" not in batcher.documents():
        # The other one came first, and took the rest.
        assert batcher.patient(retry(batcher, stopped, only=["1233"], **mended)).status_code == 200
    assert sorted(batcher.documents()) == names


def outcomes_of_all(batcher: Batcher, answer: requests.Response) -> list[str]:
    """Return the outcomes of a run's items, page by page."""
    page = get(batcher, f"runs/{answer.headers['Nightshift-Run']}", limit="1000")
    found = [item["outcome"] for item in page["items"]]
    key = {"x-functions-key": batcher.machine.host.function_key}
    while page["nextLink"]:
        page = requests.get(page["nextLink"], headers=key, timeout=60).json()
        found += [item["outcome"] for item in page["items"]]
    return found
