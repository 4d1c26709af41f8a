"""What the store and the engine know of the runs of a night: those of timers, of events, and by hand."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice

from shared.access.caller import Caller
from shared.api import live
from shared.api.needs_look import RETRIES
from shared.core.outcome import Ending
from shared.core.schedule import Night
from shared.core.settings import Settings
from shared.core.targets import Target, app_targets
from shared.durable.engine import Engine
from shared.policy import switches
from shared.reports.night import (
    Did,
    NightEvents,
    NightPerson,
    NightTarget,
    NotRun,
    planned_causes,
    reasons_of,
    summed,
    switched_off,
)
from shared.runs import creation, idempotency, records
from shared.runs.nights import NIGHT_FUNCTIONS, indexed, runs_of_night
from shared.runs.report import Item, Links, Run, State
from shared.runs.spec import RunSpec
from shared.storage.base import Store
from shared.systems.registry import definition_of, failures_of

_MOST_EVENTS = 200
_MOST_READ = 1000
"""How many runs of some days are looked at, to find those by hand that name a run of the night."""
_BY_HAND = ("apply", "check", "settle", *NIGHT_FUNCTIONS)
"""The functions of runs that name a run of a night; a retry has the function of the run that it retries."""


@dataclass(frozen=True)
class Here:
    """What is needed to show a night.

    Attributes:
        store: The store.
        engine: The engine, which knows the runs that have no report.
        settings: The app's settings.
        base: The app's own URL, for links.
        now: The present.
        caller: Who asks; a night shows only the targets that it may see.
    """

    store: Store
    engine: Engine
    settings: Settings
    base: str
    now: datetime
    caller: Caller

    def shows(self, spec: RunSpec) -> bool:
        """Return whether the caller may see a run."""
        return self.caller.sees(spec.target, spec.system)


async def targets_of(here: Here, night: date, windows: Sequence[Night], *, items: bool = True) -> list[NightTarget]:
    """Return the targets of a night, by name: those with a run, and those without one.

    `items`: read the items of each run, which say why they are not well.
    """
    specs = await asyncio.to_thread(runs_of_night, here.store, night)
    found = [await _with_run(here, spec, items=items) for spec in specs if here.shows(spec)]
    ran = {(one.target, one.night) for one in found}
    for window in windows:
        found += await asyncio.to_thread(_without_run, here, window, ran)
    return sorted(found, key=lambda one: (one.target, one.night, one.begun or here.now))


async def _with_run(here: Here, spec: RunSpec, *, items: bool) -> NightTarget:
    head, shown = await live.read_run(here.store, spec, here.engine)
    return await asyncio.to_thread(_told, here, spec, head, shown if items else ())


async def _head(here: Here, spec: RunSpec) -> Run:
    """Return a run without its items, as it is now."""
    return (await live.read_run(here.store, spec, here.engine))[0]


def _told(here: Here, spec: RunSpec, head: Run, items: Iterable[Item]) -> NightTarget:
    shown = list(items)
    planned = [one.about.texts for one in shown if one.outcome is Ending.PLANNED]
    return NightTarget(
        target=spec.target,
        system=spec.system,
        night=spec.sweep.night if spec.sweep and spec.sweep.night else "",
        state=head.state,
        run=spec.run,
        mode="apply" if spec.mode == "perform" else "plan",
        begun=spec.created,
        ended=head.ended,
        expires=head.expires,
        applied=spec.mode == "plan" and idempotency.is_applied(here.store, spec.run),
        counts=head.counts,
        causes=head.causes or planned_causes(failures_of(spec.system).cause(about)[0] for about in planned),
        failed=reasons_of(shown),
        waits=head.waits,
        notes=head.notes,
        links=_links(here, head),
    )


def _links(here: Here, head: Run) -> Links:
    """Return the links of a run, without the ticket of its result."""
    return Links.of(here.base, head.id, planned=head.state is State.PLANNED)


def _without_run(here: Here, window: Night, ran: set[tuple[str, str]]) -> list[NightTarget]:
    """Return the targets that have no run in a window, each with the reason."""
    targets = app_targets()
    found = [
        NightTarget(target=name, system=None, night=window.name, state="did not run", reason=f"It is off: {why}.")
        for name, why in targets.off.items()
        if (name, window.name) not in ran and here.caller.sees(name)
    ]
    for target in targets.on:
        if (target.name, window.name) not in ran and here.caller.sees(target.name, target.system):
            state, reason = _why_not(here, target, window)
            found.append(
                NightTarget(target=target.name, system=target.system, night=window.name, state=state, reason=reason)
            )
    return found


def _why_not(here: Here, target: Target, window: Night) -> tuple[NotRun, str]:
    """Return the state of a target that has no run in a window, and the reason."""
    sweeps = definition_of(target.system).failures is not None
    if (here.settings.sweep_mode if sweeps else here.settings.batch_retry) == "off":
        return "did not run", switched_off("SWEEP_MODE" if sweeps else "BATCH_RETRY")
    if here.now < window.start:
        return "to come", f"The window begins at {window.start:%Y-%m-%d %H:%M} UTC."
    if not sweeps and creation.has_begun(here.store, RETRIES[target.system], target.name, window):
        return "nothing to do", "No batch of the day before left anything that a night may retry."
    if here.now < window.end:
        quiet = target.quiet_until(here.settings.schedule.zone, here.now)
        waits = f"It has quiet hours until {quiet:%Y-%m-%d %H:%M} UTC." if quiet else ""
        return "to come", f"{waits or 'A timer starts it within 5 minutes.'}{_stopped(here, target)}"
    return "did not run", "No tick of a timer came while the window was open, or the target is newer than the night."


def _stopped(here: Here, target: Target) -> str:
    """Return a sentence about the stop of a target, or of all targets, if there is one now; a run of it sends nothing.

    The stop of a run that has begun stands in the reasons of its items.
    """
    stops = switches.stops(here.store)
    return "".join(
        f" It is stopped by {one.actor}: {one.reason}" for one in stops.listed() if one.target in (None, target.name)
    )


async def people_of(here: Here, runs: Sequence[str], begin: datetime, until: datetime) -> list[NightPerson]:
    """Return the runs by hand that name a run of the night as plan or parent, or another one of these."""
    last = min(here.now, until + timedelta(hours=here.settings.plan_ttl))
    specs = await asyncio.to_thread(_by_hand, here.store, begin.date(), last.date()) if runs else []
    known, found = set(runs), []
    for spec in specs:
        of = next((one for one in (spec.parent, spec.plan) if one in known), None)
        if of and spec.run not in known and here.shows(spec):
            known.add(spec.run)
            found.append(_person(here, spec, of, await _head(here, spec)))
    return found


def _by_hand(store: Store, first: date, last: date) -> list[RunSpec]:
    """Return the runs by hand of some days that name another run, the first one first."""
    listed = islice(indexed(store, first, last, _BY_HAND), _MOST_READ)
    specs = [records.known_spec(store, one.run) for one in listed]
    named = [spec for spec in specs if spec and (spec.plan or spec.parent) and spec.origin != "timer"]
    return sorted(named, key=lambda spec: spec.created)


def _person(here: Here, spec: RunSpec, of: str, head: Run) -> NightPerson:
    return NightPerson(
        run=spec.run,
        function=_did(spec),
        target=spec.target,
        actor=spec.actor,
        reason=spec.reason,
        of=of,
        state=head.state,
        counts=head.counts,
        created=spec.created,
        links=_links(here, head),
    )


def _did(spec: RunSpec) -> Did:
    """Return what a person did by a run; a retry has the function of the run that it retries."""
    match spec.function:
        case "check":
            return "check"
        case "settle":
            return "settle"
    return "retry" if spec.parent else "apply"


async def events_of(here: Here, begin: datetime, until: datetime) -> NightEvents:
    """Return the runs that events started between two instants, with their counts."""
    specs, complete = await asyncio.to_thread(_of_events, here, begin, until)
    heads = await asyncio.gather(*(_head(here, spec) for spec in specs))
    return NightEvents(runs=len(specs), counts=summed(head.counts for head in heads), complete=complete)


def _of_events(here: Here, begin: datetime, until: datetime) -> tuple[list[RunSpec], bool]:
    """Return the runs of events between two instants, and whether these are all of them."""
    listed = indexed(here.store, begin.date(), until.date(), ("batch_job_event",))
    # A busy day has many: what is not of this night is left out by its key, without a read.
    seen = (one for one in listed if begin <= one.created < until and here.caller.sees(one.target, one.system))
    specs = (records.known_spec(here.store, one.run) for one in seen)
    found = list(islice((spec for spec in specs if spec), _MOST_EVENTS + 1))
    return found[:_MOST_EVENTS], len(found) <= _MOST_EVENTS
