"""Options and checks that the functions about runs share."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from shared.core.problems import Mistake, NotValid
from shared.core.settings import Preset
from shared.core.targets import System
from shared.fanout.creation import Again
from shared.runs import records
from shared.runs.records import RunItem
from shared.runs.report import Item
from shared.runs.spec import RunSpec
from shared.storage.base import Store
from shared.systems.registry import definition_of
from shared.systems.requests import ItemRef, RunRequest, Shape
from shared.validation.models import Strict
from shared.validation.request import Call

Reason = Annotated[str, Field(min_length=1, max_length=500, description="Why; stored in the report.")]
Ids = Annotated[list[str], Field(min_length=1, max_length=10_000)]
MOST_LOOKED_AT = 1000
"""How many items one check reads, or one settle settles."""


class RunOptions(Strict):
    """Options of a new run."""

    reason: Reason
    cap: int | None = Field(default=None, ge=1, le=10_000, description="The most items that the run may touch.")
    maxParallel: int = Field(default=8, ge=1, le=32)  # noqa: N815 - as callers write it
    override: bool = Field(default=False, description="Bypass the caps and the allow list of the policy.")
    giveUpAfter: int | None = Field(default=None, ge=0, le=1440, description="Minutes until the run gives up.")  # noqa: N815 - as above
    followUp: bool | None = Field(  # noqa: N815 - as above
        default=None,
        description="Watch whether done items recover; the default is true for sweeps and their plans.",
    )


def run_named(call: Call, store: Store) -> RunSpec:
    """Return the spec of the run that a call names, for a caller that has the role for its target.

    Raises:
        UnknownRun: there is no such run.
        RoleMissing: the caller lacks the role.
    """
    spec = records.read_spec(store, call.route_params.get("id", ""))
    call.caller.require(spec.target, spec.system)
    return spec


def request_of(
    body: RunOptions, system: System, target: str | None, items: Sequence[ItemRef], mode: str, shape: Shape
) -> RunRequest:
    """Build the request of a run with these options.

    Raises:
        NotValid: an option has no meaning for the system.
    """
    if definition_of(system).shape == "bulk" and "maxParallel" in body.model_fields_set:
        raise NotValid.of(Mistake(f"is not for {system}: one call is about many items", "/maxParallel"))
    return RunRequest(
        system=system,
        shape=shape,
        target=target,
        reason=body.reason,
        items=items,
        mode="plan" if mode == "plan" else "perform",
        override=body.override,
        cap=body.cap,
        max_parallel=body.maxParallel,
        give_up_after=body.giveUpAfter,
    )


def kept_options(request: RunRequest, body: RunOptions, former: RunSpec, waves: Preset | None) -> RunRequest:
    """Return a request with the options of an earlier run where its body has none.

    Not `override`: whoever bypasses the policy says so each time, but for a plan that was made with it.
    """
    parallel = body.maxParallel if "maxParallel" in body.model_fields_set else former.max_parallel
    waves = waves or former.waves
    return replace(
        request,
        waves=waves,
        follow_up=bool(former.follow_up) if body.followUp is None else body.followUp,
        max_parallel=parallel,
        # A night's own time is not that of a person who applies its plan.
        give_up_after=minutes_of(former, waves)
        if body.giveUpAfter is None and not former.is_night
        else body.giveUpAfter,
    )


def minutes_of(former: RunSpec, waves: Preset = "all") -> int:
    """Return after how many minutes an earlier run would have given up; careful waves that it had not take longer."""
    until = former.give_up
    if waves == "careful" and former.waves != "careful" and former.waves_until:
        until = max(until, former.waves_until)
    return round((until - former.created).total_seconds() / 60)


def batch_options(body: RunOptions, changes: Mapping[str, Any]) -> Again:
    """Return the options of a run that sends operations again.

    Raises:
        NotValid: an option has no meaning for operations.
    """
    refused = [name for name in ("override", "followUp", "waves") if getattr(body, name, None)]
    mistakes = [Mistake("is not for batches of operations", f"/{name}") for name in refused]
    if mistakes:
        raise NotValid.of(*mistakes)
    parallel = body.maxParallel if "maxParallel" in body.model_fields_set else None
    return Again(changes, max_parallel=parallel, give_up_after=body.giveUpAfter)


def mistakes_in(member: str, ids: Sequence[str] | None, known: Collection[str], text: str) -> list[Mistake]:
    """Return a mistake for each unknown id of a list, with its pointer."""
    return [Mistake(text, f"/{member}/{place}") for place, one in enumerate(ids or []) if one not in known]


def item_refs(store: Store, run: str, items: list[Item]) -> list[ItemRef]:
    """Return the items of a run that have an operation; raise NotValid if there are none."""
    planned = records.read_spec(store, run).mode == "plan"
    run_items = {run_item.id: run_item for run_item in records.all_run_items(store, run)}
    found = [(one, run_items[one.id]) for one in items if run_items[one.id].operation]
    if not found:
        raise NotValid(
            "The run has no items to retry.", mistakes=(Mistake("repeat the original call instead", "/only"),)
        )
    return [
        ItemRef(one.id, run_item.operation, _episode(one, run_item, planned=planned), _about(one, run_item))
        for one, run_item in found
    ]


def _episode(one: Item, run_item: RunItem, *, planned: bool) -> str | None:
    return run_item.episode or (one.episode if planned else None)


def _about(one: Item, run_item: RunItem) -> dict[str, str]:
    return {**run_item.about, **one.about.texts}
