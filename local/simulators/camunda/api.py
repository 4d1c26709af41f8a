"""What Camunda 7's REST API does for each path, by its reference."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import unquote

from starlette.responses import Response

from local.simulators.camunda import json, rows, searches
from local.simulators.camunda.answers import RefusedError, answer, engine_error, forbidden, invalid, no_content, routing
from local.simulators.camunda.batch import Batch
from local.simulators.camunda.behaviour import CamundaBehaviour, Right
from local.simulators.camunda.engine import Engine
from local.simulators.camunda.history import Instance, Log
from local.simulators.camunda.job import Job
from local.simulators.camunda.query import Query, Search
from local.simulators.camunda.rows import Row
from local.simulators.camunda.store import Incident, Store
from local.simulators.common.faults import Kind

_WHOLE = re.compile(r"[+-]?\d{1,10}")
_RETRIES = json.whole_number(32)
_JOBS_AND_INCIDENTS: Right = "READ_INSTANCE on ProcessDefinition"
_MAPPER_IS_NULL = (
    'Cannot invoke "com.fasterxml.jackson.databind.ObjectMapper.readValue(String, java.lang.Class)"'
    ' because "this.objectMapper" is null'
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A call: its method, its query parameters, its body, the id in its path, and the user who sent it."""

    method: str
    params: Mapping[str, str]
    body: bytes
    ident: str = ""
    user: str | None = None


type Handler = Callable[[Asked], Response]


@dataclass(frozen=True, slots=True)
class Path:
    """A path, what kind of call it is in the book, and what answers there by method."""

    pattern: re.Pattern[str]
    kind: Kind
    handlers: Mapping[str, Handler]


@dataclass(frozen=True, slots=True)
class _Things[T]:
    """Things that can be listed and counted; without the right `needs`, there seem to be none."""

    search: Callable[[Store], Search[T]]
    items: Callable[[Store, Mapping[str, Any]], Iterable[T]]
    row: Callable[[Store, T], Row]
    needs: Right


class CamundaApi:
    """The paths below /engine-rest, for one engine."""

    def __init__(self, engine: Engine, now: Callable[[], datetime], behaviour: Callable[[], CamundaBehaviour]) -> None:
        self._engine = engine
        self._now = now
        self._behaviour = behaviour
        self._paths = [_path(*each) for each in self._table()]

    def find(self, path: str) -> tuple[Path | None, str]:
        """Return what answers on a path, and the id in that; both paths and ids are as they were sent."""
        for each in self._paths:
            match = each.pattern.fullmatch(path)
            if match:
                return each, unquote(match.groupdict().get("id") or "")
        return None, ""

    def _table(self) -> list[tuple[str, Kind, dict[str, Handler]]]:
        """Return the paths; of two that match, the first counts."""
        both = ("GET", "POST")
        return [
            *self._listed("/job", "list", both, self._jobs()),
            ("/job/retries", "action", {"POST": self._set_retries_async}),
            ("/job/{id}/retries", "action", {"PUT": self._set_retries}),
            ("/job/{id}", "list", {"GET": self._job}),
            *self._listed("/batch/statistics", "batch", ("GET",), _STATISTICS),
            *self._listed("/batch", "batch", ("GET",), _BATCHES),
            ("/batch/{id}", "batch", {"GET": self._batch, "DELETE": self._delete_batch}),
            *self._listed("/history/batch", "history", ("GET",), _HISTORIC_BATCHES),
            ("/history/batch/{id}", "history", {"GET": self._historic_batch}),
            *self._listed("/history/job-log", "history", both, _LOGS),
            *self._listed("/history/process-instance", "history", both, _INSTANCES),
            ("/history/process-instance/{id}", "history", {"GET": self._instance}),
            *self._listed("/incident", "incident", ("GET",), _INCIDENTS),
            ("/incident/{id}", "incident", {"GET": self._incident}),
            ("/version", "version", {"GET": lambda _asked: answer({"version": self._behaviour().version})}),
            ("/engine", "other", {"GET": lambda _asked: answer([{"name": "default"}])}),
        ]

    def _listed[T](
        self, path: str, kind: Kind, methods: Iterable[str], things: _Things[T]
    ) -> list[tuple[str, Kind, dict[str, Handler]]]:
        def listed(asked: Asked) -> Response:
            self._refuse_too_many(asked)
            return answer(self._engine.look(lambda store: _rows(asked, store, self._seen(things), self._unknown())))

        def counted(asked: Asked) -> Response:
            return answer(self._engine.look(lambda store: _count(asked, store, self._seen(things), self._unknown())))

        return [(path, kind, dict.fromkeys(methods, listed)), (f"{path}/count", kind, dict.fromkeys(methods, counted))]

    def _refuse_too_many(self, asked: Asked) -> None:
        """Refuse a list that may be longer than `queryMaxResultsLimit` allows to those who have signed in."""
        limit, most = self._behaviour().max_results, _number(asked.params.get("maxResults"))
        if limit is None or asked.user is None:
            return
        if most is None:
            raise invalid("An unbound number of results is forbidden!")
        if most > limit:
            raise invalid(f"Max results limit of {limit} exceeded!")

    def _seen[T](self, things: _Things[T]) -> _Things[T]:
        """Return the things that the user may see: all of them, or none."""
        return replace(things, items=lambda _store, _body: ()) if self._lacks(things.needs) else things

    def _lacks(self, right: Right) -> bool:
        return right in self._behaviour().lacks

    def _unknown(self) -> frozenset[str]:
        return frozenset() if self._behaviour().knows(24) else frozenset({"acquired"})

    def _jobs(self) -> _Things[Job]:
        return _Things(
            search=lambda _store: searches.jobs(self._now()),
            items=lambda store, _body: store.jobs.values(),
            row=lambda _store, job: self._job_row(job),
            needs=_JOBS_AND_INCIDENTS,
        )

    def _job_row(self, job: Job) -> Row:
        return rows.job_row(job, with_batch=self._behaviour().knows(22))

    def _job(self, asked: Asked) -> Response:
        job = self._engine.job(asked.ident)
        if job is None or self._lacks(_JOBS_AND_INCIDENTS):
            raise invalid(f"Job with id {asked.ident} does not exist", 404)
        return answer(self._job_row(job))

    def _set_retries_async(self, asked: Asked) -> Response:
        """Camunda 7 REST API, Set Job Retries Async."""
        if not asked.body.strip():
            raise invalid("retries is null")
        body = json.whole_object(json.loads(asked.body))
        if body is None:
            raise invalid("setJobRetriesDto is null")
        retries, due = _RETRIES(body.get("retries")), self._due_in(body)
        job_ids, query = json.texts(body.get("jobIds")), json.whole_object(body.get("jobQuery"))
        if retries is None:
            raise invalid("retries is null")
        selected = self._selected(job_ids or [], query)
        if retries < 0:
            raise engine_error("Retries count is not greater than or equal to 0")
        self._allow("CREATE_BATCH_SET_JOB_RETRIES on Batch", "CREATE")
        return answer(rows.batch_row(self._engine.make_batch(selected, retries, due, asked.user)))

    def _due_in(self, body: dict[str, Any]) -> tuple[datetime | None] | None:
        """Return the due date, which may be null, if there is one; it came with 7.19, and is passed over before."""
        known = self._behaviour().knows(19) and "dueDate" in body
        return (json.date(body["dueDate"]),) if known else None

    def _selected(self, job_ids: list[str | None], body: dict[str, Any] | None) -> list[str | None]:
        """Return the union of the ids and of what a query finds."""
        if not job_ids and body is None and self._behaviour().knows(19):
            raise engine_error("ENGINE-13050 You must specify at least one of jobIds or jobQuery.")
        found = [] if body is None else self._found(body)
        if not job_ids and not found:
            raise invalid("jobIds is empty")
        return [*job_ids, *found]

    def _found(self, body: dict[str, Any]) -> list[str]:
        # Until 7.19 a query inside another body had no mapper for its dates (camunda-bpm-platform, issue 3185).
        if not self._behaviour().knows(19) and (body.get("dueDates") or body.get("createTimes")):
            raise RefusedError(500, "NullPointerException", _MAPPER_IS_NULL, 0)
        query = searches.jobs(self._now()).from_json(body, self._unknown())
        jobs = self._seen(self._jobs())
        return self._engine.look(lambda store: [job.id for job in query.sorted(jobs.items(store, {}))])

    def _set_retries(self, asked: Asked) -> Response:
        """Camunda 7 REST API, Set Job Retries; but an unknown job is answered 500, whatever that says."""
        body = _object_in(asked)
        retries, due = _RETRIES(body.get("retries")), self._due_in(body)
        if retries is None:
            raise _null('"java.lang.Integer.intValue()" because the return value of "getRetries()"')
        numbered = self._behaviour().knows(18)
        if retries < 0:
            text = f"The number of job retries must be a non-negative Integer, but '{retries}' has been provided."
            raise invalid(f"ENGINE-13054 {text}" if numbered else text, 500)
        self._allow("RETRY_JOB on ProcessInstance", "UPDATE")
        try:
            self._engine.set_retries(asked.ident, retries, due)
        except KeyError:
            raise invalid(self._engine.no_job(asked.ident), 500) from None
        return no_content()

    def _allow(self, right: Right, *broader: str) -> None:
        """Refuse a user who lacks a right; a broader permission on the same resource would do as well."""
        if self._lacks(right):
            permission, _, resource = right.partition(" on ")
            raise forbidden(self._behaviour().user, *((one, resource) for one in (*broader, permission)))

    def _batch(self, asked: Asked) -> Response:
        return self._one(
            lambda store: store.running.get(asked.ident),
            rows.batch_row,
            f"Batch with id '{asked.ident}' does not exist",
            _BATCHES.needs,
        )

    def _delete_batch(self, asked: Asked) -> Response:
        """Camunda 7 REST API, Delete Batch."""
        self._allow("DELETE on Batch")
        try:
            self._engine.delete_batch(asked.ident, cascade=asked.params.get("cascade") == "true")
        except KeyError:
            raise invalid(f"Unable to delete batch with id '{asked.ident}'") from None
        return no_content()

    def _historic_batch(self, asked: Asked) -> Response:
        return self._one(
            lambda store: next((one for one in _recorded(store) if one.id == asked.ident), None),
            rows.historic_batch_row,
            f"Historic batch with id '{asked.ident}' does not exist",
            _HISTORIC_BATCHES.needs,
        )

    def _instance(self, asked: Asked) -> Response:
        return self._one(
            lambda store: store.history.instances.get(asked.ident),
            rows.instance_row,
            f"Historic process instance with id {asked.ident} does not exist",
            _INSTANCES.needs,
        )

    def _incident(self, asked: Asked) -> Response:
        return self._one(
            lambda store: store.incidents.get(asked.ident),
            rows.incident_row,
            f"No matching incident with id {asked.ident}",
            _INCIDENTS.needs,
        )

    def _one[T](
        self, find: Callable[[Store], T | None], row: Callable[[T], Row], missing: str, needs: Right
    ) -> Response:
        def found(store: Store) -> Row | None:
            one = None if self._lacks(needs) else find(store)
            return None if one is None else row(one)

        shown = self._engine.look(found)
        if shown is None:
            raise invalid(missing, 404)
        return answer(shown)


def _path(template: str, kind: Kind, handlers: dict[str, Handler]) -> Path:
    return Path(re.compile(template.replace("{id}", "(?P<id>[^/]+)")), kind, handlers)


def _rows[T](asked: Asked, store: Store, things: _Things[T], unknown: frozenset[str]) -> list[Row]:
    query, items = _read(asked, store, things, unknown)
    return [things.row(store, item) for item in _page(query.sorted(items), asked.params)]


def _count[T](asked: Asked, store: Store, things: _Things[T], unknown: frozenset[str]) -> dict[str, int]:
    query, items = _read(asked, store, things, unknown)
    return {"count": len(query.passing(items))}


def _read[T](asked: Asked, store: Store, things: _Things[T], unknown: frozenset[str]) -> tuple[Query[T], Iterable[T]]:
    search = things.search(store)
    if asked.method == "GET":
        return search.from_params(asked.params, unknown), things.items(store, asked.params)
    body = _object_in(asked)
    return search.from_json(body, unknown), things.items(store, body)


def _object_in(asked: Asked) -> dict[str, Any]:
    body = json.whole_object(json.loads(asked.body)) if asked.body.strip() else None
    if body is None:
        raise _null("a method because the body")
    return body


def _null(what: str) -> RefusedError:
    return RefusedError(500, "NullPointerException", f"Cannot invoke {what} is null", 0)


def _page[T](items: list[T], params: Mapping[str, str]) -> list[T]:
    first, most = (_number(params.get(name)) for name in ("firstResult", "maxResults"))
    begin = max(first or 0, 0)
    return items[begin:] if most is None else items[begin : begin + max(most, 0)]


def _number(text: str | None) -> int | None:
    # JAX-RS takes a parameter that is no number for a path that is not there.
    if text and not _WHOLE.fullmatch(text):
        raise routing(404)
    return int(text) if text else None


def _recorded(store: Store) -> Iterable[Batch]:
    return (batch for batch in store.batches.values() if batch.recorded and not batch.forgotten)


def _logs(store: Store, body: Mapping[str, Any]) -> Iterable[Log]:
    job_id = body.get("jobId")
    return store.history.of_job.get(job_id, []) if isinstance(job_id, str) else store.history.logs


_BATCHES: _Things[Batch] = _Things(
    search=lambda _store: searches.BATCHES,
    items=lambda store, _body: store.running.values(),
    row=lambda _store, batch: rows.batch_row(batch),
    needs="READ on Batch",
)
_STATISTICS: _Things[Batch] = _Things(
    search=lambda store: searches.statistics(store.failed_in),
    items=lambda store, _body: store.running.values(),
    row=lambda store, batch: rows.statistics_row(batch, store.failed_in(batch)),
    needs="READ on Batch",
)
_HISTORIC_BATCHES: _Things[Batch] = _Things(
    search=lambda _store: searches.HISTORIC_BATCHES,
    items=lambda store, _body: _recorded(store),
    row=lambda _store, batch: rows.historic_batch_row(batch),
    needs="READ_HISTORY on Batch",
)
_LOGS: _Things[Log] = _Things(
    search=lambda _store: searches.LOGS,
    items=_logs,
    row=lambda _store, log: rows.log_row(log),
    needs="READ_HISTORY on ProcessDefinition",
)
_INSTANCES: _Things[Instance] = _Things(
    search=lambda _store: searches.INSTANCES,
    items=lambda store, _body: store.history.instances.values(),
    row=lambda _store, instance: rows.instance_row(instance),
    needs="READ_HISTORY on ProcessDefinition",
)
_INCIDENTS: _Things[Incident] = _Things(
    search=lambda _store: searches.INCIDENTS,
    items=lambda store, _body: store.incidents.values(),
    row=lambda _store, incident: rows.incident_row(incident),
    needs=_JOBS_AND_INCIDENTS,
)
