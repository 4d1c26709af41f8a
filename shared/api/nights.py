"""`nights` and `night`: one night over all systems in one answer, and the list of the last nights."""

import asyncio
from collections.abc import Sequence
from datetime import date, datetime, timedelta

from shared.api.needs_look import needs_now
from shared.api.night_runs import Here, events_of, people_of, targets_of
from shared.api.paging import FIRST_YEAR, LAST_YEAR, day, next_link, number, wrong_parameter
from shared.core import clock
from shared.core.problems import UnknownNight
from shared.core.response import Response
from shared.core.schedule import Night, Schedule
from shared.core.settings import app_settings
from shared.durable.engine import Engine
from shared.reports.night import NightAnswer, NightLine, NightLink, NightList, state_of, totals_of
from shared.reports.night_needs import needs_of
from shared.reports.night_words import line, sentences
from shared.runs import creation
from shared.runs.needs.need import Need
from shared.runs.nights import first_day, runs_of_night
from shared.storage.app import app_store
from shared.validation.request import Call

LATEST = "latest"
"""In place of a date: the night that began last."""
NIGHTS_PARAMETERS = ("after", "limit")
_DAY = timedelta(days=1)
_PAGE, MOST_NIGHTS = 7, 31


async def list_nights(call: Call, engine: Engine) -> Response:
    """List the nights that have begun, the last one first; `after` is the date behind which a page begins.

    Raises:
        NotValid: a parameter can't be read.
    """
    limit, after = number(call, "limit", _PAGE, most=MOST_NIGHTS), call.params.get("after")
    here = _here(call, engine)
    last = last_begun(here.settings.schedule, here.now)
    first = await asyncio.to_thread(_first, here, last)
    start = min(last, _read_date(after, "after") - _DAY) if after is not None else last
    shown = [start - past * _DAY for past in range(limit) if start - past * _DAY >= first]
    needs = await asyncio.to_thread(needs_now, here.store)
    value = [await _line(here, night, needs) for night in shown]
    following = bool(shown) and shown[-1] > first
    answer = NightList(value=value, nextLink=next_link(call, f"{shown[-1]}") if following else None)
    return Response.of(200, answer)


async def get_night(call: Call, engine: Engine) -> Response:
    """Return one night: what ran in each target, what it came to, what people did, and what needs a person.

    Raises:
        NotValid: the date is none.
        UnknownNight: the night is in the future, or before the first run that is kept.
    """
    here, text = _here(call, engine), call.route_params.get("date", "")
    night = last_begun(here.settings.schedule, here.now) if text == LATEST else _read_date(text, "date")
    await _refuse_unknown(here, night)
    told = await night_answer(here, night, await asyncio.to_thread(needs_now, here.store))
    return Response.of(200, told)


async def night_answer(here: Here, night: date, needs: Sequence[Need]) -> NightAnswer:
    """Return one night over all targets that the caller may see; `needs` is what needs a person now."""
    windows = here.settings.schedule.nights_of(night)
    begin, until = _span(windows)
    targets = await targets_of(here, night, windows)
    people = await people_of(here, [one.run for one in targets if one.run], begin, until)
    answer = NightAnswer(
        night=f"{night}",
        begin=begin,
        until=until,
        state=state_of(begin, until, targets, here.now),
        needsPerson=len(needs_of(needs, targets, people, begin, until)),
        totals=totals_of(targets),
        targets=targets,
        events=await events_of(here, begin, until),
        people=people,
    )
    return answer.model_copy(update={"summary": sentences(answer)})


def last_begun(schedule: Schedule, now: datetime) -> date:
    """Return the date of the night that began last."""
    today = now.astimezone(schedule.zone).date()
    return today if schedule.nights_of(today)[0].start <= now else today - _DAY


async def _line(here: Here, night: date, needs: Sequence[Need]) -> NightLine:
    windows = here.settings.schedule.nights_of(night)
    begin, until = _span(windows)
    targets = await targets_of(here, night, windows, items=False)
    state, totals = state_of(begin, until, targets, here.now), totals_of(targets)
    count = len(needs_of(needs, targets, [], begin, until))
    return NightLine(
        night=f"{night}",
        begin=begin,
        until=until,
        state=state,
        needsPerson=count,
        totals=totals,
        summary=line(state, targets, count),
        links=NightLink(own=f"{here.base}/api/nights/{night}"),
    )


def _here(call: Call, engine: Engine) -> Here:
    settings = app_settings()
    return Here(app_store(), engine, settings, creation.base_url(call, settings), clock.now(), call.caller)


def _first(here: Here, last: date) -> date:
    """Return the date of the first night of which something is known; `last` is that of the night that began last."""
    first = first_day(here.store, here.now.date(), here.settings.run_retention_days)
    if first is None:
        return last
    # The first run may be that of a night which began on the evening before.
    return min(last, first - _DAY if runs_of_night(here.store, first - _DAY) else first)


async def _refuse_unknown(here: Here, night: date) -> None:
    last = last_begun(here.settings.schedule, here.now)
    if night > last + _DAY:
        raise UnknownNight(f"The night of {night} is in the future.")
    first = await asyncio.to_thread(_first, here, last)
    if night < first:
        raise UnknownNight(f"The first night of which something is known is that of {first}.")


def _span(windows: Sequence[Night]) -> tuple[datetime, datetime]:
    """Return when the first window of a night begins, and when the last one ends."""
    return min(one.start for one in windows), max(one.end for one in windows)


def _read_date(text: str, name: str) -> date:
    found = day(text, name)
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise wrong_parameter(name, "must be a date as YYYY-MM-DD")
    return found
