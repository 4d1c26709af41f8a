"""The paths under /local that only SuperOffice has: its tasks, its app, and what of its credentials is revoked."""

from typing import Protocol

from pydantic import BaseModel, ConfigDict, TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from local.simulators.common.control_api import Control, Controlled, Path, answer
from local.simulators.superoffice.identities import CONTEXT, Identities, Revocable, Sessions
from local.simulators.superoffice.login import LoginHost
from local.simulators.superoffice.task import TaskSettings
from local.simulators.superoffice.tasks import Tasks

_TASKS = TypeAdapter(list[TaskSettings])


class _Revocation(BaseModel):
    """What is good no longer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    revoke: list[Revocable]


class WithTasks(Controlled, Protocol):
    """What is controlled here."""

    tasks: Tasks
    app: Identities
    sessions: Sessions
    login: LoginHost


class SuperOfficeControl(Control):
    """What can be looked at and changed over HTTP."""

    def __init__(self, system: WithTasks) -> None:
        super().__init__(system)
        self._of = system

    def more(self) -> list[Path]:
        """Return the paths that only this system has."""
        return [
            ("GET", "/local/tasks", self._read_tasks),
            ("POST", "/local/tasks", self._add_tasks),
            ("GET", "/local/app", self._read_app),
            ("POST", "/local/sessions", self._revoke),
        ]

    async def _read_tasks(self, _request: Request) -> Response:
        return answer({"tasks": self._of.tasks.all()})

    async def _add_tasks(self, request: Request) -> Response:
        settings = _TASKS.validate_json(await request.body())
        return answer({"ids": [self._of.tasks.add(**task) for task in settings]}, 201)

    async def _read_app(self, _request: Request) -> Response:
        """Tell what a person needs to configure a target: all of it is made up, and gone when this stops."""
        app = self._of.app
        return answer(
            {
                "login_url": self._of.login.url,
                "context": CONTEXT,
                "client_id": app.client_id,
                "client_secret": app.client_secret,
                "system_token": app.system_token,
                "private_key": app.private_key_pem,
                "refresh_token": self._of.sessions.refresh_token,
            },
        )

    async def _revoke(self, request: Request) -> Response:
        for kind in _Revocation.model_validate_json(await request.body()).revoke:
            self._of.sessions.revoke(kind)
        return Response(status_code=204)
