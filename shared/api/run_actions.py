"""Options and checks that `sweep`, `apply` and `retry` share."""

from collections.abc import Collection, Sequence
from typing import Annotated

from pydantic import Field

from shared.core.problems import Mistake, NotValid
from shared.core.targets import System
from shared.runs import records
from shared.runs.report import Item
from shared.storage.base import Store
from shared.systems.registry import definition_of
from shared.systems.requests import ItemRef, RunRequest
from shared.validation.models import Strict

Reason = Annotated[str, Field(min_length=1, max_length=500, description="Why; stored in the report.")]
Ids = Annotated[list[str], Field(min_length=1, max_length=10_000)]


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


def request_of(body: RunOptions, system: System, target: str | None, items: Sequence[ItemRef], mode: str) -> RunRequest:
    """Build the request of a run with these options."""
    return RunRequest(
        system=system,
        shape=definition_of(system).shape,
        target=target,
        reason=body.reason,
        items=items,
        mode="plan" if mode == "plan" else "perform",
        override=body.override,
        cap=body.cap,
        max_parallel=body.maxParallel,
        give_up_after=body.giveUpAfter,
    )


def refuse_unknown(member: str, ids: list[str] | None, known: Collection[str], text: str) -> None:
    """Raise NotValid for unknown ids, each with its pointer."""
    mistakes = [Mistake(text, f"/{member}/{place}") for place, one in enumerate(ids or []) if one not in known]
    if mistakes:
        raise NotValid.of(*mistakes)


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
        ItemRef(one.id, run_item.operation, run_item.episode or (one.episode if planned else None), one.about)
        for one, run_item in found
    ]
