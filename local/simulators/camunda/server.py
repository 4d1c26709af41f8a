"""The simulated Camunda 7: the REST API of one process engine, as the Spring Boot starter serves it."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import ClassVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.simulators.camunda import answers
from local.simulators.camunda.answers import MistypedError, RefusedError, invalid, routing
from local.simulators.camunda.api import Asked, CamundaApi, Path
from local.simulators.camunda.behaviour import CamundaBehaviour
from local.simulators.camunda.control_api import CamundaControl
from local.simulators.camunda.engine import Engine
from local.simulators.common.fault_injection import Misbehaviour
from local.simulators.common.faults import Occasion
from local.simulators.common.system import SimulatedSystem
from local.simulators.entra import bearer
from local.simulators.entra.issuer import Issuer

_ROOT = "/engine-rest"
_ENGINE = "default"
_NAMED = re.compile(r"/engine/(?P<name>[^/]+)(?P<rest>/.+)")
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_LIMIT_TEXTS = dict.fromkeys(("requests", "time", "concurrent", "resources"), "Too many requests.")


class Camunda(SimulatedSystem):
    """One engine and its REST API.

    Attributes:
        engine: Its jobs and batches.
        book: The calls that it got.
        faults: What goes wrong (kinds: list, action, batch, history, incident, version, other).
        behaviour: What differs between engines.
    """

    system, title, target = "camunda", "Camunda 7", "CAMUNDA"
    root, shown, access, needs_secret = _ROOT, "/job", "lets everybody in", False
    looks: ClassVar[Mapping[str, str]] = {"its jobs": "/local/jobs", "its batches": "/local/batches"}

    def __init__(self, now: Callable[[], datetime], issuer: Issuer, *, port: int = 0) -> None:
        super().__init__("camunda", now, port)
        self._issuer = issuer
        self.behaviour = CamundaBehaviour()
        self.engine = Engine(now, lambda: self.behaviour)
        self._api = CamundaApi(self.engine, now, lambda: self.behaviour)
        self._misbehaviour = Misbehaviour(
            self.faults,
            now,
            lambda status, message: answers.faulty(status, message, self.behaviour),
            lambda: self.other_url.removesuffix(_ROOT),
            {"conflict": lambda *_: answers.conflict(self.behaviour)},
            limit_texts=_LIMIT_TEXTS,
        )

    def start(self) -> None:
        """Serve."""
        rest = Route(f"{_ROOT}/{{rest:path}}", self._rest, methods=_METHODS)
        self.serve(rest, *CamundaControl(self).routes())

    def fill(self) -> None:
        """Put in some jobs and batches."""
        self.engine.sample()

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

        def act() -> Response:
            user = "" if path == "/engine" else self._user(request)
            if isinstance(user, Response):
                return user
            asked = Asked(request.method, request.query_params, body, ident, user or None)
            return self._answered(request, engine, found, asked)

        return await self.logged(request, occasion, self._misbehaviour, act)

    def _user(self, request: Request) -> str | Response:
        """Return the name of the user, "" for nobody in particular, or the refusal of the call.

        Basic is what the engine itself can do; a bearer means a gateway or a resource server before it.
        """
        behaviour = self.behaviour
        if behaviour.auth == "none":
            return ""
        if behaviour.auth == "basic":
            known = _basic(request) == (behaviour.user, behaviour.password)
            return behaviour.user if known else answers.unauthorized()
        if behaviour.auth == "static":
            known = request.headers.get("authorization") == f"Bearer {behaviour.token}"
            return behaviour.user if known else answers.unauthorized({"WWW-Authenticate": "Bearer"})
        claims = bearer.claims_of(request, self._issuer, behaviour.audience)
        if isinstance(claims, str):
            return answers.unauthorized(bearer.challenge(self._issuer, claims))
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
            return answers.refused(error, self.behaviour)
        except MistypedError as error:
            return answers.mistyped(error, self.behaviour)

    def _no_engine(self, name: str) -> RefusedError:
        if self.behaviour.unknown_engine == 404:
            return invalid(f"Process engine {name} not available", 404)
        return invalid("No process engine available")

    def _not_allowed(self, found: Path) -> Response:
        response = answers.refused(routing(405), self.behaviour)
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
