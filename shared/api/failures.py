"""`failures`: what a sweep would find now in one target or in all, one by one or in groups, and unfinished batches."""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from typing import get_args

from shared.api.failure_sources import Look, Page, Source, sources_of
from shared.api.paging import PAGE, choice, instant, next_link, number, wrong_parameter
from shared.core import clock
from shared.core.problems import ItemProblem, TargetOff, TargetUnreachable, UnknownTarget
from shared.core.response import Response
from shared.core.settings import app_settings
from shared.core.targets import System, Target, app_targets
from shared.policy import document
from shared.reports.failures import By, Failure, FailureGroups, FailureList, Unreadable, grouped
from shared.runs import creation
from shared.storage.app import app_store
from shared.systems.requests import chosen_target
from shared.validation.request import Call

FAILURES_PARAMETERS = ("after", "by", "limit", "since", "system", "target", "until")
MOST_GROUPED = 2000
"""How many failures of one list are read for groups."""
_GROUPED_PAGE = 500
_LONGEST_READ = 30.0
"""Seconds after which no further page of a list is read for groups. It is less than `PATIENCE`: a list that is too
long is told in part, and not left out."""
_OFF = "Correct the settings of this target."
_THREADS = 8
PATIENCE = 45.0
"""Seconds after which a call about several targets answers without those that are still read."""


async def list_failures(call: Call) -> Response:
    """List failures with the decision of the policy on each, or group them (`by`).

    Raises:
        NotValid: a parameter can't be read.
        UnknownTarget, TargetOff: no target can be asked.
        ItemProblem: none of the targets can be read.
    """
    by = choice(call, "by", get_args(By))
    limit = number(call, "limit", PAGE, most=1000)
    look = await _look(call)
    targets, off = _targets(call)
    sources = [source for target in targets for source in sources_of(look, target)]
    content: FailureList | FailureGroups
    if by:
        content = await _groups(call, sources, off, by, limit, look.policy.version)
    else:
        content = await _list(call, sources, off, limit, look.policy.version)
    return Response.of(200, content)


async def _look(call: Call) -> Look:
    until, since = instant(call, "until") or clock.now(), instant(call, "since")
    if since and since > until:
        raise wrong_parameter("since", "must be before until, or before now")
    policy = await asyncio.to_thread(document.current_policy, app_store().read)
    return Look(app_store(), policy, creation.base_url(call, app_settings()), since, until.astimezone(UTC))


def _targets(call: Call) -> tuple[list[Target], list[Unreadable]]:
    """Return the targets that a call asks for, by name, and those that are off.

    Raises:
        UnknownTarget, TargetOff: there is none that is on.
        NotValid: a parameter can't be read, or the target is of another system.
    """
    name = call.params.get("target") or call.headers.get("nightshift-target")
    asked = choice(call, "system", get_args(System))
    system: System | None = next((one for one in get_args(System) if one == asked), None)
    if name:
        target = app_targets().named(name)
        return [chosen_target(call, system or target.system, name)], []
    sees, targets = call.caller.sees, app_targets()
    seen = (one for one in targets.on if system in (None, one.system) and sees(one.name, one.system))
    on = sorted(seen, key=lambda one: one.name)
    off = {name: why for name, why in targets.off_of(system).items() if sees(name)}
    if not on:
        text = f"The app has no target{f' of {system}' if system else ''} that is on."
        raise TargetOff(f"{text} {'; '.join(off.values())}.") if off else UnknownTarget(text)
    return on, [Unreadable(target=one, reason=why, next=_OFF) for one, why in sorted(off.items())]


async def _list(call: Call, sources: Sequence[Source], off: list[Unreadable], limit: int, version: int) -> FailureList:
    first, skip = _position(call, sources)
    places = [(source, skip if place == 0 else 0) for place, source in enumerate(sources[first:])]
    read = await all_read(places, lambda source, skip: source.page(skip, limit))
    page, following = page_of([(source.name, skip) for source, skip in places], read, limit)
    if following and len(sources) == 1:
        following = following.rpartition(":")[2]
    names = {source.target.name for source in sources}
    return FailureList(
        target=names.pop() if len(names) == 1 else None,
        policyVersion=version,
        unreadable=[*_unreadable([source for source, _ in places], read, whole=first == 0), *off],
        value=page,
        nextLink=next_link(call, following) if following else None,
    )


async def _groups(
    call: Call, sources: Sequence[Source], off: list[Unreadable], by: str, limit: int, version: int
) -> FailureGroups:
    skip = number(call, "after", 0)
    read = await all_read([(source, 0) for source in sources], lambda source, _: whole(source))
    chosen: By = next(one for one in get_args(By) if one == by)
    groups = grouped((failure for one in read for failure in one.found), chosen)
    partly = sorted({source.target.name for source, one in zip(sources, read, strict=True) if one.more or one.cut})
    unreadable = [*_unreadable(sources, read, whole=True), *off]
    return FailureGroups(
        by=chosen,
        policyVersion=version,
        complete=not (partly or unreadable),
        read=sum(len(one.found) for one in read),
        partly=partly,
        unreadable=unreadable,
        value=groups[skip : skip + limit],
        nextLink=next_link(call, str(skip + limit)) if len(groups) > skip + limit else None,
    )


def page_of(places: Sequence[tuple[str, int]], read: Sequence[Page], limit: int) -> tuple[list[Failure], str | None]:
    """Return a page of some lists, one after the other, and where the next page begins, as `list:skip`.

    A list whose page does not fit any more begins the next page: the page of a system can't be cut, because a system
    counts failures that are not shown.
    """
    page: list[Failure] = []
    for (name, skip), one in zip(places, read, strict=True):
        if page and len(page) + len(one.found) > limit:
            return page, f"{name}:{skip}"
        page += one.found
        if one.more:
            return page, f"{name}:{skip + limit}"
    return page, None


def _position(call: Call, sources: Sequence[Source]) -> tuple[int, int]:
    """Return the list at which a page begins, and how many of its failures are skipped."""
    text = call.params.get("after", "0")
    found = re.fullmatch(r"(?:([a-z0-9_~-]{1,80}):)?([0-9]{1,9})", text)
    names = [source.name for source in sources]
    if found is None or (found[1] and found[1] not in names):
        raise wrong_parameter("after", "must be that of a nextLink")
    return (names.index(found[1]) if found[1] else 0), int(found[2])


async def all_read(
    places: Sequence[tuple[Source, int]], work: Callable[[Source, int], Page], patience: float = PATIENCE
) -> list[Page]:
    """Read some lists at the same time; one that can't be read, or is slow, does not spoil the others.

    `patience` is in seconds; a call about one target waits as long as its timeouts allow.
    """

    def read(place: tuple[Source, int]) -> Page:
        try:
            return work(*place)
        except ItemProblem as problem:
            return Page(problem=problem)

    loop, threads = asyncio.get_running_loop(), ThreadPoolExecutor(max_workers=_THREADS)
    futures = [loop.run_in_executor(threads, read, place) for place in places]
    one_only = len({source.target.name for source, _ in places}) == 1
    await asyncio.wait(futures, timeout=None if one_only else patience)
    # A thread that still reads ends by itself.
    threads.shutdown(wait=False, cancel_futures=True)
    slow = Page(problem=TargetUnreachable(f"It did not answer within {patience:g} seconds; ask for this target alone."))
    return [future.result() if future.done() and not future.cancelled() else slow for future in futures]


def whole(source: Source) -> Page:
    """Read a list page after page, as far as it may be read for groups."""
    found: list[Failure] = []
    until, skip, page = clock.now().timestamp() + _LONGEST_READ, 0, Page(more=True)
    while page.more and skip < MOST_GROUPED and clock.now().timestamp() < until:
        page = source.page(skip, _GROUPED_PAGE)
        found, skip = [*found, *page.found], skip + _GROUPED_PAGE
    return Page(found, page.more, page.cut)


def _unreadable(sources: Sequence[Source], read: Sequence[Page], *, whole: bool) -> list[Unreadable]:
    """Return the targets that could not be read.

    Raises:
        ItemProblem: none of them could, and these are all that were asked for (`whole`).
    """
    problems: Mapping[str, ItemProblem] = {
        source.target.name: one.problem for source, one in zip(sources, read, strict=True) if one.problem
    }
    if whole and problems and {source.target.name for source in sources} == problems.keys():
        raise next(iter(problems.values()))
    return [Unreadable(target=name, reason=one.detail, next=one.next_step) for name, one in problems.items()]
