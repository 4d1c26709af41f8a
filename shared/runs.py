"""Runs: what is kept of one from its order to its answer.

    runs/{run}/order            what was asked for, by whom, and the ticket that opens the result
    runs/{run}/parts/{n}        one operation; removed when it is done
    runs/{run}/outcomes/{n}     how it ended
    runs/{run}/report           the run's model, when every item has an outcome
    runs/{run}/answer           the HTTP answer, byte by byte, kept for RESULT_RETENTION_HOURS

Every record is created once and never changed, so work that is delivered twice writes nothing twice.
"""

import contextlib
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from shared import clock
from shared.outcomes import Counts, Ending, Item, Outcome, Plain, Run, State
from shared.problems import Answer, Exists, Expired, RunBroken, UnknownRun, to_json
from shared.store import Store

RETRY_AFTER = 5
"""Seconds after which a caller who got 202 should ask again."""


class Order(Plain):
    """What was asked for: written once, before the run starts."""

    v: int = 1
    run: str
    ticket: str
    function: str
    target: str
    origin: str
    actor: str
    reason: str | None = None
    native: bool = False
    base: str
    created: datetime

    @property
    def location(self) -> str:
        """Where its result is; absolute, because flows don't resolve another one."""
        return f"{self.base}/api/runs/{self.run}/result?ticket={self.ticket}"

    @property
    def links(self) -> dict[str, str]:
        """Return where the run is told of."""
        return {"self": f"{self.base}/api/runs/{self.run}", "result": self.location}


class Part(Plain):
    """One operation of a run."""

    v: int = 1
    item: str
    operation: dict[str, Any]


class Ended(Plain):
    """How a part ended."""

    v: int = 1
    item: str
    outcome: Outcome


class Kept(Plain):
    """An answer as it is kept."""

    v: int = 1
    status: int
    content_type: str
    headers: dict[str, str]
    body: str
    sent: bool
    expires: datetime

    @property
    def answer(self) -> Answer:
        """Return it as it was answered first."""
        return Answer(self.status, self.body.encode(), self.content_type, self.headers)


def new_id() -> str:
    """Return a new run's id: the day, for people who read it, and 80 random bits."""
    return f"{clock.now():%Y%m%d}-{secrets.token_hex(10)}"


def new_ticket() -> str:
    """Return what opens a result: 192 random bits."""
    return secrets.token_urlsafe(24)


def write_order(store: Store, order: Order, part: Part) -> None:
    """Write what a run is to do; that it is there already is no error."""
    _create(store, f"runs/{order.run}/parts/0", part)
    _create(store, f"runs/{order.run}/order", order)


def read_order(store: Store, run: str) -> Order:
    """Return what a run was asked for.

    Raises:
        UnknownRun: there is no such run.
    """
    found = store.read(f"runs/{run}/order") if _is_id(run) else None
    if found is None:
        raise UnknownRun("There is no run of this id.")
    return Order.model_validate_json(found.data)


def read_part(store: Store, run: str, part: int) -> Part | None:
    """Return one operation of a run, as long as it is kept."""
    found = store.read(f"runs/{run}/parts/{part}")
    return Part.model_validate_json(found.data) if found else None


def read_ended(store: Store, run: str, part: int) -> Ended | None:
    """Return how a part ended, if it did."""
    found = store.read(f"runs/{run}/outcomes/{part}")
    return Ended.model_validate_json(found.data) if found else None


def write_ended(store: Store, run: str, part: int, ended: Ended) -> None:
    """Write how a part ended; the first one to say so is right."""
    _create(store, f"runs/{run}/outcomes/{part}", ended)


def read_kept(store: Store, run: str) -> Kept | None:
    """Return the answer of a run, if it is ready."""
    found = store.read(f"runs/{run}/answer")
    return Kept.model_validate_json(found.data) if found else None


def refuse_expired(order: Order, kept: Kept) -> None:
    """Let no answer pass that is kept no longer.

    Raises:
        Expired: it isn't; the problem links to the report.
    """
    if clock.now() >= kept.expires:
        text = f"The answer was kept until {kept.expires:%Y-%m-%dT%H:%M:%SZ}."
        raise Expired(text, run=order.run, members={"links": {"self": order.links["self"]}})


def finish(store: Store, run: str, retention: timedelta) -> Counts:
    """Write the report and the answer of a run all of whose parts have ended."""
    order = read_order(store, run)
    ended = read_ended(store, run, 0)
    if ended is None:
        raise ValueError("a run is finished when its parts have ended")
    report = _reported(order, [Item.of(ended.item, ended.outcome)])
    _create(store, f"runs/{run}/report", report)
    _create(store, f"runs/{run}/answer", _kept(order, ended.outcome, retention))
    if ended.outcome.ending is Ending.DONE:
        store.delete(f"runs/{run}/parts/0")
    return report.counts


def break_off(store: Store, run: str, outcome: Outcome, retention: timedelta) -> None:
    """End a run that broke by our own defect, where its part has no outcome yet."""
    part = read_part(store, run, 0)
    if part:
        write_ended(store, run, 0, Ended(item=part.item, outcome=outcome))
    finish(store, run, retention)


def broken(*, sent: bool) -> Outcome:
    """Return the outcome of an item whose run broke."""
    problem = RunBroken("The run broke. Whether the item was sent is not known." if sent else "Nothing was sent.")
    ending = Ending.UNKNOWN if sent else Ending.NOT_ATTEMPTED
    return Outcome.of(problem).model_copy(update={"ending": ending, "sent": sent})


def read_run(store: Store, run: str, state: State) -> Run:
    """Return a run as it is told of; `state` is where the engine has it, as long as there is no report.

    Raises:
        UnknownRun: there is no such run.
    """
    order = read_order(store, run)
    found = store.read(f"runs/{run}/report")
    if found:
        return Run.model_validate_json(found.data)
    return _told(order, state)


def _told(order: Order, state: State, **more: object) -> Run:
    return Run.model_validate(
        {
            "id": order.run,
            "state": state,
            "function": order.function,
            "target": order.target,
            "origin": order.origin,
            "actor": order.actor,
            "reason": order.reason,
            "created": order.created,
            "links": order.links,
            **more,
        }
    )


def _reported(order: Order, items: list[Item]) -> Run:
    now = clock.now()
    return _told(order, State.ENDED, items=items, counts=Counts.of(items), answered=now, ended=now)


def _kept(order: Order, outcome: Outcome, retention: timedelta) -> Kept:
    answer = _rendered(order, outcome).with_headers({"Nightshift-Run": order.run})
    return Kept(
        status=answer.status,
        content_type=answer.content_type,
        headers=dict(answer.headers),
        body=answer.body.decode(),
        sent=outcome.sent,
        expires=clock.now() + retention,
    )


def _rendered(order: Order, outcome: Outcome) -> Answer:
    """Return what a call for one item answers: the system's own answer, or a problem."""
    if outcome.ending is not Ending.DONE:
        return outcome.raised(order.run).answer()
    if order.native and outcome.native is not None:
        return Answer(outcome.upstream_status or 200, outcome.native.encode())
    return Answer(200, to_json(outcome.answer))


def accepted(order: Order, state: State, headers: Mapping[str, str] | None = None) -> Answer:
    """Return the 202 that says where the answer will be."""
    content = {"run": order.run, "state": state, "links": order.links}
    told = {"Location": order.location, "Retry-After": str(RETRY_AFTER), "Nightshift-Run": order.run}
    return Answer(202, to_json(content), headers={**told, **(headers or {})})


def _create(store: Store, key: str, record: Plain) -> None:
    with contextlib.suppress(Exists):
        store.create(key, record.model_dump_json(exclude_none=True).encode())


def _is_id(run: str) -> bool:
    """Let nothing through that could name another record."""
    return run.replace("-", "").isalnum() and run.isascii() and len(run) <= 40  # noqa: PLR2004 - longer than ours
