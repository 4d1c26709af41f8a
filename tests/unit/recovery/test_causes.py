"""How far careful waves have come with each cause, as a report shows it."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.core.outcome import Recovery, RecoveryResult
from shared.recovery.causes import causes_of, wait_of, watch_of
from shared.recovery.progress import Progress, Watched
from shared.recovery.waves import PROBE, CauseState
from shared.runs.report import CauseStatus

NOW = datetime(2026, 11, 28, 3, 10, tzinfo=UTC)


def watched(cause: str, recovery: Recovery | None, wave: int = 1) -> Watched:
    return Watched(wave=wave, cause=cause, sent=NOW, became=RecoveryResult(recovery=recovery))


def progress(track: CauseState, left: int, *recoveries: Recovery | None) -> Progress:
    items = {str(number): watched("sql", one) for number, one in enumerate(recoveries)}
    return Progress(tracks={"sql": track}, left={"sql": left}, watched=items, due=NOW + timedelta(minutes=1))


BAD, GOOD = Recovery.FAILED_AGAIN, Recovery.RECOVERED


@pytest.mark.parametrize(
    ("track", "left", "recoveries", "run", "status"),
    [
        (CauseState(), 9, (), "works", CauseStatus.TO_COME),
        (CauseState(wave=1), 9, (None,), "works", CauseStatus.WATCHED),
        (CauseState(), 9, (GOOD,), "works", CauseStatus.GOING_ON),
        (CauseState(stopped=NOW), 9, (BAD,), "works", CauseStatus.STOPPED),
        (CauseState(stopped=NOW, wave=2), 9, (BAD, None), "works", CauseStatus.STOPPED),
        (CauseState(), 0, (GOOD,), "works", CauseStatus.ENDED),
        (CauseState(wave=1), 9, (None,), "ended", CauseStatus.ENDED),
        (CauseState(stopped=NOW), 9, (BAD,), "ended", CauseStatus.STOPPED),
    ],
)
def test_a_cause_has_the_status_that_its_waves_have(
    track: CauseState, left: int, recoveries: tuple[Recovery | None, ...], run: str, status: CauseStatus
) -> None:
    [cause] = causes_of(progress(track, left, *recoveries), ended=run == "ended")
    assert cause.status is status
    assert (cause.tried, cause.left) == (len(recoveries), left)
    assert (cause.recovered, cause.failedAgain) == (recoveries.count(GOOD), recoveries.count(BAD))
    assert cause.nextProbe == (NOW + PROBE if track.stopped and run == "works" else None)


def test_the_largest_cause_is_first_and_one_without_a_name_is_null() -> None:
    found = Progress(tracks={"": CauseState(), "sql": CauseState()}, left={"": 2, "sql": 3})
    assert [one.cause for one in causes_of(found, ended=False)] == ["sql", None]


def test_a_run_waits_for_its_last_wave_and_then_for_the_next_probe() -> None:
    waiting = wait_of(progress(CauseState(wave=1), 9, None, None, GOOD))
    assert waiting is not None
    assert (waiting.reason[:7], waiting.until) == ("2 items", NOW + timedelta(minutes=1))
    stopped = wait_of(progress(CauseState(stopped=NOW), 9, BAD))
    assert stopped is not None
    assert stopped.until == NOW + PROBE
    assert wait_of(Progress()) is None


def test_a_stopped_cause_of_which_nothing_is_left_has_no_next_probe() -> None:
    gone = watched("sql", Recovery.GONE)
    found = Progress(tracks={"sql": CauseState(stopped=NOW)}, left={"sql": 0}, watched={"1": gone})
    assert causes_of(found, ended=False)[0].nextProbe is None
    assert wait_of(found) is None


def test_an_item_of_an_earlier_wave_that_still_runs_is_not_waited_for() -> None:
    found = progress(CauseState(stopped=NOW, wave=2), 9, None)
    waiting = wait_of(found)
    assert waiting is not None
    assert waiting.until == NOW + PROBE


def test_a_follow_up_waits_until_its_time_is_over() -> None:
    found = progress(CauseState(), 0, None).model_copy(update={"follow_until": NOW})
    waiting = watch_of(found)
    assert waiting is not None
    assert (waiting.reason[:6], waiting.until) == ("1 item", NOW)
    assert watch_of(progress(CauseState(), 0, GOOD)) is None
