"""The end of a fanned-out `$batch`: its report, and one answer in the form of the system itself.

`{"responses": [...]}` has one response for each request, in the order of the requests, ids as given: the system's own
where it gave one that counts, else 424 with an OData error whose code says how the operation ended.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from http import HTTPStatus

from shared import batch_records as kept
from shared import clock, records, runs
from shared.batch_records import Answered, Layout, Terms
from shared.orders import Order
from shared.outcomes import Ending, Item, Note, Outcome, Run
from shared.parts import Ends, broken, would
from shared.problems import BatchStopped, Cancelled
from shared.records import Ended, Kept, Part
from shared.store import Store

_OWN = frozenset({Ending.DONE, Ending.REJECTED, Ending.SKIPPED})
"""How operations end whose response the system itself has given."""


def write_chunk(store: Store, order: Order, chunk: int, outcomes: Mapping[int, Outcome]) -> Part:
    """Write how the operations of a chunk ended; the first to say so is right."""
    payload = kept.read_payload(store, order.run, chunk)
    ended = [
        Ended(id=one.id, outcome=outcomes[one.place], about={"operation": f"{one.method} {one.url}"})
        for one in (payload.operations if payload else [])
    ]
    records.write_part(store, order.run, chunk, Part(ended=ended))
    return records.read_part(store, order.run, chunk) or Part(ended=ended)


def finish(store: Store, order: Order, retention: timedelta, rest: Outcome) -> Run:
    """Write the report and the answer of a batch; `rest` is how operations ended that nobody came to."""
    terms = kept.read_terms(store, order.run) or Terms(root="", count=0, in_order=True)
    plan = kept.read_plan(store, order.run)
    ended = _in_order(store, order, terms, plan.chunks, rest)
    items = [Item.of(one.id, one.outcome, dict(one.about)) for one in ended]
    mended = [Note(at=order.created, text=text) for text in terms.mended]
    head = runs.report_of(store, order, items, [*mended, *runs.halt_notes(store, order.run)])
    records.write_report(store, head, items, "report")
    head = records.read_report(store, order.run) or head
    if not store.read(f"runs/{order.run}/answer"):
        body = "".join(_rendered(store, order, terms, plan.chunks, ended)).encode()
        _keep(store, order, head, ended, body, retention)
    _forget(store, order, plan.chunks, ended)
    runs.close(store, head)
    return head


def break_off(store: Store, order: Order, chunk: int, ends: Ends) -> datetime | None:
    """End a chunk of a batch that is ended; return until when that must wait for a sending, if it must."""
    if records.read_part(store, order.run, chunk):
        return None
    until = kept.sent_until(store, order.run, chunk)
    if until is None:
        end_chunk(store, order, chunk, ends.rest, ends.sent)
    return until


def end_chunk(store: Store, order: Order, chunk: int, rest: Outcome, sent: Outcome | None = None) -> Part:
    """End a chunk that can't go on: what was sent and has no end is unknown, and of the others `rest` is true."""
    unknown = sent or broken(sent=True)
    payload = kept.read_payload(store, order.run, chunk)
    known = kept.known(store, order.run, chunk)
    outcomes = {
        one.place: known.get(one.place) or (unknown if one.place in known else rest)
        for one in (payload.operations if payload else [])
    }
    return write_chunk(store, order, chunk, outcomes)


def stopped_rest(order: Order, *, cancelled: bool) -> Outcome:
    """Return how the operations ended that a batch did not come to."""
    if order.mode == "plan":
        return would("")
    if cancelled:
        return Outcome.of(Cancelled("The run was cancelled before it came to this operation."))
    return Outcome.of(BatchStopped("An operation before it was not done, and the batch is in order."))


def _in_order(store: Store, order: Order, terms: Terms, chunks: list[Layout], rest: Outcome) -> list[Ended]:
    """Return how each operation ended, in the order of the requests."""
    found: list[Ended | None] = [None] * terms.count
    for number, chunk in enumerate(chunks):
        part = records.read_part(store, order.run, number) or write_chunk(
            store, order, number, dict.fromkeys(chunk.operations, rest)
        )
        for place, one in zip(chunk.operations, part.ended, strict=True):
            found[place] = one
    return [one for one in found if one]


def _rendered(store: Store, order: Order, terms: Terms, chunks: list[Layout], ended: list[Ended]) -> Iterator[str]:
    """Yield the text of the answer, response by response."""
    answers: dict[int, Answered] = {}
    for number in range(len(chunks)):
        answers |= {one.place: one for one in kept.answers_of(store, order.run, number)}
    yield '{"responses":['
    first = True
    for place, one in enumerate(ended):
        if terms.failures_only and one.outcome.ending is Ending.DONE:
            continue
        yield ("" if first else ",") + _response(one, answers.get(place))
        first = False
    yield "]}"


def _response(one: Ended, answer: Answered | None) -> str:
    told = f'{{"id":{json.dumps(one.id, ensure_ascii=False)},"status":'
    if answer and one.outcome.ending in _OWN:
        headers = json.dumps(answer.headers, ensure_ascii=False, separators=(",", ":"))
        body = f',"body":{answer.body}' if answer.body is not None else ""
        return f'{told}{answer.status},"headers":{headers}{body}}}'
    status = HTTPStatus.NO_CONTENT if one.outcome.ending is Ending.DONE else HTTPStatus.FAILED_DEPENDENCY
    if status is HTTPStatus.NO_CONTENT:
        return f'{told}{status.value},"headers":{{}}}}'
    error = {"code": f"Nightshift_{one.outcome.ending}", "message": one.outcome.reason}
    body = json.dumps({"error": error}, ensure_ascii=False, separators=(",", ":"))
    return f'{told}{status.value},"headers":{{"content-type":"application/json"}},"body":{body}}}'


def _keep(store: Store, order: Order, head: Run, ended: list[Ended], body: bytes, retention: timedelta) -> None:
    well = runs.outcome_of(head)
    answer = Kept(
        status=422 if order.strict and well != "complete" else 200,
        content_type="application/json",
        headers={"Nightshift-Outcome": well, "Nightshift-Run": order.run, "OData-Version": "4.0"},
        body="",
        apart=True,
        sent=any(one.outcome.sent for one in ended),
        expires=clock.now() + retention,
    )
    records.keep_apart(store, order.run, answer, body)


def _forget(store: Store, order: Order, chunks: list[Layout], ended: list[Ended]) -> None:
    """Remove what was sent, but for what a retry may need, and the system's answers, which are rendered."""
    for number, chunk in enumerate(chunks):
        needed = {place for place in chunk.operations if ended[place].outcome.ending is not Ending.DONE}
        kept.forget_payload(store, order.run, number, needed)
    kept.forget_answers(store, order.run)
