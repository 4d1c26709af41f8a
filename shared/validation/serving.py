"""Run a handler, and return its response or its problem. Of `shared`, only this package imports azure.functions."""

from collections.abc import Awaitable, Callable, Collection

import azure.functions as func

from shared.core.problems import Mistake, NotReady, NotValid, Problem
from shared.core.response import Response
from shared.validation.request import KEY_PARAMETERS, Call


async def serve(
    request: func.HttpRequest,
    function: str,
    work: Callable[[Call], Awaitable[Response]],
    parameters: Collection[str] | None = (),
    finish: Callable[[Response], Response] | None = None,
) -> func.HttpResponse:
    """Return the response of `work`, or the problem that it raises.

    `parameters` are the names of the query parameters that the function knows; None passes all to the system. `finish`
    adds what a system's own clients look for.
    """
    try:
        call = Call.of(request, function)
        call.check_host()
        _check_parameters(call, parameters)
        response = await work(call)
    except Problem as problem:
        retry = {"Retry-After": "10"} if isinstance(problem, NotReady) else {}
        response = problem.answer().with_headers(retry)
    return _to_azure(finish(response) if finish else response)


def _check_parameters(call: Call, known: Collection[str] | None) -> None:
    if known is None:
        return
    unknown = [name for name in call.params if name not in known and name.lower() not in KEY_PARAMETERS]
    if unknown:
        text = f"is unknown; this function takes {', '.join(known) or 'none'}"
        raise NotValid.of(*(Mistake(f"the parameter {name} {text}", parameter=name) for name in unknown))


def _to_azure(response: Response) -> func.HttpResponse:
    return func.HttpResponse(
        response.body, status_code=response.status, headers=dict(response.headers), mimetype=response.content_type
    )
