"""From a finished run to its HTTP response."""

from collections import Counter
from datetime import datetime
from math import ceil

from pydantic import Field

from shared.core import clock
from shared.core.model import Plain
from shared.core.outcome import Ending, Outcome
from shared.core.response import Response, to_json
from shared.execution.bulk_calls import calls_of
from shared.reports.view import overall_outcome, run_json, with_page
from shared.runs import records
from shared.runs.records import ItemResult
from shared.runs.report import Counts, Item, Links, Run, State, Wait
from shared.runs.spec import RunSpec
from shared.storage.base import Store

_SOON, _LATE = 2, 60
"""The shortest and the longest `Retry-After`, in seconds."""


class Accepted(Plain):
    """The body of 202: a run that has no response yet."""

    run: str = Field(description="The id of the run.")
    state: State
    counts: Counts
    waits: Wait | None = Field(description="What it waits for, and until when; null while it works.")
    links: Links


def accepted(spec: RunSpec, head: Run) -> Response:
    """Return 202 with the state of a run, the location of its result, and when to ask for it."""
    content = Accepted(run=spec.run, state=head.state, counts=head.counts, waits=head.waits, links=spec.links())
    after = retry_after(spec.created, head.waits, clock.now())
    headers = {"Location": spec.location, "Retry-After": str(after), "Nightshift-Run": spec.run}
    return Response(202, content.model_dump_json().encode(), headers=headers)


def retry_after(created: datetime, waits: Wait | None, now: datetime) -> int:
    """Return in how many seconds to ask for a result: when the run goes on, or after a tenth of its age."""
    age = (now - created).total_seconds()
    seconds = (waits.until - now).total_seconds() if waits and waits.until else age * 0.1
    return ceil(min(max(seconds, _SOON), _LATE))


def response(store: Store, spec: RunSpec, head: Run, ended: list[ItemResult], items: list[Item]) -> Response:
    """Return the response to the call that started a run."""
    if spec.native and spec.selects and spec.mode == "perform":
        return _bulk(store, spec, head, ended, items)
    return _single(spec, ended[0].outcome) if spec.single else _many(spec, head, items)


def status_of(overall: str, *, strict: bool) -> int:
    """Return the status of a response about many items: 422 if nothing was done, or not all if that is `strict`."""
    refused = {"failed", "partial"} if strict else {"failed"}
    return 422 if overall in refused else 200


def _bulk(store: Store, spec: RunSpec, head: Run, ended: list[ItemResult], items: list[Item]) -> Response:
    """Return the system's response to the call for all items; without one, the most frequent problem of the items."""
    overall = overall_outcome(head)
    if spec.strict and overall == "partial":
        return _many(spec, head, items)
    sent = next((one for one in calls_of(store, spec.run) if one.outcome and one.outcome.ending is Ending.DONE), None)
    if sent and sent.outcome:
        return Response(200, to_json(sent.outcome.answer), headers={"Nightshift-Outcome": overall})
    usual, _ = Counter(one.outcome.problem for one in ended).most_common(1)[0]
    outcome = next(one.outcome for one in ended if one.outcome.problem == usual)
    return outcome.raised(spec.run).answer().with_headers({"Nightshift-Outcome": overall})


def _single(spec: RunSpec, outcome: Outcome) -> Response:
    """Return the response to a call about one item: the system's own response, or a problem."""
    if outcome.ending is not Ending.DONE:
        return outcome.raised(spec.run).answer()
    if spec.native and outcome.native is not None:
        return Response(outcome.upstream_status or 200, outcome.native.encode())
    return Response(200, to_json(outcome.answer))


def _many(spec: RunSpec, head: Run, items: list[Item]) -> Response:
    """Return the response to a call about a list: the run with its first page of items."""
    page = with_page(head, items[: records.PAGE], more=len(items) > records.PAGE)
    overall = overall_outcome(head)
    return Response(status_of(overall, strict=spec.strict), run_json(page), headers={"Nightshift-Outcome": overall})
