"""Run a handler, and return its response or its problem. Of `shared`, only this package imports azure.functions."""

from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING

import azure.functions as func

from shared.core.problems import NotReady, Problem
from shared.core.response import Response

if TYPE_CHECKING:
    from shared.validation.request import Call


async def serve(
    request: func.HttpRequest,
    function: str,
    work: Callable[["Call"], Awaitable[Response]],
    parameters: Collection[str] | None = (),
    finish: Callable[[Response], Response] | None = None,
) -> func.HttpResponse:
    """Return the response of `work`, or the problem that it raises.

    `parameters` are the names of the query parameters that the function knows; None passes all to the system. `finish`
    adds what a system's own clients look for.
    """
    from shared.validation.request import Call  # noqa: PLC0415 - a cold start reads no settings, and knows no callers

    try:
        call = Call.of(request, function)
        call.check_host()
        call.check_parameters(parameters)
        response = await work(call)
    except Problem as problem:
        retry = {"Retry-After": "10"} if isinstance(problem, NotReady) else {}
        response = problem.answer().with_headers(retry)
    return _to_azure(finish(response) if finish else response)


def _to_azure(response: Response) -> func.HttpResponse:
    return func.HttpResponse(
        response.body, status_code=response.status, headers=dict(response.headers), mimetype=response.content_type
    )
