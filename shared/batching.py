"""From a `$batch` of any size to a run of chunks: `batch`, and the retry or the apply of one."""

import asyncio
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from shared import batch_records as kept
from shared import front, keys
from shared.answers import Answer
from shared.batch_records import Layout, Payload, Plan, Terms
from shared.durable import Engine
from shared.fanout import Chunk
from shared.front import Begun
from shared.operations import Wanted, named_target
from shared.orders import Order
from shared.outcomes import Item
from shared.problems import Mistake, NotValid
from shared.raw_json import members_of
from shared.records import Task
from shared.settings import Settings, app_settings
from shared.store import Store, app_store
from shared.systems import business_central as bc
from shared.targets import app_targets
from shared.validation import Call
from shared.work import Piece


async def batch(call: Call, engine: Engine) -> Answer:
    """Send a batch of any size in chunks, and answer as Business Central would, had it no limit.

    Raises:
        Problem: the call is refused, or its result is kept no longer.
    """
    begun = await asyncio.to_thread(_begin, app_store(), app_settings(), call)
    return await front.answer(call, begun, engine)


def _begin(store: Store, settings: Settings, call: Call) -> Begun:
    written = bc.read(call)
    name = named_target(call, written.options.target, "/nightshift/target")
    target = app_targets().choose(bc.SYSTEM, name)
    asked = bc.batch_of(written, call, target, call.route_params.get("root", ""))
    chunks = bc.chunks(asked, target)
    wanted = _wanted(asked.options, target.name)

    def make(record: keys.KeyRecord) -> tuple[Order, list[Task] | None]:
        order = front.order_of(call, wanted, settings, record)
        _write(store, order, asked, chunks)
        return order, None

    return front.begin(store, keys.key_of(call, front.actor(call, settings)), keys.fingerprint(call), make)


def begin_again(
    store: Store,
    call: Call,
    key: tuple[str | None, str],
    former: Order,
    items: Sequence[Item],
    replaced: Mapping[str, str],
    more: Mapping[str, Any],
) -> Begun:
    """Begin a run of some operations of another one, as they came or with another body.

    Args:
        store: Where they are kept.
        call: The call that wants it.
        key: The key under which the call may come again, and its mark.
        former: The other run.
        items: Its items that are meant.
        replaced: The JSON of new bodies, by the operations' ids.
        more: What the new order is told beside.

    Raises:
        NotValid: what was sent is kept no longer, or refers to an operation that isn't meant.
    """
    settings, terms = app_settings(), kept.read_terms(store, former.run)
    target = app_targets().choose(bc.SYSTEM, former.target)
    chosen = {item.id for item in items}
    texts = [_again(one, replaced.get(one.id), chosen) for one in kept.pieces(store, former.run) if one.id in chosen]
    if terms is None or len(texts) < len(chosen):
        raise NotValid.of(Mistake("the operations are kept for 7 days only, and those that are done no longer at all"))
    body = f'{{"requests":[{",".join(texts)}]}}'.encode()
    headers = {"content-type": "application/json", **_headers_of(terms)}
    asked = bc.batch(Call("POST", call.function, call.url, headers, {}, {}, body), target, terms.root)
    chunks = bc.chunks(asked, target)

    def make(record: keys.KeyRecord) -> tuple[Order, list[Task] | None]:
        wanted = Wanted(system=bc.SYSTEM, target=target.name, reason=None, items=[], native=True)
        made = front.order_of(call, wanted, settings, record)
        order = made.model_copy(update={"function": former.function, **more})
        _write(store, order, asked, chunks, settle_by=terms.settle_by)
        return order, None

    return front.begin(store, key[0], key[1], make)


def replaced_bodies(call: Call) -> dict[str, str]:
    """Return the JSON of the bodies that a retry replaces, by the operations' ids, digit by digit as it came."""
    members = {name: raw for name, _, raw in members_of(call.body.decode())}
    return {name: raw for name, _, raw in members_of(members["replace"])} if "replace" in members else {}


def _wanted(options: bc.Options, target: str) -> Wanted:
    return Wanted(
        system=bc.SYSTEM,
        target=target,
        reason=options.reason,
        items=[],
        native=True,
        mode="plan" if options.dryRun else "perform",
        max_parallel=options.maxParallel or 32,
        give_up_after=options.giveUpAfter,
    )


def _write(store: Store, order: Order, asked: bc.Batch, chunks: Sequence[Chunk], settle_by: Sequence[str] = ()) -> None:
    """Write what is sent: once, before the order, so that an order always has all of it."""
    where = {place: number for number, chunk in enumerate(chunks) for place in chunk.operations}
    terms = Terms(
        root=asked.root,
        count=len(asked.operations),
        in_order=asked.in_order,
        snapshot=asked.snapshot,
        failures_only=asked.failures_only,
        settle_by=list(asked.options.settleBy or settle_by),
        mended=list(asked.mended),
        chunks=len(chunks),
    )
    payloads = [
        Payload(operations=[_piece(asked, where, place) for place in chunk.operations], stops=chunk.stops)
        for chunk in chunks
    ]
    plan = Plan(chunks=[Layout(operations=list(chunk.operations), after=list(chunk.after)) for chunk in chunks])
    kept.write_batch(store, order.run, terms, plan, payloads)


def _piece(asked: bc.Batch, where: Mapping[int, int], place: int) -> Piece:
    one = asked.operations[place]
    return Piece(
        place=place,
        id=one.id,
        method=one.method,
        url=one.url.partition("?")[0],
        safe=one.safe,
        depends=[(where[other], asked.operations[other].id) for other in one.op.depends],
        text=one.text,
    )


def _again(one: Piece, body: str | None, chosen: set[str]) -> str:
    """Return an operation's JSON once more; what it depended on is done, or goes again as well."""
    text = one.text if body is None else _with_body(one.text, body)
    needed = [name for _, name in one.depends if name in chosen]
    if not needed or '"dependsOn":' in text.partition('"body":')[0]:
        return text
    return f'{text[:-1]},"dependsOn":{json.dumps(needed, ensure_ascii=False)}}}'


def _with_body(text: str, body: str) -> str:
    members = {name: raw for name, _, raw in members_of(text) if name != "body"}
    told = ",".join(f"{json.dumps(name)}:{raw}" for name, raw in members.items())
    return f'{{{told},"body":{body}}}'


def _headers_of(terms: Terms) -> dict[str, str]:
    prefer = [
        *(["odata.continue-on-error"] if not terms.in_order else []),
        *(["return=failures"] if terms.failures_only else []),
    ]
    return {
        **({"prefer": ", ".join(prefer)} if prefer else {}),
        **({"isolation": "snapshot"} if terms.snapshot else {}),
    }


def mark_of(items: Sequence[Item]) -> str:
    """Return what makes two selections of a run's items the same."""
    return hashlib.sha256("\n".join(sorted(item.id for item in items)).encode()).hexdigest()
