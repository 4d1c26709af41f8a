"""The functions of the routing vectors, each echoing what reached it, and some that answer badly."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import azure.functions as func

from shared.core import clock

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

_VECTORS = Path(__file__).parents[3] / "vectors" / "routes.json"


def _echo(name: str) -> Callable[[func.HttpRequest], func.HttpResponse]:
    def function(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse(json.dumps({"function": name, "params": dict(req.route_params)}))

    function.__name__ = name
    return function


def _register(vector: dict[str, Any]) -> None:
    app.function_name(vector["name"])(
        app.route(route=vector["route"], methods=vector["methods"])(_echo(vector["name"]))
    )


for _vector in json.loads(_VECTORS.read_text("utf-8"))["functions"]:
    _register(_vector)


@app.route(route="edge/request/{*rest}", methods=["GET", "POST"])
def request(req: func.HttpRequest) -> func.HttpResponse:
    seen = {
        "url": req.url,
        "headers": dict(req.headers),
        "query": dict(req.params),
        "params": dict(req.route_params),
        "body": req.get_body().decode(),
    }
    return func.HttpResponse(json.dumps(seen), mimetype="application/json")


@app.route(route="edge/locked", auth_level=func.AuthLevel.FUNCTION)
def locked(req: func.HttpRequest) -> str:
    return str(req.method)


@app.route(route="edge/locked-too", auth_level=func.AuthLevel.FUNCTION)
def locked_too(req: func.HttpRequest) -> str:
    return str(req.method)


@app.route(route="edge/admin", auth_level=func.AuthLevel.ADMIN)
def admin(req: func.HttpRequest) -> str:
    return str(req.method)


@app.route(route="edge/broken")
def broken(req: func.HttpRequest) -> str:
    raise LookupError(f"this went wrong: {req.method}")


@app.route(route="edge/headers")
def headers(req: func.HttpRequest) -> func.HttpResponse:
    answer = func.HttpResponse("x", headers={"X-Twice": "first", "Content-Length": "7"})
    answer.headers["x-twice"] = "second" if "set" in req.params else answer.headers["x-twice"]
    answer.headers.add("X-TWICE", "third")
    return answer


@app.route(route="edge/cookies")
def cookies(req: func.HttpRequest) -> func.HttpResponse:
    answer = func.HttpResponse(req.method)
    answer.headers.add("Set-Cookie", "a=1; Path=/x; HttpOnly; Max-Age=5")
    answer.headers.add("Set-Cookie", "b=2; Secure; SameSite=Lax")
    return answer


@app.route(route="edge/nothing")
def nothing(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.method, status_code=204)


@app.route(route="edge/sleep/{seconds}")
async def sleep(req: func.HttpRequest) -> str:
    before = clock.now()
    await clock.sleep_async(float(req.route_params["seconds"]))
    return str((clock.now() - before).total_seconds())


@app.route(route="edge/environment")
def environment(req: func.HttpRequest) -> str:
    return json.dumps(dict(os.environ) | {"method": req.method})


@app.route(route="edge/die")
def die(req: func.HttpRequest) -> str:
    os._exit(len(req.method))
