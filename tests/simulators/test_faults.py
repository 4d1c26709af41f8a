import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from time import monotonic

import pytest
import requests

from local.simulators.finance_operations.server import FinanceOperations
from local.simulators.landscape import Landscape
from local.simulators.testing.finance_operations import Caller, Clock


@pytest.fixture
def job(fo: FinanceOperations) -> int:
    return fo.jobs.add()


@pytest.fixture
def background() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def _status(fo: FinanceOperations, job: int) -> str:
    found = fo.jobs.get(job)
    assert found
    return found.status


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 502, 503, 504])
def test_a_status_strikes_as_often_as_told(fo: FinanceOperations, caller: Caller, status: int) -> None:
    fo.faults.add("status", status=status, times=2)
    assert [caller.list().status_code for _ in range(4)] == [status, status, 200, 200]
    assert fo.faults.waiting() == []


def test_a_fault_without_times_strikes_always(fo: FinanceOperations, caller: Caller) -> None:
    fo.faults.add("status", status=503, times=None)
    assert {caller.list().status_code for _ in range(5)} == {503}


def test_a_fault_strikes_only_what_it_is_for(fo: FinanceOperations, caller: Caller, job: int) -> None:
    fo.faults.add("status", status=503, kind="action", job=job + 1)
    fo.faults.add("status", status=502, kind="read")
    fo.faults.add("status", status=504, method="POST")
    assert caller.list().status_code == 200
    assert caller.get(f"/data/BatchJobs({job})").status_code == 502
    assert [caller.requeue(job).status_code for _ in range(2)] == [504, 200]
    assert caller.requeue(job + 1).status_code == 503


def test_several_faults_strike_in_their_order(fo: FinanceOperations, caller: Caller) -> None:
    fo.faults.add("status", status=500)
    fo.faults.add("status", status=502)
    assert [caller.list().status_code for _ in range(3)] == [500, 502, 200]


def test_a_fault_that_makes_no_sense_is_refused(fo: FinanceOperations) -> None:
    with pytest.raises(ValueError, match="needs a status"):
        fo.faults.add("status")
    with pytest.raises(ValueError, match="extra"):
        fo.faults.add("cut", speed=3)


def test_throttling_in_three_forms(fo: FinanceOperations, caller: Caller, clock: Clock) -> None:
    fo.faults.add("throttle", limit="requests", retry_after=17)
    fo.faults.add("throttle", retry_after=60, retry_after_as_date=True)
    fo.faults.add("throttle", limit="concurrent")
    seconds, date, missing = caller.list(), caller.list(), caller.list()
    assert {answer.status_code for answer in (seconds, date, missing)} == {429}
    assert seconds.headers["Retry-After"] == "17"
    assert "exeeded the limit of 6000" in seconds.json()["error"]["message"]
    assert (parsedate_to_datetime(date.headers["Retry-After"]) - clock()).total_seconds() == 60
    assert "Retry-After" not in missing.headers


def test_malformed_json_after_acting(fo: FinanceOperations, caller: Caller, job: int) -> None:
    fo.faults.add("malformed")
    response = caller.requeue(job)
    assert response.status_code == 200
    with pytest.raises(requests.JSONDecodeError):
        response.json()
    assert _status(fo, job) == "Waiting"


@pytest.mark.parametrize(("status", "expected"), [(None, 200), (502, 502)])
def test_a_page_in_html(fo: FinanceOperations, caller: Caller, status: int | None, expected: int) -> None:
    fo.faults.add("html", status=status)
    response = caller.list()
    assert (response.status_code, response.text[:15]) == (expected, "<!DOCTYPE html>")


@pytest.mark.parametrize(("after", "expected"), [(False, "Error"), (True, "Waiting")])
def test_a_cut_connection(fo: FinanceOperations, caller: Caller, job: int, *, after: bool, expected: str) -> None:
    fo.faults.add("cut", after=after)
    with pytest.raises(requests.ConnectionError, match=r"aborted|reset"):
        caller.requeue(job)
    assert _status(fo, job) == expected
    assert [call.status for call in fo.book.calls()] == ["cut"]


def test_a_connection_that_is_cut_in_use(fo: FinanceOperations, caller: Caller) -> None:
    assert caller.list().status_code == 200
    fo.faults.add("cut")
    with pytest.raises(requests.ConnectionError):
        caller.list()
    assert caller.list().status_code == 200
    assert [call.status for call in fo.book.calls()] == [200, "cut", 200]


def test_a_gateway_may_give_up_after_the_action(fo: FinanceOperations, caller: Caller, job: int) -> None:
    fo.faults.add("status", status=504, after=True)
    assert (caller.requeue(job).status_code, _status(fo, job)) == (504, "Waiting")


def test_a_redirect_leads_elsewhere(fo: FinanceOperations, caller: Caller) -> None:
    fo.faults.add("redirect")
    fo.faults.add("redirect", to="http://127.0.0.1:9")
    assert caller.list().headers["Location"] == f"{fo.other_url}/data/BatchJobs"
    assert caller.list().headers["Location"] == "http://127.0.0.1:9/data/BatchJobs"


def test_a_next_link_leads_elsewhere_and_the_book_tells_who_followed(
    fo: FinanceOperations,
    caller: Caller,
    job: int,
) -> None:
    fo.faults.add("foreign-next-link")
    answer = caller.list().json()
    assert [entity["BatchJobRecId"] for entity in answer["value"]] == [job]
    caller.get(answer["@odata.nextLink"])
    followed = fo.book.calls()[1]
    assert (f"http://{followed.host}", followed.with_token) == (fo.other_url, True)


def test_no_success_inside_of_200(fo: FinanceOperations, caller: Caller, job: int) -> None:
    fo.behaviour.answer_shape = "object"
    fo.faults.add("not-successful", message="The batch job is locked.")
    result = caller.requeue(job).json()
    assert (result["IsSuccess"], result["Batch JobId"]) == (False, job)
    assert result["ExceptionDetails"] == "The batch job is locked."
    assert _status(fo, job) == "Error"


def test_an_exception_inside_of_500(fo: FinanceOperations, caller: Caller, job: int) -> None:
    fo.faults.add("exception", kind="action")
    response = caller.requeue(job)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["message"]) == (500, "", "An error has occurred.")
    assert "Exception occurred while executing action" in error["innererror"]["message"]
    assert _status(fo, job) == "Error"


@pytest.mark.parametrize(("after", "meanwhile"), [(False, "Error"), (True, "Waiting")])
def test_an_answer_is_held_until_released(
    fo: FinanceOperations,
    caller: Caller,
    background: ThreadPoolExecutor,
    job: int,
    *,
    after: bool,
    meanwhile: str,
) -> None:
    fo.faults.add("hold", after=after)
    response = background.submit(caller.requeue, job)
    assert fo.faults.wait_held()
    assert (response.done(), _status(fo, job)) == (False, meanwhile)
    assert [call.status for call in fo.book.calls()] == [None]
    assert fo.faults.release() == 1
    assert response.result(10).status_code == 200
    assert _status(fo, job) == "Waiting"


def test_others_are_answered_while_one_is_held(
    fo: FinanceOperations,
    caller: Caller,
    background: ThreadPoolExecutor,
    job: int,
) -> None:
    fo.faults.add("hold", kind="action")
    response = background.submit(caller.requeue, job)
    assert fo.faults.wait_held()
    assert caller.list().status_code == 200
    fo.reset()
    with pytest.raises(requests.ConnectionError):
        response.result(10)


def test_faults_are_counted_exactly_under_load(fo: FinanceOperations, landscape: Landscape) -> None:
    fo.faults.add("status", status=503, times=10)
    token = landscape.issuer.token(fo.url)

    def ask(_number: int) -> int:
        with Caller(landscape).session as session:
            headers = {"Authorization": f"Bearer {token}"}
            return session.get(f"{fo.url}/data", headers=headers, timeout=10).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(ask, range(40)))
    assert (statuses.count(503), statuses.count(200)) == (10, 30)


def test_the_action_takes_its_time(fo: FinanceOperations, caller: Caller, job: int) -> None:
    fo.behaviour.change('{"action_seconds": 0.05}')
    begin = monotonic()
    assert caller.requeue(job).status_code == 200
    assert monotonic() - begin >= 0.05


def test_a_landscape_that_never_started_leaves_nothing_behind() -> None:
    landscape = Landscape(Clock())
    landscape.stop()
    landscape.stop()
    assert not landscape.ca_file.exists()


def test_a_landscape_stops_in_time_with_calls_held() -> None:
    begin_threads = set(threading.enumerate())
    landscape = Landscape(Clock()).start()
    fo = landscape.finance_operations
    fo.faults.add("hold", times=None)
    with ThreadPoolExecutor(3) as pool:
        held: list[Future[requests.Response]] = [pool.submit(Caller(landscape).list) for _ in range(3)]
        assert fo.faults.wait_held(3)
        begin = monotonic()
        landscape.stop()
        assert monotonic() - begin < 3
        assert all(isinstance(future.exception(10), requests.ConnectionError) for future in held)
    assert set(threading.enumerate()) == begin_threads
    assert not landscape.ca_file.exists()
