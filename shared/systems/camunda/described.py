"""What the functions of Camunda take and return, for `openapi`."""

from collections.abc import Mapping

from shared.systems.camunda.requests import RetriesBody
from shared.validation.described import BODY, TARGET, Answer, Described

_TEXT, _NUMBER = {"type": ["string", "null"]}, {"type": ["integer", "null"]}
_BATCH = {
    "type": "object",
    "title": "CamundaBatch",
    "description": "The engine's batch, as it came (Camunda 7 REST API, Set Job Retries Async).",
    "required": ["id", "type"],
    "properties": {
        "id": {"type": "string"},
        "type": {"type": "string"},
        **dict.fromkeys(("totalJobs", "jobsCreated", "batchJobsPerSeed", "invocationsPerBatchJob"), _NUMBER),
        **dict.fromkeys(("seedJobDefinitionId", "monitorJobDefinitionId", "batchJobDefinitionId"), _TEXT),
        "suspended": {"type": ["boolean", "null"]},
        **dict.fromkeys(("tenantId", "createUserId", "startTime", "executionStartTime"), _TEXT),
    },
}

DESCRIBED: Mapping[str, Described] = {
    "set_retries": Described(
        tag="camunda",
        starts_run=True,
        shows_run=True,
        body=RetriesBody,
        answers=(Answer("The batch that sets the retries.", _BATCH),),
        problems=(*BODY, *TARGET),
    ),
    "delete_batch": Described(
        tag="camunda",
        starts_run=True,
        answers=(Answer("The batch was deleted.", None, 204), Answer("The batch no longer exists.", None)),
        problems=TARGET,
        path={"id": "The id of the batch."},
    ),
}
