"""The action that runs a process again whose last execution has failed (`ItemAction`).

The process is the item. It runs again without the input of the failed execution, which the log does not show: so as it
runs by itself. Executions that the platform itself tries again (`waiting`, `retrying`, `reschedule`) are left to it.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from shared.core.outcome import Ending, Outcome, RecoveryResult
from shared.core.problems import ItemNotFailed, ItemNotFound, ItemRunning, Skipped
from shared.policy.rules import Facts
from shared.systems.contract import Snapshot
from shared.systems.one_call import OneCall
from shared.systems.opendatadsl.client import NAME
from shared.systems.opendatadsl.executions import FAILED, SUCCEEDED, Execution, executions_of
from shared.systems.opendatadsl.run_process import Trigger, trigger, triggered_with
from shared.transport.connection import Connection


def mark_of(failed: str) -> str:
    """Return the mark of the execution that answers a failed one."""
    return f"nightshift-{failed}"


class RunningAgain(OneCall):
    """Runs a process again."""

    def __init__(self, connection: Connection, operation: Mapping[str, Any], run: str) -> None:
        super().__init__(connection, run)
        self._process = str(operation["again"])
        self._listed = str(operation["failed"])
        self._failed = self._listed

    @property
    def item(self) -> str:
        """The process's name."""
        return self._process

    def look(self) -> Snapshot:
        """Read the last execution of the process; its id is the failure.

        Raises:
            ItemNotFound: the process has no executions.
            Failed: they cannot be read.
        """
        found = executions_of(self._connection, self._process, self._run)
        if not found:
            raise ItemNotFound(f"{NAME} lists no execution of {self._process}.", members={"sent": False})
        last = found[0]
        self._failed = last.id
        facts = Facts(self._connection.target.name, job=self._process)
        became = partial(next_of, found)
        return Snapshot(
            last.id,
            facts,
            {"job": self._process},
            refusal_of(last),
            became,
            ended_well=last.status in SUCCEEDED,
            needs_rule=True,
            once=True,
        )

    def send(self) -> Outcome:
        """Trigger an execution.

        Raises:
            NoAnswer: the call may have taken effect.
            RefusedBySystem, Failed: it did not take effect.
        """
        mark = mark_of(self._failed)
        one = Trigger(mark=mark, name=self._process, content=None, reason=f"Execution {self._failed} failed")
        trigger(self._connection, one, self._run)
        text = f"{NAME} has triggered process {self._process}."
        return Outcome(ending=Ending.DONE, reason=text, sent=True, upstream_status=200)

    def check(self, episode: str | None) -> Outcome:
        """Return the outcome of a call without a response: the execution with the mark.

        Raises:
            OutcomeUnknown: there is no such execution, or there are several.
            Failed: the executions cannot be read.
        """
        return triggered_with(self._connection, self._process, mark_of(episode or self._listed), self._run)


def refusal_of(last: Execution) -> Skipped | None:
    """Return why a process is not run again; None if its last execution has failed for good."""
    if last.status == FAILED:
        return None
    text = f"Execution {last.id} of {last.name} is {last.status}."
    return ItemNotFailed(text) if last.status in SUCCEEDED else ItemRunning(text)


def next_of(executions: Sequence[Execution], failed: str | None) -> RecoveryResult:
    """Return what became of a process: the status of the execution after a failed one.

    Args:
        executions: Those of the process, the newest first.
        failed: The id of the failed one.
    """
    place = next((place for place, one in enumerate(executions) if one.id == failed), len(executions))
    return executions[place - 1].became if 0 < place < len(executions) else RecoveryResult()
