"""The simulated OpenDataDSL: the batch service, the process execution service and the process service of one tenant."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import ClassVar
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.simulators.common.fault_injection import Misbehaviour
from local.simulators.common.faults import Occasion
from local.simulators.common.system import SimulatedSystem
from local.simulators.entra.issuer import Issuer
from local.simulators.opendatadsl.access import user_of
from local.simulators.opendatadsl.answers import RefusedError, refused
from local.simulators.opendatadsl.api import Asked, Endpoint, OpenDataDslApi
from local.simulators.opendatadsl.batches import Batches
from local.simulators.opendatadsl.behaviour import PRODUCTION, OpenDataDslBehaviour
from local.simulators.opendatadsl.call_log import OpenDataDslBook
from local.simulators.opendatadsl.client_paths import as_documented
from local.simulators.opendatadsl.control_api import OpenDataDslControl
from local.simulators.opendatadsl.executions import Executions

_ROOT = "/api"
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_FORM = "application/x-www-form-urlencoded"
_LIMIT_TEXTS = dict.fromkeys(("requests", "time", "concurrent", "resources"), "Too many requests.")


class OpenDataDsl(SimulatedSystem):
    """One tenant, with its data environments.

    Attributes:
        batches: The batches that came, and the objects that they wrote.
        executions: The executions of its processes.
        book: The calls that it got, and what they did.
        faults: What goes wrong (kinds: action, list, read, delete, process, other).
        behaviour: What differs between tenants, or is not documented.
    """

    system, title, target = "opendatadsl", "OpenDataDSL", "OPENDATADSL"
    root, shown = _ROOT, "/batch/v1"
    looks: ClassVar[Mapping[str, str]] = {
        "its batches": "/local/batches",
        "its objects": "/local/objects",
        "its executions": "/local/executions",
    }
    book: OpenDataDslBook

    def __init__(self, now: Callable[[], datetime], issuer: Issuer, *, port: int = 0) -> None:
        super().__init__("opendatadsl", now, port)
        self._issuer = issuer
        self.book = OpenDataDslBook()
        self.behaviour = OpenDataDslBehaviour()
        self.batches = Batches(now, lambda: self.behaviour, self.book)
        self.executions = Executions(now, lambda: self.behaviour)
        self._api = OpenDataDslApi(self.batches, self.executions, self.book, now, lambda: self.behaviour)
        self._misbehaviour = Misbehaviour(
            self.faults, now, refused, lambda: self.other_url.removesuffix(_ROOT), limit_texts=_LIMIT_TEXTS
        )

    def start(self) -> None:
        """Serve."""
        rest = Route(f"{_ROOT}/{{rest:path}}", self._rest, methods=_METHODS)
        self.serve(rest, *OpenDataDslControl(self).routes())

    def fill(self) -> None:
        """Put in the summaries and the executions of a night."""
        self.batches.sample()
        self.executions.sample()

    def reset(self) -> None:
        """Begin anew: no batches, objects or executions, no faults, an empty book, the usual behaviour."""
        self.faults.clear()
        self.behaviour = OpenDataDslBehaviour()
        self.batches.clear()
        self.executions.clear()
        self.book.clear()

    async def _rest(self, request: Request) -> Response:
        body = await request.body()
        whole: str = request.scope["raw_path"].decode("ascii")
        path = whole.removeprefix(_ROOT)
        if self.behaviour.client_paths:
            path = as_documented(request.method, path)
        endpoint, ident, methods = self._api.find(request.method, path)
        occasion = Occasion(request.method, whole, endpoint.kind if endpoint else "other")

        def act() -> Response:
            try:
                user = user_of(request, self.behaviour, self._issuer)
                asked = Asked(_params(request, body), body, ident, user, self._environment(request))
                return self._answered(endpoint, methods, asked)
            except RefusedError as error:
                return refused(error.status, error.reason)

        return await self.logged(request, occasion, self._misbehaviour, act)

    def _environment(self, request: Request) -> str:
        name = request.headers.get("x-odsl-environment", PRODUCTION)
        if name not in self.behaviour.environments:
            raise RefusedError(400, f"There is no environment {name}.")
        return name

    def _answered(self, endpoint: Endpoint | None, methods: list[str], asked: Asked) -> Response:
        if endpoint is None:
            raise RefusedError(405, "The method is not allowed.") if methods else RefusedError(404, "Not found.")
        return endpoint.handler(asked)


def _params(request: Request, body: bytes) -> list[tuple[str, str]]:
    """Return the query parameters; those of a long query may be in the body of a GET (Standards and Conventions)."""
    params = request.query_params.multi_items()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method == "GET" and kind == _FORM:
        params += parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    return params
