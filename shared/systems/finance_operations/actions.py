"""The action that requeues one job (`ItemAction`)."""

from functools import partial

from shared.core.outcome import Ending, Outcome
from shared.core.problems import NotTaken, OutcomeUnknown
from shared.policy.rules import Facts
from shared.systems.contract import Snapshot
from shared.systems.finance_operations.action import documented, set_to_waiting
from shared.systems.finance_operations.jobs import FOLLOWS_A_REQUEUE, BatchJob, Status, read_job, refusal_of
from shared.systems.finance_operations.recovery import became
from shared.systems.finance_operations.requests import Requeue, named
from shared.systems.one_call import OneCall
from shared.systems.requests import ItemRef
from shared.transport.connection import Connection


class Requeueing(OneCall):
    """Requeues one job."""

    def __init__(self, connection: Connection, operation: Requeue, run: str) -> None:
        super().__init__(connection, run)
        self._operation = operation

    @property
    def item(self) -> str:
        """The job's id."""
        return str(self._operation.batch_job_id)

    def look(self) -> Snapshot:
        """Read the job; its failure episode is its state and end time.

        Raises:
            ItemProblem: the job does not exist, or cannot be read.
        """
        job = self._read()
        return Snapshot(
            job.episode,
            facts(named(job), self._connection.target.name),
            job.about,
            refusal_of(job, self._operation.from_statuses),
            partial(became, job),
            ended_well=job.Status == Status.FINISHED,
        )

    def send(self) -> Outcome:
        """Set the job to Waiting.

        Raises:
            NoAnswer: the call may have taken effect.
            RefusedBySystem, Failed: it did not take effect.
        """
        return set_to_waiting(self._connection, self._operation.batch_job_id, self._run)

    def check(self, episode: str | None) -> Outcome:
        """Return the outcome of a call without a response, from the job's current state.

        Raises:
            NotTaken: the job shows the same failure.
            OutcomeUnknown: the job's state is one that no requeue leads to.
            ItemProblem: it does not exist, or cannot be read.
        """
        job = self._read()
        if job.episode == episode:
            raise NotTaken(f"The job is {job.Status}, as it was before.")
        if job.Status in FOLLOWS_A_REQUEUE:
            return _shown_by(job)
        raise OutcomeUnknown(f"The job is {job.Status}.")

    def _read(self) -> BatchJob:
        return read_job(self._connection, self._operation.batch_job_id, self._run)


def facts(named: ItemRef, target: str) -> Facts:
    """Return what policy rules can match of a job."""
    return Facts(target=target, job=named.about.get("job", ""), company=named.about.get("company", ""))


def _shown_by(job: BatchJob) -> Outcome:
    """Return the outcome `done`: the job no longer shows the failure that it had before the call."""
    text = f"Status of supplied BatchJobId: {job.BatchJobRecId} is Successfully updated to waiting state"
    return Outcome(
        ending=Ending.DONE,
        reason=f"No response was received, but the job shows the effect: it is {job.Status}.",
        sent=True,
        answer=documented({"IsSuccess": True, "Batch JobId": job.BatchJobRecId, "reponseMessage": text}),
    )
