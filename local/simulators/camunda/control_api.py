"""The paths under /local that only Camunda has: its jobs, their causes, its batches and its process instances."""

from typing import Protocol

from pydantic import BaseModel, ConfigDict, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from local.simulators.camunda.engine import Engine
from local.simulators.camunda.job import JobSettings
from local.simulators.common.causes_api import cause_paths
from local.simulators.common.control_api import Control, Controlled, Path, answer

_JOBS = TypeAdapter(list[JobSettings])


class _Deletion(BaseModel):
    """A process instance to delete."""

    model_config = ConfigDict(extra="forbid", strict=True)

    instance: str


class WithEngine(Controlled, Protocol):
    """What is controlled here."""

    engine: Engine


class CamundaControl(Control):
    """What can be looked at and changed over HTTP."""

    def __init__(self, system: WithEngine) -> None:
        super().__init__(system)
        self._engine = system.engine

    def more(self) -> list[Path]:
        """Return the paths that only this system has."""
        return [
            ("GET", "/local/jobs", self._read_jobs),
            ("POST", "/local/jobs", self._add_jobs),
            *cause_paths(self._engine),
            ("GET", "/local/executions", self._read_executions),
            ("GET", "/local/batches", self._read_batches),
            ("POST", "/local/instances/delete", self._delete_instance),
        ]

    async def _read_jobs(self, _request: Request) -> Response:
        return answer({"jobs": self._engine.jobs()})

    async def _add_jobs(self, request: Request) -> Response:
        settings = _JOBS.validate_json(await request.body())
        return answer({"ids": [self._engine.add_job(**job) for job in settings]}, 201)

    async def _read_executions(self, _request: Request) -> Response:
        return answer({"executions": self._engine.all_executions()})

    async def _read_batches(self, _request: Request) -> Response:
        return answer({"batches": self._engine.batches()})

    async def _delete_instance(self, request: Request) -> Response:
        wish = _Deletion.model_validate_json(await request.body())
        try:
            self._engine.delete_instance(wish.instance)
        except KeyError:
            return answer({"error": "There was no such process instance."}, 404)
        return Response(status_code=204)
