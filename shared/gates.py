"""The gate of a target, as the orchestrators of all runs share it: a durable entity, one for each target.

An entity is not replayed, so it may look at the clock. On the extension, what is said to it may come twice, late, in
another order or not at all, and an answer may never come: `gate.py` bears that, and a lane asks again.
"""

from typing import Any

import azure.durable_functions as df
from durabletask.entities import EntityContext, EntityInstanceId
from durabletask.task import OrchestrationContext, Task

from shared import clock, gate
from shared.gate import Gate, Said

GATE = "gate"
blueprint = df.Blueprint()


def ask(context: OrchestrationContext, target: str, said: Said, *, places: int, lease: float) -> Task[Any]:
    """Ask for a place; the result has the `chunks` that it is good for and `until`, or the seconds to `wait`."""
    told = {**said._asdict(), "places": places, "lease": lease}
    return context.call_entity(EntityInstanceId(GATE, target), "ask", told)


def give_back(context: OrchestrationContext, target: str, said: Said) -> None:
    """Give a place back; nobody waits for that."""
    context.signal_entity(EntityInstanceId(GATE, target), "give_back", said._asdict())


def leave(context: OrchestrationContext, target: str, run: str) -> None:
    """Give all places of a run back, for good."""
    context.signal_entity(EntityInstanceId(GATE, target), "leave", {"run": run})


@blueprint.entity_trigger(context_name="context", entity_name=GATE)
def gate_of_target(context: EntityContext, told: Any) -> Any:  # noqa: ANN401 - JSON is any value
    """Hand the places of a target out."""
    state, now = Gate.model_validate(context.get_state(dict, {})), clock.now()
    result: dict[str, Any] = {}
    match context.operation:
        case "ask":
            places, lease = int(told["places"]), float(told["lease"])
            state, answer = gate.ask(state, now, _said(told), places=places, lease=lease)
            result = answer.model_dump(mode="json", exclude_defaults=True)
        case "give_back":
            state = gate.give_back(state, now, _said(told))
        case "leave":
            state = gate.leave(state, now, run=str(told["run"]))
    context.set_state(state.model_dump(mode="json", exclude_defaults=True))
    return result


def _said(told: dict[str, Any]) -> Said:
    return Said(str(told["run"]), int(told["lane"]), int(told["turn"]))
