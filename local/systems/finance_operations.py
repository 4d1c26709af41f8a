"""The simulated Dynamics 365 Finance & Operations: its OData service with the entity set BatchJobs."""

import re
from collections.abc import Callable
from datetime import datetime
from urllib.parse import unquote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.systems import bearer, odata_errors, set_batch_job_to_waiting
from local.systems.batch_job_entity import ENTITY_SET, row
from local.systems.behaviour import Behaviour
from local.systems.book import Book
from local.systems.business_events import BusinessEvents, CallAt
from local.systems.faults import Fault, Faults, Occasion
from local.systems.finance_operations_control import FinanceOperationsControl
from local.systems.issuer import Issuer
from local.systems.jobs import Jobs
from local.systems.misbehaviour import Misbehaviour
from local.systems.odata_errors import BadRequestError
from local.systems.odata_query import answer_list, answer_one, read_query
from local.systems.serving import Cut, Server
from local.systems.set_batch_job_to_waiting import ACTION

_ENTITY = re.compile(rf"/data/{ENTITY_SET}\((?:BatchJobRecId=)?(?P<id>\d{{1,19}})\)")
_SERVICE = "/data"
_LIST = f"/data/{ENTITY_SET}"
_ACTION = f"/data/{ENTITY_SET}/{ACTION}"
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class FinanceOperations:
    """One environment.

    Attributes:
        jobs: Its batch jobs.
        book: The calls that it got.
        faults: What goes wrong (kinds: read, list, action, other).
        behaviour: What differs between environments.
        business_events: Who is told when jobs start and end.
    """

    def __init__(self, now: Callable[[], datetime], issuer: Issuer, call_at: CallAt | None = None) -> None:
        self._now = now
        self._issuer = issuer
        self._server = Server("finance and operations")
        self.jobs = Jobs(now, lambda: self.behaviour)
        self.business_events = BusinessEvents(now, self.jobs, call_at)
        self.book = Book()
        self.faults = Faults()
        self.behaviour = self._usual_behaviour()
        self._misbehaviour = Misbehaviour(
            self.faults,
            now,
            self._error,
            lambda: self.other_url,
            {"not-successful": self._not_successful, "exception": _exception},
        )

    @property
    def url(self) -> str:
        """The environment's URL, which is also the audience of its tokens."""
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def other_url(self) -> str:
        """The same server under another origin: a client that goes there with its token is found in the book."""
        return f"http://localhost:{self._server.port}"

    def start(self) -> None:
        """Serve."""
        control = FinanceOperationsControl(self)
        data = [Route(path, self._data, methods=_METHODS) for path in ("/data", "/data/{rest:path}")]
        self._server.start(Starlette(routes=[*data, *control.routes()]))

    def ask_to_stop(self) -> None:
        """Tell nobody of jobs any more, cut what is held and let the server end, without waiting."""
        self.business_events.clear()
        self.faults.clear()
        self._server.ask_to_stop()

    def stop(self) -> None:
        """End the server."""
        self.ask_to_stop()
        self._server.stop()

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
        call = self.book.open(self._now(), request, occasion.kind, occasion.job)

        def act() -> Response:
            return self._refuse(request) or self._act(request, occasion, body)

        response = await self._misbehaviour.answer(occasion, act)
        call.status = "cut" if isinstance(response, Cut) else response.status_code
        return response

    def _refuse(self, request: Request) -> Response | None:
        """Answer a caller who may not come in (troubleshoot service authentication page)."""
        claims = bearer.claims_of(request, self._issuer, self.url)
        if isinstance(claims, str):
            return self._unauthorized(claims)
        if claims["appid"] in self.behaviour.registered:
            return None
        if self.behaviour.unregistered_status == 401:
            return self._unauthorized("the client is not registered")
        return odata_errors.error(self.behaviour.unregistered_status, "Access is denied.")

    def _unauthorized(self, reason: str) -> Response:
        return Response(status_code=401, headers=bearer.challenge(self._issuer, reason))

    def _act(self, request: Request, occasion: Occasion, body: bytes) -> Response:
        try:
            return self._route(request, occasion, body)
        except BadRequestError as error:
            return odata_errors.bad_request(str(error))

    def _route(self, request: Request, occasion: Occasion, body: bytes) -> Response:
        path = occasion.path
        if path == _ACTION:
            return self._action(request, body)
        known = path in (_SERVICE, f"{_SERVICE}/", _LIST) or _ENTITY.fullmatch(path)
        if not known:
            uri = f"{self.url}{path}"
            return odata_errors.error(404, f"No HTTP resource was found that matches the request URI '{uri}'.")
        if request.method != "GET":
            return _not_allowed(request, "GET")
        if occasion.kind == "list":
            return self._list(request.url.query)
        return self._service_document() if occasion.job is None else self._read(request.url.query, occasion.job)

    def _action(self, request: Request, body: bytes) -> Response:
        if request.method != "POST":
            return _not_allowed(request, "POST")
        if not request.headers.get("content-type", "").lower().startswith("application/json"):
            return odata_errors.error(415, "The request entity's media type is not supported for this resource.")
        job_id, behaviour = set_batch_job_to_waiting.read_body(body), self.behaviour
        return set_batch_job_to_waiting.act(self.jobs, job_id, self.url, behaviour.answer_shape, behaviour.refusal)

    def _list(self, query_string: str) -> Response:
        query = read_query(query_string)
        rows = self.jobs.each(row)
        return odata_errors.odata_json(answer_list(rows, query, self.url, self.behaviour.page_size))

    def _read(self, query_string: str, job_id: int) -> Response:
        query, job = read_query(query_string), self.jobs.get(job_id)
        if job is None:
            return odata_errors.error(404, "The request resource is not found.")
        return odata_errors.odata_json(answer_one(row(job), query, self.url))

    def _service_document(self) -> Response:
        """Answer OData JSON Format 4.01, 5."""
        sets = [{"name": ENTITY_SET, "kind": "EntitySet", "url": ENTITY_SET}]
        return odata_errors.odata_json({"@odata.context": f"{self.url}/data/$metadata", "value": sets})

    def _error(self, status: int, message: str) -> Response:
        if status == 401:
            return self._unauthorized(message or "the token is not accepted")
        return odata_errors.error(status, message)

    def _not_successful(self, fault: Fault, call: Occasion, _answer: Response | None) -> Response:
        reason = fault.message or "The batch job could not be updated."
        return set_batch_job_to_waiting.not_successful(call.job, reason, self.url, self.behaviour.answer_shape)


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
        return set_batch_job_to_waiting.read_body(body)
    except BadRequestError:
        return None


def _exception(fault: Fault, _call: Occasion, _answer: Response | None) -> Response:
    return set_batch_job_to_waiting.exception(fault.message or "Update conflict occurred, please try again.")


def _not_allowed(request: Request, allowed: str) -> Response:
    response = odata_errors.error(405, f"The requested resource does not support http method '{request.method}'.")
    response.headers["Allow"] = allowed
    return response
