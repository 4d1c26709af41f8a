"""The simulated Camunda 7: the REST API of one process engine, as the Spring Boot starter serves it."""

import base64
import binascii
import re
from collections.abc import Callable
from datetime import datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.systems import bearer, camunda_answers
from local.systems.book import Book
from local.systems.camunda_answers import MistypedError, RefusedError, invalid, routing
from local.systems.camunda_api import Asked, CamundaApi, Path
from local.systems.camunda_behaviour import CamundaBehaviour
from local.systems.camunda_control import CamundaControl
from local.systems.camunda_engine import Engine
from local.systems.faults import Faults, Occasion
from local.systems.issuer import Issuer
from local.systems.misbehaviour import Misbehaviour
from local.systems.serving import Cut, Server

_ROOT = "/engine-rest"
_ENGINE = "default"
_NAMED = re.compile(r"/engine/(?P<name>[^/]+)(?P<rest>/.+)")
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_LIMIT_TEXTS = dict.fromkeys(("requests", "time", "concurrent", "resources"), "Too many requests.")


class Camunda:
    """One engine and its REST API.

    Attributes:
        engine: Its jobs and batches.
        book: The calls that it got.
        faults: What goes wrong (kinds: list, action, batch, history, incident, version, other).
        behaviour: What differs between engines.
    """

    def __init__(self, now: Callable[[], datetime], issuer: Issuer) -> None:
        self._now = now
        self._issuer = issuer
        self._server = Server("camunda")
        self.behaviour = CamundaBehaviour()
        self.engine = Engine(now, lambda: self.behaviour)
        self.book = Book()
        self.faults = Faults()
        self._api = CamundaApi(self.engine, now, lambda: self.behaviour)
        self._misbehaviour = Misbehaviour(
            self.faults,
            now,
            lambda status, message: camunda_answers.faulty(status, message, self.behaviour),
            lambda: f"http://localhost:{self._server.port}",
            {"conflict": lambda *_: camunda_answers.conflict(self.behaviour)},
            limit_texts=_LIMIT_TEXTS,
        )

    @property
    def url(self) -> str:
        """What the paths of the REST API hang under."""
        return f"http://127.0.0.1:{self._server.port}{_ROOT}"

    @property
    def other_url(self) -> str:
        """The same server under another origin: a client that goes there with its secret is found in the book."""
        return f"http://localhost:{self._server.port}{_ROOT}"

    def start(self) -> None:
        """Serve."""
        rest = Route(f"{_ROOT}/{{rest:path}}", self._rest, methods=_METHODS)
        self._server.start(Starlette(routes=[rest, *CamundaControl(self).routes()]))

    def ask_to_stop(self) -> None:
        """Cut what is held and let the server end, without waiting."""
        self.faults.clear()
        self._server.ask_to_stop()

    def stop(self) -> None:
        """End the server."""
        self.ask_to_stop()
        self._server.stop()

    def reset(self) -> None:
        """Begin anew: no jobs, no batches, no faults, an empty book, the usual behaviour."""
        self.faults.clear()
        self.behaviour = CamundaBehaviour()
        self.engine.clear()
        self.book.clear()

    async def _rest(self, request: Request) -> Response:
        body = await request.body()
        whole: str = request.scope["raw_path"].decode("ascii")
        engine, path = _engine_and_path(whole.removeprefix(_ROOT))
        found, ident = self._api.find(path)
        occasion = Occasion(request.method, whole, found.kind if found else "other")
        call = self.book.open(self._now(), request, occasion.kind, None)

        def act() -> Response:
            user = "" if path == "/engine" else self._user(request)
            if isinstance(user, Response):
                return user
            asked = Asked(request.method, request.query_params, body, ident, user or None)
            return self._answered(request, engine, found, asked)

        response = await self._misbehaviour.answer(occasion, act)
        call.status = "cut" if isinstance(response, Cut) else response.status_code
        return response

    def _user(self, request: Request) -> str | Response:
        """Return the name of the user, "" for nobody in particular, or the refusal of the call.

        Basic is what the engine itself can do; a bearer means a gateway or a resource server before it.
        """
        behaviour = self.behaviour
        if behaviour.auth == "none":
            return ""
        if behaviour.auth == "basic":
            known = _basic(request) == (behaviour.user, behaviour.password)
            return behaviour.user if known else camunda_answers.unauthorized()
        if behaviour.auth == "static":
            known = request.headers.get("authorization") == f"Bearer {behaviour.token}"
            return behaviour.user if known else camunda_answers.unauthorized({"WWW-Authenticate": "Bearer"})
        claims = bearer.claims_of(request, self._issuer, behaviour.audience)
        if isinstance(claims, str):
            return camunda_answers.unauthorized(bearer.challenge(self._issuer, claims))
        return str(claims["appid"])

    def _answered(self, request: Request, engine: str, found: Path | None, asked: Asked) -> Response:
        try:
            if engine != _ENGINE:
                raise self._no_engine(engine)
            if found is None:
                raise routing(404)
            if asked.method not in found.handlers:
                return self._not_allowed(found)
            if asked.body and not _is_json(request):
                raise routing(415)
            return found.handlers[asked.method](asked)
        except RefusedError as error:
            return camunda_answers.refused(error, self.behaviour)
        except MistypedError as error:
            return camunda_answers.mistyped(error, self.behaviour)

    def _no_engine(self, name: str) -> RefusedError:
        if self.behaviour.unknown_engine == 404:
            return invalid(f"Process engine {name} not available", 404)
        return invalid("No process engine available")

    def _not_allowed(self, found: Path) -> Response:
        response = camunda_answers.refused(routing(405), self.behaviour)
        response.headers["Allow"] = ",".join(sorted({*found.handlers, "OPTIONS"}))
        return response


def _engine_and_path(path: str) -> tuple[str, str]:
    """Return the engine that a path names, or the default one, and the rest of it."""
    match = _NAMED.fullmatch(path)
    return (match["name"], match["rest"]) if match else (_ENGINE, path)


def _is_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "application/json")
    return kind.partition(";")[0].strip().lower() == "application/json"


def _basic(request: Request) -> tuple[str, str] | None:
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(text, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return user, password
