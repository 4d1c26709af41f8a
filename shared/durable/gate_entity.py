"""The gate of a target: a durable entity, one per target, which the orchestrators of all runs share.

An entity is not replayed, so it may read the clock. On the extension a message may arrive twice, late, in another order
or never, and so may an answer: `fanout/gate.py` allows for that, and a run repeats its request.
"""

from typing import Any

from durabletask.entities import EntityContext, EntityInstanceId
from durabletask.task import OrchestrationContext, Task

from shared.core import clock
from shared.durable.engine import GATE
from shared.fanout import gate
from shared.fanout.gate import Gate, GateMessage, Request


def ask(context: OrchestrationContext, target: str, message: GateMessage, wanted: Request) -> Task[Any]:
    """Request slots; the answer has the number of `slots` and `until`, or the seconds to `wait`."""
    return context.call_entity(EntityInstanceId(GATE, target), "ask", {**message._asdict(), **wanted._asdict()})


def give_back(context: OrchestrationContext, target: str, message: GateMessage) -> None:
    """Release the slots of a request, without waiting for the gate."""
    context.signal_entity(EntityInstanceId(GATE, target), "give_back", message._asdict())


def leave(context: OrchestrationContext, target: str, run: str) -> None:
    """Release all slots of a run, which requests no more of them, without waiting for the gate."""
    context.signal_entity(EntityInstanceId(GATE, target), "leave", {"run": run})


def confirmed_leave(context: OrchestrationContext, target: str, run: str) -> Task[Any]:
    """Release all slots of a run as `leave` does; the task ends when the gate has done so."""
    return context.call_entity(EntityInstanceId(GATE, target), "leave", {"run": run})


def gate_of_target(context: EntityContext, payload: Any) -> Any:  # noqa: ANN401 - JSON is any value
    """Grant and release the slots of a target."""
    state, now = Gate.model_validate(context.get_state(dict, {})), clock.now()
    result: dict[str, Any] = {}
    match context.operation:
        case "ask":
            wanted = Request(int(payload["wants"]), int(payload["places"]), float(payload["lease"]))
            state, answer = gate.ask(state, now, _message(payload), wanted)
            result = answer.model_dump(mode="json", exclude_defaults=True)
        case "give_back":
            state = gate.give_back(state, now, _message(payload))
        case "leave":
            state = gate.leave(state, now, run=str(payload["run"]))
    context.set_state(state.model_dump(mode="json", exclude_defaults=True))
    return result


def _message(payload: dict[str, Any]) -> GateMessage:
    return GateMessage(str(payload["run"]), int(payload["turn"]))
