"""How long each activity may last: what the platform ends is begun again from the start, and would be for ever.

An activity calls systems, and no call begins that could not be over within `CALLING` (`leaving.py` sees to it). It
calls the store as well, for which there is `STORE`. A test compares the table with `functionTimeout` of host.json.
"""

from collections.abc import Mapping
from datetime import timedelta

MARGIN = timedelta(minutes=1)
"""How far below functionTimeout every activity must stay."""
STORE = timedelta(minutes=1)
"""How long an activity's own calls of the store may take together."""
CALLING = timedelta(minutes=13)
"""How long after its beginning an activity's calls of systems are over, answers and repeats included."""
TIDYING = timedelta(seconds=30)
"""How long a night looks through claims that may go."""
CLOSING = timedelta(minutes=1)
"""How long the items of a run that was ended in the engine are brought to their ends at a time."""

ADDRESSES = 3
"""How many of a host's addresses are tried for a connection."""
MOST_CONNECTING = 30.0
"""The largest connect_timeout that a target may have."""
MOST_READING = 660.0
"""The largest read_timeout, and that of a `$batch`: longer than Business Central's gateway lets one take (facts B2)."""


def longest_call(connecting: float, reading: float) -> timedelta:
    """Return the longest that one request may take, its answer included."""
    return timedelta(seconds=ADDRESSES * connecting + reading)


LONGEST: Mapping[str, timedelta] = {
    "prepare_run": CALLING + STORE,
    "perform_part": CALLING + STORE,
    "watch_run": CALLING + STORE,
    "finish_run": TIDYING + STORE,
    "end_run": STORE,
    "break_run": STORE,
    "prepare_batch": STORE,
    "read_segment": STORE,
    "send_chunk": CALLING + STORE,
    "end_closed_run": CLOSING + STORE,
    "finish_batch": STORE,
    "break_batch": STORE,
}
"""The longest that each activity lasts."""

LONGEST_CHUNK = LONGEST["send_chunk"]
"""How long a chunk of a batch may have its place in flight."""
