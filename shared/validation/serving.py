"""Run a handler, and return its response or its problem. Of `shared`, only this package imports azure.functions."""

from collections.abc import Awaitable, Callable

import azure.functions as func

from shared.core.problems import NotReady, Problem
from shared.core.response import Response
from shared.validation.request import Call


async def serve(
    request: func.HttpRequest, function: str, work: Callable[[Call], Awaitable[Response]]
) -> func.HttpResponse:
    """Return the response of `work`, or the problem that it raises."""
    try:
        response = await work(Call.of(request, function))
    except Problem as problem:
        retry = {"Retry-After": "10"} if isinstance(problem, NotReady) else {}
        response = problem.answer().with_headers(retry)
    return _to_azure(response)


def _to_azure(response: Response) -> func.HttpResponse:
    return func.HttpResponse(
        response.body, status_code=response.status, headers=dict(response.headers), mimetype=response.content_type
    )
