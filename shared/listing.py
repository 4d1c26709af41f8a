"""What people look at: a run, the list of runs, the failures that a sweep would see, and the targets."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from functools import cache
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from shared import clock, control, front, notices, open_runs, records, runs
from shared.answers import Answer, to_json
from shared.durable import Engine
from shared.open_runs import Found
from shared.operations import Named
from shared.outcomes import Ending, Run, State
from shared.policy import By, Facts, decide, offered
from shared.problems import AccessDenied, CredentialsRefused, ItemProblem, Mistake, NotReady, NotValid
from shared.settings import app_settings
from shared.store import Store, app_store
from shared.sweep import look_back
from shared.sweeping import last_sweep, read_a_little, swept_system
from shared.swept import SWEPT, swept
from shared.targets import System, Target, app_targets
from shared.transport import connection
from shared.validation import Call

_PAGE = 100
_MOST_PAGES = 20
"""How many pages of the index one call looks through before it answers with what it has found."""
_FIRST_YEAR, _LAST_YEAR = 2000, 2199
_TROUBLES: dict[type[ItemProblem], str] = {CredentialsRefused: "no token", AccessDenied: "not registered"}
_HEALTHY = 4.0
"""Seconds within which the engine and the store must answer."""


async def run(call: Call, engine: Engine) -> Answer:
    """Answer `run`: the run's one model, with a page of its items (`outcome`, `after`, `limit` choose which).

    Raises:
        UnknownRun: there is no such run.
        NotValid: a parameter can't be read.
    """
    store = app_store()
    order = await asyncio.to_thread(records.read_order, store, call.route_params.get("id", ""))
    head = await asyncio.to_thread(records.read_report, store, order.run)
    if head is None or head.state is State.WATCHING:
        found = await open_runs.mend(order, engine)
        # It may have ended meanwhile.
        head = await asyncio.to_thread(records.read_report, store, order.run)
        if head is None:
            head = await asyncio.to_thread(runs.under_way, store, order, found.state, found.how)
            return Answer(200, runs.run_json(head), headers={"Nightshift-Run": head.id})
    head = await asyncio.to_thread(_with_page, store, head, call)
    return Answer(200, runs.run_json(head), headers={"Nightshift-Run": head.id})


async def listed(call: Call, engine: Engine) -> Answer:
    """Answer `runs`: the newest first, by `day`, `system`, `target` and `state`; `after` is the last page's.

    Raises:
        NotValid: a parameter can't be read.
    """
    limit = _number(call, "limit", _PAGE, most=_PAGE)
    day = call.params.get("day")
    if day is not None and not re.fullmatch(r"\d{4}-\d\d-\d\d", day):
        raise _wrong("day", "must be a date as YYYY-MM-DD")
    found, after = await _some_runs(call, engine, records.index_prefix(day), limit)
    links = {"next": _next(call, after)} if after else {}
    return Answer.of(200, {"runs": [one.model_dump(mode="json", exclude_none=True) for one in found], "links": links})


async def failures(call: Call) -> Answer:
    """Answer `failures`: what a sweep of a target would see now, and what the policy says of each.

    Raises:
        NotValid, ItemProblem: a parameter can't be read, or the system can't.
    """
    until, since = _instant(call, "until") or clock.now(), _instant(call, "since")
    skip, limit = _number(call, "after", 0), _number(call, "limit", _PAGE, most=1000)
    name = call.params.get("target") or call.headers.get("nightshift-target")
    target = app_targets().choose(_swept(call, name), name)
    known = swept(target.system)
    if known.looks_back:
        since = since or look_back(until, await asyncio.to_thread(last_sweep, app_store(), target.name))
    if since and since > until:
        raise _wrong("since", "must be before until, or before now")
    found, more = await asyncio.to_thread(known.page, connection(target), since, until, skip, limit)
    policy = await asyncio.to_thread(control.policy, app_store().read)
    items = [_failure(named, target, policy) for named in found.items]
    items += [{**_told_of(named), "allowed": False, "reason": problem.detail} for named, problem in found.refused]
    links = {"next": _next(call, str(skip + limit))} if more else {}
    return Answer.of(200, {"target": target.name, "policyVersion": policy.version, "items": items, "links": links})


async def systems(_: Call, engine: Engine) -> Answer:
    """Answer `systems`: whether each target works, what is stopped, what needs a person, and how many runs are open."""
    stopped = (await asyncio.to_thread(control.stops, app_store())).stopped
    needed = await asyncio.to_thread(lambda: list(notices.current(app_store())))
    targets = app_targets()
    with ThreadPoolExecutor(max_workers=8) as threads:
        loop = asyncio.get_running_loop()
        checked = await asyncio.gather(*(loop.run_in_executor(threads, _checked, target) for target in targets.on))
    off = [{"target": name, "state": "off", "reason": reason} for name, reason in targets.off.items()]
    told = {name: switch.model_dump(mode="json") for name, switch in stopped.items()}
    return Answer.of(
        200,
        {
            "systems": [*checked, *off],
            "stopped": told,
            "needsPerson": [one.model_dump(mode="json", exclude_none=True) for one in needed],
            "openRuns": await _open_runs(engine),
        },
    )


async def health(_: Call, engine: Engine) -> Answer:
    """Answer `health`: settings, store and engine can be used, and how many targets are on or off.

    Raises:
        NotReady: they can't, or don't answer within a few seconds.
    """
    app_settings()
    await asyncio.gather(engine.answers(_HEALTHY), store_answers(app_store(), _HEALTHY))
    targets = app_targets()
    return Answer(200, to_json({"status": "ok", "targets": {"on": len(targets.on), "off": len(targets.off)}}))


async def store_answers(store: Store, seconds: float) -> None:
    """Return when the store answers.

    Raises:
        NotReady: it doesn't, for so many seconds.
    """
    try:
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().run_in_executor(_health_threads(), store.read, "health")
    except TimeoutError:
        raise NotReady(f"The store does not answer within {seconds:g} s.") from None


@cache
def _health_threads() -> ThreadPoolExecutor:
    """Return threads of its own: a store that hangs must not take those of all functions, whoever asks how often."""
    return ThreadPoolExecutor(2, thread_name_prefix="health")


async def _open_runs(engine: Engine) -> int:
    """Return how many runs have not ended, up to 100; what needs something, gets it."""
    store = app_store()
    page = await asyncio.to_thread(store.list, records.OPEN, None, _PAGE)
    return sum([await open_runs.tend(store, key, engine) for key in page.keys])


def _with_page(store: Store, head: Run, call: Call) -> Run:
    outcome = call.params.get("outcome")
    if outcome is not None and outcome not in set(Ending):
        raise _wrong("outcome", f"must be one of {', '.join(Ending)}")
    after, limit = _number(call, "after", 0), _number(call, "limit", _PAGE, most=records.PAGE)
    head = runs.present(store, head)
    wanted = runs.filtered(runs.shown(store, head, records.all_items(store, head.id)), outcome)
    page = list(islice(wanted, after, after + limit + 1))
    query = "".join(f"&{name}={call.params[name]}" for name in ("outcome", "limit") if name in call.params)
    return runs.with_items(head, page[:limit], more=len(page) > limit, after=after + limit, query=query)


async def _some_runs(call: Call, engine: Engine, prefix: str, limit: int) -> tuple[list[Run], str | None]:
    """Return a page of runs that match, and where the next one begins."""
    after = call.params.get("after")
    found: list[Run] = []
    for _ in range(_MOST_PAGES):
        page = await asyncio.to_thread(app_store().list, prefix, after, limit - len(found))
        for key in page.keys:
            one = await _told(key.rpartition("/")[2].partition("-")[2], engine)
            if one and _matches(call, one):
                found.append(one.model_copy(update={"items": [], "links": {"self": one.links["self"]}}))
        after = page.after
        if after is None or len(found) >= limit:
            break
    return found, after


async def _told(run_id: str, engine: Engine) -> Run | None:
    store = app_store()
    head = await asyncio.to_thread(records.read_report, store, run_id)
    if head:
        return head
    order = await asyncio.to_thread(records.read_order, store, run_id)
    return runs.told(order, Found(await engine.phase(order.run)).state)


def _matches(call: Call, one: Run) -> bool:
    told = {"state": one.state, "system": one.system, "target": one.target, "function": one.function}
    return all(call.params.get(name) in (None, value) for name, value in told.items())


def _swept(call: Call, target: str | None) -> System:
    """Return the system that a call names, or means by its target."""
    named = call.params.get("system") or swept_system(target)
    found = next((system for system in SWEPT if system == named), None)
    if found is None:
        raise _wrong("system", f"must be one of {', '.join(SWEPT)}")
    return found


def _failure(named: Named, target: Target, policy: control.PolicyDocument) -> dict[str, Any]:
    facts: Facts = swept(target.system).facts(named, target.name)
    decision = decide(policy.rules, facts, By.MACHINE)
    told = {**_told_of(named), "allowed": decision.allowed, "rule": decision.rule, "reason": decision.reason}
    if not decision.allowed:
        told["wouldAllow"] = offered(facts)
    return told


def _told_of(named: Named) -> dict[str, Any]:
    return {"id": named.id, "about": dict(named.about), "episode": named.episode}


def _checked(target: Target) -> dict[str, Any]:
    """Ask a target for one record, which takes a token and a right."""
    told: dict[str, Any] = {"target": target.name, "system": target.system, "state": "ok"}
    try:
        read_a_little(target)
    except ItemProblem as problem:
        state = _TROUBLES.get(type(problem), "not reachable")
        return {**told, "state": state, "reason": problem.detail, "next": problem.next_step}
    return told


def _number(call: Call, name: str, default: int, *, most: int = 2**31) -> int:
    text = call.params.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text) or not (name == "after" or int(text) >= 1) or int(text) > most:
        raise _wrong(name, f"must be a number up to {most}")
    return int(text)


def _instant(call: Call, name: str) -> datetime | None:
    text = call.params.get(name)
    if text is None:
        return None
    try:
        # In a query, the + of a zone arrives as a blank.
        found = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise _wrong(name, "must be an ISO 8601 instant") from None
    if found.tzinfo is None:
        raise _wrong(name, "must have a zone, such as Z")
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise _wrong(name, f"must be between {_FIRST_YEAR} and {_LAST_YEAR}")
    return found


def _wrong(name: str, text: str) -> NotValid:
    return NotValid.of(Mistake(f"the parameter {name} {text}", parameter=name))


def _next(call: Call, after: str) -> str:
    # A key may have come in the query; it belongs in no link.
    kept = {name: value for name, value in call.params.items() if name.lower() != "code"}
    path = call.url.partition("?")[0].partition("/api/")[2]
    return f"{front.base(call, app_settings())}/api/{path}?{urlencode({**kept, 'after': after})}"
