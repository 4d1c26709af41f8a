"""The simulated Dynamics 365 Finance & Operations: its OData service with the entity set BatchJobs."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import ClassVar
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.simulators.common.fault_injection import Misbehaviour
from local.simulators.common.faults import Fault, Occasion
from local.simulators.common.system import SimulatedSystem
from local.simulators.entra import bearer
from local.simulators.entra.issuer import Issuer
from local.simulators.finance_operations import action
from local.simulators.finance_operations.action import ACTION
from local.simulators.finance_operations.batch_job_entity import ENTITY_SET, row
from local.simulators.finance_operations.behaviour import Behaviour
from local.simulators.finance_operations.business_events import BusinessEvents, CallAt
from local.simulators.finance_operations.control_api import FinanceOperationsControl
from local.simulators.finance_operations.jobs import Jobs
from local.simulators.odata import errors
from local.simulators.odata.errors import BadRequestError
from local.simulators.odata.query import answer_list, answer_one, read_query

_ENTITY = re.compile(rf"/data/{ENTITY_SET}\((?:BatchJobRecId=)?(?P<id>\d{{1,19}})\)")
_SERVICE = "/data"
_LIST = f"/data/{ENTITY_SET}"
_ACTION = f"/data/{ENTITY_SET}/{ACTION}"
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class FinanceOperations(SimulatedSystem):
    """One environment.

    Attributes:
        jobs: Its batch jobs.
        book: The calls that it got.
        faults: What goes wrong (kinds: read, list, action, other).
        behaviour: What differs between environments.
        business_events: Who is told when jobs start and end.
    """

    system, title, target = "finance-operations", "Finance & Operations", "FO"
    shown = "/data/BatchJobs"
    looks: ClassVar[Mapping[str, str]] = {"its jobs": "/local/jobs", "its book of calls": "/local/book"}

    def __init__(
        self, now: Callable[[], datetime], issuer: Issuer, call_at: CallAt | None = None, *, port: int = 0
    ) -> None:
        super().__init__("finance and operations", now, port)
        self._issuer = issuer
        self.jobs = Jobs(now, lambda: self.behaviour)
        self.business_events = BusinessEvents(now, self.jobs, call_at)
        self.behaviour = self._usual_behaviour()
        self._misbehaviour = Misbehaviour(
            self.faults,
            now,
            self._error,
            lambda: self.other_url,
            {"not-successful": self._not_successful, "exception": _exception},
        )

    def start(self) -> None:
        """Serve."""
        control = FinanceOperationsControl(self)
        data = [Route(path, self._data, methods=_METHODS) for path in ("/data", "/data/{rest:path}")]
        self.serve(*data, *control.routes())

    def ask_to_stop(self) -> None:
        """Also tell nobody of jobs any more."""
        self.business_events.clear()
        super().ask_to_stop()

    def fill(self) -> None:
        """Put in batch jobs as a company may have them in the morning."""
        self.jobs.sample()

    def reset(self) -> None:
        """Begin anew: no jobs, no faults, an empty book, the usual behaviour, nobody to be told."""
        self.business_events.clear()
        self.faults.clear()
        self.jobs.clear()
        self.book.clear()
        self.behaviour = self._usual_behaviour()

    def _usual_behaviour(self) -> Behaviour:
        known = self._issuer.identities
        return Behaviour(registered={known.client_id, known.system_assigned, known.user_assigned})

    async def _data(self, request: Request) -> Response:
        body = await request.body()
        occasion = _occasion(request, body)

        def act() -> Response:
            return self._refuse(request) or self._act(request, occasion, body)

        seconds = self.behaviour.action_seconds if occasion.kind == "action" else 0
        return await self.logged(request, occasion, self._misbehaviour, act, seconds)

    def _refuse(self, request: Request) -> Response | None:
        """Answer a caller who may not come in (troubleshoot service authentication page)."""
        claims = bearer.claims_of(request, self._issuer, self.url)
        if isinstance(claims, str):
            return self._unauthorized(claims)
        if claims["appid"] in self.behaviour.registered:
            return None
        if self.behaviour.unregistered_status == 401:
            return self._unauthorized("the client is not registered")
        return errors.error(self.behaviour.unregistered_status, "Access is denied.")

    def _unauthorized(self, reason: str) -> Response:
        return Response(status_code=401, headers=bearer.challenge(self._issuer, reason))

    def _act(self, request: Request, occasion: Occasion, body: bytes) -> Response:
        try:
            return self._route(request, occasion, body)
        except BadRequestError as error:
            return errors.bad_request(str(error))

    def _route(self, request: Request, occasion: Occasion, body: bytes) -> Response:
        path = occasion.path
        if path == _ACTION:
            return self._action(request, body)
        known = path in (_SERVICE, f"{_SERVICE}/", _LIST) or _ENTITY.fullmatch(path)
        if not known:
            uri = f"{self.url}{path}"
            return errors.error(404, f"No HTTP resource was found that matches the request URI '{uri}'.")
        if request.method != "GET":
            return _not_allowed(request, "GET")
        if occasion.kind == "list":
            return self._list(request.url.query)
        return self._service_document() if occasion.job is None else self._read(request.url.query, occasion.job)

    def _action(self, request: Request, body: bytes) -> Response:
        if request.method != "POST":
            return _not_allowed(request, "POST")
        if not request.headers.get("content-type", "").lower().startswith("application/json"):
            return errors.error(415, "The request entity's media type is not supported for this resource.")
        job_id, behaviour = action.read_body(body), self.behaviour
        return action.act(self.jobs, job_id, self.url, behaviour.answer_shape, behaviour.refusal)

    def _list(self, query_string: str) -> Response:
        query = read_query(query_string)
        rows = self.jobs.each(row)
        return errors.odata_json(answer_list(rows, query, self.url, self.behaviour.page_size))

    def _read(self, query_string: str, job_id: int) -> Response:
        query, job = read_query(query_string), self.jobs.get(job_id)
        if job is None:
            return errors.error(404, "The request resource is not found.")
        return errors.odata_json(answer_one(row(job), query, self.url))

    def _service_document(self) -> Response:
        """Answer OData JSON Format 4.01, 5."""
        sets = [{"name": ENTITY_SET, "kind": "EntitySet", "url": ENTITY_SET}]
        return errors.odata_json({"@odata.context": f"{self.url}/data/$metadata", "value": sets})

    def _error(self, status: int, message: str) -> Response:
        if status == 401:
            return self._unauthorized(message or "the token is not accepted")
        return errors.error(status, message)

    def _not_successful(self, fault: Fault, call: Occasion, _answer: Response | None) -> Response:
        reason = fault.message or "The batch job could not be updated."
        return action.not_successful(call.job, reason, self.url, self.behaviour.answer_shape)


def _occasion(request: Request, body: bytes) -> Occasion:
    path = unquote(request.scope["raw_path"].decode("ascii"))
    return Occasion(request.method, path, *_kind_and_job(path, body))


def _kind_and_job(path: str, body: bytes) -> tuple[str, int | None]:
    if path == _ACTION:
        return "action", _job_in(body)
    if path == _LIST:
        return "list", None
    match = _ENTITY.fullmatch(path)
    return ("read", int(match["id"])) if match else ("other", None)


def _job_in(body: bytes) -> int | None:
    try:
        return action.read_body(body)
    except BadRequestError:
        return None


def _exception(fault: Fault, _call: Occasion, _answer: Response | None) -> Response:
    return action.exception(fault.message or "Update conflict occurred, please try again.")


def _not_allowed(request: Request, allowed: str) -> Response:
    response = errors.error(405, f"The requested resource does not support http method '{request.method}'.")
    response.headers["Allow"] = allowed
    return response
