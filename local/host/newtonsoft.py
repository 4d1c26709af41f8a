"""What happens to an activity's input, result and error on their way through the Durable extension."""

import json
from typing import Any

import durabletask.internal.orchestrator_service_pb2 as pb


def pass_through(text: str) -> str:
    """Return JSON as it leaves Newtonsoft's hands: every fraction has become a double, integers keep their digits."""
    return json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))


def activity_input(text: str) -> str:
    """Return an activity's input as its worker gets it: a text at the top has lost its quotes."""
    value: Any = json.loads(text) if text else None
    return value if isinstance(value, str) else pass_through(text or "null")


def failure(error: str) -> pb.TaskFailureDetails:
    """Return the details of a failure which the worker has told as `Type: message`."""
    error_type, separator, message = error.partition(": ")
    if not separator:
        error_type, message = error.removesuffix(":"), ""
    first_line = message.splitlines()[0] if message else ""
    # The stock backend takes a failure without a message for a success.
    return pb.TaskFailureDetails(errorType=error_type, errorMessage=first_line or error_type)


def invocation_failure(function: str, message: str) -> pb.TaskFailureDetails:
    """Return the details of an invocation that failed because its worker process died."""
    return pb.TaskFailureDetails(
        errorType="Microsoft.Azure.WebJobs.Host.FunctionInvocationException",
        errorMessage=f"Exception while executing function: {function}",
        innerFailure=pb.TaskFailureDetails(errorType="WorkerProcessExitException", errorMessage=message),
    )
