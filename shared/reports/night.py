"""One night over all systems, as callers see it; its state and its totals. The functions are pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

from pydantic import ConfigDict, Field

from shared.core.model import Plain
from shared.core.outcome import Ending, Recovery
from shared.runs.report import Cause, CauseStatus, Counts, Item, Links, Note, State, Wait

NightState = Literal["to come", "going on", "over"]
NotRun = Literal["to come", "did not run", "nothing to do"]
"""The state of a target that has no run."""
Did = Literal["apply", "retry", "check", "settle"]
"""What a person did with a run of a night."""
OPEN = (State.RUNNING, State.WAITING, State.WATCHING)
BAD = (Ending.FAILED, Ending.REJECTED, Ending.UNKNOWN, Ending.ROLLED_BACK, Ending.NOT_ATTEMPTED)
_MOST_REASONS = 5
_MOST_NAMED = 3


class BadItem(Plain):
    """An item that is not well."""

    id: str
    name: str | None = Field(description="What people call it.")
    cause: str | None = Field(description="Why it fails, in the system's words; null where the system tells none.")


class Reason(Plain):
    """Why some items are not well."""

    outcome: Ending = Field(description="How they ended in the run; those that failed again were `done`.")
    recovery: Recovery | None = Field(default=None, description="`failed_again`, if they did.")
    type: str | None = Field(description="The slug of the problem type (docs/problems.md); null if they failed again.")
    reason: str = Field(description="That of the first of them.")
    count: int
    items: list[BadItem] = Field(default=[], description="The first of them, at most 3.")


class NightTarget(Plain):
    """A target in a night: a run, or why there is none."""

    target: str
    system: str | None = Field(description="Null for a target whose settings are wrong.")
    night: str = Field(description="The window: the date and the time of day at which it begins.")
    state: State | NotRun = Field(
        description="The state of the run; without a run `to come`, `did not run`, or `nothing to do` (no batch of the "
        "day before left anything that a night retries)."
    )
    reason: str | None = Field(default=None, description="Why there is no run.")
    run: str | None = None
    mode: Literal["plan", "apply"] | None = Field(default=None, description="`plan`: the run only selects.")
    begun: datetime | None = None
    ended: datetime | None = Field(default=None, description="When its report was complete.")
    expires: datetime | None = Field(default=None, description="Until when a plan can be applied.")
    applied: bool = Field(default=False, description="It is a plan, and somebody has applied it.")
    counts: Counts = Counts()
    causes: list[Cause] = Field(default=[], description="The causes of careful waves, or of a plan.")
    failed: list[Reason] = Field(default=[], description="Why items are not well; the most frequent first, at most 5.")
    waits: Wait | None = Field(default=None, description="What the run waits for, and until when.")
    notes: list[Note] = Field(default=[])
    links: Links = Links()


class NightEvents(Plain):
    """The runs that events started during the night."""

    runs: int
    counts: Counts
    complete: bool = Field(description="All of them were counted; otherwise only the last 200.")


class NightPerson(Plain):
    """A run by hand that applies, retries, checks or settles a run of the night, or another one of these."""

    run: str
    function: Did
    target: str
    actor: str = Field(description="Who started it: the signed-in principal's id, or `key` (a function key).")
    reason: str | None
    of: str = Field(description="The run that it applies, retries, checks or settles.")
    state: State
    counts: Counts
    created: datetime
    links: Links


class NightTotals(Plain):
    """Sums over all targets of a night."""

    targets: int
    ran: int = Field(description="Targets that have a run.")
    runs: int
    counts: Counts = Field(description="The items of the night's own runs, by outcome and by recovery.")


class _NightHead(Plain):
    """What the list and the answer of one night share."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    night: str = Field(description="The date on which it began, in SWEEP_TIME_ZONE.")
    begin: datetime = Field(alias="from", description="When its first window begins.")
    until: datetime = Field(description="When its last window ends.")
    state: NightState = Field(description="`going on` as long as a window or a run of it is open.")
    needsPerson: int = Field(description="What needs a person because of this night.")  # noqa: N815 - as callers see it
    totals: NightTotals


class NightAnswer(_NightHead):
    """The answer of `night`."""

    summary: list[str] = Field(default=[], description="The night in a few sentences.")
    targets: list[NightTarget]
    events: NightEvents
    people: list[NightPerson] = Field(description="The first one first.")


class NightLink(Plain):
    """The absolute URL of a night."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    own: str = Field(alias="self")


class NightLine(_NightHead):
    """One night in the list of nights."""

    summary: str = Field(description="The night in one sentence.")
    links: NightLink


class NightList(Plain):
    """The answer of `nights`."""

    value: list[NightLine] = Field(description="The last night first.")
    nextLink: str | None  # noqa: N815 - as callers see it


def state_of(begin: datetime, until: datetime, targets: Iterable[NightTarget], now: datetime) -> NightState:
    """Return the state of a night; it goes on while it has an open run, also after its windows."""
    if now < begin:
        return "to come"
    is_open = now < until or any(one.state in OPEN for one in targets)
    return "going on" if is_open else "over"


def switched_off(setting: Literal["SWEEP_MODE", "BATCH_RETRY"]) -> str:
    """Return why a target did not run whose nights nobody wants."""
    return f"{setting} is off."


def is_missing(one: NightTarget) -> bool:
    """Return whether a target did not run although it should have."""
    wanted = one.reason not in (switched_off("SWEEP_MODE"), switched_off("BATCH_RETRY"))
    return one.state == "did not run" and wanted


def totals_of(targets: Sequence[NightTarget]) -> NightTotals:
    """Return the sums over all targets."""
    runs = [one for one in targets if one.run]
    return NightTotals(
        targets=len({one.target for one in targets}),
        ran=len({one.target for one in runs}),
        runs=len(runs),
        counts=summed(one.counts for one in runs),
    )


def summed(counts: Iterable[Counts]) -> Counts:
    """Return the sums of some counts, zeros included."""
    outcome, recovery, count = Counter[Ending](), Counter[Recovery](), 0
    for one in counts:
        outcome.update(one.outcome)
        recovery.update(one.recovery)
        count += one.items
    return Counts.so_far(outcome.elements(), recovery, count)


def reasons_of(items: Iterable[Item]) -> list[Reason]:
    """Return why items are not well, the most frequent reason first; skipped items are well."""
    found: dict[tuple[Ending, str | None], list[Item]] = {}
    for item in items:
        if item.outcome in BAD or item.recovery is Recovery.FAILED_AGAIN:
            found.setdefault((item.outcome, item.type), []).append(item)
    most = sorted(found.values(), key=len, reverse=True)
    return [_reason(some) for some in most[:_MOST_REASONS]]


def _reason(items: Sequence[Item]) -> Reason:
    item = items[0]
    again = item.recovery is Recovery.FAILED_AGAIN
    return Reason(
        outcome=item.outcome,
        recovery=item.recovery if again else None,
        type=item.type,
        reason=(item.recoveryReason or item.reason) if again else item.reason,
        count=len(items),
        items=[_bad(one) for one in items[:_MOST_NAMED]],
    )


def _path(operation: str | None) -> str | None:
    """Return an operation without its query, which may hold values."""
    return operation.partition("?")[0] if operation else None


def _bad(item: Item) -> BadItem:
    about = item.about
    return BadItem(id=item.id, name=about.job or about.process or _path(about.operation), cause=about.cause)


def planned_causes(causes: Iterable[str]) -> list[Cause]:
    """Return the causes of the items of a plan, the most frequent first."""
    return [
        Cause(
            cause=name or None,
            status=CauseStatus.PLANNED,
            waves=0,
            tried=0,
            recovered=0,
            failedAgain=0,
            left=count,
        )
        for name, count in sorted(Counter(causes).items(), key=lambda pair: (-pair[1], pair[0]))
    ]
