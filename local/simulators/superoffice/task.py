"""One batch task, and what a new one can be told."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Literal, TypedDict

from pydantic import AwareDatetime, ConfigDict, Field

from local.simulators.superoffice.behaviour import Cancellation

type State = Literal["Unknown", "New", "Aquired", "Started", "Succeeded", "Failed", "SucceededManualCleanup"]
"""BatchTaskState, in the product's own spelling."""

NUMBERS: dict[str, int] = {
    "Unknown": 0,
    "New": 1,
    "Aquired": 2,
    "Started": 3,
    "Succeeded": 4,
    "Failed": 5,
    "SucceededManualCleanup": 6,
}
"""The states as the database and the archive have them."""
EVERY = "All"
"""Stands for any state in a search."""
ENDED = ("Succeeded", "Failed", "SucceededManualCleanup")
ASSOCIATE = 103
"""The associate who calls, whatever the credentials."""


class TaskSettings(TypedDict, total=False):
    """What a new task can be told; the names are those of Task."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)  # type: ignore[misc]  # pydantic reads it here

    id: Annotated[int, Field(gt=0, lt=2**31)]
    name: str
    state: State
    description: str
    request: str
    response: str
    result: str
    parameters: dict[str, str]
    file_name: str
    associate: Annotated[int, Field(ge=0)]
    created: AwareDatetime
    started: AwareDatetime
    ended: AwareDatetime
    internal: bool
    cancellation: Cancellation
    details_table: int
    details_record: int
    context: str


@dataclass(slots=True)
class Task:
    """A task.

    Attributes:
        id: Its id.
        name: The name of the plugin that executes it.
        created: When it was made.
        since: When it came into its state.
        updated: When its row changed last: by a change, or by the heartbeat.
        state: Its state.
        associate: Who owns it; 0 for a task of the system.
        description: What it is, in words of who made it.
        request: A text of who made it.
        response: A text of who executed it.
        result: How it ended, in words.
        parameters: What its plugin is told.
        file_name: The file that belongs to it.
        started: When it was started last.
        ended: When it ended.
        starts: How often it was started.
        percent: How much of it is done.
        internal: Its row goes when it ends.
        cancellation: Whether it can be stopped.
        details_table: The table with more about it.
        details_record: The row there.
        context: A text of who made it.
    """

    id: int
    name: str
    created: datetime
    since: datetime
    updated: datetime
    state: State = "New"
    associate: int = ASSOCIATE
    description: str = ""
    request: str = ""
    response: str = ""
    result: str = ""
    parameters: dict[str, str] = field(default_factory=dict)
    file_name: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    starts: int = 0
    percent: int = 0
    internal: bool = False
    cancellation: Cancellation = "CanCancel"
    details_table: int = 0
    details_record: int = 0
    context: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED

    @property
    def of_system(self) -> bool:
        """Whether no associate made it."""
        return self.associate == 0
