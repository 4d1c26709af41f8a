"""The task hub as its host needs it: what starts it, gives work items out, and takes in what became of them.

Two implementations: `hub.py`, a copy in memory, and `remote_hub.py`, any program that speaks the sidecar protocol of
Durable Task on gRPC (`TaskHubSidecarService`).
"""

from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import durabletask.internal.orchestrator_service_pb2 as pb

type Response = pb.OrchestratorResponse | pb.ActivityResponse | pb.EntityBatchResult


@dataclass(frozen=True)
class DurableFunction:
    """A durable function of the app, by the name of its trigger."""

    kind: Literal["orchestrator", "activity", "entity"]
    name: str


class TaskHub(Protocol):
    """A task hub. All but `start` and `close` may be called from any thread, and some calls block."""

    lives_by_real_time: bool
    """Its timers and visibility can't be pushed forward."""

    def start(self, functions: Sequence[DurableFunction]) -> str:
        """Start it, and return the address (`127.0.0.1:PORT`) at which it takes clients' calls.

        Raises:
            HostError: It can't start; the message says why.
        """
        ...

    def items(self) -> Iterator[pb.WorkItem]:
        """Yield work items, until it is closed."""
        ...

    def complete(self, response: Response) -> None:
        """Take in what became of a work item; the response carries the item's completion token."""
        ...

    def abandon(self, item: pb.WorkItem) -> None:
        """Take in that the worker died with a work item in its hands."""
        ...

    def busy(self, asleep: Collection[Hashable]) -> bool:
        """Tell whether anything is queued or at work; the activities whose keys are `asleep` don't count."""
        ...

    def close(self) -> None:
        """Stop it, and end whoever waits for items."""
        ...

    def crash(self) -> None:
        """End as the crash of a machine does: nothing is completed, and nothing abandoned."""
        ...
