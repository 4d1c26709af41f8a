"""The engine, as the HTTP functions see it. With `orchestrators`, the only place that knows the Durable SDK."""

from enum import Enum

import azure.durable_functions as df
import grpc
from durabletask.client import OrchestrationStatus
from durabletask.internal.orchestrator_service_pb2 import OrchestrationIdReusePolicy

from shared.problems import NotReady

ORCHESTRATOR = "carry_out_run"
BATCH = "carry_out_batch"
SEGMENT = "carry_out_segment"
VERSION = "1"
"""The version of the orchestrators. The engine starts none that is newer than `defaultVersion` in host.json, without an
error, so the two are the same."""
CANCEL = "cancel"
WAITING = "waiting"
WATCHING = "watching"
_TOO_LATE = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)


class Phase(Enum):
    """Where the engine has a run."""

    MISSING = "missing"
    RUNNING = "running"
    WATCHING = "watching"
    ENDED = "ended"
    BROKEN = "broken"


_PHASES = {
    OrchestrationStatus.COMPLETED: Phase.ENDED,
    OrchestrationStatus.FAILED: Phase.BROKEN,
    OrchestrationStatus.TERMINATED: Phase.BROKEN,
}


class Engine:
    """Starts runs, and tells where they are."""

    def __init__(self, client: df.DurableFunctionsClient) -> None:
        self._client = client

    async def start(self, run: str, orchestrator: str = ORCHESTRATOR) -> None:
        """Start a run unless it was started before; a run never starts twice.

        The empty policy says that nothing may be replaced: by default, a finished instance starts again on Azure.

        Raises:
            NotReady: the engine doesn't answer.
        """
        try:
            await self._client.schedule_new_orchestration(
                orchestrator,
                input={"run": run},
                instance_id=run,
                reuse_id_policy=OrchestrationIdReusePolicy(),
                version=VERSION,
            )
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                raise NotReady(f"The engine does not answer ({error.code().name}).", run=run) from error

    async def cancel(self, run: str) -> None:
        """Wake a run that waits, so that it sees that it is cancelled; one that has ended needs no waking.

        Raises:
            NotReady: the engine doesn't answer.
        """
        try:
            await self._client.raise_orchestration_event(run, CANCEL)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _TOO_LATE:
                raise NotReady(f"The engine does not answer ({error.code().name}).", run=run) from error

    async def waits(self, run: str) -> bool:
        """Tell whether all parts of a run wait for a system at present.

        Raises:
            NotReady: the engine doesn't answer.
        """
        return (await self._state(run))[1] == WAITING

    async def phase(self, run: str) -> Phase:
        """Return where a run is, without its payloads.

        Raises:
            NotReady: the engine doesn't answer.
        """
        return (await self._state(run))[0]

    async def _state(self, run: str) -> tuple[Phase, str]:
        try:
            state = await self._client.get_orchestration_state(run, fetch_payloads=False)
        except grpc.aio.AioRpcError as error:
            raise NotReady(f"The engine does not answer ({error.code().name}).", run=run) from error
        if state is None:
            return Phase.MISSING, ""
        status = str(state.get_custom_status() or "")
        running = Phase.WATCHING if status == WATCHING else Phase.RUNNING
        return _PHASES.get(state.runtime_status, running), status
