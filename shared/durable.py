"""The engine, as the HTTP functions see it. With `orchestrators`, the only place that knows the Durable SDK."""

import asyncio
from collections.abc import Awaitable, Collection
from enum import Enum

import azure.durable_functions as df
import grpc
from durabletask.client import OrchestrationStatus
from durabletask.internal.orchestrator_service_pb2 import OrchestrationIdReusePolicy

from shared.problems import NotReady

ORCHESTRATOR = "carry_out_run"
BATCH = "carry_out_batch"
SEGMENT = "carry_out_segment"
CLOSE = "close_run"
VERSION = "1"
"""The version of the orchestrators. The engine starts none that is newer than `defaultVersion` in host.json, without an
error, so the two are the same."""
CANCEL = "cancel"
WAITING = "waiting"
WATCHING = "watching"
IN_SEGMENT = "segment "
"""What a batch says of itself while a segment of it works: this, and the id of the segment, which knows more."""
_NOBODY = "health"
"""The id of no instance; a run's has a day in it."""
_PATIENCE = 10.0
"""Seconds after which the engine is said not to answer; what was asked may still happen."""
_STARTED = (grpc.StatusCode.ALREADY_EXISTS,)
_TOO_LATE = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)


class Phase(Enum):
    """Where the engine has a run."""

    MISSING = "missing"
    RUNNING = "running"
    WAITING = "waiting"
    WATCHING = "watching"
    COMPLETED = "completed"
    FAILED = "failed"
    TERMINATED = "terminated"

    @property
    def is_alive(self) -> bool:
        """Whether the run's orchestrator goes on."""
        return self in (Phase.RUNNING, Phase.WAITING, Phase.WATCHING)


_ENDED = {
    OrchestrationStatus.COMPLETED: Phase.COMPLETED,
    OrchestrationStatus.FAILED: Phase.FAILED,
    OrchestrationStatus.TERMINATED: Phase.TERMINATED,
}
_TOLD = {WAITING: Phase.WAITING, WATCHING: Phase.WATCHING}


class Engine:
    """Starts runs, and tells where they are. It may not answer, which every call of it says as `NotReady`."""

    def __init__(self, client: df.DurableFunctionsClient, patience: float = _PATIENCE) -> None:
        self._client = client
        self._patience = patience

    async def start(self, run: str, orchestrator: str = ORCHESTRATOR) -> None:
        """Start a run unless it was started before; a run never starts twice.

        The empty policy says that nothing may be replaced: by default, a finished instance starts again on Azure.

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
        await self._asked(call, run, but=_STARTED)

    async def close(self, run: str, how: str) -> None:
        """Bring a run to its end whose own orchestrator is gone; what does that may end and be started again.

        Raises:
            NotReady: the engine doesn't answer.
        """
        call = self._client.schedule_new_orchestration(
            CLOSE, input={"run": run, "how": how}, instance_id=f"{run}-close", version=VERSION
        )
        await self._asked(call, run, but=_STARTED)

    async def cancel(self, run: str) -> None:
        """Wake a run that waits, so that it sees that it is cancelled; one that has ended needs no waking.

        Raises:
            NotReady: the engine doesn't answer.
        """
        await self._asked(self._client.raise_orchestration_event(run, CANCEL), run, but=_TOO_LATE)

    async def phase(self, run: str) -> Phase:
        """Return where a run is. What it says of itself comes with its payloads only, which are references.

        Raises:
            NotReady: the engine doesn't answer.
        """
        found, status = await self._state(run, run)
        if found is Phase.RUNNING and status.startswith(IN_SEGMENT):
            segment, _ = await self._state(status.removeprefix(IN_SEGMENT), run)
            return Phase.WAITING if segment is Phase.WAITING else found
        return found

    async def _state(self, instance: str, run: str) -> tuple[Phase, str]:
        """Return where an instance is, and what it says of itself."""
        state = await self._asked(self._client.get_orchestration_state(instance, fetch_payloads=True), run)
        if state is None:
            return Phase.MISSING, ""
        status = str(state.get_custom_status() or "")
        return _ENDED.get(state.runtime_status, _TOLD.get(status, Phase.RUNNING)), status

    async def answers(self, seconds: float) -> None:
        """Return when the engine answers.

        Raises:
            NotReady: it doesn't, for so many seconds.
        """
        await self._asked(self._client.get_orchestration_state(_NOBODY, fetch_payloads=False), None, seconds=seconds)

    async def _asked[Told](
        self,
        call: Awaitable[Told],
        run: str | None,
        *,
        seconds: float | None = None,
        but: Collection[grpc.StatusCode] = (),
    ) -> Told | None:
        """Return what the engine answers; None when it answers one of the codes that are no errors here."""
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
