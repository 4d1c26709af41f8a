"""Create the spec and items of a run, or join the run that has the same key."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from shared.core.outcome import Outcome
from shared.core.problems import HandedOn, OverCap
from shared.core.schedule import Night
from shared.core.settings import Settings
from shared.core.targets import Target
from shared.policy.rules import Initiator
from shared.runs import handed_on, idempotency, records
from shared.runs.handed_on import Follow, Join, Take
from shared.runs.records import RunItem
from shared.runs.spec import RunSpec, Window
from shared.storage.base import Store
from shared.systems.requests import ItemRef, RunRequest, Shape, chosen_target
from shared.validation.request import Call

_EVENT_GIVES_UP = timedelta(hours=24)
"""How long the run of an event retries a system that can't be reached or is throttling."""


type Make = Callable[[idempotency.KeyRecord], tuple[RunSpec, list[RunItem] | None]]
"""Builds the spec of a new run, and its items if they are known."""


@dataclass(frozen=True)
class Wanted:
    """Items of a run that another run wants to send.

    `named`: it gets none that is free if another run took some. `select` says which of those that are free can be sent.
    """

    source: str
    items: Sequence[str]
    named: bool
    select: handed_on.Select = handed_on.every


@dataclass(frozen=True)
class StartedRun:
    """A run whose spec is stored; `joined`: an earlier call stored it."""

    spec: RunSpec
    joined: bool


def spec_of_call(call: Call, request: RunRequest, settings: Settings, record: idempotency.KeyRecord) -> RunSpec:
    """Build the spec of a call.

    Raises:
        Refused: the target can't be used.
    """
    watched = timedelta(hours=settings.follow_up_hours)
    minutes = settings.give_up_minutes if request.give_up_after is None else request.give_up_after
    patience = timedelta(minutes=minutes)
    if request.waves == "careful" and request.give_up_after is None:
        # Waves retry a throttling system until their time is over.
        patience = max(patience, watched)
    return RunSpec(
        run=record.run,
        ticket=record.ticket,
        function=call.function,
        system=request.system,
        shape=request.shape,
        target=chosen_target(call, request.system, request.target).name,
        origin="flow" if idempotency.is_flow(call) else "http",
        actor=call.caller.actor.id,
        actor_name=call.caller.actor.name,
        reason=request.reason,
        base=base_url(call, settings),
        created=record.created,
        give_up=record.created + patience,
        mode=request.mode,
        single=request.single,
        native=request.native,
        strict=call.preference.strict,
        override=request.override,
        cap=request.cap,
        max_parallel=request.max_parallel,
        waves=request.waves,
        waves_until=record.created + watched,
        follow_up=watched if request.follow_up else timedelta(),
        ignored=tuple(request.ignored),
        correlation=call.correlation,
        selects=request.selection is not None,
    )


def night_key(function: str, target: str, night: Night) -> str:
    """Return the key of the record that a night has begun for a target."""
    return f"keys/night-{function}-{target}-{night.name}"


def has_begun(store: Store, function: str, target: str, night: Night) -> bool:
    """Return whether a night has begun for a target: its sweep, or its retries, are recorded; there may be none."""
    return store.read(night_key(function, target, night)) is not None


def night_run(
    store: Store, settings: Settings, function: str, target: Target, shape: Shape, night: Night
) -> StartedRun:
    """Create the run of a target's night, or join it: there is one, however often the timer fires."""
    key = night_key(function, target.name, night)
    record, joined = idempotency.claim_key(store, key, "night", frees=idempotency.never, lasting=True)
    if joined and (known := records.known_spec(store, record.run)):
        return StartedRun(known, joined)
    spec = RunSpec(
        run=record.run,
        ticket=record.ticket,
        function=function,
        system=target.system,
        shape=shape,
        target=target.name,
        origin="timer",
        actor=function,
        reason=f"Night {night.name}",
        base=settings.public_url,
        created=record.created,
        give_up=night.end,
        mode="perform" if settings.sweep_mode == "apply" else "plan",
        by=Initiator.MACHINE,
        cap=settings.sweep_cap,
        attempts_cap=settings.attempts_cap,
        waves=settings.sweep_waves,
        waves_until=night.end,
        follow_up=timedelta(hours=settings.follow_up_hours),
        sweep=Window(night=night.name),
    )
    records.write_spec(store, spec, None)
    return StartedRun(spec, joined)


def event_run(
    store: Store, settings: Settings, call: Call, target: Target, shape: Shape, item: ItemRef, key: str
) -> StartedRun:
    """Create the run of an event about one item, or join the one that the same event created."""
    record, joined = idempotency.claim_key(store, key, "event", frees=idempotency.never, lasting=True)
    if joined and (known := records.known_spec(store, record.run)):
        return StartedRun(known, joined)
    spec = RunSpec(
        run=record.run,
        ticket=record.ticket,
        function=call.function,
        system=target.system,
        shape=shape,
        target=target.name,
        origin="event",
        actor=call.function,
        reason="A batch job event was received",
        base=base_url(call, settings),
        created=record.created,
        give_up=record.created + _EVENT_GIVES_UP,
        by=Initiator.MACHINE,
        attempts_cap=settings.attempts_cap,
        event_waits=settings.waits,
        follow_up=timedelta(hours=settings.follow_up_hours),
        correlation=call.correlation,
    )
    records.write_spec(store, spec, items_with_cap([item], None))
    return StartedRun(spec, joined)


def check_spec(call: Call, former: RunSpec, reason: str, settings: Settings) -> RunSpec:
    """Build the spec of a check or a settle of a former run; both send nothing."""
    record = idempotency.without_key("")
    changes = {"run": record.run, "ticket": record.ticket, "created": record.created, "give_up": record.created}
    changes |= {"function": call.function, "parent": former.run, "reason": reason}
    changes |= {"origin": "flow" if idempotency.is_flow(call) else "http"}
    changes |= {"actor": call.caller.actor.id, "actor_name": call.caller.actor.name, "correlation": call.correlation}
    changes |= {"base": base_url(call, settings), "sweep": None, "native": False}
    # The former run applied the plan, and overrode the policy.
    changes |= {"plan": None, "planned_by": None, "override": False}
    changes |= {"waves": "all", "follow_up": timedelta(), "event_waits": None}
    return former.model_copy(update=changes)


def create_or_join(
    store: Store,
    key: str | None,
    mark: str,
    make: Make,
) -> StartedRun:
    """Store the spec and items that `make` builds, or join the run that has the key.

    Args:
        store: The store.
        key: The key of `idempotency.key_of`; None for a call whose repetition can't be recognized.
        mark: The fingerprint of the request.
        make: Builds the spec and, if they are known, the items.

    Raises:
        KeyReused: another request has the key.
        Expired: the response of the run is past its retention.
        HandedOn: the run that had the key sent nothing, and another one is retrying what it left.
    """
    record, joined = _record_of(store, key, mark, lambda run: _keeps_its_items(store, run))
    known = records.known_spec(store, record.run) if joined else None
    if known:
        return StartedRun(known, joined)
    # Joined without a spec: the first call died before it stored one. This call repeats its request, so it continues.
    spec, run_items = make(record)
    if record.instead_of and spec.mode == "perform":
        left = [item.id for item in records.all_items(store, record.instead_of)]
        handed_on.take_all(store, record.instead_of, left, record)
        spec = spec.model_copy(update={"taken_from": record.instead_of})
    records.write_spec(store, spec, run_items)
    return StartedRun(spec, joined)


def _record_of(
    store: Store, key: str | None, mark: str, frees: Callable[[str], bool]
) -> tuple[idempotency.KeyRecord, bool]:
    """Return the record of a key, and whether it existed; a new one without a key."""
    if key is None:
        return idempotency.without_key(mark), False
    return idempotency.claim_key(store, key, mark, frees=frees)


def _keeps_its_items(store: Store, run: str) -> bool:
    """Return whether a run holds the items that it took, and no other run took what it left."""
    spec = records.known_spec(store, run)
    return spec is not None and _confirms(store, spec) and handed_on.is_whole(store, run)


def _confirms(store: Store, spec: RunSpec) -> bool:
    """Return whether a run holds the items that it took of another one."""
    return spec.taken_from is None or handed_on.confirm(store, spec.taken_from, spec.run)


def take_over(
    store: Store, key: str | None, mark: str, wanted: Wanted, prepare: Callable[[frozenset[str]], Make]
) -> StartedRun | Follow:
    """Store a run that sends items of another run again; each item is sent again by one run only.

    Args:
        store: The store.
        key: The key of `idempotency.key_of`; None for a call whose repetition can't be recognized.
        mark: The fingerprint of the request: the same request joins the run that took the items.
        wanted: The items, and the run that left them.
        prepare: Checks the items that are free, and returns what builds the spec of a run that sends those of them that
            can be sent; it raises NotValid if there are none.

    Returns:
        The run; or the run that took all the items before, and may have left some.

    Raises:
        HandedOn: other runs took some of the items.
        RunOpen: another call is about to store the run that took them.
        KeyReused: another request has the key.
    """
    source = records.known_spec(store, wanted.source)
    if source and not _confirms(store, source):
        text = f"Run {source.run} never started: it lost its items to another run. Retry run {source.taken_from}."
        raise HandedOn(text, run=source.taken_from)
    while True:
        found = handed_on.look(store, wanted.source, wanted.items, mark, named=wanted.named, select=wanted.select)
        if isinstance(found, Take):
            make = prepare(found.free)
            record, joined = _record_of(store, key, mark, idempotency.always)
            known = records.known_spec(store, record.run) if joined else None
            if known:
                return StartedRun(known, joined=True)
            if joined:
                # A call that was taken for dead may still store that run, with other items.
                record = idempotency.without_key(mark)
            if handed_on.take(store, wanted.source, found, record):
                return _heir(store, wanted, record, make)
        elif isinstance(found, Join):
            known = records.known_spec(store, found.handing.run)
            if known:
                kept = records.read_response(store, known.run)
                # As a key is free again when its run ended and had sent nothing.
                return StartedRun(known, joined=True) if kept is None or kept.sent else Follow(found.handing)
            # The first call died before it stored the spec. This call repeats its request, so it continues,
            # maybe days later: what housekeeping removes of dead calls must not be what this one writes.
            records.mark_open(store, found.handing.run)
            return _heir(store, wanted, found.handing.key, prepare(frozenset(found.handing.items)))
        elif records.known_spec(store, found.handing.run):
            return found
        else:
            handed_on.free_again(store, wanted.source, found.handing)


def _heir(store: Store, wanted: Wanted, record: idempotency.KeyRecord, make: Make) -> StartedRun:
    made, run_items = make(record)
    spec = made.model_copy(update={"taken_from": wanted.source})
    records.write_spec(store, spec, run_items)
    return StartedRun(spec, joined=False)


def items_with_cap(items: Sequence[ItemRef], cap: int | None) -> list[RunItem]:
    """Build the items of a run; the items over its cap have ended."""
    room, over = within_cap(items, cap)
    ended = Outcome.of(OverCap(f"The cap of the run is {cap}."))
    return [*(_run_item(one, None) for one in room), *(_run_item(one, ended) for one in over)]


def base_url(call: Call, settings: Settings) -> str:
    """Return the app's public URL, without a slash at its end."""
    return settings.public_url or call.origin


def _run_item(one: ItemRef, outcome: Outcome | None) -> RunItem:
    return RunItem(
        id=one.id, operation=dict(one.operation), episode=one.episode, about=dict(one.about), outcome=outcome
    )


def within_cap[Item](items: Iterable[Item], cap: int | None) -> tuple[list[Item], list[Item]]:
    """Return the first `cap` items, and the others; None: no cap."""
    listed = list(items)
    return (listed, []) if cap is None else (listed[:cap], listed[cap:])
