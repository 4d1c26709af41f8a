"""A batch whose answer got lost is found again, and one that can never end is deleted: only where it is surely it."""

import json
from types import NoneType
from typing import Any

import pytest

from local.simulators.camunda.store import Store
from shared.core.outcome import Ending, Outcome, Recovery
from shared.core.problems import (
    AccessDenied,
    AnswerNotUnderstood,
    ItemNotFailed,
    ItemNotFound,
    ItemOfBatch,
    ItemProblem,
    ItemRunning,
    ItemWaiting,
    NoAnswer,
    NotTaken,
    NotValid,
    OutcomeUnknown,
    RefusedBySystem,
    TargetUnreachable,
    Throttled,
)
from shared.policy.rules import Facts
from shared.systems.camunda.actions import SettingRetries
from shared.systems.camunda.batches import KIND, made_since, mark, set_retries, state_of
from shared.systems.camunda.delete_batch import Deleting, delete_batch
from shared.systems.camunda.jobs import Change
from shared.systems.contract import Snapshot
from shared.validation.request import Call
from tests.unit.systems.camunda.engine import FIELDS, RUN, Canned, Rig, keep

LEVELS = pytest.mark.parametrize("history", ["full", "activity", "none"])


def lost(rig: Rig, jobs: list[str]) -> None:
    """Set retries, and lose the answer."""
    rig.faults.add("cut", kind="action", after=True)
    with pytest.raises(NoAnswer):
        set_retries(rig.connection, Change(retries=1), jobs, RUN)


def found(rig: Rig, before: str, total: int) -> tuple[list[str], bool]:
    """Return the ids of the batches for so many jobs that were made since, and whether one that is over would show."""
    outcomes, complete = made_since(rig.connection, before, total, RUN)
    assert all((one.ending, one.sent) == (Ending.DONE, True) for one in outcomes)
    return [str((one.answer or {})["id"]) for one in outcomes], complete


# A batch whose answer got lost


@pytest.mark.parametrize("version", ["7.17.0", "7.24.0"])
@pytest.mark.parametrize("seconds", [0, 0.06, 60], ids=["new", "begun", "over"])
def test_a_batch_is_found_again_whether_it_is_over_or_not(rig: Rig, version: str, seconds: float) -> None:
    rig.behaviour.version = version
    rig.engine.make_batch(rig.failed(2), 1)
    rig.clock.turn(60)
    before = mark(rig.connection, RUN)
    rig.clock.turn(1)
    lost(rig, rig.failed(2))
    rig.clock.turn(seconds)
    assert found(rig, before, 2) == ([rig.engine.batches()[1].id], True)


def test_what_is_told_of_it_are_its_14_fields_and_that_the_answer_got_lost(rig: Rig) -> None:
    before = mark(rig.connection, RUN)
    lost(rig, rig.failed(2))
    ((outcome,), _) = made_since(rig.connection, before, 2, RUN)
    (batch,) = rig.engine.batches()
    assert list(outcome.answer or {}) == FIELDS
    told = {"id": batch.id, "totalJobs": 2, "jobsCreated": 0, "suspended": False, "type": "set-job-retries"}
    assert (outcome.answer or {}) | told == outcome.answer
    assert outcome.reason == f"No response was received, but the engine shows the effect: batch {batch.id} was created."


@LEVELS
def test_what_was_there_before_is_never_ours(rig: Rig, history: str) -> None:
    keep(rig, history)
    rig.behaviour.batch_start_seconds = 600
    for _ in range(3):
        rig.engine.make_batch(rig.failed(2), 1)
    before = mark(rig.connection, RUN)
    assert found(rig, before, 2)[0] == []
    rig.clock.turn(3600)
    assert found(rig, before, 2)[0] == []


def test_one_that_was_made_in_the_same_instant_as_the_latest_before_is_ours(rig: Rig) -> None:
    rig.engine.make_batch(rig.failed(2), 1)
    before = mark(rig.connection, RUN)
    lost(rig, rig.failed(2))
    assert found(rig, before, 2)[0] == [rig.engine.batches()[1].id]


def test_one_of_another_size_is_not_ours(rig: Rig) -> None:
    before = mark(rig.connection, RUN)
    rig.engine.make_batch(rig.failed(3), 1)
    assert found(rig, before, 2)[0] == []
    assert len(found(rig, before, 3)[0]) == 1


def test_several_of_the_same_size_are_all_told(rig: Rig) -> None:
    before = mark(rig.connection, RUN)
    lost(rig, rig.failed(2))
    other = rig.engine.make_batch(rig.failed(2), 1).id
    assert set(found(rig, before, 2)[0]) == {other, rig.engine.batches()[0].id}


def test_older_ones_that_move_up_in_a_cleaned_history_are_not_ours(rig: Rig) -> None:
    for _ in range(130):
        rig.engine.make_batch(rig.failed(1), 1)
        rig.clock.turn(60)
    before = mark(rig.connect(PAGE_SIZE="100"), RUN)
    assert len(json.loads(before)["ids"]) == 100

    def clean(store: Store) -> None:
        for batch in list(store.batches.values())[-20:]:
            batch.forgotten = True

    rig.engine.look(clean)
    assert found(rig, before, 1) == ([], True)
    lost(rig, rig.failed(1))
    assert found(rig, before, 1)[0] == [rig.engine.batches()[-1].id]


@pytest.mark.parametrize("history", ["activity", "none"])
def test_at_a_low_history_level_a_batch_shows_only_while_it_is_under_way(rig: Rig, history: str) -> None:
    keep(rig, history)
    before = mark(rig.connection, RUN)
    lost(rig, rig.failed(2))
    assert found(rig, before, 2) == ([rig.engine.batches()[0].id], False)
    rig.clock.turn(60)
    assert found(rig, before, 2) == ([], False)


@pytest.mark.parametrize("status", [401, 403])
def test_a_history_that_may_not_be_read_is_none(rig: Rig, status: int) -> None:
    rig.faults.add("status", status=status, kind="history", times=None)
    before = mark(rig.connection, RUN)
    lost(rig, rig.failed(2))
    assert found(rig, before, 2) == ([rig.engine.batches()[0].id], False)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"effect": "cut"}, TargetUnreachable),
        ({"effect": "html"}, AnswerNotUnderstood),
        ({"effect": "status", "status": 503, "retry_after": 60}, Throttled),
        ({"effect": "status", "status": 403, "kind": "batch"}, AccessDenied),
    ],
    ids=str,
)
def test_what_can_not_be_listed_is_a_problem(rig: Rig, fault: dict[str, Any], kind: type[ItemProblem]) -> None:
    before = mark(rig.connection, RUN)
    rig.faults.add(**fault, times=None)
    with pytest.raises(kind):
        mark(rig.connection, RUN)
    with pytest.raises(kind):
        made_since(rig.connection, before, 2, RUN)


@pytest.mark.parametrize("machine", [True, False])
def test_a_look_tells_of_each_job_what_it_needs_to_be_judged(rig: Rig, *, machine: bool) -> None:
    (failed,), (suspended,) = rig.failed(1, tenant="usmf", outcomes=["fail"]), rig.failed(1, suspended=True)
    (waiting,) = rig.failed(1, retries=2, suspended=True)
    rig.engine.make_batch(["gone"], 1)
    rig.clock.turn(60)
    (batch_job,) = [job.id for job in rig.engine.all_jobs() if job.work == "execution"]
    work = SettingRetries(rig.connection, Change(retries=1, machine=machine), RUN)
    found = dict(work.look([failed, suspended, waiting, batch_job, "gone"]))
    gone = found.pop("gone")
    assert (type(gone), getattr(gone, "members", None)) == (ItemNotFound, {"sent": False})
    looks = [one for one in found.values() if isinstance(one, Snapshot)]
    kinds = [NoneType, ItemNotFailed, ItemWaiting, ItemOfBatch]
    assert [type(look.refusal) for look in looks] == (kinds if machine else [NoneType] * 4)
    assert [look.episode for look in looks[:3]] == [rig.failed_at(failed), rig.failed_at(suspended), "retries 2"]
    assert looks[0].facts == Facts("camunda", "send-invoice", "usmf", process="invoice")
    assert looks[0].about["instance"] == rig.instance(failed)
    before = looks[0].episode
    assert looks[0].became(before).recovery is None
    rig.fail_anew(failed)
    (look,) = work.look([failed]).values()
    assert isinstance(look, Snapshot)
    assert look.became(before).recovery is Recovery.FAILED_AGAIN


def checked(rig: Rig, jobs: list[str], before: str) -> Outcome:
    work = SettingRetries(rig.connection, Change(retries=1), RUN)
    return work.check({job: rig.failed_at(job) for job in jobs}, before, ())


def test_a_check_finds_what_the_engine_was_still_at(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, before, sleep = rig.failed(2), mark(rig.connection, RUN), rig.clock.sleep

    def slept(seconds: float) -> None:
        sleep(seconds)
        if seconds:
            rig.engine.make_batch(jobs, 1)
            rig.clock.turn(1)

    monkeypatch.setattr(rig.clock, "sleep", slept)
    assert checked(rig, jobs, before).ending is Ending.DONE
    assert rig.clock.slept == [0, 3]


def test_a_check_that_finds_several_knows_nothing(rig: Rig) -> None:
    jobs, before = rig.failed(2), mark(rig.connection, RUN)
    lost(rig, jobs)
    rig.engine.make_batch(rig.failed(2), 1)
    with pytest.raises(OutcomeUnknown, match="2 batches of this size"):
        checked(rig, jobs, before)


@pytest.mark.parametrize("batches", [0, 1])
@pytest.mark.parametrize(
    ("history", "kind"), [("full", NotTaken), ("activity", OutcomeUnknown), ("none", OutcomeUnknown)]
)
def test_only_a_history_that_has_batches_shows_that_nothing_was_done(
    rig: Rig,
    history: str,
    kind: type[ItemProblem],
    batches: int,
) -> None:
    keep(rig, history)
    for _ in range(batches):
        rig.engine.make_batch(rig.failed(1), 1)
    rig.clock.turn(60)
    jobs, before = rig.failed(2), mark(rig.connection, RUN)
    rig.faults.add("cut", kind="action")
    with pytest.raises(NoAnswer):
        set_retries(rig.connection, Change(retries=1), jobs, RUN)
    with pytest.raises(ItemProblem) as caught:
        checked(rig, jobs, before)
    # A history without any may be kept at another level, or be hidden from the app's user.
    assert type(caught.value) is (kind if batches else OutcomeUnknown)


def test_another_batch_of_the_size_leaves_the_jobs_as_they_were_and_is_not_ours(rig: Rig) -> None:
    rig.behaviour.batch_start_seconds = 20
    jobs, before = rig.failed(2), mark(rig.connection, RUN)
    others = rig.engine.make_batch(rig.failed(2), 1).id
    with pytest.raises(OutcomeUnknown, match="may be another caller's"):
        checked(rig, jobs, before)
    rig.clock.turn(60)
    with pytest.raises(NotTaken):
        checked(rig, jobs, before)
    lost(rig, jobs)
    rig.clock.turn(30)
    work = SettingRetries(rig.connection, Change(retries=1), RUN)
    episodes: dict[str, str | None] = dict.fromkeys(jobs, "retries 7")
    with pytest.raises(OutcomeUnknown, match="2 batches"):
        work.check(episodes, before, ())
    assert (work.check(episodes, before, [others]).answer or {})["id"] == rig.engine.batches()[-1].id


def test_a_batch_for_jobs_that_had_these_retries_before_may_be_ours(rig: Rig) -> None:
    """A5: the jobs look as before, whether ours was made or another caller's; only without any batch nothing was."""
    rig.engine.make_batch(rig.failed(1), 1)
    rig.clock.turn(60)
    jobs, before = rig.failed(2, retries=1, suspended=True), mark(rig.connection, RUN)
    work = SettingRetries(rig.connection, Change(retries=1), RUN)
    episodes: dict[str, str | None] = dict.fromkeys(jobs, "retries 1")
    keep(rig, "full")
    with pytest.raises(NotTaken):
        work.check(episodes, before, ())
    rig.engine.make_batch(rig.failed(2), 1)
    rig.clock.turn(60)
    with pytest.raises(OutcomeUnknown, match="had these retries before"):
        work.check(episodes, before, ())


def test_jobs_that_changed_without_a_batch_are_no_proof_of_anything(rig: Rig) -> None:
    rig.engine.make_batch(rig.failed(1), 1)
    jobs, before = rig.failed(2), mark(rig.connection, RUN)
    rig.clock.turn(60)
    work = SettingRetries(rig.connection, Change(retries=1), RUN)
    with pytest.raises(OutcomeUnknown, match="2 of 2 jobs have changed since, and no batch"):
        work.check(dict.fromkeys(jobs, "retries 7"), before, ())


def test_a_batch_may_do_several_jobs_by_one_of_its_own() -> None:
    row = {"id": "b", "type": KIND, "totalJobs": 2, "invocationsPerBatchJob": 10, "startTime": None}
    for total, count in ((11, 1), (20, 1), (21, 0), (2, 0)):
        with Canned((200, [{**row, "endTime": None}]), (200, [row])) as canned:
            made, _ = made_since(canned.connection, '{"ids":[],"since":null}', total, RUN)
            assert len(made) == count


def test_later_batches_however_many_do_not_hide_ours(rig: Rig) -> None:
    rig.engine.make_batch(rig.failed(1), 1)
    rig.clock.turn(60)
    connection = rig.connect(PAGE_SIZE="10")
    jobs, before = rig.failed(3), mark(connection, RUN)
    lost(rig, jobs)
    for _ in range(45):
        rig.clock.turn(2)
        rig.engine.make_batch(rig.failed(1), 1)
    rig.clock.turn(60)
    made, complete = made_since(connection, before, 3, RUN)
    assert ([(one.answer or {})["id"] for one in made], complete) == ([rig.engine.batches()[1].id], True)


def test_a_history_of_batches_without_any_job_logs_is_enough(rig: Rig) -> None:
    rig.engine.make_batch(rig.failed(1), 1)
    jobs, before = rig.failed(2), mark(rig.connection, RUN)
    rig.engine.look(lambda store: store.history.of_job.clear())
    with pytest.raises(NotTaken):
        checked(rig, jobs, before)


# Deleting one that can never end


def stuck(rig: Rig) -> str:
    """Make a batch about a job that is not there, and let it do what it can."""
    batch = rig.engine.make_batch(["gone", *rig.failed(1)], 1)
    rig.clock.turn(60)
    return batch.id


def deleting(rig: Rig, batch: str) -> Deleting:
    rig.camunda.book.clear()
    return Deleting(rig.connection, {"delete": batch}, RUN)


def test_a_batch_that_failed_by_another_cause_is_left_to_people(rig: Rig) -> None:
    batch = stuck(rig)

    def by_another_cause(store: Store) -> None:
        for job in store.jobs.values():
            if job.batch == batch and job.retries == 0:
                job.message = "The database was away"

    rig.engine.look(by_another_cause)
    found = state_of(rig.connection, batch, RUN)
    assert (found.state, found.is_dead) == ("stuck", False)
    refusal = deleting(rig, batch).look().refusal
    assert type(refusal) is ItemNotFailed


def test_a_stuck_batch_is_deleted_and_its_history_kept(rig: Rig) -> None:
    work = deleting(rig, stuck(rig))
    look = work.look()
    assert (look.refusal, look.facts.job, look.about) == (None, "delete-batch", {"batch": work.item})
    outcome = work.send()
    assert (outcome.ending, outcome.sent, outcome.upstream_status, outcome.native) == (Ending.DONE, True, 204, "")
    assert rig.calls()[-1] == f"DELETE /batch/{work.item}"
    (batch,) = rig.engine.batches()
    assert (batch.end, batch.forgotten) == (rig.clock.now(), False)
    with pytest.raises(ItemNotFound):
        work.look()


@pytest.mark.parametrize("seconds", [0, 0.06, 0.1, 1.0])
def test_a_batch_under_way_is_left_alone(rig: Rig, seconds: float) -> None:
    rig.behaviour.batch_seconds_per_job = 0.2
    batch = rig.engine.make_batch(["gone", *rig.failed(9)], 1)
    rig.clock.turn(seconds)
    assert type(deleting(rig, batch.id).look().refusal) is ItemRunning


def test_a_batch_that_only_waits_for_its_monitor_is_left_alone(rig: Rig) -> None:
    batch = rig.engine.make_batch(rig.failed(20), 1)
    rig.clock.turn(5)
    assert rig.engine.batches()[0].end is None
    assert type(deleting(rig, batch.id).look().refusal) is ItemRunning


@pytest.mark.parametrize("kind", ["instance-deletion", "set-external-task-retries", None])
def test_a_batch_of_another_kind_is_never_deleted(kind: str | None) -> None:
    counts = {"totalJobs": 1, "jobsCreated": 1, "remainingJobs": 1, "failedJobs": 1}
    row = {"id": "b", "type": kind, **counts}
    with Canned((200, row), (200, [row])) as canned:
        assert type(Deleting(canned.connection, {"delete": "b"}, RUN).look().refusal) is ItemNotFailed


@pytest.mark.parametrize("batch", ["no-such-batch", "a/b?c#d"])
def test_a_batch_that_is_not_there_is_not_found(rig: Rig, batch: str) -> None:
    with pytest.raises(ItemNotFound) as caught:
        deleting(rig, batch).look()
    assert caught.value.members["sent"] is False
    assert len(rig.calls()) == 1


@pytest.mark.parametrize("after", [True, False])
def test_a_lost_answer_is_done_where_the_batch_is_gone_and_else_not_taken(rig: Rig, *, after: bool) -> None:
    work = deleting(rig, stuck(rig))
    rig.faults.add("cut", method="DELETE", after=after)
    with pytest.raises(NoAnswer):
        work.send()
    if after:
        assert work.check(None).reason == "No response was received, but the batch no longer exists."
    else:
        with pytest.raises(NotTaken, match="still exists"):
            work.check(None)
    assert len([call for call in rig.calls() if call.startswith("DELETE")]) == 1


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"effect": "status", "status": 500}, RefusedBySystem),
        ({"effect": "conflict"}, RefusedBySystem),
        ({"effect": "status", "status": 403}, AccessDenied),
        ({"effect": "throttle", "retry_after": 60}, Throttled),
        ({"effect": "status", "status": 502}, NoAnswer),
        ({"effect": "html"}, NoAnswer),
        ({"effect": "redirect"}, AccessDenied),
    ],
    ids=str,
)
def test_an_odd_answer_to_a_deletion_is_the_right_problem(
    rig: Rig, fault: dict[str, Any], kind: type[ItemProblem]
) -> None:
    work = deleting(rig, stuck(rig))
    rig.faults.add(**fault, method="DELETE", times=None)
    with pytest.raises(ItemProblem) as caught:
        work.send()
    assert type(caught.value) is kind
    assert len(rig.calls()) == 1


def test_a_batch_that_ended_meanwhile_is_refused(rig: Rig) -> None:
    work = deleting(rig, stuck(rig))
    rig.engine.delete_batch(work.item)
    with pytest.raises(RefusedBySystem, match="Unable to delete batch"):
        work.send()


@pytest.mark.parametrize(
    "answer",
    [(200, b""), (200, []), (200, None), (200, 5), (404, b""), (404, {}), (500, {"type": "x", "message": "y"})],
)
def test_what_is_no_batch_is_not_understood(answer: tuple[int, object]) -> None:
    with Canned(answer) as canned, pytest.raises(AnswerNotUnderstood):
        Deleting(canned.connection, {"delete": "b"}, RUN).look()


def asked(batch: str, **params: str) -> Call:
    return Call("DELETE", "delete_batch", "/api/camunda/batch/x", {}, params, {"id": batch}, b"")


@pytest.mark.parametrize("batch", [" ", "b" * 256])
def test_a_call_without_a_valid_id_is_not_valid(batch: str) -> None:
    with pytest.raises(NotValid):
        delete_batch(asked(batch))


def test_a_call_names_one_batch() -> None:
    wanted = delete_batch(asked("b" * 255, code="key"))
    assert [(one.id, one.operation) for one in wanted.items] == [("b" * 255, {"delete": "b" * 255})]
    assert (wanted.single, wanted.native, wanted.system) == (True, True, "camunda")
