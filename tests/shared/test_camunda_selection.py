"""Which jobs are meant: those that a person has chosen, all that failed, by which cause, and for which engines."""

import string
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from local.systems import Landscape
from shared import clock
from shared.operations import Found, Named
from shared.problems import ItemNotFailed, ItemNotFound, ItemOfBatch, NotSupported, OverCap
from shared.systems.camunda.jobs import cause_of, jobs_of
from shared.systems.camunda.requests import Selection
from shared.systems.camunda.selection import cause_and_group, chosen, failures, failures_page, version_of
from shared.systems.camunda.versions import Version
from shared.transport import Connection
from tests.conftest import TurnedClock
from tests.shared.camunda_engine import RUN, Canned, Meddled, Rig

ALL: dict[str, Any] = {}
NO_RETRIES = {"noRetriesLeft": True}


@pytest.fixture(scope="module")
def running() -> Iterator[Landscape]:
    with Landscape(clock.now) as landscape:
        yield landscape


@pytest.fixture
def rig(running: Landscape, turned: TurnedClock) -> Rig:
    return Rig(running, turned)


def choose(
    rig: Rig,
    cap: int | None = None,
    *,
    usual_cap: int = 10_000,
    connection: Connection | None = None,
    **selection: Any,  # noqa: ANN401 - what Selection takes
) -> Found:
    wanted = Selection(**{"retries": 1, **selection}).model_dump(mode="json")
    return chosen(connection or rig.connection, wanted, cap, usual_cap, RUN)


def ids(items: Any) -> list[str]:  # noqa: ANN401 - a sequence of Named
    return [one.id for one in items]


# Chosen by a person


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
        (3, 1, "4 jobs are meant; the cap is 3."),
        (None, 3, "4 jobs are meant; the cap is 3."),
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
    assert str(choose(rig, 3, job_ids=named).notes) == "['4 jobs are meant; the cap is 3.']"


def test_a_union_may_be_over_the_cap_though_neither_half_is(rig: Rig) -> None:
    named, found = rig.failed(2), rig.failed(2, process="order")
    query = {"processDefinitionKey": "order"}
    assert choose(rig, 3, job_ids=tuple(named), query=query).notes == ["4 jobs are meant; the cap is 3."]
    assert choose(rig, 3, job_ids=(named[0], found[0]), query=query).over is None


def test_a_selection_over_the_cap_is_not_listed_to_its_end(rig: Rig) -> None:
    rig.failed(3500)
    found = choose(rig, 10, query=NO_RETRIES)
    assert found.notes == ["3500 jobs are meant; the cap is 10."]
    assert 1000 <= len(found.items) <= 2000
    assert len([call for call in rig.calls("list") if "firstResult" in call]) <= 3


@pytest.mark.parametrize("number", [999, 1000, 1001, 2000, 2500])
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
    with pytest.raises(NotSupported, match="does not tell its version"):
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


# All that failed


def swept(rig: Rig, since: datetime | None = None, until: datetime | None = None) -> Found:
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
    text = "4 failed jobs belong to no process, as those of batches, and were left alone."
    text = f"{text} By batch: {batches[0]} (3), {batches[1]} (1)."
    assert found.notes == [text]
    assert rig.calls("batch") == ([] if version in ("7.24.0", "7.22.0", "1.0.3") else ["GET /batch?maxResults=1000"])


def test_a_batch_that_no_engine_tells_is_not_known(rig: Rig) -> None:
    rig.behaviour.version = "7.17.0"
    batch = rig.engine.make_batch(["gone"], 1)
    rig.clock.turn(60)
    rig.engine.look(lambda store: store.running.pop(batch.id))
    assert swept(rig).notes[0].endswith("By batch: none that is there (1).")


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
    assert problem.detail == f"Job {suspended} is suspended: somebody chose that."


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


# By which cause

WORDS = st.text(st.sampled_from("abcxyzABCXYZ\u00e9"), min_size=1, max_size=8)
PLAIN = st.sampled_from(["can't", "doesn't", "at", "(line", "x)", "SQL:", "==", "users'"]) | WORDS
DIGITS = st.integers(0, 10**30).map(str)
NAMES = st.text(string.ascii_letters + string.digits + " .-_/\u00e9", max_size=20)
HOLES = st.sampled_from(["digits", "uuid", "single", "double"])


@st.composite
def alike(draw: st.DrawFn) -> tuple[str, str]:
    """Return two messages that differ only in digits, uuids and quoted names."""
    messages: tuple[list[str], list[str]] = ([], [])
    for part in draw(st.lists(st.tuples(st.just("plain"), PLAIN) | st.tuples(HOLES, st.just("")), max_size=12)):
        for message in messages:
            message.append(part[1] or filled(draw, part[0]))
    return " ".join(messages[0]), " ".join(messages[1])


def filled(draw: st.DrawFn, hole: str) -> str:
    """Return what stands in one place of one message."""
    match hole:
        case "digits":
            return draw(DIGITS)
        case "uuid":
            return str(draw(st.uuids()))
        case "single":
            return f"'{draw(NAMES)}'"
        case _:
            return f'"{draw(NAMES)}"'


@given(alike())
@example(("can't find 'Smith' in 'Sales'", "can't find 'Jones' in 'Stock'"))
@example(("no 'O'Brien' here", "no 'd'Arcy' here"))
@example(("Invoice 4711", "Invoice 12345678901234567890"))
@example((f"order_{'0a1b2c3d' * 4}", f"order_{'9f8e7d6c' * 4}"))
@example(("no 0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f", "no 11111111-2222-3333-4444-AAAAAAAAAAAA"))
def test_messages_that_differ_only_in_what_names_a_case_have_one_cause(messages: tuple[str, str]) -> None:
    assert cause_of(messages[0]) == cause_of(messages[1])


@given(st.text(max_size=300) | st.text(st.sampled_from("'\"1a \r\n\u2028\x0b-"), max_size=600))
def test_a_cause_is_one_short_line(message: str) -> None:
    cause = cause_of(message)
    assert len(cause) <= len(cause_of("x" * 500)) == 200
    assert len(cause.splitlines()) <= 1
    assert cause_of(message + "\nand more\nlines") == (cause or cause_of("and more"))


@pytest.mark.parametrize(
    ("one", "other"), [("Timeout", "Refused"), ("A 'x' b", "A 'x' c"), ("not 1", "no 1"), ("x in 'a'", "'a' in x")]
)
def test_other_words_are_another_cause(one: str, other: str) -> None:
    assert cause_of(one) != cause_of(other)


def test_one_item_without_a_cause_is_of_the_empty_one() -> None:
    assert cause_and_group(Named("x", {}).about) == ("", ("", ""))
