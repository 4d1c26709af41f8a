"""What differs between Camunda 7 engines, or is a choice of a test; the defaults are those of the engine."""

from typing import Literal

from pydantic import Field

from local.simulators.common.behaviour import Choices

USER = "demo"
PASSWORD = "demo-secret-of-camunda"  # noqa: S105 - of a simulated system
type Right = Literal[
    "READ_INSTANCE on ProcessDefinition",
    "READ_HISTORY on ProcessDefinition",
    "RETRY_JOB on ProcessInstance",
    "CREATE_BATCH_SET_JOB_RETRIES on Batch",
    "READ on Batch",
    "READ_HISTORY on Batch",
    "DELETE on Batch",
]
"""A permission on a resource (Camunda 7 Manual, Authorization Service)."""
CHANGES: tuple[Right, ...] = (
    "RETRY_JOB on ProcessInstance",
    "CREATE_BATCH_SET_JOB_RETRIES on Batch",
    "DELETE on Batch",
)
"""The rights to change something. Without one, a call is answered 403; without another right, lists are empty."""
TOKEN = "token-of-a-gateway-before-camunda"  # noqa: S105 - of a simulated system


class CamundaBehaviour(Choices):
    """How the engine behaves when nothing is wrong.

    Attributes:
        version: What GET /version says; it decides what the engine knows. Forks begin anew at 1.0 and know all.
        history: The history level: job logs and batches at full only, process instances at activity too.
        incidents: Whether a job without retries has an incident.
        retry_cycle_seconds: How long after a failure the next try is due; null for at once, the engine's default.
        queue_seconds: How long a job that is due waits for the job executor.
        batch_start_seconds: How long the first job of a new batch waits.
        batch_seconds_per_job: How long each job of a batch takes.
        batch_poll_seconds: How often a batch looks whether it is over, if it is not so at first.
        malformed: How a body is refused that is no JSON or has a wrong type: both are seen.
        unknown_engine: What another engine's name in the path hears: 400 of Spring Boot, 404 of a server.
        max_results: How long a list may be for those who have signed in (`queryMaxResultsLimit`); null for any length.
        auth: Who may come in: anybody, a user with a password, the bearer of an issuer's token or of a fixed one.
        user: The user of `basic`.
        password: The password of `basic`.
        token: The token of `static`.
        audience: The audience of `bearer`.
        lacks: The rights that the user does not have.
    """

    version: str = Field(default="7.24.0", pattern=r"^\d+\.\d+\.\d+")
    history: Literal["full", "activity", "none"] = "full"
    incidents: bool = True
    retry_cycle_seconds: float | None = Field(default=None, ge=0)
    queue_seconds: float = Field(default=0.1, ge=0)
    batch_start_seconds: float = Field(default=0.05, ge=0)
    batch_seconds_per_job: float = Field(default=0.009, ge=0)
    batch_poll_seconds: float = Field(default=30, gt=0)
    malformed: Literal["json", "text"] = "json"
    unknown_engine: Literal[400, 404] = 400
    max_results: int | None = Field(default=None, ge=1)
    auth: Literal["none", "basic", "bearer", "static"] = "none"
    user: str = USER
    password: str = PASSWORD
    token: str = TOKEN
    audience: str = "api://camunda"
    lacks: frozenset[Right] = frozenset()

    def knows(self, minor: int) -> bool:
        """Tell whether the engine has what came with 7.`minor`."""
        major, own = self.version.split(".")[:2]
        return int(major) != 7 or int(own) >= minor
