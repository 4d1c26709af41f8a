"""The jobs that a person chooses, and what an engine is too old for."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from shared.core.problems import ItemNotFound, ItemOfBatch, NotSupported, OverCap
from shared.systems.camunda.jobs import jobs_of
from shared.systems.camunda.requests import JobSelection
from shared.systems.camunda.selection import chosen, version_of
from shared.systems.camunda.versions import Version
from shared.systems.requests import Selection
from shared.transport.connection import Connection
from tests.unit.systems.camunda.engine import RUN, Canned, Meddled, Rig

ALL: dict[str, Any] = {}
NO_RETRIES = {"noRetriesLeft": True}


def choose(
    rig: Rig,
    cap: int | None = None,
    *,
    usual_cap: int = 10_000,
    connection: Connection | None = None,
    **selection: Any,  # noqa: ANN401 - what Selection takes
) -> Selection:
    wanted = JobSelection(**{"retries": 1, **selection}).model_dump(mode="json")
    return chosen(connection or rig.connection, wanted, cap, usual_cap, RUN)


def ids(items: Any) -> list[str]:  # noqa: ANN401 - a sequence of Named
    return [one.id for one in items]


def test_ids_and_a_query_are_a_union_in_which_each_job_is_once(rig: Rig) -> None:
    a, b = rig.failed(2)
    c, d = rig.failed(2, process="order")
    found = choose(rig, job_ids=("gone", c, b), query={"processDefinitionKey": "order"})
    assert ids(found.items) == [c, b, d]
    assert [(one.id, type(problem)) for one, problem in found.refused] == [("gone", ItemNotFound)]
    assert (found.notes, found.over) == ([], None)
    assert a not in ids(found.items)


def test_an_item_has_its_change_its_failure_and_what_people_call_it(rig: Rig) -> None:
    due = "2099-01-02T03:04:05.000+0000"
    (job,) = rig.failed(1, message="Invoice 4711 not found\nat x", tenant="usmf")
    (item,) = choose(rig, job_ids=(job,), retries=3, due="at", due_date=due).items
    assert item.operation == {"retries": 3, "due": "at", "due_date": due, "machine": False}
    assert item.episode == rig.failed_at(job)
    instance = {"instance": rig.instance(job), "tenant": "usmf"}
    assert item.about == {"process": "invoice", "activity": "send-invoice", "cause": "Invoice # not found"} | instance


def test_a_person_may_choose_what_a_machine_leaves_alone(rig: Rig) -> None:
    (waiting,), (suspended,) = (
        rig.failed(1, retries=2, due=rig.clock.now() + timedelta(days=1)),
        rig.failed(1, suspended=True),
    )
    rig.engine.make_batch(["gone"], 1)
    rig.clock.turn(60)
    batch_jobs = {job.id for job in rig.engine.all_jobs() if job.work != "process"}
    found = choose(rig, query=ALL)
    assert set(ids(found.items)) == {waiting, suspended}
    assert {one.id: type(problem) for one, problem in found.refused} == dict.fromkeys(batch_jobs, ItemOfBatch)
    named = min(batch_jobs)
    assert set(ids(choose(rig, job_ids=(named,), query=ALL).items)) == {waiting, suspended, named}
    found = choose(rig, query=ALL, all_jobs=True)
    assert set(ids(found.items)) == {waiting, suspended, *batch_jobs}
    assert {one.id: one.episode for one in found.items}[waiting] == "retries 2"


@pytest.mark.parametrize(
    ("cap", "usual_cap", "over"),
    [
        (3, 1, "4 jobs are selected; the cap is 3."),
        (None, 3, "4 jobs are selected; the cap is 3."),
        (4, 1, None),
        (None, 4, None),
    ],
)
def test_a_query_has_a_cap(rig: Rig, cap: int | None, usual_cap: int, over: str | None) -> None:
    rig.failed(4)
    found = choose(rig, cap, usual_cap=usual_cap, query=NO_RETRIES)
    assert (found.over and found.over.detail, found.notes) == (over, [over] if over else [])
    assert over is None or isinstance(found.over, OverCap)
    assert len(found.items) == 4


def test_ids_need_no_usual_cap_but_keep_to_a_named_one(rig: Rig) -> None:
    named = tuple(rig.failed(4))
    assert choose(rig, usual_cap=1, job_ids=named).over is None
    assert str(choose(rig, 3, job_ids=named).notes) == "['4 jobs are selected; the cap is 3.']"


def test_a_union_may_be_over_the_cap_though_neither_half_is(rig: Rig) -> None:
    named, found = rig.failed(2), rig.failed(2, process="order")
    query = {"processDefinitionKey": "order"}
    assert choose(rig, 3, job_ids=tuple(named), query=query).notes == ["4 jobs are selected; the cap is 3."]
    assert choose(rig, 3, job_ids=(named[0], found[0]), query=query).over is None


def test_a_selection_over_the_cap_is_not_listed_to_its_end(rig: Rig) -> None:
    rig.failed(3500)
    found = choose(rig, 10, query=NO_RETRIES)
    assert found.notes == ["3500 jobs are selected; the cap is 10."]
    assert 1000 <= len(found.items) <= 2000
    assert len([call for call in rig.calls("list") if "firstResult" in call]) <= 3


@pytest.mark.parametrize("number", [1000, 1001, pytest.param(2500, marks=pytest.mark.slow)])
def test_every_job_of_many_pages_is_there_once(rig: Rig, number: int) -> None:
    jobs = rig.failed(number)
    assert Counter(ids(choose(rig, query=NO_RETRIES).items)) == Counter(jobs)
    lists = [call for call in rig.calls("list") if "firstResult" in call]
    pages = number // 1000 + 1
    # Several pages are read again, in case that a job left the query meanwhile.
    assert len(lists) == (pages if pages == 1 else 2 * pages)
    assert all("maxResults=1000" in call for call in lists)


def test_many_ids_are_read_page_by_page(rig: Rig) -> None:
    jobs = tuple(rig.failed(2500))
    assert ids(choose(rig, job_ids=jobs).items) == list(jobs)
    assert len(rig.calls("list")) == 3


def test_a_job_that_comes_between_two_pages_hides_and_doubles_none(rig: Rig) -> None:
    jobs = [f"b{number:05}" for number in range(2500)]
    for job in jobs:
        rig.failed(1, id=job)
    # The first call counts, and the second is the first page.
    meddled = Meddled(rig.target(), 3, lambda: [rig.failed(1, id=f"a{number}") for number in range(7)])
    found = ids(choose(rig, connection=meddled, query=NO_RETRIES).items)
    assert len([call for call in rig.calls("list") if "firstResult" in call]) <= 9
    assert len(found) == len(set(found))
    assert set(found) >= set(jobs)


def test_jobs_that_leave_between_two_pages_hide_none_that_stay(rig: Rig) -> None:
    jobs = [f"b{number:05}" for number in range(2500)]
    for job in jobs:
        rig.failed(1, id=job)

    def leave() -> None:
        for job in jobs[:7]:
            rig.engine.vanish(job)

    meddled = Meddled(rig.target(), 3, leave)
    found = ids(choose(rig, connection=meddled, query=NO_RETRIES).items)
    assert set(found) >= set(jobs[7:])


def test_an_engine_that_answers_one_page_for_ever_is_listed_once() -> None:
    with Canned((200, [{"id": str(number), "retries": 0} for number in range(1000)])) as canned:
        assert len(list(jobs_of(canned.connection, ALL, 10_000, RUN))) == 1000


# What an engine is too old for

DATES = {"createTimes": [{"operator": "gt", "value": "2026-01-01T00:00:00.000+0000"}]}
NEEDS: dict[str, dict[str, Any]] = {
    "dueDate": {"job_ids": ("x",), "due": "now"},
    "dates": {"query": DATES},
    "acquired": {"query": {"acquired": True}},
}


@pytest.mark.parametrize(
    ("version", "has"),
    [
        ("7.17.0", set()),
        ("7.18.0", set()),
        ("7.19.0", {"dueDate", "dates"}),
        ("7.22.0", {"dueDate", "dates"}),
        ("7.23.0", {"dueDate", "dates"}),
        ("7.24.0", {"dueDate", "dates", "acquired"}),
        ("1.0.3", {"dueDate", "dates"}),
        ("2.1.4", {"dueDate", "dates", "acquired"}),
    ],
)
@pytest.mark.parametrize("needed", NEEDS)
def test_what_an_engine_would_ignore_is_refused_before_anything_is_read(
    rig: Rig, version: str, has: set[str], needed: str
) -> None:
    rig.behaviour.version = version
    if needed in has:
        choose(rig, **NEEDS[needed])
        return
    with pytest.raises(NotSupported) as caught:
        choose(rig, **NEEDS[needed])
    assert f"is {Version.read(version)}" in caught.value.detail
    assert needed in caught.value.detail
    assert caught.value.members == {"sent": False}
    assert rig.kinds() == ["version"]


@pytest.mark.parametrize(
    "fault", [{"effect": "html"}, {"effect": "status", "status": 404}, {"effect": "malformed"}], ids=str
)
@pytest.mark.parametrize("needed", NEEDS)
def test_an_engine_that_tells_no_version_is_taken_for_an_old_one_unless_its_target_knows(
    rig: Rig, fault: dict[str, Any], needed: str
) -> None:
    rig.faults.add(**fault, kind="version", times=None)
    with pytest.raises(NotSupported, match="does not report its version"):
        choose(rig, **NEEDS[needed])
    assert choose(rig, connection=rig.connect(ENGINE_VERSION="7.24.0"), **NEEDS[needed]).over is None
    with pytest.raises(NotSupported, match=r"7.*18"):
        choose(rig, connection=rig.connect(ENGINE_VERSION="7.18.0"), **NEEDS[needed])
    assert rig.kinds().count("version") == 1


def test_what_every_engine_has_needs_no_version(rig: Rig) -> None:
    rig.faults.add("html", kind="version", times=None)
    choose(rig, job_ids=tuple(rig.failed(1)), query=NO_RETRIES)
    assert "version" not in rig.kinds()
    assert version_of(rig.connection, RUN) is None
