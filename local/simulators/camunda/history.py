"""What the engine writes down: job logs and process instances (Camunda 7 Manual, History and Audit Event Log)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import uuid4

from local.simulators.camunda.job import Job

type Event = Literal["creation", "failure", "success", "deletion"]
type State = Literal["ACTIVE", "COMPLETED", "EXTERNALLY_TERMINATED"]
type Level = Literal["full", "activity", "none"]


@dataclass(frozen=True, slots=True)
class Log:
    """One event in the life of a job, with the job as it was right before."""

    id: str
    number: int
    event: Event
    at: datetime
    job: str
    work: str
    definition: str
    retries: int
    due: datetime | None
    priority: int
    message: str | None
    failed_activity: str | None
    activity: str | None
    execution: str | None
    instance: str | None
    process: str | None
    process_id: str | None
    tenant: str | None
    batch: str | None


@dataclass(slots=True)
class Instance:
    """A process instance."""

    id: str
    process: str | None
    process_id: str | None
    start: datetime
    tenant: str | None
    end: datetime | None = None
    state: State = "ACTIVE"


class History:
    """Job logs and process instances, as far as the level goes at the time of each event."""

    def __init__(self) -> None:
        self.logs: list[Log] = []
        self.of_job: dict[str, list[Log]] = {}
        self.instances: dict[str, Instance] = {}

    def job(self, level: Level, event: Event, job: Job, at: datetime, message: str | None = None) -> None:
        """Write down what happened to a job."""
        if level != "full":
            return
        log = _log(event, job, at, message, len(self.logs))
        self.logs.append(log)
        self.of_job.setdefault(job.id, []).append(log)

    def begin(self, level: Level, job: Job, at: datetime) -> None:
        """Write down a job's process instance, unless it is there."""
        if level != "none" and job.instance is not None and job.instance not in self.instances:
            self.instances[job.instance] = Instance(job.instance, job.process, job.process_id, at, job.tenant)

    def end(self, instance_id: str | None, state: State, at: datetime) -> None:
        """Write down how a process instance ended, if its beginning is there."""
        instance = self.instances.get(instance_id or "")
        if instance is not None and instance.end is None:
            instance.state, instance.end = state, at


def _log(event: Event, job: Job, at: datetime, message: str | None, number: int) -> Log:
    return Log(
        id=str(uuid4()),
        number=number,
        event=event,
        at=at,
        job=job.id,
        work=job.work,
        definition=job.definition,
        retries=job.retries,
        due=job.due,
        priority=job.priority,
        message=message,
        failed_activity=job.activity if event == "failure" else None,
        activity=job.activity,
        execution=job.execution,
        instance=job.instance,
        process=job.process,
        process_id=job.process_id,
        tenant=job.tenant,
        batch=job.batch,
    )
