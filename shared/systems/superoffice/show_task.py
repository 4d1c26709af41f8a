"""`task`: one task, as SuperOffice itself answers it (SuperOffice REST API, GET BatchTask/{id})."""

import asyncio

from shared.core.response import Response, to_json
from shared.systems.requests import chosen_target, named_target
from shared.systems.superoffice.requests import task_id
from shared.systems.superoffice.tasks import read_info
from shared.transport.connection import connection
from shared.validation.request import Call

TASK_PARAMETERS = ("target",)


async def show_task(call: Call) -> Response:
    """Return a task's `BatchTaskInfo`.

    Raises:
        NotValid: the id or the target is not valid.
        ItemNotFound: there is no such task; finished ones may be removed.
        Failed: it cannot be read.
    """
    number = task_id(call)
    target = chosen_target(call, "superoffice", named_target(call, call.params.get("target"), ""))
    info = await asyncio.to_thread(read_info, connection(target), number, "task")
    return Response(200, to_json(info))
