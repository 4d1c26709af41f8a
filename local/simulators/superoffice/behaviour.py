"""What differs between SuperOffice installations, or is a choice of a test."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from local.simulators.common.behaviour import Choices

USER = "batch"
PASSWORD = "password-of-superoffice"  # noqa: S105 - of a simulated system

type Cancellation = Literal["CanCancel", "CancelWithWarning", "CannotCancel"]
type Ending = Literal["Succeeded", "Failed", "SucceededManualCleanup"]
type TenantState = Literal[
    "Unknown",
    "Provisioning",
    "Running",
    "Deleted",
    "Suspended",
    "OnlineMaintenance",
    "OfflineMaintenance",
    "ProvisioningFailed",
    "Deleting",
    "DeleteFailed",
    "MigrationPending",
]
"""What GET /api/state says of a tenant (SuperOffice Developer Portal, Check tenant status)."""

UP: tuple[TenantState, ...] = ("Running", "OnlineMaintenance")
"""The states in which the API answers."""


class Plugin(BaseModel):
    """What executes the tasks of one name.

    Attributes:
        seconds: How long a task takes once it has started.
        outcomes: How its tasks end, one after the other; the last one stays.
        cancellation: Whether its tasks can be stopped.
        result: What a task says when it ends.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    seconds: float = Field(default=60, ge=0)
    outcomes: list[Ending] = Field(default=["Succeeded"], min_length=1)
    cancellation: Cancellation = "CanCancel"
    result: str = ""


def _usual_plugins() -> dict[str, Plugin]:
    return {
        "REPORTER": Plugin(),
        "BULKUPDATE": Plugin(seconds=300),
        "EXPORTARCHIVE": Plugin(seconds=120, cancellation="CancelWithWarning"),
        "MAINTENANCE": Plugin(seconds=600, cancellation="CannotCancel"),
        "IMPORT": Plugin(outcomes=["Failed", "Succeeded"], result="Row 17 has no e-mail address"),
        # The name in SuperOffice's own sample request.
        "White-Nader": Plugin(),
    }


class SuperOfficeBehaviour(Choices):
    """How the installation behaves when nothing is wrong.

    Attributes:
        installation: Basic works on site only, access tokens online only; online a ticket needs SO-AppToken.
        pod: On which of its two hosts the tenant is; the other one answers 421.
        state: The state of the tenant; the API answers in Running and OnlineMaintenance, else 503.
        state_seconds: For how long an answer of the state endpoint is valid.
        told_api: Where the state endpoint says that the API is, if that is not the truth.
        user: The user of Basic.
        password: The password of Basic.
        approved: Whether the tenant has approved the app; without that the login host gives it nothing.
        stamp_minutes: How far the minute in a signed system token may be from the clock.
        ticket_seconds: How long a ticket lives after its last use.
        access_token_seconds: How long an access token lives.
        refresh: Whether a refresh token stays, or each use replaces it.
        plugins: What executes tasks, by their name; a task of another name waits in the state New for ever.
        start_seconds: How long a new task waits for the batch service.
        assigned_seconds: How long it is Aquired before it starts.
        heartbeat_seconds: How often `updated` changes while a task runs.
        removed_after_seconds: How long after its end a task is removed; null for never.
        too_long: What happens to a text that is longer than its column.
        page_size: How many rows an archive page holds.
        zone_hours: How far from UTC the archive reads and writes times, which then have no zone; null for UTC.
    """

    installation: Literal["on-site", "online"] = "on-site"
    pod: Literal[1, 2] = 1
    state: TenantState = "Running"
    state_seconds: float = Field(default=300, ge=0)
    told_api: str | None = None
    user: str = USER
    password: str = PASSWORD
    approved: bool = True
    stamp_minutes: int = Field(default=5, ge=0)
    ticket_seconds: float = Field(default=6 * 3600, gt=0)
    access_token_seconds: int = Field(default=3600, ge=1)
    refresh: Literal["kept", "replaced"] = "kept"
    plugins: dict[str, Plugin] = Field(default_factory=_usual_plugins)
    start_seconds: float = Field(default=2, ge=0)
    assigned_seconds: float = Field(default=0.5, ge=0)
    heartbeat_seconds: float = Field(default=60, gt=0)
    removed_after_seconds: float | None = Field(default=None, ge=0)
    too_long: Literal["refuse", "cut"] = "refuse"
    page_size: int = Field(default=50, ge=1)
    zone_hours: float | None = Field(default=None, ge=-14, le=14)

    @property
    def is_online(self) -> bool:
        """Whether it is SuperOffice Online."""
        return self.installation == "online"
