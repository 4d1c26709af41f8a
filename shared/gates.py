"""The gate of a target, as the orchestrators of all runs share it: a durable entity, one for each target.

An entity is not replayed, so it may look at the clock.
"""

from typing import Any

import azure.durable_functions as df
from durabletask.entities import EntityContext, EntityInstanceId
from durabletask.task import OrchestrationContext, Task

from shared import clock, gate
from shared.gate import Gate

GATE = "gate"
blueprint = df.Blueprint()


def ask(context: OrchestrationContext, target: str, run: str, lane: int, places: int, lease: float) -> Task[Any]:
    """Ask for a place: the task's result has the `turns` that it is good for, or the seconds to `wait`."""
    told = {"run": run, "lane": lane, "places": places, "lease": lease}
    return context.call_entity(EntityInstanceId(GATE, target), "ask", told)


def give_back(context: OrchestrationContext, target: str, run: str, lane: int) -> None:
    """Give a place back; nobody waits for that."""
    context.signal_entity(EntityInstanceId(GATE, target), "give_back", {"run": run, "lane": lane})


def leave(context: OrchestrationContext, target: str, run: str) -> None:
    """Give all places of a run back."""
    context.signal_entity(EntityInstanceId(GATE, target), "leave", {"run": run})


@blueprint.entity_trigger(context_name="context", entity_name=GATE)
def gate_of_target(context: EntityContext, told: Any) -> Any:  # noqa: ANN401 - JSON is any value
    """Hand the places of a target out."""
    state, now, run = Gate.model_validate(context.get_state(dict, {})), clock.now(), str(told["run"])
    result: dict[str, float] = {}
    match context.operation:
        case "ask":
            lane, places, lease = int(told["lane"]), int(told["places"]), float(told["lease"])
            state, answer = gate.ask(state, now, run=run, lane=lane, places=places, lease=lease)
            result = {"turns": answer.turns} if answer.turns else {"wait": answer.wait}
        case "give_back":
            state = gate.give_back(state, now, run=run, lane=int(told["lane"]))
        case "leave":
            state = gate.leave(state, now, run=run)
    context.set_state(state.model_dump(mode="json", exclude_defaults=True))
    return result
