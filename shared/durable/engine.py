"""Client of the engine (Durable Functions): start, close, cancel and query runs."""

import asyncio
from collections.abc import Awaitable, Collection, Iterator
from enum import Enum

import azure.durable_functions as df
import grpc
from durabletask.client import OrchestrationStatus
from durabletask.internal.orchestrator_service_pb2 import OrchestrationIdReusePolicy

from shared.core.problems import NotReady

ORCHESTRATOR = "carry_out_run"
BATCH = "carry_out_batch"
SEGMENT = "carry_out_segment"
CLOSE = "close_run"
GATE = "gate"
VERSION = "1"
"""Version of the orchestrators; equals `defaultVersion` in host.json. The engine does not start a newer version, and
reports no error."""
CANCEL = "cancel"
WAITING = "waiting"
WATCHING = "watching"
IN_SEGMENT = "segment "
"""Custom status of a batch while a segment runs: this prefix, then the id of the segment, which has its own status."""
_NO_INSTANCE = "health"
"""An id that no instance has; the id of a run contains a day."""
SEGMENT_STARTS = 5
"""How often a batch starts a segment; each start has an id of its own."""
_PATIENCE = 10.0
"""Seconds after which a call counts as not answered; it may still take effect."""
_STARTED = (grpc.StatusCode.ALREADY_EXISTS,)
_TOO_LATE = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)


class Phase(Enum):
    """The phase of a run in the engine."""

    MISSING = "missing"
    RUNNING = "running"
    WAITING = "waiting"
    WATCHING = "watching"
    COMPLETED = "completed"
    FAILED = "failed"
    TERMINATED = "terminated"

    @property
    def is_alive(self) -> bool:
        """Whether the run's orchestrator is still at work."""
        return self in (Phase.RUNNING, Phase.WAITING, Phase.WATCHING)


_ENDED = {
    OrchestrationStatus.COMPLETED: Phase.COMPLETED,
    OrchestrationStatus.FAILED: Phase.FAILED,
    OrchestrationStatus.TERMINATED: Phase.TERMINATED,
}
_ACTIVE = {WAITING: Phase.WAITING, WATCHING: Phase.WATCHING}


def closing_of(run: str) -> str:
    """Return the id of the orchestration that closes a run."""
    return f"{run}-close"


def segment_of(run: str, number: int, start: int) -> str:
    """Return the id of a segment of a batch that is started for the first time (0), or again."""
    return f"{run}-{number}" + (f"-{start}" if start else "")


def instances_of(run: str, segments: int) -> Iterator[str]:
    """Yield the ids of all instances that a run may have, its own last."""
    for number in range(segments):
        yield from (segment_of(run, number, start) for start in range(SEGMENT_STARTS))
    yield from (closing_of(run), run)


class Engine:
    """Starts and queries runs; every method raises `NotReady` if the engine does not answer in time."""

    def __init__(self, client: df.DurableFunctionsClient, patience: float = _PATIENCE) -> None:
        self._client = client
        self._patience = patience

    async def start(self, run: str, orchestrator: str = ORCHESTRATOR) -> None:
        """Start a run, unless it was started before.

        The empty reuse policy replaces no instance; by default, Azure starts a finished instance again.

        Raises:
            NotReady: the engine doesn't answer.
        """
        call = self._client.schedule_new_orchestration(
            orchestrator,
            input={"run": run},
            instance_id=run,
            reuse_id_policy=OrchestrationIdReusePolicy(),
            version=VERSION,
        )
        await self._await_answer(call, run, but=_STARTED)

    async def close(self, run: str, how: str) -> None:
        """Start the orchestration that closes a run whose own is gone; once that has ended, it may be started again.

        Raises:
            NotReady: the engine doesn't answer.
        """
        call = self._client.schedule_new_orchestration(
            CLOSE, input={"run": run, "how": how}, instance_id=closing_of(run), version=VERSION
        )
        await self._await_answer(call, run, but=_STARTED)

    async def cancel(self, run: str) -> None:
        """Raise the cancel event of a run, which ends its pauses; nothing happens if the run has ended.

        Raises:
            NotReady: the engine doesn't answer.
        """
        await self._await_answer(self._client.raise_orchestration_event(run, CANCEL), run, but=_TOO_LATE)

    async def purge(self, instance: str) -> int | None:
        """Remove an instance that has ended, with its history; return how many it was, or None if it has not ended.

        Raises:
            NotReady: the engine doesn't answer.
        """
        phase, _ = await self._state(instance, None)
        if phase is Phase.MISSING:
            return 0
        if phase.is_alive:
            return None
        await self._await_answer(self._client.purge_orchestration(instance, recursive=False), None, but=_TOO_LATE)
        return 1

    async def phase(self, run: str) -> Phase:
        """Return the phase of a run. Its custom status is fetched with its payloads only, which are references.

        Raises:
            NotReady: the engine doesn't answer.
        """
        found, status = await self._state(run, run)
        if found is Phase.RUNNING and status.startswith(IN_SEGMENT):
            segment, _ = await self._state(status.removeprefix(IN_SEGMENT), run)
            return Phase.WAITING if segment is Phase.WAITING else found
        return found

    async def _state(self, instance: str, run: str | None) -> tuple[Phase, str]:
        """Return the phase and the custom status of an instance."""
        state = await self._await_answer(self._client.get_orchestration_state(instance, fetch_payloads=True), run)
        if state is None:
            return Phase.MISSING, ""
        status = str(state.get_custom_status() or "")
        return _ENDED.get(state.runtime_status, _ACTIVE.get(status, Phase.RUNNING)), status

    async def answers(self, seconds: float) -> None:
        """Return when the engine answers.

        Raises:
            NotReady: it doesn't answer within `seconds`.
        """
        await self._await_answer(
            self._client.get_orchestration_state(_NO_INSTANCE, fetch_payloads=False), None, seconds=seconds
        )

    async def _await_answer[Answer](
        self,
        call: Awaitable[Answer],
        run: str | None,
        *,
        seconds: float | None = None,
        but: Collection[grpc.StatusCode] = (),
    ) -> Answer | None:
        """Return the answer to a call; None for one of the status codes in `but`, which are no errors here."""
        patience = self._patience if seconds is None else seconds
        try:
            async with asyncio.timeout(patience):
                return await call
        except TimeoutError:
            raise NotReady(f"The engine does not answer within {patience:g} s.", run=run) from None
        except grpc.aio.AioRpcError as error:
            if error.code() in but:
                return None
            raise NotReady(f"The engine does not answer ({error.code().name}).", run=run) from error
