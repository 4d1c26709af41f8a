"""All that is in the engine: jobs, incidents, batches, and what was written down of them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4

from local.simulators.camunda.batch import Batch
from local.simulators.camunda.history import Event, History, Level
from local.simulators.camunda.job import Job


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident of the type failedJob: a job has no retries left."""

    id: str
    at: datetime
    job: str
    message: str | None
    process: str | None
    process_id: str | None
    instance: str | None
    execution: str | None
    activity: str | None
    failed_activity: str | None
    definition: str
    tenant: str | None

    @property
    def type(self) -> str:
        """What kind of incident it is."""
        return "failedJob"


class Store:
    """What is in the engine.

    Attributes:
        jobs: The jobs by id, those of batches included.
        of_instance: The ids of the jobs of each process instance.
        incidents: The open incidents by id.
        batches: All batches ever made, by id.
        running: Those of them that are not over.
        history: Job logs and process instances.
    """

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.of_instance: dict[str, set[str]] = {}
        self.incidents: dict[str, Incident] = {}
        self.batches: dict[str, Batch] = {}
        self.running: dict[str, Batch] = {}
        self.history = History()

    def add(self, job: Job, level: Level) -> None:
        """Add a job, and its process instance unless that is there."""
        self.jobs[job.id] = job
        if job.instance is not None:
            self.of_instance.setdefault(job.instance, set()).add(job.id)
        self.history.begin(level, job, job.created)
        self.history.job(level, "creation", job, job.created)

    def remove(self, job: Job, level: Level, event: Event, at: datetime) -> None:
        """Take a job out with its incident."""
        del self.jobs[job.id]
        self.close_incident(job)
        self.history.job(level, event, job, at)
        siblings = self.of_instance.get(job.instance or "")
        if siblings is not None:
            siblings.discard(job.id)
        batch = self.running.get(job.batch or "")
        if batch is not None:
            batch.live.discard(job.id)

    def is_alone(self, job: Job) -> bool:
        """Tell whether no other job of the same process instance is left."""
        return not self.of_instance.get(job.instance or "", set()) - {job.id}

    def open_incident(self, job: Job, at: datetime) -> None:
        """Add an incident for a job that has no retries left."""
        job.incident = str(uuid4())
        self.incidents[job.incident] = Incident(
            id=job.incident,
            at=at,
            job=job.id,
            message=job.message,
            process=job.process,
            process_id=job.process_id,
            instance=job.instance,
            execution=job.execution,
            activity=job.activity,
            failed_activity=job.failed_activity,
            definition=job.definition,
            tenant=job.tenant,
        )

    def close_incident(self, job: Job) -> None:
        """Take a job's incident out, if there is one."""
        if job.incident is not None:
            self.incidents.pop(job.incident, None)
            job.incident = None

    def failed_in(self, batch: Batch) -> int:
        """Tell how many jobs of a batch wait without retries."""
        return sum(1 for job_id in batch.live if self.jobs[job_id].retries == 0)
