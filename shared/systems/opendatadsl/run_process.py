"""Runs a process: the request and its `ItemAction` (OpenDataDSL, Process Execution: `POST /process-exec/v1`)."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ConfigDict, Field

from shared.core.outcome import Ending, Outcome
from shared.core.problems import Mistake, NoAnswer, NotValid, OutcomeUnknown
from shared.policy.rules import Facts
from shared.systems.contract import Snapshot
from shared.systems.marks import new_mark
from shared.systems.one_call import OneCall
from shared.systems.opendatadsl.client import NAME, environment_of, refuse_write, upstream
from shared.systems.opendatadsl.drop_in import body_of
from shared.systems.opendatadsl.executions import EXECUTIONS, executions_of, marked
from shared.systems.requests import ItemRef, RunRequest, named_target
from shared.transport.connection import Connection
from shared.transport.retries import WRITE
from shared.validation.body import parse
from shared.validation.json_text import members_of
from shared.validation.models import Strict, checked
from shared.validation.request import Call

PROCESS_PARAMETERS = ("_reason", "_delay")


class Options(Strict):
    """The options of a run: `nightshift` in the body."""

    target: str | None = Field(default=None, min_length=1, max_length=64, description="The target's name.")
    reason: str | None = Field(default=None, min_length=1, max_length=500, description="Shown in the report.")
    dryRun: bool = Field(default=False, description="Return a plan; send nothing.")  # noqa: N815 - as callers write it
    followUp: bool = Field(  # noqa: N815 - as above
        default=False, description="Watch how the execution ends, for FOLLOW_UP_HOURS."
    )
    giveUpAfter: int | None = Field(  # noqa: N815 - as above
        default=None, ge=0, le=1440, description="Minutes until the run stops trying an unreachable system."
    )


class ProcessBody(Strict):
    """The body of `run_process`; `nightshift` is not sent."""

    name: str = Field(min_length=1, max_length=200, description="The process.")
    body: dict[str, Any] | None = Field(default=None, description="Its input.")
    input: dict[str, Any] | None = Field(default=None, description="Its input, under the name of the language's page.")
    nightshift: Options = Options()


class Trigger(BaseModel):
    """The validated start of an execution; it can be stored as JSON."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, defer_build=True)

    mark: str
    name: str
    content: str | None = None
    """JSON of its input, as received; None for none."""
    reason: str = ""
    delay: int | None = None


def run_process(call: Call) -> RunRequest:
    """Return the request in a call of `POST /process-exec/v1`.

    Raises:
        Refused: the call is not readable or valid.
    """
    content = body_of(call)
    body = checked(ProcessBody, parse(content))
    if body.body is not None and body.input is not None:
        raise NotValid.of(Mistake("send body or input, not both", "/input"))
    raws = {name: raw for name, _, raw in members_of(content.decode())}
    mark = new_mark()
    trigger = Trigger(
        mark=mark,
        name=body.name,
        content=raws.get("body", raws.get("input")),
        reason=_reason(call),
        delay=_delay(call),
    )
    options = body.nightshift
    return RunRequest(
        system="opendatadsl",
        target=named_target(call, options.target, "/nightshift/target"),
        reason=options.reason,
        items=[ItemRef(mark, {"run": trigger.model_dump(mode="json")}, about={"job": body.name})],
        single=not options.dryRun,
        mode="plan" if options.dryRun else "perform",
        follow_up=options.followUp,
        give_up_after=options.giveUpAfter,
    )


def _reason(call: Call) -> str:
    text = call.params.get("_reason", "")
    if any(word.startswith("nightshift-") for word in text.split()):
        raise NotValid.of(Mistake("has a mark of Nightshift, by which another execution is found", parameter="_reason"))
    return text


def _delay(call: Call) -> int | None:
    text = call.params.get("_delay")
    if text is not None and not (text.isascii() and text.isdecimal() and len(text) < 10):  # noqa: PLR2004 - 11 days
        raise NotValid.of(Mistake("must be milliseconds", parameter="_delay"))
    return int(text) if text else None


class Running(OneCall):
    """Runs a process once. A mark in the reason shows later whether it was triggered."""

    def __init__(self, connection: Connection, operation: Mapping[str, Any], run: str) -> None:
        super().__init__(connection, run)
        self._trigger = Trigger.model_validate(operation["run"])

    @property
    def item(self) -> str:
        """The mark: no other execution has it."""
        return self._trigger.mark

    def look(self) -> Snapshot:
        """Return what rules can match: the process's name."""
        facts = Facts(self._connection.target.name, job=self._trigger.name)
        return Snapshot(self.item, facts, {"job": self._trigger.name}, once=True)

    def send(self) -> Outcome:
        """Trigger the execution.

        Raises:
            NoAnswer: the call may have taken effect.
            RefusedBySystem, Failed: it did not take effect.
        """
        trigger(self._connection, self._trigger, self._run)
        return _done(self._trigger.name, None, f"{NAME} has triggered process {self._trigger.name}.")

    def check(self, episode: str | None) -> Outcome:
        """Return the outcome of a call without a response: the execution with the mark.

        Raises:
            OutcomeUnknown: there is no such execution, or there are several.
            Failed: the executions cannot be read.
        """
        del episode
        return triggered_with(self._connection, self._trigger.name, self.item, self._run)


def trigger(connection: Connection, one: Trigger, run: str) -> None:
    """Trigger an execution.

    Raises:
        NoAnswer: the call may have taken effect.
        RefusedBySystem, Failed: it did not take effect.
    """
    query = {"_reason": f"{one.reason} {one.mark}".strip()} | ({"_delay": str(one.delay)} if one.delay else {})
    given = f',"{connection.target.input_key}":{one.content}' if one.content else ""
    content = f'{{"name":{json.dumps(one.name, ensure_ascii=False)}{given}}}'.encode()
    path = f"{EXECUTIONS}?{urlencode(query, quote_via=quote)}"
    headers = environment_of(connection.target)
    reply = connection.call("POST", path, WRITE, run=run, content=content, headers=headers)
    if reply.status == HTTPStatus.SERVICE_UNAVAILABLE:
        # Even one that asks to come again may have come from a gateway; a process must not run twice.
        raise NoAnswer(f"{NAME} returned 503 to running a process.", members=upstream(reply))
    refuse_write(reply, "running a process")


def triggered_with(connection: Connection, process: str, mark: str, run: str) -> Outcome:
    """Return the outcome of a call whose response was lost: that of the execution with the mark.

    Raises:
        OutcomeUnknown: no execution has the mark, or several have it.
        Failed: the executions cannot be read.
    """
    found = marked(executions_of(connection, process, run), mark)
    if len(found) != 1:
        raise OutcomeUnknown(f"{len(found)} executions of {process} have the mark {mark}.")
    return _done(process, found[0].id, f"No response was received, but execution {found[0].id} has the mark {mark}.")


def _done(process: str, execution: str | None, reason: str) -> Outcome:
    answer = {"name": process, "execution": execution}
    return Outcome(ending=Ending.DONE, reason=reason, sent=True, upstream_status=200, answer=answer)
