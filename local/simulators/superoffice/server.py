"""The simulated SuperOffice: the REST API of one installation, on site or online, and its login host."""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import ClassVar
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from local.simulators.common.fault_injection import LOGIN, Misbehaviour, login_page
from local.simulators.common.faults import Occasion
from local.simulators.common.server import Server
from local.simulators.common.system import SimulatedSystem
from local.simulators.superoffice.access import flaw_of
from local.simulators.superoffice.answers import RefusedError, Reply, json_response, refused, response
from local.simulators.superoffice.api import Asked, Endpoint, SuperOfficeApi
from local.simulators.superoffice.behaviour import UP, SuperOfficeBehaviour
from local.simulators.superoffice.call_log import SuperOfficeBook
from local.simulators.superoffice.control_api import SuperOfficeControl
from local.simulators.superoffice.identities import CONTEXT, Identities, Sessions
from local.simulators.superoffice.login import VERSION, LoginHost, Tenant
from local.simulators.superoffice.tasks import Tasks

_ROOT = f"/{CONTEXT}/api"
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_LIMIT_TEXTS = dict.fromkeys(("requests", "time", "concurrent", "resources"), "Too many requests.")


class SuperOffice(SimulatedSystem):
    """One installation. Online its tenant is on one of two hosts, and the other one turns calls away.

    Attributes:
        tasks: Its batch tasks.
        book: The calls that it got, and what they did.
        faults: What goes wrong (kinds: action, stop, change, delete, read, list, other).
        behaviour: What differs between installations.
        app: The app that is registered.
        sessions: The tickets and tokens that are good.
        login: The login host, with its own book and faults.
    """

    system, title, target = "superoffice", "SuperOffice", "SUPEROFFICE"
    root, shown, access, needs_secret = _ROOT, "/v1/BatchTask", "needs a password", False
    looks: ClassVar[Mapping[str, str]] = {"its tasks": "/local/tasks", "its app": "/local/app"}
    book: SuperOfficeBook

    def __init__(self, now: Callable[[], datetime], *, port: int = 0, login_port: int = 0) -> None:
        super().__init__("superoffice", now, port)
        self._second = Server("second host of superoffice")
        self.book = SuperOfficeBook()
        self.behaviour = SuperOfficeBehaviour()
        self.app = Identities()
        self.tasks = Tasks(now, lambda: self.behaviour)
        self.sessions = Sessions(now, lambda: self.behaviour)
        tenant = Tenant(lambda: self.behaviour, self.app, self.sessions, lambda: self.api_url)
        self.login = LoginHost(now, tenant, port=login_port)
        self._api = SuperOfficeApi(self.tasks, self.book, now, lambda: self.behaviour)
        self._misbehaviour = Misbehaviour(
            self.faults, now, _error, lambda: self.other_url.removesuffix(_ROOT), limit_texts=_LIMIT_TEXTS
        )

    @property
    def api_url(self) -> str:
        """Where the tenant's API is now; `url` is where it was first."""
        port = self._server.port if self.behaviour.pod == 1 else self._second.port
        return f"http://127.0.0.1:{port}{_ROOT}"

    @property
    def credential(self) -> dict[str, str]:
        """The settings by which a target signs its calls."""
        return {"AUTH": "basic", "USERNAME": self.behaviour.user, "PASSWORD": self.behaviour.password}

    def start(self) -> None:
        """Serve on both hosts, and the login host."""
        self.serve(*self._routes(1), *SuperOfficeControl(self).routes())
        page = Route(LOGIN, lambda _request: login_page(), methods=["GET"])
        self._second.start(Starlette(routes=[page, *self._routes(2)]))
        self.login.start()

    def ask_to_stop(self) -> None:
        """Let all three servers end, without waiting."""
        super().ask_to_stop()
        self._second.ask_to_stop()
        self.login.ask_to_stop()

    def stop(self) -> None:
        """End all three servers."""
        super().stop()
        self._second.stop()
        self.login.stop()

    def fill(self) -> None:
        """Put in some tasks."""
        self.tasks.sample()

    def reset(self) -> None:
        """Begin anew: no tasks, no faults, empty books, the usual behaviour, nobody signed in."""
        self.faults.clear()
        self.behaviour = SuperOfficeBehaviour()
        self.tasks.clear()
        self.book.clear()
        self.sessions.clear()
        self.login.reset()

    def _routes(self, pod: int) -> list[BaseRoute]:
        rest = partial(self._rest, pod)
        return [Route(path, rest, methods=_METHODS) for path in (_ROOT, f"{_ROOT}/{{rest:path}}")]

    async def _rest(self, pod: int, request: Request) -> Response:
        body = await request.body()
        whole = unquote(request.scope["raw_path"].decode("ascii"))
        path = whole.removeprefix(_ROOT)
        endpoint, ident, methods = self._api.find(request.method, path)
        job = int(ident) if ident.isdigit() else None
        occasion = Occasion(request.method, whole, endpoint.kind if endpoint else "other", job)

        def act() -> Response:
            asked = Asked(request.query_params, body, ident, f"{self.api_url}{path}")
            try:
                self._refuse(pod)
                return response(self._answered(request, path, endpoint, methods, asked), request)
            except RefusedError as error:
                return self._refused(error, request)

        return await self.logged(request, occasion, self._misbehaviour, act)

    def _refuse(self, pod: int) -> None:
        """Refuse what the tenant does not take, whoever asks."""
        if pod != self.behaviour.pod:
            raise RefusedError(421, "Wrong subdomain used to access tenant")
        if self.behaviour.state not in UP:
            raise RefusedError(503, f"The tenant is not available: {self.behaviour.state}.")

    def _answered(
        self, request: Request, path: str, endpoint: Endpoint | None, methods: list[str], asked: Asked
    ) -> Reply:
        if not path.strip("/"):
            return Reply(self._versions())
        if flaw := flaw_of(request, self.behaviour, self.app, self.sessions):
            raise RefusedError(401, flaw)
        if endpoint is None:
            raise RefusedError(405, "The method is not allowed.") if methods else RefusedError(404, "Not found.")
        if asked.body and not _is_json(request):
            # The product would read XML and forms, too.
            raise RefusedError(415, "The simulated SuperOffice reads JSON only.")
        return endpoint.handler(asked)

    def _refused(self, error: RefusedError, request: Request) -> Response:
        answer = response(refused(error), request)
        if error.status == 401:
            answer.headers["WWW-Authenticate"] = "Bearer" if self.behaviour.is_online else 'Basic realm="SuperOffice"'
        return answer

    def _versions(self) -> dict[str, str]:
        return {"v1": f"{self.api_url}/v1/", "NetServerLabel": VERSION, "Version": "v1"}


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in ("application/json", "text/json")


def _error(status: int, message: str) -> Response:
    return json_response(refused(RefusedError(status, message)))
