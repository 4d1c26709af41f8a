"""What a retry sends again goes in its order."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from local.stack import Machine
from tests.functions.calling import put_rules
from tests.functions.test_batch import Batcher
from tests.functions.test_handed_on import CONTINUED, retry
from tests.functions.test_references import child, journal, lines_by_journal, outcomes


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
