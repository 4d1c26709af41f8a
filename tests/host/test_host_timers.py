"""Timers as Azure fires them, on the clock."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local.clock import LocalClock
from local.host import ncrontab
from local.host.errors import HostError
from local.host.functions import FunctionInfo, Timetable
from local.host.host import Host
from local.host.timers import is_monitored
from tests.host.host_caller import Caller, until

KEY = {"x-functions-key": "the-master-key"}


@dataclass
class Night:
    """A host with timers, its clock at midnight, and the journal in which they write."""

    host: Host
    call: Caller
    journal: Path
    midnight: datetime

    def push(self, **span: float) -> None:
        self.host.clock.advance_to(self.midnight + timedelta(**span))

    def notes(self, *names: str) -> list[dict[str, Any]]:
        lines = self.journal.read_text("utf-8").splitlines() if self.journal.exists() else []
        notes = [json.loads(line) for line in lines]
        return [note for note in notes if not names or note["name"] in names]

    def times(self, *names: str) -> list[tuple[str, str]]:
        """Return who ran when after midnight, in hours and minutes."""
        since = [(note["name"], datetime.fromisoformat(note["at"]) - self.midnight) for note in self.notes(*names)]
        return [(name, str(span)[:-3]) for name, span in since if span >= timedelta()]


type Open = Callable[..., AbstractContextManager[Night]]


@pytest.fixture
def night(apps: Path, tmp_path: Path) -> Open:
    @contextmanager
    def open_night(*timers: str, **more: str) -> Iterator[Night]:
        journal = tmp_path / "journal"
        settings = {"TIMERS": ",".join(timers), "JOURNAL": str(journal), "HOURLY": "0 0 * * * *", **more}
        clock = LocalClock()
        midnight = clock.now().replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        # Before the host starts, or what it is at midnight would depend on when the test runs.
        clock.advance_to(midnight - timedelta(minutes=5))
        with Host(apps / "timers", settings, clock=clock, master_key="the-master-key") as host:
            host.clock.advance_to(midnight - timedelta(seconds=1))
            yield Night(host, Caller(host), journal, midnight)

    return open_night


@pytest.mark.slow
def test_a_day_of_timers_fires_each_once_in_order_at_its_time(night: Open) -> None:
    with night("nightly", "hourly", "broken") as it:
        it.push(days=1, seconds=-1)
        # Nothing is waited for: a push ends when what it fired has ended.
        expected = [("hourly", f"{hour}:00") for hour in range(24)]
        expected += [("broken", f"{hour}:30") for hour in range(24)]
        at_two = it.times("nightly", "hourly")[2:4]
        assert sorted(it.times("hourly", "broken")) == sorted(expected)
        assert it.times("hourly", "broken") == sorted(expected, key=lambda e: e[1].zfill(5))
        assert set(at_two) == {("nightly", "2:00"), ("hourly", "2:00")}
        assert it.times("nightly") == [("nightly", "2:00")]
        # One that failed came again, and told why.
        assert it.host.log().count("LookupError: this went wrong: False") >= 24


@pytest.mark.parametrize("name", ["AzureWebJobs.hourly.Disabled", "AzureWebJobs__HOURLY__Disabled"])
def test_a_timer_that_an_app_setting_disables_never_fires(night: Open, name: str) -> None:
    with night("nightly", "hourly", **{name: "true"}) as it:
        it.push(hours=3)
        assert it.times("hourly") == []
        assert it.times("nightly") == [("nightly", "2:00")]


def test_what_a_timer_is_told(night: Open) -> None:
    with night("nightly") as it:
        it.push(hours=26, minutes=1)
        startup, first, second = it.notes("nightly")
        assert [n["past_due"] for n in it.notes()] == [False] * 3
        assert startup["status"]["Last"] == "0001-01-01T00:00:00+00:00"
        # Next is the occurrence that this run is for, and Last the run before it.
        assert first["status"]["Next"] == (it.midnight + timedelta(hours=2)).isoformat() == second["status"]["Last"]
        assert second["status"]["Next"] == (it.midnight + timedelta(hours=26)).isoformat()
        assert first["schedule"] == {"AdjustForDST": True}


@pytest.mark.slow
def test_no_two_runs_overlap_and_what_passed_meanwhile_is_made_up_for_once(night: Open) -> None:
    with night("naps") as it:
        it.push(hours=1, minutes=30)
        begun = [at for _, at in it.times("nap begins")]
        ended = [at for _, at in it.times("nap ends")]
        # 0:10 and 0:20 passed during the first: one run at its end stands for both.
        assert begun[:4] == ["0:00", "0:25", "0:50", "1:15"]
        assert ended[:3] == begun[1:4]


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_its_timers_go_on(night: Open) -> None:
    with night("naps") as it:
        it.push(minutes=5)
        (before,) = it.host.workers("timer")
        assert [note["pid"] for note in it.notes("nap begins")][-1] == before
        os.kill(before, getattr(signal, "SIGKILL", signal.SIGTERM))
        (after,) = until(lambda: [pid for pid in it.host.workers("timer") if pid != before])
        it.push(minutes=11)
        assert not it.times("nap ends")
        assert [note["pid"] for note in it.notes("nap begins")][-1] == after
        assert it.times("nap begins")[-1] == ("nap begins", "0:10")


def test_timers_share_no_memory_and_start_orchestrations(night: Open) -> None:
    with night("hourly", "starts") as it:
        assert it.call("POST", "/api/remember").status == 200
        it.push(hours=1, minutes=1)
        assert it.times("started") == [("started", "0:45"), ("started", "0:50")]
        started = it.notes("started")[-2:]
        assert [(note["by"], note["remembers"]) for note in started] == [("async False", []), ("sync False", [])]
        assert {note["pid"] for note in started} == set(it.host.workers("durable"))
        assert set(it.notes("hourly")[-1]["remembers"]) == {"timer"}
        pids = [set(it.host.workers(role)) for role in ("http", "durable", "timer")]
        assert len(set.union(*pids)) == 3
        assert {note["pid"] for note in it.notes("hourly")} == pids[2]


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("nightly", KEY, {}, 202),
        ("NIGHTLY", KEY, {"input": "x"}, 202),
        ("nightly?code=the-master-key", {}, {}, 202),
        ("nightly", {}, {}, 401),
        ("nightly", {"x-functions-key": "wrong"}, {}, 401),
        ("nowhere", {}, {}, 401),
        ("nowhere", KEY, {}, 404),
        ("remember", KEY, {}, 400),
        ("looks", KEY, {}, 400),
        ("nightly", KEY, None, 400),
        ("nightly", KEY, [], 400),
        ("nightly", KEY | {"Host": "evil.example"}, {}, 403),
    ],
)
def test_run_now_by_the_admin_path(admin: Night, path: str, headers: dict[str, str], body: Any, status: int) -> None:  # noqa: ANN401 - a table
    before = len(admin.notes())
    answer = admin.call("POST", f"/admin/functions/{path}", body, headers)
    assert (answer.status, answer.body) == (status, b"")
    # A push waits for what was asked for, and shows that nothing else came.
    admin.host.clock.advance(1)
    assert len(admin.notes()) - before == (status == 202)


def test_the_admin_path_needs_post(admin: Night) -> None:
    assert admin.call("GET", "/admin/functions/nightly", headers=KEY).status == 404


def test_a_function_key_does_not_open_the_admin_path(admin: Night) -> None:
    key = {"x-functions-key": admin.host.function_key}
    assert admin.call("POST", "/admin/functions/nightly", {}, key).status == 401


@pytest.fixture(scope="module")
def admin(apps: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Night]:
    journal = tmp_path_factory.mktemp("admin") / "journal"
    settings = {"TIMERS": "nightly", "JOURNAL": str(journal)}
    with Host(apps / "timers", settings, master_key="the-master-key") as host:
        until(journal.exists)
        yield Night(host, Caller(host), journal, host.clock.now())


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"SCHEDULE": "0 0 2 * * 7"},
            "'nightly' has the schedule '0 0 2 .* 7': The day of the week .* is 0 to 6, not 7",
        ),
        ({"SCHEDULE": "@daily"}, "'nightly' has the schedule '@daily': A schedule has five or six fields, not 1"),
        ({"SCHEDULE": "00:05:00"}, "dedicated plans"),
        ({}, "'nightly' has the schedule '%SCHEDULE%', and there is no app setting 'SCHEDULE'"),
    ],
)
def test_a_schedule_that_azure_refuses(apps: Path, settings: dict[str, str], sentence: str) -> None:
    with pytest.raises(HostError, match=sentence):
        Host(apps / "schedule", settings).start()


def test_a_schedule_is_known_and_an_app_without_timers_has_no_worker_for_them(apps: Path) -> None:
    with Host(apps / "schedule", {"schedule": "30 2 * * *"}) as host:
        assert host.functions() == [FunctionInfo("nightly", "timer", schedule="30 2 * * *")]
        assert len(host.workers("timer")) == 1
    with Host(apps / "web", {}) as host:
        assert host.workers("timer") == []


@pytest.mark.parametrize(
    ("expression", "use_monitor", "monitored"),
    [("0 * * * * *", True, True), ("*/30 * * * * *", True, False), ("0 0 2 * * *", False, False)],
)
def test_no_record_is_kept_of_what_fires_within_a_minute(expression: str, use_monitor: bool, monitored: bool) -> None:  # noqa: FBT001 - a table
    timetable = Timetable(ncrontab.parse(expression), run_on_startup=False, use_monitor=use_monitor)
    assert is_monitored(timetable, datetime(2026, 11, 22, 2, 0, 31, tzinfo=UTC)) is monitored
