"""The report of a run, as callers read it: every member is always there, and null if it is empty."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, WithJsonSchema

from shared.core.model import Plain, Stored
from shared.core.outcome import NOT_WATCHED, Ending, Outcome, Recovery, RecoveryResult
from shared.policy.rules import Rule


class State(StrEnum):
    """The state of a run."""

    PLANNED = "planned"
    RUNNING = "running"
    WAITING = "waiting"
    WATCHING = "watching"
    ENDED = "ended"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class About(Plain):
    """What people call an item. Each system has some of these."""

    job: str | None = Field(
        default=None,
        description="The name of the job, of the task (SuperOffice) or of the process (OpenDataDSL).",
    )
    company: str | None = Field(default=None, description="Finance & Operations: the job's company.")
    ended: str | None = Field(default=None, description="When it ended; in OpenDataDSL when it started.")
    process: str | None = Field(
        default=None, description="Camunda: the key of the process definition. OpenDataDSL: the type of the element."
    )
    activity: str | None = Field(default=None, description="Camunda: the id of the failed activity.")
    instance: str | None = Field(default=None, description="Camunda: the id of the process instance.")
    tenant: str | None = Field(default=None, description="Camunda: the id of the tenant.")
    cause: str | None = Field(
        default=None, description="Camunda: the exception, without what differs by job. OpenDataDSL: the message."
    )
    ofBatch: str | None = Field(default=None, description="Camunda: the batch that the job belongs to.")  # noqa: N815 - as callers see it
    batch: str | None = Field(
        default=None,
        description="Camunda: the batch that set the retries. OpenDataDSL: the part that the element was sent in.",
    )
    operation: str | None = Field(default=None, description="Business Central: the operation's method and URL.")

    @classmethod
    def of(cls, texts: Mapping[str, str] | None) -> "About":
        """Build it from the members that are there."""
        return cls.model_validate(dict(texts or {}))

    @property
    def texts(self) -> dict[str, str]:
        """The members that are there."""
        return self.model_dump(exclude_none=True)


class Item(Plain):
    """One item in a run's report."""

    id: str
    outcome: Ending
    recovery: Recovery | None = Field(
        default=None, description="Whether an item that is done recovered; null while that is not known."
    )
    reason: str
    recoveryReason: str | None = Field(  # noqa: N815 - as callers see it
        default=None, description="The reason for `recovery`."
    )
    type: str | None = Field(default=None, description="The slug of the problem type (docs/problems.md).")
    rule: str | None = Field(default=None, description="The policy rule that decided.")
    upstreamStatus: int | None = None  # noqa: N815 - as callers see it
    upstreamCode: str | None = None  # noqa: N815 - as callers see it
    attempt: int = 0
    about: About = About()
    episode: str | None = Field(default=None, description="The failure of the item: how and when it ended.")
    wouldAllow: Rule | None = Field(  # noqa: N815 - as callers see it
        default=None, description="The rule that would allow an item that the policy does not allow."
    )

    @classmethod
    def of(
        cls,
        item: str,
        outcome: Outcome,
        about: Mapping[str, str] | None = None,
        episode: str | None = None,
        became: "RecoveryResult | None" = None,
    ) -> "Item":
        """Build the report of an outcome; `became` is whether a done item recovered."""
        shown = (became or NOT_WATCHED) if outcome.ending is Ending.DONE else RecoveryResult()
        return cls(
            id=item,
            outcome=outcome.ending,
            recovery=shown.recovery,
            recoveryReason=shown.reason,
            reason=outcome.reason,
            type=outcome.problem,
            rule=outcome.rule,
            upstreamStatus=outcome.upstream_status,
            upstreamCode=outcome.upstream_code,
            attempt=outcome.attempt,
            about=About.of(about),
            episode=episode,
            wouldAllow=Rule.model_validate(outcome.would_allow) if outcome.would_allow else None,
        )


def _one_of_each(kinds: type[StrEnum]) -> WithJsonSchema:
    """Return the schema of a count of each kind: all of them are always there."""
    counts = {kind.value: {"type": "integer"} for kind in kinds}
    return WithJsonSchema({"type": "object", "properties": counts, "required": list(counts)})


class Counts(Plain):
    """Number of items by outcome and by recovery, zeros included; of the whole run, whatever page is shown."""

    items: int = Field(default=0, description="All items; 0 until the run has found them.")
    open: int = Field(default=0, description="The items that have no outcome yet.")
    outcome: Annotated[dict[Ending, int], _one_of_each(Ending)] = Field(default=dict.fromkeys(Ending, 0))
    recovery: Annotated[dict[Recovery, int], _one_of_each(Recovery)] = Field(default=dict.fromkeys(Recovery, 0))

    @classmethod
    def of(cls, items: Iterable[Item]) -> "Counts":
        """Count the items of a run whose items have all ended."""
        listed = list(items)
        outcomes = _counted(Ending, (item.outcome for item in listed))
        return cls(items=len(listed), outcome=outcomes, recovery=recoveries(one.recovery for one in listed))

    @classmethod
    def together(cls, some: Iterable["Counts"]) -> "Counts":
        """Add the counts of parts of a run whose items have all ended."""
        items, outcome, recovery = 0, Counter[Ending](), Counter[Recovery]()
        for one in some:
            items += one.items
            outcome.update(one.outcome)
            recovery.update(one.recovery)
        outcomes, recovered = dict.fromkeys(Ending, 0) | outcome, dict.fromkeys(Recovery, 0) | recovery
        return cls(items=items, outcome=outcomes, recovery=recovered)

    @classmethod
    def so_far(cls, endings: Iterable[Ending], recovery: Mapping[Recovery, int], count: int) -> "Counts":
        """Count the items of a run at work: the outcomes that are known, and the number of all items."""
        outcomes = _counted(Ending, endings)
        return cls(
            items=count,
            open=count - sum(outcomes.values()),
            outcome=outcomes,
            recovery=dict.fromkeys(Recovery, 0) | dict(recovery),
        )


def recoveries(found: Iterable[Recovery | None]) -> dict[Recovery, int]:
    """Count the recoveries that are known."""
    return _counted(Recovery, (one for one in found if one))


def _counted[Kind: StrEnum](kinds: type[Kind], found: Iterable[Kind]) -> dict[Kind, int]:
    return dict.fromkeys(kinds, 0) | Counter(found)


class Note(Plain):
    """Something that happened in a run, for people."""

    at: datetime
    cause: str | None = Field(default=None, description="The cause that it is about, if items have different ones.")
    text: str


class Wait(Plain):
    """What a run waits for."""

    reason: str
    until: datetime | None = Field(default=None, description="When it goes on, or looks again; null if unknown.")


class CauseStatus(StrEnum):
    """What careful waves do with a cause."""

    PLANNED = "planned"
    """Its items stand in a plan."""
    TO_COME = "to_come"
    """No item of it was tried yet."""
    WATCHED = "watched"
    """The items of its last wave are watched."""
    GOING_ON = "going_on"
    """Its last wave has recovered; the next one follows."""
    STOPPED = "stopped"
    """Its items failed again; one item at a time probes it."""
    ENDED = "ended"
    """No more of its items are tried."""


class Cause(Plain):
    """A cause of failures, and how far careful waves have come with it."""

    cause: str | None = Field(description="The cause; null where the system tells none.")
    status: CauseStatus
    waves: int = Field(description="Number of waves that tried items of it.")
    tried: int = Field(description="Number of its items that were tried.")
    recovered: int
    failedAgain: int  # noqa: N815 - as callers see it
    left: int = Field(description="Number of its items that were not tried.")
    nextProbe: datetime | None = Field(  # noqa: N815 - as callers see it
        default=None, description="When the next item probes a stopped cause."
    )


class Links(Plain):
    """Absolute URLs of a run; null where the app's own URL is unknown."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    own: str | None = Field(default=None, alias="self", description="The report.")
    result: str | None = Field(default=None, description="The response, without a function key.")
    apply: str | None = Field(default=None, description="Where to POST to apply a plan.")

    @classmethod
    def of(cls, base: str, run: str, *, ticket: str | None = None, planned: bool = False) -> "Links":
        """Build the links of a run; without the app's URL (`base`) there are none."""
        if not base:
            return cls()
        own = f"{base}/api/runs/{run}"
        result = f"{own}/result?ticket={ticket}" if ticket else None
        return cls(own=own, result=result, apply=f"{own}/apply" if planned else None)


class Run(Stored):
    """A run, as `GET runs/{id}` returns it."""

    id: str
    state: State
    function: str
    system: str
    target: str
    origin: str = Field(description="What started it: `http`, `flow` (Power Automate, Logic Apps), `event` or `timer`.")
    actor: str = Field(
        description="Who started it: the object id of a signed-in caller, `key` (a function key), or the function that "
        "received an event or began a night."
    )
    actorName: str | None = Field(default=None, description="The name of a signed-in caller.")  # noqa: N815 - as callers see it
    reason: str | None = None
    override: bool = Field(default=False, description="A person overrode the caps and the allow list, with a reason.")
    plan: str | None = Field(default=None, description="The plan that it applies.")
    parent: str | None = Field(default=None, description="The run that it retries or checks.")
    waves: str = Field(default="all", description="How many items are sent at once: `careful` or `all`.")
    counts: Counts = Counts()
    waits: Wait | None = Field(default=None, description="What it waits for, and until when; null while it works.")
    causes: list[Cause] = Field(default=[], description="The causes of the failures, if waves are careful.")
    notes: list[Note] = Field(default=[], description="What happened, such as when and why careful waves stopped.")
    items: list[Item] = Field(default=[])
    created: datetime
    answered: datetime | None = Field(default=None, description="When every item had its outcome.")
    ended: datetime | None = Field(default=None, description="When it was also known whether the items recovered.")
    expires: datetime | None = Field(default=None, description="Until when a plan can be applied.")
    links: Links = Links()
    nextLink: str | None = Field(default=None, description="The next page of items.")  # noqa: N815 - as callers see it
