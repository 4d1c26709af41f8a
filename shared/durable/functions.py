"""Every durable function: its trigger, and the module that does its work.

The modules are imported when first called (decision 34): a worker that only answers HTTP needs none of them.
"""

from collections.abc import Generator
from typing import Any

import azure.durable_functions as df
from durabletask.entities import EntityContext
from durabletask.task import OrchestrationContext

from shared.durable.engine import BATCH, CLOSE, GATE, ORCHESTRATOR, SEGMENT

blueprint = df.Blueprint()


@blueprint.orchestration_trigger(context_name="context", orchestration=ORCHESTRATOR)
def carry_out_run(context: OrchestrationContext, work: dict[str, Any]) -> Generator[Any, Any, Any]:
    """Carry out a run: its items one by one, or many in one call."""
    from shared.durable import run_orchestrator

    return (yield from run_orchestrator.carry_out_run(context, work))


@blueprint.orchestration_trigger(context_name="context", orchestration=BATCH)
def carry_out_batch(context: OrchestrationContext, work: dict[str, Any]) -> Generator[Any, Any, Any]:
    """Carry out a batch of operations, segment after segment."""
    from shared.durable import batch_orchestrator

    return (yield from batch_orchestrator.carry_out_batch(context, work))


@blueprint.orchestration_trigger(context_name="context", orchestration=SEGMENT)
def carry_out_segment(context: OrchestrationContext, work: dict[str, Any]) -> Generator[Any, Any, Any]:
    """Send the chunks of a segment of a batch."""
    from shared.durable import batch_orchestrator

    return (yield from batch_orchestrator.carry_out_segment(context, work))


@blueprint.orchestration_trigger(context_name="context", orchestration=CLOSE)
def close_run(context: OrchestrationContext, work: dict[str, Any]) -> Generator[Any, Any, Any]:
    """Close a run whose own orchestrator is gone."""
    from shared.durable import closing_orchestrator

    return (yield from closing_orchestrator.close_run(context, work))


@blueprint.entity_trigger(context_name="context", entity_name=GATE)
def gate_of_target(context: EntityContext, payload: Any) -> Any:  # noqa: ANN401 - JSON is any value
    """Grant and release the slots of a target."""
    from shared.durable import gate_entity

    return gate_entity.gate_of_target(context, payload)


@blueprint.activity_trigger(input_name="work")
def begin_run(work: dict) -> dict:  # type: ignore[type-arg]  # the worker loads plain types only
    """Find the items of a run, and do all of it if it is one part."""
    from shared.durable import run_orchestrator

    return run_orchestrator.begin_run(work)


@blueprint.activity_trigger(input_name="work")
def perform_parts(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """Execute parts of a run."""
    from shared.durable import run_orchestrator

    return run_orchestrator.perform_parts(work)


@blueprint.activity_trigger(input_name="work")
def finish_run(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """Write the report and the response of a run."""
    from shared.durable import run_orchestrator

    return run_orchestrator.finish_run(work)


@blueprint.activity_trigger(input_name="work")
def watch_run(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """Check whether items of a run recovered."""
    from shared.durable import run_orchestrator

    return run_orchestrator.watch_run(work)


@blueprint.activity_trigger(input_name="work")
def end_run(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """Write the final report of a run, with the recovery of its items."""
    from shared.durable import run_orchestrator

    return run_orchestrator.end_run(work)


@blueprint.activity_trigger(input_name="work")
def break_run(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """Close a run that broke by a defect of this app."""
    from shared.durable import run_orchestrator

    return run_orchestrator.break_run(work)


@blueprint.activity_trigger(input_name="work")
def prepare_batch(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """Return how a batch is sent."""
    from shared.durable import batch_orchestrator

    return batch_orchestrator.prepare_batch(work)


@blueprint.activity_trigger(input_name="work")
def read_segment(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """Return the chunks of a segment."""
    from shared.durable import batch_orchestrator

    return batch_orchestrator.read_segment(work)


@blueprint.activity_trigger(input_name="work")
def send_chunks(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """Do the next try of some chunks."""
    from shared.durable import batch_orchestrator

    return batch_orchestrator.send_chunks(work)


@blueprint.activity_trigger(input_name="work")
def finish_batch(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """Write the report and the response of a batch."""
    from shared.durable import batch_orchestrator

    return batch_orchestrator.finish_batch(work)


@blueprint.activity_trigger(input_name="work")
def break_batch(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """Close a batch that broke by a defect of this app."""
    from shared.durable import batch_orchestrator

    return batch_orchestrator.break_batch(work)


@blueprint.activity_trigger(input_name="work")
def end_closed_run(work: dict) -> dict:  # type: ignore[type-arg]  # as above
    """End a run that has ended only in the engine."""
    from shared.durable import closing_orchestrator

    return closing_orchestrator.end_closed_run(work)
