"""What goes wrong at Business Central on demand, and what its limits do."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from time import monotonic, sleep

import pytest
import requests

from local.simulators.business_central.server import BusinessCentral
from local.simulators.landscape import Landscape
from local.simulators.testing.business_central import CentralCaller, Operation, get, line, statuses
from local.simulators.testing.finance_operations import Clock

CONTINUE = "odata.continue-on-error"


@pytest.fixture
def lines(company: str, journal: str) -> list[Operation]:
    return [line(f"r{number}", company, journal, description=f"L{number}") for number in range(6)]


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(16) as pool:
        yield pool


def _written(bc: BusinessCentral, journal: str) -> list[object]:
    return [one["description"] for one in bc.lines(journal)]


def _until(bc: BusinessCentral, waiting: int) -> None:
    end = monotonic() + 5
    while bc.waiting != waiting:
        assert monotonic() < end
        sleep(0.005)


@pytest.mark.parametrize("after", [False, True])
def test_a_batch_is_cut_before_or_after_it_acted(
    bc: BusinessCentral, central: CentralCaller, lines: list[Operation], journal: str, *, after: bool
) -> None:
    bc.faults.add("cut", kind="batch", after=after)
    with pytest.raises(requests.ConnectionError):
        central.batch(*lines)
    assert len(bc.lines(journal)) == (6 if after else 0)
    assert [call.status for call in bc.book.batches()] == ["cut"]


@pytest.mark.parametrize("status", [408, 504])
def test_a_batch_breaks_off_in_its_midst(
    bc: BusinessCentral, central: CentralCaller, lines: list[Operation], journal: str, status: int
) -> None:
    bc.faults.add("status", status=status, kind="batch", operations=2)
    assert central.batch(*lines).status_code == status
    assert _written(bc, journal) == ["L0", "L1"]
    bc.faults.add("status", status=status, kind="batch", operations=2)
    assert central.batch(*lines, Isolation="snapshot").status_code == status
    assert _written(bc, journal) == ["L0", "L1"]
    assert [one.rolled_back for one in bc.book.operations(2)] == [True, True]


def test_faults_of_the_whole_batch(
    bc: BusinessCentral, central: CentralCaller, lines: list[Operation], journal: str
) -> None:
    bc.faults.add("throttle", kind="batch", retry_after=7)
    bc.faults.add("throttle", kind="batch")
    bc.faults.add("status", status=503, kind="batch")
    bc.faults.add("html", kind="batch")
    assert central.call("GET", "companies").status_code == 200
    told = [central.batch(*lines) for _ in range(4)]
    assert [one.status_code for one in told] == [429, 429, 503, 200]
    assert [one.headers.get("Retry-After") for one in told[:2]] == ["7", None]
    assert told[0].json()["error"]["code"] == "Application_TooManyRequests"
    assert told[3].text.startswith("<!DOCTYPE html>")
    assert bc.lines(journal) == []
    bc.faults.add("malformed", kind="batch")
    with pytest.raises(requests.JSONDecodeError):
        central.batch(*lines).json()
    assert len(bc.lines(journal)) == 6


def test_readings_and_others_have_faults_of_their_own(
    bc: BusinessCentral, central: CentralCaller, company: str
) -> None:
    bc.faults.add("status", status=503, kind="read")
    bc.faults.add("status", status=502, kind="other")
    assert central.call("POST", f"companies({company})/items", content="{}").status_code == 502
    assert central.batch(get("1", "companies")).status_code == 200
    assert central.call("GET", "companies").status_code == 503


def test_a_batch_is_held_until_released(
    bc: BusinessCentral,
    central: CentralCaller,
    background: ThreadPoolExecutor,
    lines: list[Operation],
    journal: str,
) -> None:
    bc.faults.add("hold", kind="batch", after=True)
    response = background.submit(central.batch, *lines)
    assert bc.faults.wait_held()
    assert (response.done(), len(bc.lines(journal))) == (False, 6)
    assert bc.faults.release() == 1
    assert response.result(10).status_code == 200


def test_single_operations_are_throttled_and_rejected(
    bc: BusinessCentral, central: CentralCaller, lines: list[Operation], journal: str
) -> None:
    bc.faults.add("throttle", kind="operation", operation="r1", retry_after=30)
    bc.faults.add("status", kind="operation", index=3, status=503, retry_after=60)
    bc.faults.add("status", kind="operation", operation="r4", status=400, message="The account is blocked.")
    bc.faults.add("status", kind="operation", operation="r5", status=504, after=True)
    response = central.batch(*lines, Prefer=CONTINUE)
    assert statuses(response) == {"r0": 201, "r1": 429, "r2": 201, "r3": 503, "r4": 400, "r5": 504}
    told = response.json()["responses"]
    assert told[1] == {"id": "r1", "status": 429, "headers": {"retry-after": "30"}}
    assert told[3]["headers"]["retry-after"] == "60"
    assert told[4]["body"]["error"]["message"].startswith("The account is blocked.")
    assert _written(bc, journal) == ["L0", "L2", "L5"]
    assert [one.took_effect for one in bc.book.writes()] == [True, False, True, False, False, True]


def test_a_throttled_operation_ends_the_answer_unless_told_otherwise(
    bc: BusinessCentral, central: CentralCaller, lines: list[Operation]
) -> None:
    bc.faults.add("throttle", kind="operation", operation="r1")
    assert statuses(central.batch(*lines)) == {"r0": 201, "r1": 429}


def test_a_share_of_operations_is_struck_the_same_however_they_are_batched(
    bc: BusinessCentral, central: CentralCaller, company: str
) -> None:
    reads = [get(f"r{number}", f"companies({company})") for number in range(100)]

    def struck(*batches: list[Operation]) -> set[str | None]:
        bc.faults.clear()
        bc.faults.add("throttle", kind="operation", share=0.2, seed=3, times=None)
        told = [statuses(central.batch(*batch, Prefer=CONTINUE)) for batch in batches]
        return {one for batch in told for one, status in batch.items() if status == 429}

    whole = struck(reads)
    assert 8 < len(whole) < 35
    # Another time the same ids are drawn anew, or a retry would never pass.
    again = struck(reads[50:], reads[:50])
    assert again != whole
    bc.reset()
    bc.add_company()
    reads = [get(f"r{number}", "companies") for number in range(100)]
    assert struck(reads[60:], reads[:60]) == whole


def test_answers_are_dropped_doubled_renamed_and_mixed_up(
    bc: BusinessCentral, central: CentralCaller, lines: list[Operation], journal: str
) -> None:
    bc.faults.add("drop", kind="operation", operation="r0")
    bc.faults.add("double", kind="operation", index=1)
    bc.faults.add("foreign-id", kind="operation", operation="r2")
    bc.faults.add("reversed", kind="batch")
    ids = [one["id"] for one in central.batch(*lines).json()["responses"]]
    assert [ids[:3], ids[4:]] == [["r5", "r4", "r3"], ["r1", "r1"]]
    assert ids[3].startswith("r2-")
    assert _written(bc, journal) == ["L0", "L1", "L2", "L3", "L4", "L5"]
    bc.faults.add("shuffled", kind="batch", seed=1)
    mixed = [str(one["id"]) for one in central.batch(*lines).json()["responses"]]
    assert mixed != sorted(mixed) == ["r0", "r1", "r2", "r3", "r4", "r5"]


@pytest.mark.parametrize(
    "details",
    [
        {"effect": "drop"},
        {"effect": "throttle", "index": 1},
        {"effect": "cut", "kind": "operation"},
        {"effect": "cut", "kind": "read", "operations": 1},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(bc: BusinessCentral, details: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="operation"):
        bc.faults.add(**details)  # type: ignore[arg-type]  # on purpose


def test_five_run_the_next_ones_wait_and_more_hear_429(
    bc: BusinessCentral, landscape: Landscape, background: ThreadPoolExecutor, company: str
) -> None:
    bc.behaviour.queue_limit = 2
    bc.behaviour.retry_after = 9
    bc.faults.add("hold", kind="batch", times=None)

    def send() -> requests.Response:
        caller = CentralCaller(landscape)
        with caller.session:
            return caller.batch(get("1", f"companies({company})"))

    sent: list[Future[requests.Response]] = [background.submit(send) for _ in range(5)]
    assert bc.faults.wait_held(5)
    sent += [background.submit(send) for _ in range(2)]
    _until(bc, 2)
    refused = send()
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "9")
    assert (bc.book.most_in_flight, bc.book.most_running) == (8, 5)
    bc.faults.release()
    assert bc.faults.wait_held(2)
    bc.faults.release()
    assert [one.result(10).status_code for one in sent] == [200] * 7
    assert bc.waiting == 0


def test_who_waits_too_long_hears_503(
    bc: BusinessCentral, landscape: Landscape, central: CentralCaller, background: ThreadPoolExecutor
) -> None:
    bc.behaviour.running_limit = 1
    bc.behaviour.queue_seconds = 0.01
    bc.faults.add("hold", kind="batch")
    held = background.submit(CentralCaller(landscape).batch, get("1", "companies"))
    assert bc.faults.wait_held()
    assert central.call("GET", "companies").status_code == 503
    bc.faults.release()
    assert held.result(10).status_code == 200
    assert central.call("GET", "companies").status_code == 200


def test_users_have_queues_of_their_own(
    bc: BusinessCentral, landscape: Landscape, central: CentralCaller, background: ThreadPoolExecutor
) -> None:
    bc.behaviour.running_limit = 1
    bc.faults.add("hold", kind="batch")
    held = background.submit(CentralCaller(landscape).batch, get("1", "companies"))
    assert bc.faults.wait_held()
    other = landscape.issuer.token(bc.url, landscape.issuer.identities.system_assigned)
    assert central.call("GET", "companies", token=other).status_code == 200
    bc.faults.release()
    assert held.result(10).status_code == 200


def test_a_rate_is_kept_by_the_clock(bc: BusinessCentral, central: CentralCaller, clock: Clock) -> None:
    bc.behaviour.rate_limit = 2
    assert [central.call("GET", "companies").status_code for _ in range(3)] == [200, 200, 429]
    clock.forward(300)
    assert central.call("GET", "companies").status_code == 200


def test_a_batch_takes_its_time(bc: BusinessCentral, central: CentralCaller, lines: list[Operation]) -> None:
    bc.behaviour.change('{"batch_seconds": 0.02, "operation_seconds": 0.005}')
    begin = monotonic()
    assert len(statuses(central.batch(*lines))) == 6
    assert monotonic() - begin >= 0.05


def test_a_single_call_takes_its_time(bc: BusinessCentral, central: CentralCaller) -> None:
    bc.behaviour.change('{"call_seconds": 0.05}')
    begin = monotonic()
    assert central.call("GET", "companies").status_code == 200
    assert monotonic() - begin >= 0.05


def test_a_batch_takes_its_time_by_the_clock(
    bc: BusinessCentral,
    central: CentralCaller,
    clock: Clock,
    background: ThreadPoolExecutor,
    lines: list[Operation],
    journal: str,
) -> None:
    bc.behaviour.change('{"batch_seconds": 60, "operation_seconds": 10, "by_clock": true}')
    response = background.submit(central.batch, *lines)
    begin, end = clock(), monotonic() + 5
    while not response.done():
        assert monotonic() < end
        clock.forward(10)
        sleep(0.005)
    assert response.result(10).status_code == 200
    assert bc.book.operations()[0].time >= begin + timedelta(seconds=120)
    assert len(bc.lines(journal)) == 6


def test_a_batch_that_takes_too_long_is_cancelled_halfway(
    bc: BusinessCentral, central: CentralCaller, lines: list[Operation], journal: str
) -> None:
    bc.behaviour.change('{"operation_seconds": 0.01, "timeout_seconds": 0.025}')
    response = central.batch(*lines)
    assert (response.status_code, response.json()["error"]["code"]) == (408, "Application_OperationCanceled")
    assert _written(bc, journal) == ["L0", "L1"]
    assert len(statuses(central.batch(*lines[:2]))) == 2
