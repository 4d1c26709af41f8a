"""The paths under /local that only Finance & Operations has: its jobs, their causes, and who is told of them."""

import asyncio
from typing import Protocol

from pydantic import BaseModel, ConfigDict, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from local.simulators.common.causes_api import cause_paths
from local.simulators.common.control_api import Control, Controlled, Path, answer
from local.simulators.finance_operations.batch_job import Happening, JobSettings
from local.simulators.finance_operations.business_events import BusinessEvents
from local.simulators.finance_operations.event_shapes import Shape
from local.simulators.finance_operations.jobs import Jobs

_JOBS = TypeAdapter(list[JobSettings])


class _NewEndpoint(BaseModel):
    """An endpoint that wants to hear of jobs."""

    # What was wrong is told without what was sent: the URL may hold a key.
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    url: str
    shape: Shape = "plain"
    kinds: set[Happening] = {"failed"}


class _Again(BaseModel):
    """An event that is to be delivered once more."""

    model_config = ConfigDict(extra="forbid", strict=True)

    event: str


class WithJobs(Controlled, Protocol):
    """What is controlled here."""

    jobs: Jobs
    business_events: BusinessEvents


class FinanceOperationsControl(Control):
    """What can be looked at and changed over HTTP."""

    def __init__(self, system: WithJobs) -> None:
        super().__init__(system)
        self._jobs = system.jobs
        self._events = system.business_events

    def more(self) -> list[Path]:
        """Return the paths that only this system has."""
        return [
            ("GET", "/local/jobs", self._read_jobs),
            ("POST", "/local/jobs", self._add_jobs),
            *cause_paths(self._jobs),
            ("GET", "/local/business-events", self._read_events),
            ("POST", "/local/business-events", self._subscribe),
            ("DELETE", "/local/business-events", self._unsubscribe),
            ("POST", "/local/business-events/again", self._send_again),
        ]

    async def _read_jobs(self, _request: Request) -> Response:
        return answer({"jobs": self._jobs.all()})

    async def _add_jobs(self, request: Request) -> Response:
        settings = _JOBS.validate_json(await request.body())
        return answer({"ids": [self._jobs.add(**job) for job in settings]}, 201)

    async def _read_events(self, _request: Request) -> Response:
        events = self._events
        return answer({"subscriptions": events.subscriptions(), "deliveries": events.deliveries()})

    async def _subscribe(self, request: Request) -> Response:
        wish = _NewEndpoint.model_validate_json(await request.body())
        subscribe = self._events.subscribe
        # The endpoint may well ask this system something before it answers.
        return answer(await asyncio.to_thread(subscribe, wish.url, wish.shape, wish.kinds), 201)

    async def _unsubscribe(self, _request: Request) -> Response:
        self._events.clear()
        return Response(status_code=204)

    async def _send_again(self, request: Request) -> Response:
        wish = _Again.model_validate_json(await request.body())
        try:
            await asyncio.to_thread(self._events.send_again, wish.event)
        except KeyError:
            return answer({"error": "There was no such event."}, 404)
        return Response(status_code=204)
