"""The failed jobs that a sweep finds, with their causes."""

import string
from collections import Counter
from datetime import datetime, timedelta
from typing import Any

import pytest

from shared.core.problems import ItemNotFailed
from shared.systems.camunda.failures import cause_and_group, failures, failures_page
from shared.systems.requests import ItemRef, Selection
from tests.unit.systems.camunda.engine import RUN, Rig


def ids(items: Any) -> list[str]:  # noqa: ANN401 - a sequence of Named
    return [one.id for one in items]


def swept(rig: Rig, since: datetime | None = None, until: datetime | None = None) -> Selection:
    return failures(rig.connection, since, until, RUN)


@pytest.mark.parametrize("version", ["7.24.0", "7.22.0", "7.21.0", "7.17.0", "1.0.3"])
def test_the_jobs_of_batches_are_left_alone_counted_and_named(rig: Rig, version: str) -> None:
    rig.behaviour.version = version
    own = rig.failed(2)
    batches = [rig.engine.make_batch(["gone", *(f"gone-{number}" for number in range(more))], 1).id for more in (2, 0)]
    rig.clock.turn(60)
    found = swept(rig)
    assert set(ids(found.items)) == set(own)
    assert found.refused == []
    text = "4 failed jobs belong to batches, not to processes, and were left alone."
    text = f"{text} By batch: {batches[0]} (3), {batches[1]} (1)."
    assert found.notes == [text]
    assert rig.calls("batch") == ([] if version in ("7.24.0", "7.22.0", "1.0.3") else ["GET /batch?maxResults=1000"])


def test_a_batch_that_no_engine_tells_is_not_known(rig: Rig) -> None:
    rig.behaviour.version = "7.17.0"
    batch = rig.engine.make_batch(["gone"], 1)
    rig.clock.turn(60)
    rig.engine.look(lambda store: store.running.pop(batch.id))
    assert swept(rig).notes[0].endswith("By batch: unknown (1).")


def test_only_ten_batches_are_named(rig: Rig) -> None:
    for _ in range(12):
        rig.engine.make_batch(["gone"], 1)
    rig.clock.turn(60)
    (note,) = swept(rig).notes
    assert (note.count("(1)"), note.endswith(", and 2 more.")) == (10, True)


def test_a_suspended_job_is_refused_with_the_reason(rig: Rig) -> None:
    (job,), (suspended,) = rig.failed(1), rig.failed(1, suspended=True)
    found = swept(rig)
    assert (ids(found.items), found.notes) == ([job], [])
    ((named, problem),) = found.refused
    assert (named.id, type(problem)) == (suspended, ItemNotFailed)
    assert problem.detail == f"Job {suspended} was suspended by a person."


def test_only_jobs_without_retries_are_found_and_get_what_the_target_says(rig: Rig) -> None:
    (job,) = rig.failed(1)
    rig.failed(1, retries=1, due=rig.clock.now() + timedelta(days=1))
    found = failures(rig.connect(RETRIES="4"), None, None, RUN)
    assert [(one.id, one.operation["retries"], one.operation["machine"]) for one in found.items] == [(job, 4, True)]
    assert [one.episode for one in found.items] == [rig.failed_at(job)]


@pytest.mark.parametrize("incidents", [True, False], ids=["incidents", "job log"])
@pytest.mark.parametrize("number", [5, 30])
def test_the_oldest_failure_comes_first_and_equal_ones_by_id(rig: Rig, number: int, *, incidents: bool) -> None:
    rig.behaviour.incidents = incidents
    jobs = []
    for _ in range(number):
        rig.clock.turn(60)
        jobs += sorted(rig.failed(2))
    assert ids(swept(rig).items) == jobs


def test_a_window_has_both_its_ends_in_it(rig: Rig) -> None:
    times, jobs = [], []
    for _ in range(4):
        times.append(rig.clock.now())
        jobs += rig.failed(1)
        rig.clock.turn(60)
    assert ids(swept(rig, times[1], times[2]).items) == jobs[1:3]
    assert ids(swept(rig, times[1]).items) == jobs[1:]
    assert ids(swept(rig, None, times[2]).items) == jobs[:3]
    assert ids(swept(rig, times[3] + timedelta(seconds=1)).items) == []


def test_a_failure_whose_time_is_not_known_is_in_every_window(rig: Rig) -> None:
    rig.behaviour.history, rig.behaviour.incidents = "none", False
    jobs = rig.failed(3)
    now = rig.clock.now()
    rig.behaviour.incidents = True
    known = rig.failed(2, failed=now - timedelta(hours=1))
    assert ids(swept(rig).items) == [*sorted(jobs), *sorted(known)]
    rig.clock.turn(1)
    for job in known:
        rig.engine.set_retries(job, 1)
    rig.clock.turn(60)
    for since, until in ((None, None), (now, None), (None, now), (now, now)):
        assert ids(swept(rig, since, until).items) == sorted(jobs)


def test_only_the_20_most_usual_causes_stand_by_themselves(rig: Rig) -> None:
    words = ["".join(pair) for pair in zip(string.ascii_lowercase, string.ascii_lowercase[1:], strict=False)]
    for place, word in enumerate(words):
        rig.failed(1 + (place < 20), message=f"Cause {word} of {place}")
    items = swept(rig).items
    causes = {one.id: cause_and_group(one.about)[0] for one in items}
    assert Counter(causes.values()) == Counter({**{f"Cause {w} of #": 2 for w in words[:20]}, "other causes": 5})
    assert all(one.about["cause"].startswith("Cause ") for one in items)
    assert {cause_and_group(one.about)[1] for one in items} == {("invoice", "send-invoice")}


def test_a_page_of_failures_tells_whether_there_are_more(rig: Rig) -> None:
    jobs, now = sorted(rig.failed(5)), rig.clock.now()
    rig.failed(5, retries=1, due=now + timedelta(days=1))

    def page(skip: int, top: int) -> tuple[list[str], bool]:
        found, more = failures_page(rig.connection, None, now, skip, top)
        items = found.items
        assert all((one.operation["machine"], one.episode) == (True, rig.failed_at(one.id)) for one in items)
        return ids(items), more

    assert page(0, 2) == (jobs[:2], True)
    assert page(3, 2) == (jobs[3:], False)
    assert page(9, 2) == ([], False)


def test_one_item_without_a_cause_is_of_the_empty_one() -> None:
    assert cause_and_group(ItemRef("x", {}).about) == ("", ("", ""))


def test_b4_a_timer_that_never_failed_is_on_hold_and_left_alone(rig: Rig) -> None:
    held = rig.engine.add_job(timer=True, retries=0, message=None)
    (job,) = rig.failed(1)
    assert ids(swept(rig).items) == [job]
    shown, more = failures_page(rig.connection, None, None, 0, 10)
    assert (ids(shown.items), more) == ([job], False)
    assert rig.engine.executions(held) == 0
