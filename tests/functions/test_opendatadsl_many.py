"""25,000 elements for OpenDataDSL: each once, with lost answers, a killed worker and deliveries that come twice."""

import pytest

from local.stack import Machine
from tests.functions.calling import NO_TIMERS, counted, get
from tests.functions.test_opendatadsl import Feeder, batch
from tests.functions.test_workers import kill_durable_workers

pytestmark = pytest.mark.slow

COUNT = 25_000
IN_FLIGHT = 5


def test_many_elements_are_taken_once_each() -> None:
    with Machine(NO_TIMERS, deliver_twice=True, durable_workers=2) as machine:
        feeder = Feeder(machine)
        for status in (None, 500, 502):
            fault = {"effect": "cut"} if status is None else {"effect": "status", "status": status}
            feeder.service.faults.add(kind="action", after=True, times=3, **fault)
        # All parts in flight have arrived: one that had not would be unknown, and rightly so.
        feeder.service.faults.add("hold", kind="action", after=True, times=IN_FLIGHT)
        accepted = feeder.feed(batch(COUNT), Prefer="respond-async")
        assert feeder.service.faults.wait_held(IN_FLIGHT, timeout=60)
        kill_durable_workers(feeder)
        feeder.service.faults.release()
        answer = feeder.result(accepted)
        assert (answer.status_code, answer.headers["Nightshift-Outcome"]) == (200, "complete")
        assert feeder.taken() == {f"E{one}": 1 for one in range(COUNT)}
        assert len({one.batch for one in feeder.service.book.taken()}) == COUNT // 500
        assert counted(get(feeder, f"runs/{answer.headers['Nightshift-Run']}")) == {"done": COUNT}
