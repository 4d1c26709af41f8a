"""What the turns of orchestrators cost: events, hops, and bytes handed to a worker."""

import threading
from collections import defaultdict
from dataclasses import dataclass

import durabletask.internal.orchestrator_service_pb2 as pb

_HOPS = ("scheduleTask", "createSubOrchestration", "createTimer", "sendEvent", "sendEntityMessage")


@dataclass
class Cost:
    """The cost of one instance so far.

    Attributes:
        turns: How often its orchestrator ran.
        events: How many events its history has got.
        hops: How many messages have left it: activities, children, timers, events and messages to entities.
        largest: The most bytes that a turn handed to a worker.
    """

    turns: int = 0
    events: int = 0
    hops: int = 0
    largest: int = 0


class Turns:
    """The cost of all instances, by their ids; may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._costs: defaultdict[str, Cost] = defaultdict(Cost)

    def seen(self, request: pb.OrchestratorRequest, response: pb.OrchestratorResponse) -> None:
        """Add one turn: what came in, each action, and the end of the turn is one event of the history."""
        size = request.ByteSize()
        with self._lock:
            cost = self._costs[request.instanceId]
            cost.turns += 1
            cost.events += len(request.newEvents) + len(response.actions) + 1
            cost.hops += sum(action.WhichOneof("orchestratorActionType") in _HOPS for action in response.actions)
            cost.largest = max(cost.largest, size)

    def of(self, prefix: str) -> dict[str, int]:
        """Return the cost of the instances whose ids begin with `prefix`, children among them, together."""
        with self._lock:
            found = [cost for instance, cost in self._costs.items() if instance.startswith(prefix)]
        return {
            "turns": sum(cost.turns for cost in found),
            "events": sum(cost.events for cost in found),
            "hops": sum(cost.hops for cost in found),
            "largest": max((cost.largest for cost in found), default=0),
        }
