"""One row for each function: what it takes and returns. The rows of a system are in its package."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, get_args

from shared.api.apply import ApplyBody
from shared.api.audit import AuditPage
from shared.api.cancel import CancelBody
from shared.api.check import CheckBody
from shared.api.events import EventsAnswer, HandshakeAnswer
from shared.api.item import ItemTrail
from shared.api.needs_person import AcknowledgeBody
from shared.api.nights import MOST_NIGHTS
from shared.api.paging import PAGE
from shared.api.policy import PolicyAnswer, PolicyBody, StopsAnswer, SwitchBody
from shared.api.retry import RetryBody
from shared.api.runs import RUN_FUNCTIONS, RunsAnswer
from shared.api.settle import SettleBody
from shared.api.status import HealthAnswer, SystemsAnswer
from shared.api.sweep import SweepBody
from shared.audit.entry import Kind
from shared.core.outcome import Ending, Recovery
from shared.core.problems import (
    Expired,
    HandedOn,
    IsAPlan,
    ItemProblem,
    MayStillHappen,
    NotAPlan,
    OperationsGone,
    PlanApplied,
    PlanExpired,
    PolicyChanged,
    Problem,
    RunEnded,
    RunOpen,
    SettledOtherwise,
    UnknownItem,
    UnknownNeed,
    UnknownNight,
    UnknownRun,
    UnknownTarget,
    VersionRequired,
)
from shared.core.targets import System
from shared.reports.failures import By, FailureGroups, FailureList
from shared.reports.night import NightAnswer, NightList
from shared.reports.responses import Accepted
from shared.runs.needs.need import KINDS
from shared.runs.needs.shown import NeedsPerson, NeedsPersonPage
from shared.runs.records import PAGE as MOST_ITEMS
from shared.runs.report import Run, State
from shared.systems.registry import definitions
from shared.validation.described import BODY, MULTIPART, NAMED_TARGET, SHOWN, TARGET, Answer, Described, Parameter

_RUNS, _CONTROL, _STATE = "runs", "control", "state"
_RUN_ID = {"id": "The id of the run."}
_OF_RUN: tuple[type[Problem], ...] = (*BODY, UnknownRun)


def _number(most: int | None = None, least: int = 1) -> dict[str, Any]:
    return {"type": "integer", "minimum": least, **({"maximum": most} if most else {})}


def _one_of(values: Iterable[str]) -> dict[str, Any]:
    return {"enum": [str(value) for value in values]}


def _instant(what: str, name: str) -> Parameter:
    return Parameter(name, what, {"type": "string", "format": "date-time"})


_FORMS = ("application/json", MULTIPART)
_DATE = {"type": "string", "format": "date"}
_TEXT = {"type": "string", "minLength": 1}
_ETAG = Parameter("If-Match", "The version that is replaced, from the ETag of `policy`.", place="header", required=True)
_KNOWN_VERSION = Parameter(
    "If-None-Match", "The ETag of a document that is known; then the answer is 304.", place="header"
)

_OF_BATCH = (
    Answer("A batch, in the system's own form.", {"type": "object"}, 200, _FORMS, ("OData-Version",)),
    Answer("A batch of which nothing was done.", {"type": "object"}, 422, _FORMS, ("OData-Version",)),
)

OWN: Mapping[str, Described] = {
    "sweep": Described(
        tag=_RUNS,
        starts_run=True,
        shows_run=True,
        body=SweepBody,
        problems=(*BODY, *TARGET),
    ),
    "runs": Described(
        tag=_RUNS,
        parameters=(
            Parameter("after", "Continues a page; it comes from `nextLink`."),
            Parameter("day", "The day, in UTC, on which the runs were created.", _DATE),
            Parameter("function", "The function that started the runs.", _one_of(RUN_FUNCTIONS)),
            Parameter("limit", "How many runs are listed at most.", _number(PAGE)),
            Parameter("night", "The date on which a night began: its runs in all systems.", _DATE),
            Parameter("state", "The state of the runs.", _one_of(State)),
            Parameter("system", "The system of the runs.", _one_of(get_args(System))),
            Parameter("target", "The target of the runs."),
        ),
        answers=(Answer("A page of runs, without their items.", RunsAnswer),),
    ),
    "run": Described(
        tag=_RUNS,
        parameters=(
            Parameter("after", "How many items are left out; it comes from `nextLink`.", _number(least=0)),
            Parameter("cause", "List only the items with this cause."),
            Parameter("item", "List only the item with this id."),
            Parameter("limit", "How many items are listed at most.", _number(MOST_ITEMS)),
            Parameter("outcome", "List only the items with this outcome.", _one_of(Ending)),
            Parameter("recovery", "List only the items with this recovery.", _one_of(Recovery)),
        ),
        answers=(Answer("The run, with a page of its items.", Run),),
        problems=(UnknownRun,),
        path=_RUN_ID,
    ),
    "run_result": Described(
        tag=_RUNS,
        answers=(
            Answer(
                "The answer of the call that started the run: its own, or the run.",
                {"description": "As the function that started the run answers."},
                media_types=_FORMS,
                headers=("Nightshift-Outcome", "Nightshift-Ignored", "OData-Version"),
            ),
            Answer("The answer of the call, which has no body.", None, 204),
            Answer(
                "The answer of the call, if nothing was done, or not all under `handling=strict`.",
                {"description": "As the function that started the run answers."},
                422,
                _FORMS,
                ("Nightshift-Outcome", "Nightshift-Ignored", "OData-Version"),
            ),
            Answer("The run is under way.", Accepted, 202, headers=("Location", "Retry-After")),
        ),
        problems=(UnknownRun, Expired, ItemProblem),
        path=_RUN_ID,
    ),
    "apply": Described(
        tag=_RUNS,
        starts_run=True,
        shows_run=True,
        body=ApplyBody,
        answers=_OF_BATCH,
        problems=(*_OF_RUN, OperationsGone, *TARGET, NotAPlan, PlanExpired, PlanApplied),
        path=_RUN_ID,
    ),
    "retry": Described(
        tag=_RUNS,
        starts_run=True,
        shows_run=True,
        body=RetryBody,
        answers=_OF_BATCH,
        problems=(*_OF_RUN, OperationsGone, *TARGET, IsAPlan, RunOpen, HandedOn),
        path=_RUN_ID,
    ),
    "check": Described(
        tag=_RUNS,
        body=CheckBody,
        answers=(Answer("The run of the check: what the system shows now.", Run, headers=("Nightshift-Outcome",)),),
        problems=(*_OF_RUN, OperationsGone, *TARGET, RunOpen),
        path=_RUN_ID,
    ),
    "settle": Described(
        tag=_RUNS,
        body=SettleBody,
        answers=(
            Answer(
                "The run that says how the items ended.", Run, headers=("Nightshift-Outcome", "Nightshift-Replayed")
            ),
        ),
        problems=(*_OF_RUN, *TARGET, RunOpen, SettledOtherwise, MayStillHappen),
        path=_RUN_ID,
    ),
    "cancel": Described(
        tag=_RUNS,
        body=CancelBody,
        answers=(Answer("The run ends.", Accepted, 202, headers=("Location", "Retry-After")),),
        problems=(*_OF_RUN, RunEnded),
        path=_RUN_ID,
    ),
    "item": Described(
        tag=_STATE,
        parameters=(
            Parameter("after", "Continues a page; it comes from `nextLink`."),
            Parameter("limit", "How many events are listed at most.", _number(100)),
        ),
        answers=(Answer("What is known of the item, and what happened to it.", ItemTrail),),
        problems=(UnknownItem,),
        path={"target": "The name of the target.", "id": "The id of the item, as the reports show it."},
    ),
    "audit": Described(
        tag=_STATE,
        parameters=(
            Parameter("actor", "Who did it: the id of a signed-in caller, or `key`.", _TEXT),
            Parameter("after", "Continues a page; it comes from `nextLink`."),
            Parameter("format", "`csv` for a table; so does `Accept: text/csv`.", _one_of(("csv", "json"))),
            _instant("Entries from this instant on, with a zone.", "from"),
            Parameter("item", "The id of an item; needs `target`.", _TEXT),
            Parameter("kind", "What was done.", _one_of(get_args(Kind))),
            Parameter("limit", "How many entries are listed at most.", _number(100)),
            Parameter("run", "The id of a run."),
            Parameter("target", "The name of the target.", _TEXT),
            _instant("Entries before this instant, with a zone; not before `from`.", "until"),
        ),
        answers=(
            Answer("A page of the audit trail, the newest entry first.", AuditPage),
            Answer("The same as a table.", {"type": "string"}, 200, ("text/csv",), ("Content-Disposition", "Link")),
        ),
    ),
    "failures": Described(
        tag=_STATE,
        parameters=(
            Parameter("after", "Continues a page; it comes from `nextLink`."),
            Parameter("by", "Group the failures by this.", _one_of(get_args(By))),
            Parameter("limit", "How many failures, or groups, are listed at most.", _number(1000)),
            _instant("Failures from this instant on, with a zone.", "since"),
            Parameter("system", "The system; without it, all.", _one_of(get_args(System))),
            Parameter("target", "The name of the target; without it, all."),
            _instant("Failures before this instant, with a zone.", "until"),
            NAMED_TARGET,
        ),
        answers=(
            Answer("A page of the failures, or of groups of them (`by`).", {"anyOf": [FailureList, FailureGroups]}),
        ),
        problems=SHOWN,
    ),
    "nights": Described(
        tag=_STATE,
        parameters=(
            Parameter("after", "The date behind which a page begins; it comes from `nextLink`.", _DATE),
            Parameter("limit", "How many nights are listed at most.", _number(MOST_NIGHTS)),
        ),
        answers=(Answer("A page of nights, the last one first.", NightList),),
    ),
    "night": Described(
        tag=_STATE,
        answers=(Answer("The night.", NightAnswer),),
        problems=(UnknownNight,),
        path={"date": "The date on which the night began; `latest` for the night that began last."},
    ),
    "needs_person": Described(
        tag=_STATE,
        parameters=(
            Parameter("acknowledged", "`true`: what was acknowledged.", _one_of(("true", "false"))),
            Parameter("after", "How many are left out; it comes from `nextLink`.", _number(least=0)),
            Parameter("kind", "What it is.", _one_of(KINDS)),
            Parameter("limit", "How many are listed at most.", _number(1000)),
            Parameter("target", "The name of the target."),
        ),
        answers=(Answer("A page of what needs a person, the most urgent first.", NeedsPersonPage),),
        problems=(UnknownTarget,),
    ),
    "acknowledge": Described(
        tag=_STATE,
        body=AcknowledgeBody,
        answers=(Answer("What was acknowledged.", NeedsPerson),),
        problems=(*BODY, UnknownNeed),
        path={"id": "The id, from the list of what needs a person."},
    ),
    "systems": Described(tag=_STATE, answers=(Answer("The state of all targets.", SystemsAnswer),)),
    "policy": Described(tag=_CONTROL, answers=(Answer("The policy.", PolicyAnswer, headers=("ETag",)),)),
    "put_policy": Described(
        tag=_CONTROL,
        body=PolicyBody,
        parameters=(_ETAG,),
        answers=(Answer("The new policy.", PolicyAnswer, headers=("ETag",)),),
        problems=(*BODY, PolicyChanged, VersionRequired),
    ),
    "stop": Described(
        tag=_CONTROL,
        body=SwitchBody,
        answers=(Answer("All that is stopped now.", StopsAnswer),),
        problems=(*BODY, *TARGET),
    ),
    "resume": Described(
        tag=_CONTROL,
        body=SwitchBody,
        answers=(Answer("What is still stopped.", StopsAnswer),),
        problems=(*BODY, *TARGET),
    ),
    "health": Described(tag=_STATE, answers=(Answer("The app can work.", HealthAnswer),), without_token=True),
    "openapi": Described(
        tag=_STATE,
        parameters=(_KNOWN_VERSION,),
        answers=(
            Answer("This document.", {"type": "object", "required": ["openapi", "info", "paths"]}, headers=("ETag",)),
            Answer("The document has not changed.", None, 304, headers=("ETag",)),
        ),
        without_token=True,
    ),
}
_EVENTS = (
    Answer("How many events were received.", EventsAnswer),
    Answer("The validation of Event Grid.", HandshakeAnswer),
    Answer("The handshake of CloudEvents.", None, headers=("WebHook-Allowed-Origin", "WebHook-Allowed-Rate")),
)
"""What every function answers that receives events, beside what is of its system."""
ADDED: Mapping[str, tuple[Answer, ...]] = {"batch_job_event": _EVENTS}
"""Answers of systems' functions that are not of the system."""


@cache
def described() -> Mapping[str, Described]:
    """Return the rows of all functions, by name."""
    of_systems = {name: row for system in definitions().values() for name, row in system.described.items()}
    return {**of_systems, **OWN}
