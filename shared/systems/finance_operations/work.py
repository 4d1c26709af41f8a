"""The work of requeueing one job, step by step (`shared.work.Work`)."""

from datetime import timedelta
from functools import partial

from shared.operations import Named
from shared.outcomes import Ending, Outcome
from shared.policy import Facts
from shared.problems import NotTaken, OutcomeUnknown
from shared.systems.finance_operations.action import documented, set_to_waiting
from shared.systems.finance_operations.jobs import FOLLOWS_A_REQUEUE, BatchJob, Status, read_job, refusal_of
from shared.systems.finance_operations.recovery import became
from shared.systems.finance_operations.requests import Requeue, named
from shared.transport import Connection
from shared.work import Look

_SPARE = timedelta(minutes=1)


class Requeueing:
    """Requeues one job."""

    def __init__(self, connection: Connection, operation: Requeue, run: str) -> None:
        self._connection = connection
        self._operation = operation
        self._run = run

    @property
    def item(self) -> str:
        """The job's id."""
        return str(self._operation.batch_job_id)

    @property
    def hold(self) -> timedelta:
        """How long a sending may take; a call that has to be repeated after a 401 leaves only if there is time left."""
        return self._connection.target.longest_call + _SPARE

    @property
    def done_within(self) -> timedelta:
        """After how long the system is surely done with a call."""
        return self._connection.target.done_within

    def look(self) -> Look:
        """Read the job; its failure episode is its state and when it came to it.

        Raises:
            ItemProblem: the job isn't there, or can't be read.
        """
        job = self._read()
        return Look(
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
            NoAnswer, RefusedBySystem, Failed: as their names say.
        """
        return set_to_waiting(self._connection, self._operation.batch_job_id, self._run)

    def check(self, episode: str | None) -> Outcome:
        """Read the job again, and tell from its state what became of the call.

        Raises:
            NotTaken: it shows the same failure.
            OutcomeUnknown: it is in a state to which no requeue leads.
            Failed: it can't be read.
        """
        job = self._read()
        if job.episode == episode:
            raise NotTaken(f"The job is {job.Status}, as it was before.")
        if job.Status in FOLLOWS_A_REQUEUE:
            return _shown_by(job)
        raise OutcomeUnknown(f"The job is {job.Status}.")

    def _read(self) -> BatchJob:
        return read_job(self._connection, self._operation.batch_job_id, self._run)


def facts(named: Named, target: str) -> Facts:
    """Return what a rule may see of a job."""
    return Facts(target=target, job=named.about.get("job", ""), company=named.about.get("company", ""))


def _shown_by(job: BatchJob) -> Outcome:
    """Tell that it was done, because the job left the failure that was there when it was sent."""
    text = f"Status of supplied BatchJobId: {job.BatchJobRecId} is Successfully updated to waiting state"
    return Outcome(
        ending=Ending.DONE,
        reason=f"No answer is known, but the job shows that it was done: it is {job.Status}.",
        sent=True,
        answer=documented({"IsSuccess": True, "Batch JobId": job.BatchJobRecId, "reponseMessage": text}),
    )
