"""The spec of a run: what a call, timer or event requested."""

from datetime import datetime, timedelta

from shared.core.correlation import Correlation
from shared.core.model import Plain, Stored
from shared.core.settings import Preset
from shared.core.targets import System
from shared.policy.rules import Initiator
from shared.runs.report import Links
from shared.systems.requests import Mode, Shape


class RunSpec(Stored):
    """The request that a run carries out; written once, before the run starts."""

    run: str
    ticket: str
    function: str
    system: System
    shape: Shape
    target: str
    origin: str
    actor: str
    actor_name: str | None = None
    """What people call the actor; None unless it has signed in."""
    reason: str | None = None
    base: str
    created: datetime
    give_up: datetime
    """Until when a system that can't be reached or is throttling is retried; the end of a night."""
    mode: Mode = "perform"
    by: Initiator = Initiator.HAND
    single: bool = False
    """The call named one item, and the response is about this item."""
    native: bool = False
    strict: bool = False
    override: bool = False
    cap: int | None = None
    max_parallel: int = 8
    plan: str | None = None
    planned_by: str | None = None
    """Who made the plan that the run applies."""
    parent: str | None = None
    taken_from: str | None = None
    """The run whose items this run took, and must hold before it starts (`handed_on.py`)."""
    sweep: "Window | None" = None
    """The window of a sweep or night; None if the items were named or selected."""
    waves: Preset = "all"
    waves_until: datetime | None = None
    """Until when careful waves are sent."""
    follow_up: timedelta = timedelta()
    """How long the run watches whether its items recover."""
    attempts_cap: int | None = None
    """Maximum number of failed attempts in a row, for a machine, unless a rule has a cap."""
    event_waits: tuple[int, ...] | None = None
    """Minutes before each attempt, if an event started the run."""
    ignored: tuple[str, ...] = ()
    """The fields and headers of the call that are not sent to the system."""
    selects: bool = False
    """The run itself finds its items, by its stored selection."""
    correlation: Correlation = Correlation()
    """The ids that the caller sent."""

    @property
    def is_night(self) -> bool:
        """Whether a timer started the run; it keeps to its window and to quiet hours."""
        return self.sweep is not None and self.sweep.night is not None

    @property
    def is_batch(self) -> bool:
        """Whether the run fans out a batch of operations."""
        return self.shape == "operations"

    @property
    def is_whole(self) -> bool:
        """Whether all items are one part: the system processes them in one call, with one response."""
        return self.shape == "bulk" and not self.is_careful

    @property
    def is_decided(self) -> bool:
        """Whether the policy decides on all items when they are found: a plan whose items the run itself finds."""
        return self.mode == "plan" and (self.sweep is not None or self.selects)

    @property
    def is_careful(self) -> bool:
        """Whether the items are sent in careful waves."""
        return self.waves == "careful" and self.mode == "perform"

    @property
    def location(self) -> str:
        """The URL of the result; absolute, because flows don't resolve a relative one."""
        return self.links().result or ""

    def links(self, *, planned: bool = False) -> Links:
        """Return the URLs of the run; `planned`: it is a plan that can be applied."""
        return Links.of(self.base, self.run, ticket=self.ticket, planned=planned)

    def seen_at(self, base: str) -> "RunSpec":
        """Return the spec with the app's URL by which a caller reached it, unless it has one: a timer knows none."""
        return self if self.base else self.model_copy(update={"base": base})


class Window(Plain):
    """The failures that a sweep looks for: those between two instants."""

    since: datetime | None = None
    until: datetime | None = None
    night: str | None = None
    """The name of the night, if a timer started the run."""
