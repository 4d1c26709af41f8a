"""The time limits of activities.

An activity that reaches `functionTimeout` is aborted and started again from the beginning, endlessly. So no call to a
system starts that could not end within `CALLING` (`transport/deadline.py`); `STORE` is for the calls to the store. A
test compares the table with `functionTimeout` in host.json.
"""

from collections.abc import Mapping
from datetime import timedelta

MARGIN = timedelta(minutes=1)
"""How far below `functionTimeout` every activity must stay."""
STORE = timedelta(minutes=1)
"""Time for all calls of an activity to the store."""
CALLING = timedelta(minutes=13)
"""Time after the start of an activity until its calls to systems have ended, responses and retries included."""
CLOSING = timedelta(minutes=1)
"""Time that one call of `end_closed_run` spends on ending items."""

ADDRESSES = 3
"""How many addresses of a host a connection is expected to try, each with the full connect timeout."""
MOST_CONNECTING = 30.0
"""Maximum `connect_timeout` of a target, in seconds."""
MOST_READING = 660.0
"""Maximum `read_timeout` and `batch_timeout`, in seconds: longer than Business Central's gateway allows (facts B2)."""


def longest_call(connecting: float, reading: float) -> timedelta:
    """Return the maximum duration of one request, its response included; the arguments are timeouts in seconds."""
    return timedelta(seconds=ADDRESSES * connecting + reading)


LONGEST: Mapping[str, timedelta] = {
    "begin_run": CALLING + STORE,
    "perform_parts": CALLING + STORE,
    "watch_run": CALLING + STORE,
    "finish_run": STORE,
    "end_run": STORE,
    "break_run": STORE,
    "prepare_batch": STORE,
    "read_segment": STORE,
    "send_chunks": CALLING + STORE,
    "end_closed_run": CLOSING + STORE,
    "finish_batch": STORE,
    "break_batch": STORE,
}
"""Maximum duration of each activity, by its registered name."""

LONGEST_CHUNK = LONGEST["send_chunks"]
"""How long a chunk of a batch may hold its slot at the gate."""
