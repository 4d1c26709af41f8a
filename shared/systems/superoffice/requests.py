"""The requests of callers: start a task (`POST BatchTask`). The body is a `BatchTaskInfo`, with `nightshift` added."""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from shared.core.problems import HeaderNotValid, Mistake, NotValid
from shared.core.targets import Target
from shared.systems.marks import new_mark
from shared.systems.requests import ItemRef, RunRequest, chosen_target, named_target
from shared.systems.superoffice.actions import Start
from shared.systems.superoffice.start_again import has_mark
from shared.systems.superoffice.tasks import LONGEST_TEXT, length
from shared.validation.body import read_json
from shared.validation.models import Strict, checked
from shared.validation.request import Call

_OWNED = (
    "Id",
    "AssociateId",
    "LastStarted",
    "Created",
    "StartCount",
    "DatabaseSerialNumber",
    "Result",
    "State",
    "Response",
    "ProgressDescription",
    "ProgressPercent",
    "TableRight",
    "FieldProperties",
)
"""Fields that the server sets itself."""
_DETAILS = ("DetailsTable", "DetailsRecord")
_LONGEST_FILE_NAME = 260
_PASSED_ON = ("accept-language", "so-language", "so-culture", "so-timezone")
_CREDENTIALS = ("authorization", "so-apptoken", "x-xsrf-token", "cookie")


def _parameter(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError("must be a string: SuperOffice keeps parameters as text, and takes no number, boolean or object")


def _plain(value: str) -> str:
    if has_mark(value):
        raise ValueError("has a mark of Nightshift (nightshift-...), by which another task is found: leave it out")
    return value


def _trimmed(value: str) -> str:
    if value != value.strip():
        raise ValueError("must not begin or end with a space")
    return value


def _at_most(most: int) -> AfterValidator:
    def check(value: str) -> str:
        if length(value) > most:
            raise ValueError(f"must be at most {most} characters, as UTF-16 counts them")
        return value

    return AfterValidator(check)


Parameter = Annotated[str, BeforeValidator(_parameter)]
Text = Annotated[str, AfterValidator(_plain), _at_most(LONGEST_TEXT)]


class Options(Strict):
    """The options of a run: `nightshift` in the body."""

    target: str | None = Field(default=None, min_length=1, max_length=64, description="The target's name.")
    reason: str | None = Field(default=None, min_length=1, max_length=500, description="Shown in the report.")
    dryRun: bool = Field(default=False, description="Return a plan; send nothing.")  # noqa: N815 - as callers write it
    followUp: bool = Field(  # noqa: N815 - as above
        default=False, description="Watch how the task ends, for FOLLOW_UP_HOURS."
    )
    giveUpAfter: int | None = Field(  # noqa: N815 - as above
        default=None, ge=0, le=1440, description="Minutes until the run stops trying an unreachable system."
    )


class TaskBody(Strict):
    """The fields of a `BatchTaskInfo` that a caller sets; `nightshift` is not sent to SuperOffice."""

    Name: Annotated[str, AfterValidator(_trimmed), _at_most(LONGEST_TEXT)] = Field(
        min_length=1, description="The task's name; a rule of the policy must allow it."
    )
    Description: Text | None = Field(default=None, description="For people.")
    Request: Text | None = Field(default=None, description="For people.")
    ParameterObject: dict[str, Parameter] | None = Field(default=None, description="The task's parameters, all text.")
    DetailsTable: int | None = Field(default=None, description="The table of the task's details; not with parameters.")
    DetailsRecord: int | None = Field(default=None, description="The row there; not with parameters.")
    FileName: Annotated[str, _at_most(_LONGEST_FILE_NAME)] | None = Field(
        default=None, description="The file that belongs to the task."
    )
    Context: str | None = Field(default=None, description="The task's context.")
    IsSystemTask: bool | None = Field(default=None, description="The task belongs to the system, not to a user.")
    IsInternalTask: Literal[False] | None = Field(
        default=None, description="Only false: an internal task leaves no trace by which it could be followed."
    )
    CancellationBehaviour: Literal["CanCancel", "CancelWithWarning", "CannotCancel"] | None = Field(
        default=None, description="Whether the task can be stopped."
    )
    nightshift: Options = Options()


def start_task(call: Call) -> RunRequest:
    """Return the request in a call of `POST BatchTask`.

    Raises:
        Refused: the call is not readable or valid.
    """
    content = read_json(call)
    owned = [name for name in _not_sent(content) if name in content] if isinstance(content, dict) else []
    body = checked(TaskBody, _without(content, owned))
    target = named_target(call, body.nightshift.target, "/nightshift/target")
    known = chosen_target(call, "superoffice", target)
    if owned and known.owned_fields == "refuse":
        raise NotValid.of(*(Mistake("is set by SuperOffice itself", f"/{name}") for name in owned))
    ignored = [*owned, *(name for name in call.headers if name in _CREDENTIALS)]
    options = body.nightshift
    start = _start(body, known, dict(_passed_on(call)))
    return RunRequest(
        system="superoffice",
        target=target,
        reason=options.reason,
        items=[ItemRef(start.mark, start.model_dump(mode="json"), about={"job": body.Name})],
        single=not options.dryRun,
        native=True,
        mode="plan" if options.dryRun else "perform",
        follow_up=options.followUp,
        give_up_after=options.giveUpAfter,
        ignored=ignored,
    )


def task_id(call: Call) -> int:
    """Return the id of a task in the URL of a call.

    Raises:
        NotValid: it is none.
    """
    text = call.route_params.get("id", "")
    if not re.fullmatch(r"[1-9][0-9]{0,9}", text) or int(text) >= 2**31:
        raise NotValid.of(Mistake("is no id of a task", "/id"))
    return int(text)


def _without(content: object, owned: list[str]) -> object:
    return (
        {name: value for name, value in content.items() if name not in owned} if isinstance(content, dict) else content
    )


def _not_sent(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the fields that are not sent: with parameters the server sets the row of details, too."""
    return (*_OWNED, *_DETAILS) if content.get("ParameterObject") else _OWNED


def _passed_on(call: Call) -> Iterator[tuple[str, str]]:
    """Yield the headers that are passed on.

    Raises:
        HeaderNotValid: one can't stand in a request.
    """
    for name in _PASSED_ON:
        if name in call.headers:
            text = call.headers[name].strip()
            if not re.fullmatch(r"[\x20-\x7e]{1,200}", text):
                raise HeaderNotValid(f"The header {name} is empty, too long or not visible ASCII.")
            yield name, text


def _start(body: TaskBody, target: Target, headers: Mapping[str, str]) -> Start:
    """Return the start of a task, with a mark of its own in the field that the settings name.

    Raises:
        NotValid: the field has no room for the mark.
    """
    mark = new_mark()
    info: dict[str, Any] = body.model_dump(mode="json", exclude={"nightshift"}, exclude_none=True)
    text = f"{info.get(target.mark_field) or ''} {mark}".strip()
    if length(text) > LONGEST_TEXT:
        room = LONGEST_TEXT - len(mark) - 1
        raise NotValid.of(Mistake(f"must be at most {room} characters: a mark is added", f"/{target.mark_field}"))
    return Start(mark=mark, info={**info, target.mark_field: text}, headers=dict(headers))
