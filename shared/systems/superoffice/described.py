"""What the functions of SuperOffice take and return, for `openapi`."""

from collections.abc import Mapping

from shared.core.problems import HeaderNotValid
from shared.systems.superoffice.requests import TaskBody
from shared.systems.superoffice.stop_task import StopBody
from shared.validation.described import BODY, NAMED_TARGET, SHOWN, TARGET, TARGET_IN_QUERY, Answer, Described, Parameter

_ID = {"id": "The id of the task."}
_TEXT = {"type": ["string", "null"]}
_TASK = {
    "type": "object",
    "title": "BatchTaskInfo",
    "description": "The task as SuperOffice shows it (SuperOffice REST API, BatchTaskInfo).",
    "required": ["Id"],
    "properties": {
        "Id": {"type": "integer"},
        **dict.fromkeys(("Name", "State", "Description", "Request", "Response", "Result"), _TEXT),
        **dict.fromkeys(("Created", "LastStarted"), _TEXT),
        "ProgressPercent": {"type": ["integer", "null"]},
        "CancellationBehaviour": _TEXT,
        "ParameterObject": {"type": ["object", "null"], "additionalProperties": {"type": ["string", "null"]}},
    },
}
_LANGUAGE = tuple(
    Parameter(name, "Passed on to SuperOffice.", place="header")
    for name in ("SO-Language", "SO-Culture", "SO-TimeZone")
)

DESCRIBED: Mapping[str, Described] = {
    "start_task": Described(
        tag="superoffice",
        starts_run=True,
        shows_run=True,
        body=TaskBody,
        parameters=_LANGUAGE,
        answers=(Answer("The id of the new task.", {"type": "integer"}, headers=("Nightshift-Ignored",)),),
        problems=(*BODY, *TARGET, HeaderNotValid),
    ),
    "task": Described(
        tag="superoffice",
        parameters=(TARGET_IN_QUERY, NAMED_TARGET),
        answers=(Answer("The task.", _TASK),),
        problems=SHOWN,
        path=_ID,
    ),
    "stop_task": Described(
        tag="superoffice",
        starts_run=True,
        body=StopBody,
        body_required=False,
        answers=(Answer("SuperOffice has stopped the task.", {"type": "boolean"}),),
        problems=(*BODY, *TARGET),
        path=_ID,
    ),
}
