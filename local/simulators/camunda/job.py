"""One job of the engine as it is at one instant, and what a new one can be told."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Literal, TypedDict
from uuid import NAMESPACE_URL, uuid5

from pydantic import AwareDatetime, ConfigDict, Field

type Work = Literal["process", "seed", "execution", "monitor"]
"""What a job does: a step of a process, or a part of a batch (Camunda 7 Manual, Batch Operations)."""

DEFAULT_MESSAGE = "SMTP server mail.example.com does not answer"


@lru_cache(maxsize=100_000)
def id_made_of(text: str) -> str:
    """Return the same id for the same text: of what the engine would look up in another table."""
    return str(uuid5(NAMESPACE_URL, text))


class JobSettings(TypedDict, total=False):
    """What a new job can be told; the names are those of Job."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]  # pydantic reads it here

    id: Annotated[str, Field(min_length=1)]
    process: Annotated[str, Field(min_length=1)]
    activity: str
    instance: str
    retries: Annotated[int, Field(ge=0)]
    message: str | None
    outcomes: Annotated[list[Annotated[str, Field(pattern=r"^(well|fail|fail: (?s:.+))$")]], Field(min_length=1)]
    cause: Annotated[str, Field(min_length=1)] | None
    due: AwareDatetime | None
    tenant: str | None
    suspended: bool
    priority: int
    run_seconds: Annotated[float, Field(ge=0)]
    created: AwareDatetime
    failed: AwareDatetime
    goes_on: bool
    timer: bool


@dataclass(slots=True)
class Job:
    """A job.

    Attributes:
        id: Its id.
        work: What it does.
        created: When it was made.
        since: When it began to wait for the job executor.
        retries: How many tries it has left.
        process: The key of its process definition, or none for a part of a batch.
        instance: The id of its process instance.
        activity: The activity in which it stands.
        message: What its last failure said.
        failed: When it failed last.
        due: Before when it is not executed.
        tenant: Whose it is.
        suspended: Whether it is not executed for now.
        priority: Its priority.
        outcomes: How the next executions end: "well", "fail" or "fail: text"; the last one stays.
        cause: What it needs; while that is broken every execution fails.
        run_seconds: How long an execution takes.
        goes_on: Whether its process instance lives on when it ran well.
        timer: Whether it is a timer; else it is a message.
        batch: The id of its batch.
        target: Whose retries a part of a batch sets.
        at: When its next step is due, or none if it stays as it is.
        until: When the present execution ends, or none if there is none.
        executions: How often it was executed.
        incident: The id of its incident.
    """

    id: str
    created: datetime
    since: datetime
    work: Work = "process"
    retries: int = 3
    process: str | None = None
    instance: str | None = None
    activity: str | None = None
    message: str | None = None
    failed: datetime | None = None
    due: datetime | None = None
    tenant: str | None = None
    suspended: bool = False
    priority: int = 0
    outcomes: list[str] = field(default_factory=lambda: ["well"])
    cause: str | None = None
    run_seconds: float = 0.1
    goes_on: bool = False
    timer: bool = False
    batch: str | None = None
    target: str | None = None
    at: datetime | None = None
    until: datetime | None = None
    executions: int = 0
    incident: str | None = None

    @property
    def process_id(self) -> str | None:
        """The id of its process definition: key, version and an id of the database."""
        return self.process and f"{self.process}:1:{id_made_of(self.process)}"

    @property
    def definition(self) -> str:
        """The id of its job definition: all jobs of an activity, or of a batch and a kind of work, share one."""
        return id_made_of(f"{self.process}/{self.activity}/{self.batch}/{self.work}")

    @property
    def execution(self) -> str | None:
        """The id of its execution."""
        return self.instance and id_made_of(f"{self.instance}/{self.activity}")

    @property
    def failed_activity(self) -> str | None:
        """The activity that failed."""
        return self.activity if self.failed else None

    def next_outcome(self) -> str:
        """Return how the present execution ends, and use that up unless it is the last."""
        return self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
