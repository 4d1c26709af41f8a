"""No activity lasts longer than the platform lets it, whatever the settings are."""

import json
import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core import clock
from shared.core.durations import CALLING, LONGEST, LONGEST_CHUNK, MARGIN, MOST_CONNECTING, MOST_READING, longest_call
from shared.core.problems import TooLate
from shared.core.targets import Target
from shared.execution import discovery, parts
from shared.fanout import chunks, sending
from shared.recovery import watch
from shared.systems.business_central.actions import Sending
from shared.systems.operations import BatchHead
from shared.transport import deadline
from shared.transport.connection import Connection
from tests.conftest import ROOT, TurnedClock

TARGET: dict[str, object] = {"name": "t", "url": "https://camunda.example.com", "auth": "none", "system": "camunda"}
TARGET |= {"connect_timeout": MOST_CONNECTING, "read_timeout": MOST_READING}


def function_timeout() -> timedelta:
    hours, minutes, seconds = json.loads((ROOT / "host.json").read_text())["functionTimeout"].split(":")
    return timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds))


def test_every_activity_ends_a_margin_before_the_platform_ends_it() -> None:
    assert {name: longest for name, longest in LONGEST.items() if longest > function_timeout() - MARGIN} == {}


def test_every_activity_has_its_row_in_the_table() -> None:
    code = (ROOT / "shared" / "durable" / "functions.py").read_text("utf-8")
    found = re.findall(r"@blueprint\.activity_trigger\(.*\)\ndef (\w+)", code)
    assert sorted(found) == sorted(LONGEST)


def test_the_largest_settings_leave_time_for_a_call() -> None:
    """Else nothing could ever be sent."""
    assert Target.model_validate(TARGET).longest_call == longest_call(MOST_CONNECTING, MOST_READING) < CALLING
    with pytest.raises(ValueError, match="connect_timeout"):
        Target.model_validate({**TARGET, "connect_timeout": MOST_CONNECTING + 1})
    with pytest.raises(ValueError, match="read_timeout"):
        Target.model_validate({**TARGET, "read_timeout": MOST_READING + 1})


def test_a_chunk_is_over_before_its_place_is_lost() -> None:
    sender = Sending(Connection(Target.model_validate(TARGET)), BatchHead(root="api/v2.0"), "r1")
    assert sender.hold <= LONGEST_CHUNK == LONGEST["send_chunks"]


@given(st.floats(0, 2000), st.floats(0.1, 840))
def test_no_request_of_an_activity_leaves_that_could_not_be_over_in_time(later: float, longest: float) -> None:
    turned = TurnedClock()
    before = clock._clock  # noqa: SLF001 - put back as it was
    clock.use(turned)
    try:
        begun = turned.now()

        @deadline.with_deadline
        def activity() -> None:
            turned.turn(later)
            deadline.check_time(timedelta(seconds=longest))

        try:
            activity()
        except TooLate:
            assert timedelta(seconds=later + longest) > CALLING
        else:
            assert turned.now() + timedelta(seconds=longest) <= begun + CALLING
        assert deadline.has_time_for(timedelta(days=1))
    finally:
        clock.use(before)


@pytest.mark.parametrize(
    "activity", [parts.execute, chunks.execute, sending.send_slice, discovery.discover, watch.step]
)
def test_what_activities_do_in_systems_is_bounded(activity: Callable[..., object]) -> None:
    assert activity.__code__ is deadline.with_deadline(lambda: None).__code__


def test_what_was_being_sent_is_waited_for_as_long_as_a_batch_may_take() -> None:
    told = {"system": "business-central", "auth": "managed-identity", "connect_timeout": 1, "read_timeout": 5}
    holds = [
        Sending(Connection(Target.model_validate({**TARGET, **told, **more})), BatchHead(root="api/v2.0"), "r").hold
        for more in ({}, {"batch_timeout": 20}, {"batch_timeout": 2})
    ]
    assert holds == [timedelta(seconds=seconds) for seconds in (3 + 660 + 60, 3 + 20 + 60, 3 + 5 + 60)]
