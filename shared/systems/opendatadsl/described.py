"""What the functions of OpenDataDSL take and return, for `openapi`."""

from collections.abc import Mapping
from typing import Any

from shared.core.problems import HeaderNotValid
from shared.systems.opendatadsl.client import ERROR
from shared.systems.opendatadsl.run_process import ProcessBody
from shared.systems.operations import BatchOptions
from shared.validation.described import BODY, NAMED_TARGET, SHOWN, TARGET, TARGET_IN_QUERY, Answer, Described, Parameter

_TEXT = {"type": ["string", "null"]}
_REASON = Parameter("_reason", "The reason of the change, for OpenDataDSL; it is passed on.")
_ENVIRONMENT = Parameter(
    "x-odsl-environment", "The data environment, which must be that of the target.", place="header"
)
_SUMMARY = {
    "type": "object",
    "title": "BatchSummary",
    "description": "The summary of a batch (OpenDataDSL, Batch Summary).",
    "properties": {
        **dict.fromkeys(("_id", "user", "environment", "timestamp", "service", "name", "reason", "source"), _TEXT),
        "status": _TEXT,
        "message": _TEXT,
        "summary": {
            "type": "object",
            "description": "By section, such as `failures`: names by date.",
            "additionalProperties": True,
        },
    },
}
_EXECUTION = {
    "type": "object",
    "title": "ProcessExecution",
    "description": "An execution as OpenDataDSL shows it (OpenDataDSL, Process Execution).",
    "properties": dict.fromkeys(("_id", "name", "status", "reason", "message", "start"), _TEXT),
}
_BATCH = {
    "type": "object",
    "title": "VarBatch",
    "description": "The batch; other members are sent as they came.",
    "required": ["_type", "elements"],
    "properties": {
        "_type": {"const": "VarBatch"},
        "_id": {"type": "string", "description": "Names the batch in the answer."},
        "name": {"type": "string", "description": "The name of the batch."},
        "elements": {
            "type": "array",
            "minItems": 1,
            "maxItems": 100_000,
            "items": {"type": "object", "required": ["_id"], "properties": {"_id": {"type": "string"}}},
        },
        "nightshift": BatchOptions,
    },
}
_ID = {"id": "The id. `private`, `public` and `all` list those of that source."}
_ERRORS = (ERROR,)
_FILTERS = (
    Parameter("name", "A filter of OpenDataDSL; all filters are passed on."),
    Parameter("status", "A filter of OpenDataDSL."),
    Parameter("_sort", "The member by which they are sorted; `-` before it reverses the order."),
    Parameter("_limit", "How many are listed at most.", {"type": "integer", "minimum": 1}),
    Parameter("_skip", "How many are left out.", {"type": "integer", "minimum": 0}),
)
_READS: Mapping[str, Any] = {
    "tag": "opendatadsl",
    "error_headers": _ERRORS,
    "parameters": (TARGET_IN_QUERY, NAMED_TARGET, *_FILTERS),
    "problems": SHOWN,
}
_TOTAL = ("x-total-count",)


def _list_of(schema: Mapping[str, Any], what: str) -> Answer:
    listed = {"type": "array", "items": schema}
    return Answer(f"Those that match, as OpenDataDSL returns them: {what}.", listed, headers=_TOTAL)


def _one_of(schema: Mapping[str, Any], what: str) -> Answer:
    both = {"anyOf": [schema, {"type": "array", "items": schema}]}
    return Answer(f"{what}, as OpenDataDSL returns it; a list for a source.", both, headers=_TOTAL)


DESCRIBED: Mapping[str, Described] = {
    "object_service": Described(
        tag="opendatadsl",
        error_headers=_ERRORS,
        parameters=(TARGET_IN_QUERY, NAMED_TARGET),
        answers=(Answer("The build information of the service.", {"type": "object"}),),
        problems=SHOWN,
    ),
    "send_objects": Described(
        tag="opendatadsl",
        error_headers=_ERRORS,
        starts_run=True,
        body=_BATCH,
        parameters=(_REASON, _ENVIRONMENT),
        answers=(
            Answer("One summary for the whole batch.", _SUMMARY),
            Answer("The summary of a batch of which nothing was done.", _SUMMARY, 422, headers=_ERRORS),
        ),
        problems=(*BODY, *TARGET, HeaderNotValid),
        paths={"": "opendatadsl/batch/v1"},
    ),
    "object_batches": Described(answers=(_list_of(_SUMMARY, "summaries"),), **_READS),
    "object_batch": Described(answers=(_one_of(_SUMMARY, "A summary"),), path=_ID, **_READS),
    "delete_object_batch": Described(
        tag="opendatadsl",
        error_headers=_ERRORS,
        starts_run=True,
        answers=(
            Answer(
                "The summary was deleted.",
                {
                    "type": "object",
                    "required": ["deleted", "note"],
                    "properties": {"deleted": {"const": "summary"}, "note": {"type": "string"}},
                },
            ),
        ),
        problems=TARGET,
        path={"id": "The id of the summary."},
    ),
    "run_process": Described(
        tag="opendatadsl",
        error_headers=_ERRORS,
        starts_run=True,
        shows_run=True,
        body=ProcessBody,
        parameters=(
            _REASON,
            Parameter("_delay", "Milliseconds until the process runs.", {"type": "integer", "minimum": 0}),
        ),
        answers=(
            Answer(
                "The process was triggered.",
                {
                    "type": "object",
                    "required": ["name", "execution"],
                    "properties": {"name": {"type": "string"}, "execution": {"type": ["string", "null"]}},
                },
            ),
        ),
        problems=(*BODY, *TARGET),
        paths={"": "opendatadsl/process-exec/v1"},
    ),
    "process_executions": Described(answers=(_list_of(_EXECUTION, "executions"),), **_READS),
    "process_execution": Described(answers=(_one_of(_EXECUTION, "An execution"),), path=_ID, **_READS),
}
