"""From a finished run to its HTTP response."""

from collections import Counter
from collections.abc import Mapping

from shared.core.outcome import Ending, Outcome
from shared.core.response import Response, to_json
from shared.execution.bulk_calls import calls_of
from shared.reports.view import RETRY_AFTER, overall_outcome, run_json, with_page
from shared.runs import records
from shared.runs.records import ItemResult
from shared.runs.report import Item, Run, State
from shared.runs.spec import RunSpec
from shared.storage.base import Store


def accepted(spec: RunSpec, state: State, headers: Mapping[str, str] | None = None) -> Response:
    """Return 202 with the location of the result."""
    content = {"run": spec.run, "state": state, "links": spec.links().model_dump()}
    fixed = {"Location": spec.location, "Retry-After": str(RETRY_AFTER), "Nightshift-Run": spec.run}
    return Response(202, to_json(content), headers={**fixed, **(headers or {})})


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
