"""`runs` and `run`: the list of runs, and one run with a page of its items."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import get_args
from urllib.parse import urlencode

from pydantic import Field

from shared.access.caller import Caller
from shared.api import live
from shared.api.paging import PAGE, choice, day, next_link, number, wrong_parameter
from shared.api.run_actions import run_named
from shared.core.model import Plain
from shared.core.outcome import Ending, Recovery
from shared.core.problems import NotValid
from shared.core.response import Response
from shared.core.settings import app_settings
from shared.core.targets import System
from shared.durable.engine import Engine
from shared.durable.open_runs import OpenRunState
from shared.reports import view
from shared.runs import creation, records
from shared.runs.index import RunFilter
from shared.runs.index_page import Position, read_page
from shared.runs.nights import NIGHT_FUNCTIONS
from shared.runs.report import Item, Links, Run, State
from shared.runs.spec import RunSpec
from shared.storage.app import app_store
from shared.validation.request import Call

RUN_PARAMETERS = ("after", "cause", "item", "limit", "outcome", "recovery")
LIST_PARAMETERS = ("after", "day", "function", "limit", "night", "state", "system", "target")
RUN_FUNCTIONS = (
    "requeue",
    "requeue_native",
    "batch_job_event",
    "batch",
    "set_retries",
    "delete_batch",
    "start_task",
    "stop_task",
    "send_objects",
    "delete_object_batch",
    "run_process",
    "sweep",
    *NIGHT_FUNCTIONS,
    "apply",
    "retry",
    "check",
    "settle",
)
"""The functions that begin runs."""
_MOST_READ = 200
"""How many runs one call reads, to look for those in a state; it may return fewer than `limit`, and a link."""


class RunsAnswer(Plain):
    """A page of runs, without their items."""

    value: list[Run]
    nextLink: str | None = Field(description="The next page; one may be short although more follow.")  # noqa: N815 - as callers see it


async def get_run(call: Call, engine: Engine) -> Response:
    """Return a run with a page of its items: those that the filters pick, from `after` on, at most `limit`.

    Raises:
        UnknownRun: there is no such run.
        NotValid: a parameter can't be read.
    """
    store = app_store()
    outcome, recovery = choice(call, "outcome", Ending), choice(call, "recovery", Recovery)
    wanted = view.ItemFilter(outcome, recovery, call.params.get("cause"), call.params.get("item"))
    spec = await asyncio.to_thread(run_named, call, store)
    spec = spec.seen_at(creation.base_url(call, app_settings()))
    head, items = await live.read_run(store, spec, engine)
    head = await asyncio.to_thread(_with_page, spec, head, filter(wanted.lists, items), call)
    return Response(200, view.run_json(head), headers={"Nightshift-Run": head.id})


async def list_runs(call: Call, engine: Engine) -> Response:
    """List runs, the newest first, by day, night, system, target, function and state; `after` continues a page.

    Raises:
        NotValid: a parameter can't be read.
    """
    found, position = await _some_runs(call, engine, _Wanted.read(call))
    following = next_link(call, position.text) if position else None
    return Response.of(200, RunsAnswer(value=found, nextLink=following))


@dataclass(frozen=True)
class _Wanted:
    """The runs that a call lists."""

    caller: Caller
    which: RunFilter
    limit: int
    after: Position

    @classmethod
    def read(cls, call: Call) -> "_Wanted":
        which = RunFilter(
            day=_date(call, "day"),
            function=choice(call, "function", RUN_FUNCTIONS),
            system=choice(call, "system", get_args(System)),
            # A target that is no longer in the settings has runs, too.
            target=call.params["target"].lower() if "target" in call.params else None,
            # The date on which a night began, in SWEEP_TIME_ZONE.
            night=_date(call, "night"),
            state=choice(call, "state", State),
        )
        # An empty list would say that nothing happened there.
        call.caller.require_some(which.system)
        if which.target:
            call.caller.require(which.target)
        text = call.params.get("after")
        try:
            after = Position.read(text) if text is not None else Position()
        except ValueError:
            raise _wrong_after() from None
        return cls(call.caller, which, number(call, "limit", PAGE, most=PAGE), after)


def _wrong_after() -> NotValid:
    return wrong_parameter("after", "must be that of a nextLink")


def _date(call: Call, name: str) -> str | None:
    text = call.params.get(name)
    return day(text, name).isoformat() if text is not None else None


def _with_page(spec: RunSpec, head: Run, items: Iterable[Item], call: Call) -> Run:
    after, limit = number(call, "after", 0), number(call, "limit", PAGE, most=records.PAGE)
    head = head.model_copy(update={"links": spec.links(planned=head.state is State.PLANNED)})
    page = list(islice(items, after, after + limit + 1))
    query = {name: call.params[name] for name in RUN_PARAMETERS if name in call.params and name != "after"}
    return view.with_page(head, page[:limit], more=len(page) > limit, after=after + limit, query=urlencode(query))


async def _some_runs(call: Call, engine: Engine, wanted: _Wanted) -> tuple[list[Run], Position | None]:
    """Return a page of runs that match, and where the next page begins."""
    base, found = creation.base_url(call, app_settings()), list[Run]()
    try:
        page = await asyncio.to_thread(read_page, app_store(), wanted.which, wanted.after, wanted.limit)
    except ValueError:
        raise _wrong_after() from None
    seen = [entry for entry in page.runs if wanted.caller.sees(entry.target, entry.system)]
    for read, entry in enumerate(seen, 1):
        one = await _read_run(entry.run, engine)
        if one and wanted.which.state in (None, one.state):
            found.append(_listed(one, base))
        if len(found) >= wanted.limit or read >= _MOST_READ:
            is_last = page.is_last and read == len(seen)
            return found, None if is_last else page.after(entry.place)
    return found, None if page.is_last else page.after(page.reached)


async def _read_run(run_id: str, engine: Engine) -> Run | None:
    """Return a run; None if it is being recorded, or was removed."""
    store = app_store()
    head = await asyncio.to_thread(records.read_report, store, run_id)
    if head:
        return await asyncio.to_thread(view.present, store, head)
    spec = await asyncio.to_thread(records.known_spec, store, run_id)
    if spec is None:
        return None
    found = OpenRunState(await engine.phase(spec.run))
    return await asyncio.to_thread(live.under_way, store, spec, found)


def _listed(one: Run, base: str) -> Run:
    """Return a run as the list shows it: without its items, and without the ticket of its result."""
    links = Links.of(base, one.id, planned=one.state is State.PLANNED)
    return one.model_copy(update={"items": [], "links": links})
