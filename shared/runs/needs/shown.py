"""A need as callers see it: with its links, and what to do next."""

from datetime import datetime
from typing import Self

from pydantic import Field

from shared.core.model import Plain
from shared.core.targets import System
from shared.runs.needs.need import Acknowledgement, Kind, Need
from shared.runs.report import Links

_BY_HAND: dict[System, str] = {
    "camunda": "POST camunda/job/retries",
    "finance-operations": "POST finance-operations/requeue",
    "opendatadsl": "POST opendatadsl/process-exec/v1",
    "superoffice": "POST superoffice/v1/BatchTask",
}
"""Where a person starts an item of a system again."""
_ITS_FUNCTION = "call the function of its system"
_MEND = "Mend what the text says; GET systems shows whether the target answers."
_LATE = (
    "See whether the app runs, whether its timers are disabled, and what SWEEP_AT and the quiet hours of the target "
    "say."
)
_BATCHES = 'POST runs/{{id}}/retry with {{"reason": ...}}'
_RETRY = 'POST runs/{run}/retry with {{"reason": ...}}'
_RUNS = "GET runs?target={target}"
_SWEEP = 'POST sweeps with {{"target": "{target}", "reason": ...}}'
_NEXT: dict[Kind, str] = {
    "target-unusable": f"{_MEND} Then retry what failed: {_RETRY}, for each run that {_RUNS} lists.",
    "night-missing": f"{_LATE} Then do the sweep by hand: {_SWEEP}.",
    "cause-stopped": "Find out what these items have in common (GET runs/{run}), and mend it. The run goes on by "
    f"itself while it lasts; once it has ended, {_RETRY}. Or leave it to the next night.",
    "unknown": 'POST runs/{run}/check with {{"reason": ...}} asks the system again. What stays unknown, look up in '
    'the system itself, and record it: POST runs/{run}/settle with {{"happened": ..., "reason": ...}}.',
    "run-broken": 'Read GET runs/{run}. POST runs/{run}/check with {{"reason": ...}} for its unknown items; then '
    f"{_RETRY} for the rest.",
    "night-stopped": f"Once the target may be sent to again (POST resume, if it is stopped), {_RETRY}. Or leave it to "
    "the next night.",
    "plan-waits": 'Read it (GET runs/{run}), then POST runs/{run}/apply with {{"reason": ...}}; or let it expire.',
    "attempts-used-up": "Find out why it fails every time, and mend it. Then start it once by hand: {by_hand}. Once it "
    "has recovered, nights try it again.",
    "batch-stuck": "DELETE camunda/batch/{item}, or look at its jobs in the engine.",
    "denied-and-failing": "Find out why it fails. GET failures?target={target} shows the rule that would allow it "
    "(wouldAllow): add it by PUT policy, or acknowledge this.",
    "notify-failed": "Look at the flow behind NOTIFY_URL: is it on, and does it still have this URL? GET needs-person "
    "and GET nights show what the cards would.",
    "event-storm": f"Find out why so many jobs fail at once. The next sweep looks at the rest; to do it now, {_SWEEP}.",
}


class NeedLinks(Plain):
    """Absolute URLs; null where there is none."""

    self: str | None = Field(default=None, description="The report of the run.")
    apply: str | None = Field(default=None, description="Where to POST to apply the plan that waits.")
    acknowledge: str | None = Field(default=None, description="Where to POST to acknowledge it.")


class NeedsPerson(Plain):
    """Something that needs a person."""

    id: str = Field(description="The same for everything that happens to this target, of this kind, about this.")
    kind: Kind
    target: str | None = Field(description="The target; null if it is about the app itself.")
    system: System | None
    since: datetime = Field(description="When it happened first.")
    last: datetime = Field(description="When it happened last.")
    count: int = Field(description="How many items are left, or how many times it has happened.")
    text: str = Field(description="What is the matter.")
    next: str = Field(description="What to do next.")
    run: str | None = Field(description="The run that found it out last.")
    item: str | None = Field(description="The item, if it is about one.")
    expires: datetime | None = Field(description="Until when a plan can be applied.")
    acknowledged: Acknowledgement | None = Field(description="Who has taken note of it; null once it happens again.")
    links: NeedLinks

    @classmethod
    def of(cls, need: Need, base: str) -> Self:
        """Return a need as callers see it; `base` is the app's URL, without a slash at its end."""
        kept = need.model_dump(exclude={"v", "about", "by_change", "marks"})
        return cls.model_validate({**kept, "next": next_step(need), "links": _links(need, base)})


class NeedsPersonPage(Plain):
    """A page of what needs a person."""

    value: list[NeedsPerson]
    nextLink: str | None = Field(description="The next page.")  # noqa: N815 - as callers see it


def next_step(need: Need) -> str:
    """Return what a person does next, with the routes."""
    by_hand = _BY_HAND.get(need.system, _ITS_FUNCTION) if need.system else _ITS_FUNCTION
    return _text(need).format(run=need.run, target=need.target, item=need.item, by_hand=by_hand)


def _text(need: Need) -> str:
    match need.kind:
        case "target-unusable" if need.run is None:
            # No run has met it, so there is nothing to retry.
            return _MEND
        case "target-unusable" if need.system in _BY_HAND:
            # A night that could not list its items has none to retry.
            return f"{_MEND} Then {_RETRY}, for each run that {_RUNS} lists; if a night listed nothing, {_SWEEP}."
        case "night-missing" if need.system not in _BY_HAND:
            return f"{_LATE} Then retry the batches of the day that {_RUNS} lists: {_BATCHES}."
        case _:
            return _NEXT[need.kind]


def _links(need: Need, base: str) -> dict[str, str | None]:
    run = Links.of(base, need.run, planned=need.kind == "plan-waits") if need.run else Links()
    return {"self": run.own, "apply": run.apply, "acknowledge": f"{base}/api/needs-person/{need.id}/acknowledge"}
