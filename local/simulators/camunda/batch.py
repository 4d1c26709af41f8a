"""A batch that sets retries, as it is at one instant (Camunda 7 Manual, Batch Operations, Set Retries)."""

from dataclasses import dataclass, field
from datetime import datetime

from local.simulators.camunda.job import Work, id_made_of

JOBS_PER_SEED = 100


@dataclass(slots=True)
class Batch:
    """A batch.

    Attributes:
        id: Its id.
        job_ids: Whose retries it sets, each once; a null is an id too, of no job.
        retries: How many they get.
        has_due: Whether they get a due date.
        due: That date; none for at once.
        start: When it was made.
        user: Who made it, or none if nobody had to say who he is.
        jobs_created: How many of its jobs have been made so far.
        execution_start: When the first of them was executed.
        end: When it was over or was deleted.
        live: The ids of its jobs that are still there, each for one of `job_ids`.
        seed: The id of the job that makes those.
        monitor: The id of the job that looks whether they are gone.
        forgotten: Whether its history was deleted with it.
        recorded: Whether it is in the history at all.
    """

    id: str
    job_ids: list[str | None]
    retries: int
    has_due: bool
    due: datetime | None
    start: datetime
    user: str | None = None
    jobs_created: int = 0
    execution_start: datetime | None = None
    end: datetime | None = None
    live: set[str] = field(default_factory=set)
    seed: str = ""
    monitor: str | None = None
    forgotten: bool = False
    recorded: bool = True

    @property
    def type(self) -> str:
        """What kind of batch it is."""
        return "set-job-retries"

    @property
    def tenant(self) -> str | None:
        """Whose it is; here always of all."""
        return None

    @property
    def total(self) -> int:
        """How many jobs it takes."""
        return len(self.job_ids)

    @property
    def remaining(self) -> int:
        """How many jobs are not done; one that failed is not done."""
        return self.total - self.jobs_created + len(self.live)

    @property
    def all_done(self) -> bool:
        """Whether nothing remains."""
        return self.remaining == 0

    def definition(self, work: Work) -> str:
        """Return the id of the job definition of its jobs of a kind; it equals theirs."""
        return id_made_of(f"None/None/{self.id}/{work}")
