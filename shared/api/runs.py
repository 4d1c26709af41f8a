"""`runs` and `run`: the list of runs, and one run with a page of its items."""

import asyncio
import re
from itertools import islice

from shared.api.paging import PAGE, next_link, number, wrong_parameter
from shared.core.outcome import Ending
from shared.core.response import Response
from shared.durable import open_runs
from shared.durable.engine import Engine
from shared.durable.open_runs import OpenRunState
from shared.reports import view
from shared.runs import records
from shared.runs.report import Run, State
from shared.storage.app import app_store
from shared.storage.base import Store
from shared.validation.request import Call

_MOST_PAGES = 20
"""How many pages of the index one call reads; it may return fewer runs than `limit`."""


async def get_run(call: Call, engine: Engine) -> Response:
    """Return a run with a page of its items: those of one `outcome`, from `after` on, at most `limit`.

    Raises:
        UnknownRun: there is no such run.
        NotValid: a parameter can't be read.
    """
    store = app_store()
    spec = await asyncio.to_thread(records.read_spec, store, call.route_params.get("id", ""))
    head = await asyncio.to_thread(records.read_report, store, spec.run)
    if head is None or head.state is State.WATCHING:
        found = await open_runs.ensure_alive(spec, engine)
        # The run may have ended since the first read.
        head = await asyncio.to_thread(records.read_report, store, spec.run)
        if head is None:
            head = await asyncio.to_thread(view.under_way, store, spec, found.state, found.how)
            return Response(200, view.run_json(head), headers={"Nightshift-Run": head.id})
    head = await asyncio.to_thread(_with_page, store, head, call)
    return Response(200, view.run_json(head), headers={"Nightshift-Run": head.id})


async def list_runs(call: Call, engine: Engine) -> Response:
    """List runs, the newest first, by `day`, `system`, `target`, `function` and `state`; `after` continues a page.

    Raises:
        NotValid: a parameter can't be read.
    """
    limit = number(call, "limit", PAGE, most=PAGE)
    day = call.params.get("day")
    if day is not None and not re.fullmatch(r"\d{4}-\d\d-\d\d", day):
        raise wrong_parameter("day", "must be a date as YYYY-MM-DD")
    found, after = await _some_runs(call, engine, records.index_prefix(day), limit)
    links = {"next": next_link(call, after)} if after else {}
    return Response.of(200, {"runs": [one.model_dump(mode="json", exclude_none=True) for one in found], "links": links})


def _with_page(store: Store, head: Run, call: Call) -> Run:
    outcome = call.params.get("outcome")
    if outcome is not None and outcome not in set(Ending):
        raise wrong_parameter("outcome", f"must be one of {', '.join(Ending)}")
    after, limit = number(call, "after", 0), number(call, "limit", PAGE, most=records.PAGE)
    head = view.present(store, head)
    items = view.filtered(view.shown(store, head, records.all_items(store, head.id)), outcome)
    page = list(islice(items, after, after + limit + 1))
    query = "".join(f"&{name}={call.params[name]}" for name in ("outcome", "limit") if name in call.params)
    return view.with_page(head, page[:limit], more=len(page) > limit, after=after + limit, query=query)


async def _some_runs(call: Call, engine: Engine, prefix: str, limit: int) -> tuple[list[Run], str | None]:
    """Return a page of runs that match, and where the next page begins."""
    after = call.params.get("after")
    found: list[Run] = []
    for _ in range(_MOST_PAGES):
        page = await asyncio.to_thread(app_store().list, prefix, after, limit - len(found))
        for key in page.keys:
            one = await _read_run(key.rpartition("/")[2].partition("-")[2], engine)
            if one and _matches(call, one):
                found.append(one.model_copy(update={"items": [], "links": {"self": one.links["self"]}}))
        after = page.after
        if after is None or len(found) >= limit:
            break
    return found, after


async def _read_run(run_id: str, engine: Engine) -> Run | None:
    store = app_store()
    head = await asyncio.to_thread(records.read_report, store, run_id)
    if head:
        return head
    spec = await asyncio.to_thread(records.read_spec, store, run_id)
    return view.run_of(spec, OpenRunState(await engine.phase(spec.run)).state)


def _matches(call: Call, one: Run) -> bool:
    values = {"state": one.state, "system": one.system, "target": one.target, "function": one.function}
    return all(call.params.get(name) in (None, value) for name, value in values.items())
