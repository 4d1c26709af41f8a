"""Answers that a system, or what is before it, should not give: each can be asked for."""

import time

import pytest
import requests

from local.simulators.business_central.server import BusinessCentral
from local.simulators.common.fault_injection import LOGIN
from local.simulators.finance_operations.server import FinanceOperations
from local.simulators.testing.business_central import CentralCaller, get
from local.simulators.testing.finance_operations import Caller


@pytest.mark.parametrize("status", [None, 503])
def test_an_answer_without_a_body(fo: FinanceOperations, caller: Caller, status: int | None) -> None:
    fo.faults.add("empty", **({} if status is None else {"status": status}))
    answer = caller.list()
    assert (answer.status_code, answer.content, "Content-Type" in answer.headers) == (status or 404, b"", False)


def test_a_redirect_to_a_page_to_sign_in(fo: FinanceOperations, caller: Caller) -> None:
    fo.faults.add("login")
    answer = caller.list()
    assert answer.status_code == 302
    place = answer.headers["Location"]
    assert place.startswith(f"{fo.other_url}{LOGIN}?ReturnUrl=")
    page = requests.get(place, timeout=10)
    assert (page.status_code, "Sign in" in page.text) == (200, True)


def test_a_byte_order_mark(fo: FinanceOperations, caller: Caller) -> None:
    fo.jobs.add()
    fo.faults.add("bom")
    marked, plain = caller.list(), caller.list()
    assert marked.content == b"\xef\xbb\xbf" + plain.content
    assert marked.headers["Content-Type"] == plain.headers["Content-Type"]


def test_an_answer_that_drips(fo: FinanceOperations, caller: Caller) -> None:
    fo.faults.add("drip", pause=0.002)
    began = time.monotonic()
    dripped, plain = caller.list(), caller.list()
    assert dripped.json() == plain.json()
    assert time.monotonic() - began > 0.002 * len(plain.content)


def test_an_answer_that_is_large_once_it_is_unpacked(fo: FinanceOperations) -> None:
    fo.faults.add("bomb", megabytes=20)
    with requests.get(f"{fo.url}/data/BatchJobs", stream=True, timeout=10) as answer:
        packed = answer.raw.read(decode_content=False)
    assert answer.headers["Content-Encoding"] == "gzip"
    assert len(packed) < 500_000
    fo.faults.add("bomb", megabytes=20)
    assert len(requests.get(f"{fo.url}/data/BatchJobs", timeout=10).content) == 20 * 1024 * 1024


def test_one_response_that_is_no_json(bc: BusinessCentral, central: CentralCaller) -> None:
    bc.faults.add("unreadable", kind="operation", operation="1")
    answer = central.batch(*(get(str(number), "companies") for number in range(3)))
    assert answer.text.count('"status":200') == 3
    with pytest.raises(requests.JSONDecodeError):
        answer.json()
