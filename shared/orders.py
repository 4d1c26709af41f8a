"""What a run was asked for: written once, before it starts."""

from datetime import datetime, timedelta

from shared.operations import Mode
from shared.outcomes import Plain, Stored
from shared.policy import By
from shared.sweep import Preset
from shared.targets import System


class Order(Stored):
    """What was asked for: written once, before the run starts."""

    run: str
    ticket: str
    function: str
    system: System
    target: str
    origin: str
    actor: str
    reason: str | None = None
    base: str
    created: datetime
    give_up: datetime
    """Until when a system that can't be reached, or is throttling, is tried again."""
    mode: Mode = "perform"
    by: By = By.HAND
    single: bool = False
    """The call named one item, and is answered for that alone."""
    native: bool = False
    strict: bool = False
    override: bool = False
    cap: int | None = None
    max_parallel: int = 8
    plan: str | None = None
    parent: str | None = None
    sweep: "Window | None" = None
    """What a sweep looks for; None where the items were named."""
    waves: Preset = "all"
    waves_until: datetime | None = None
    """Until when careful waves send."""
    follow_up: timedelta = timedelta()
    """How long it is watched what becomes of what is done."""
    attempts_cap: int | None = None
    """How many failed attempts in a row a machine may make where no rule says it."""
    event_waits: tuple[int, ...] | None = None
    """Minutes before each attempt, where an event made the run."""
    selects: bool = False
    """The run itself finds its items, by the selection that is kept beside the order."""

    @property
    def is_night(self) -> bool:
        """Whether a timer made it, which keeps to its window and to quiet hours."""
        return self.sweep is not None and self.sweep.night is not None

    @property
    def is_batch(self) -> bool:
        """Whether it fans a batch of operations out."""
        return self.system == "business-central"

    @property
    def is_whole(self) -> bool:
        """Whether all its items are one part: the system does them by one call, and answers one thing for all."""
        return self.system == "camunda" and not self.is_careful

    @property
    def is_decided(self) -> bool:
        """Whether all its items are decided on once they are found: a plan of what a run itself finds."""
        return self.mode == "plan" and (self.sweep is not None or self.selects)

    @property
    def is_careful(self) -> bool:
        """Whether its items are tried in careful waves."""
        return self.waves == "careful" and self.mode == "perform"

    @property
    def location(self) -> str:
        """Where its result is; absolute, because flows don't resolve another one."""
        return f"{self.base}/api/runs/{self.run}/result?ticket={self.ticket}"

    @property
    def links(self) -> dict[str, str]:
        """Return where the run is told of."""
        return {"self": f"{self.base}/api/runs/{self.run}", "result": self.location}


class Window(Plain):
    """Which failures a sweep looks for: those between two instants."""

    since: datetime | None = None
    until: datetime | None = None
    night: str | None = None
    """The night's name, if it is one."""
