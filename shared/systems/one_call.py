"""What all actions have in common that make one call for one item (`ItemAction`)."""

from datetime import timedelta

from shared.transport.connection import Connection

_SPARE = timedelta(minutes=1)
"""Added to the longest call: the time for the claim."""


class OneCall:
    """An action that makes one call for one item, as a part of a run."""

    def __init__(self, connection: Connection, run: str) -> None:
        self._connection = connection
        self._run = run

    @property
    def hold(self) -> timedelta:
        """How long a send may take; a call that is repeated after a 401 starts only if there is time left."""
        return self._connection.target.longest_call + _SPARE

    @property
    def done_within(self) -> timedelta:
        """Time after which the system has surely finished with a call."""
        return self._connection.target.done_within
