"""The paths under /local that only OpenDataDSL has: its batches, its objects and its executions."""

from typing import Protocol

from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from local.simulators.common.control_api import Control, Controlled, Path, answer
from local.simulators.opendatadsl.batches import Batches
from local.simulators.opendatadsl.execution import ExecutionSettings
from local.simulators.opendatadsl.executions import Executions
from local.simulators.opendatadsl.summary import SummarySettings

_SUMMARIES = TypeAdapter(list[SummarySettings])
_EXECUTIONS = TypeAdapter(list[ExecutionSettings])


class WithBatches(Controlled, Protocol):
    """What is controlled here."""

    batches: Batches
    executions: Executions


class OpenDataDslControl(Control):
    """What can be looked at and changed over HTTP."""

    def __init__(self, system: WithBatches) -> None:
        super().__init__(system)
        self._of = system

    def more(self) -> list[Path]:
        """Return the paths that only this system has."""
        return [
            ("GET", "/local/batches", self._read_batches),
            ("POST", "/local/batches", self._add_batches),
            ("GET", "/local/objects", self._read_objects),
            ("GET", "/local/executions", self._read_executions),
            ("POST", "/local/executions", self._add_executions),
        ]

    async def _read_batches(self, _request: Request) -> Response:
        return answer({"batches": self._of.batches.all()})

    async def _add_batches(self, request: Request) -> Response:
        for settings in _SUMMARIES.validate_json(await request.body()):
            self._of.batches.add(settings)
        return Response(status_code=204)

    async def _read_objects(self, _request: Request) -> Response:
        return answer({"objects": self._of.batches.objects()})

    async def _read_executions(self, _request: Request) -> Response:
        return answer({"executions": self._of.executions.all()})

    async def _add_executions(self, request: Request) -> Response:
        settings = _EXECUTIONS.validate_json(await request.body())
        return answer({"ids": [self._of.executions.add(**one) for one in settings]}, 201)
