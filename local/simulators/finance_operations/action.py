"""The action SetBatchJobToWaiting (Batch OData API page) in the shapes in which its answer may come."""

import json
from typing import Literal

from starlette.responses import Response

from local.simulators.finance_operations.batch_job_entity import ENTITY_SET
from local.simulators.finance_operations.jobs import Jobs, NotRequeueableError
from local.simulators.odata.edm import NAMESPACE
from local.simulators.odata.errors import BadRequestError, inner_error, odata_json

ACTION = f"{NAMESPACE}.SetBatchJobToWaiting"
_PARAMETER = "batchJobId"
_MAX_INT64 = 2**63 - 1

type AnswerShape = Literal["object", "string", "value", "empty"]
"""The documented object bare; as a JSON string in `value`; as an object in `value`; no content at all."""

type Refusal = Literal["answer", "error"]
"""A job that cannot be requeued: HTTP 200 with IsSuccess false, or HTTP 500 with innererror."""


def read_body(body: bytes) -> int:
    """Return the id out of the action's body.

    Raises:
        BadRequestError: It is not the JSON object that the action takes.
    """
    try:
        parameters = json.loads(body)
    except ValueError:
        raise BadRequestError("Invalid JSON.") from None
    if not isinstance(parameters, dict) or set(parameters) != {_PARAMETER}:
        raise BadRequestError(f"The body needs the parameter '{_PARAMETER}' and no other.")
    job_id = parameters[_PARAMETER]
    if type(job_id) is not int or abs(job_id) > _MAX_INT64:
        raise BadRequestError(f"Cannot convert the value of '{_PARAMETER}' to the expected type 'Edm.Int64'.")
    return job_id


def act(jobs: Jobs, job_id: int, root: str, shape: AnswerShape, refusal: Refusal) -> Response:
    """Set the job to Waiting and answer."""
    try:
        jobs.requeue(job_id)
    except NotRequeueableError as reason:
        # Without content there is no place to say no but an error.
        if refusal == "error" or shape == "empty":
            return exception(str(reason))
        return not_successful(job_id, str(reason), root, shape)
    text = f"Status of supplied BatchJobId: {job_id} is Successfully updated to waiting state"
    return _shaped(_result(job_id, 200, "", text), root, shape)


def not_successful(job_id: int | None, reason: str, root: str, shape: AnswerShape) -> Response:
    """Answer HTTP 200 with a failure inside."""
    return _shaped(_result(job_id, 500, reason, ""), root, "string" if shape == "empty" else shape)


def exception(reason: str) -> Response:
    """Answer as F&O does when X++ threw."""
    text = f"Exception occurred while executing action SetBatchJobToWaiting on Entity BatchJob: {reason}"
    return inner_error(500, text, "System.InvalidOperationException")


def _result(job_id: int | None, status: int, details: str, message: str) -> dict[str, object]:
    """Spell the keys as the documentation does, with its space and its lost letter."""
    return {
        "ResponseStatusCode": status,
        "IsSuccess": not details,
        "Batch JobId": job_id,
        "ExceptionDetails": details,
        "reponseMessage": message,
    }


def _shaped(result: dict[str, object], root: str, shape: AnswerShape) -> Response:
    if shape == "empty":
        return Response(status_code=204)
    if shape == "object":
        return odata_json(result)
    if shape == "value":
        return odata_json({"@odata.context": f"{root}/data/$metadata#{ENTITY_SET}", "value": result})
    return odata_json({"@odata.context": f"{root}/data/$metadata#Edm.String", "value": json.dumps(result)})
