"""What the functions of Finance & Operations take and return, for `openapi`."""

from collections.abc import Mapping

from shared.core.problems import UnknownEvent
from shared.systems.finance_operations.requests import SYSTEM, NativeBody, RequeueBody
from shared.validation.described import BODY, TARGET, Answer, Described, Parameter

_REQUEUED = {
    "type": "object",
    "title": "SetBatchJobToWaitingResult",
    "description": "The result of the action, in the spelling of Finance & Operations.",
    "required": ["ResponseStatusCode", "IsSuccess", "Batch JobId", "ExceptionDetails", "reponseMessage"],
    "properties": {
        "ResponseStatusCode": {"type": "integer"},
        "IsSuccess": {"type": "boolean"},
        "Batch JobId": {"type": "integer", "format": "int64"},
        "ExceptionDetails": {"type": "string"},
        "reponseMessage": {"type": "string"},
    },
}
_NATIVE = {
    "type": "object",
    "description": "The response of Finance & Operations as it came; in most versions `value` is the result, as text.",
    "properties": {"value": {"type": ["string", "object"]}},
}
_EVENT = {
    "description": "A batch event of Finance & Operations: directly, in the schema of Event Grid, as CloudEvents 1.0, "
    "or as a Dataverse webhook; or a list of them.",
    "type": ["object", "array"],
    "properties": {
        "BusinessEventId": {"type": "string"},
        "ControlNumber": {"type": "integer", "format": "int64"},
        "EventId": {"type": "string"},
        "JobId": {"type": "integer", "format": "int64"},
        "JobStatus": {"type": "string"},
    },
}

DESCRIBED: Mapping[str, Described] = {
    "requeue": Described(
        tag=SYSTEM,
        starts_run=True,
        shows_run=True,
        body=RequeueBody,
        answers=(Answer("One job: the result of the action.", _REQUEUED),),
        problems=(*BODY, *TARGET),
    ),
    "requeue_native": Described(
        tag=SYSTEM,
        starts_run=True,
        shows_run=True,
        body=NativeBody,
        answers=(
            Answer("The response of Finance & Operations.", _NATIVE),
            Answer("Finance & Operations has returned no body.", None, 204),
        ),
        problems=(*BODY, *TARGET),
    ),
    "batch_job_event": Described(
        tag=SYSTEM,
        body=_EVENT,
        body_types=("application/json", "application/cloudevents+json", "application/cloudevents-batch+json"),
        parameters=(Parameter("target", "The name of the target; without it, the only one of Finance & Operations."),),
        problems=(*BODY, *TARGET, UnknownEvent),
        without_token=True,
    ),
}
