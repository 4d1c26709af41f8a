"""What a run does with a chunk of operations (`shared.work.Sender`)."""

from collections.abc import Sequence
from datetime import timedelta

from shared.durations import longest_call
from shared.merging import Given
from shared.policy import Facts
from shared.raw_json import members_of
from shared.systems.business_central.chunk import send
from shared.systems.business_central.settling import find
from shared.transport import Connection
from shared.work import Piece

_SPARE = timedelta(minutes=1)


class Sending:
    """Sends chunks to one target."""

    def __init__(
        self, connection: Connection, root: str, settle_by: Sequence[str], run: str, *, snapshot: bool
    ) -> None:
        self._connection = connection
        self._root = root
        self._settle_by = list(settle_by)
        self._run = run
        self._snapshot = snapshot

    @property
    def done_within(self) -> timedelta:
        """After how long Business Central is surely done with what it was sent.

        A batch has 8 minutes, and the gateway 10 (facts B2).
        """
        return self._connection.target.done_within

    @property
    def hold(self) -> timedelta:
        """How long a sending may take; a call that has to be repeated after a 401 leaves only if there is time left."""
        target = self._connection.target
        return longest_call(target.connect_timeout, max(target.batch_timeout, target.read_timeout)) + _SPARE

    def send(self, texts: Sequence[str], *, continues: bool) -> Sequence[Given]:
        """Send operations, and return the system's answers.

        Raises:
            ItemProblem: nothing took effect, or no answer came.
        """
        return send(self._connection, self._root, texts, continues=continues, snapshot=self._snapshot, run=self._run)

    def settle(self, one: Piece) -> bool | None:
        """Ask the system whether an operation took effect: by the fields of settleBy, for a record that was created."""
        body = next((raw for name, _, raw in members_of(one.text) if name == "body"), None)
        if one.method != "POST" or body is None or not self._settle_by:
            return None
        found = find(self._connection, self._root, one.url, body, self._settle_by, self._run)
        return None if found is None or found > 1 else found == 1

    def facts(self, one: Piece) -> Facts:
        """Return what a rule may see of an operation: its method, and the last entity set of its URL."""
        return facts(one, self._connection.target.name)


def facts(one: Piece, target: str) -> Facts:
    """Return what a rule may see of an operation."""
    sets = [part.partition("(")[0] for part in one.url.split("/")]
    company = one.url.partition("companies(")[2].partition(")")[0]
    return Facts(target=target, job=f"{one.method} {sets[-1]}", company=company)
