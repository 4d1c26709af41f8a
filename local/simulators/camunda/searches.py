"""What can be asked for which things, by the names of the REST API's reference."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from local.simulators.camunda.answers import invalid
from local.simulators.camunda.batch import Batch
from local.simulators.camunda.history import Instance, Log
from local.simulators.camunda.job import Job
from local.simulators.camunda.query import Filter, Kind, Search
from local.simulators.camunda.store import Incident

type Bounds = tuple[datetime | None, datetime | None]


def _equals[T](*names: str, **attributes: str) -> dict[str, Filter[T]]:
    """Return filters for texts that are equal to an attribute, of the same name or as told."""
    named = {**{name: name for name in names}, **attributes}
    return {name: Filter("text", _same(attribute)) for name, attribute in named.items()}


def _same[T](attribute: str) -> Callable[[T, Any], bool]:
    return lambda item, value: getattr(item, attribute) == value


def _one_of[T](attribute: str) -> Filter[T]:
    return Filter("texts", lambda item, values: getattr(item, attribute) in values)


def _flag[T](true: Callable[[T], bool]) -> Filter[T]:
    return Filter("flag", lambda item, _value: true(item))


def _within[T](kind: Kind, attribute: str) -> Filter[T]:
    def passes(item: T, bounds: Bounds) -> bool:
        after, before = bounds
        value = getattr(item, attribute)
        return value is not None and (after is None or value > after) and (before is None or value < before)

    return Filter(kind, passes)


def _tenants[T]() -> dict[str, Filter[T]]:
    return {"tenantIdIn": _one_of("tenant"), "withoutTenantId": _flag(lambda item: getattr(item, "tenant") is None)}  # noqa: B009


def _prepare_jobs(values: dict[str, Any]) -> None:
    if values.get("timers") and values.get("messages"):
        raise invalid("Parameter timers cannot be used together with parameter messages.")
    if values.pop("includeJobsWithoutTenantId", None) and values.get("tenantIdIn"):
        values["tenantIdIn"] = [*values["tenantIdIn"], None]


def jobs(now: datetime) -> Search[Job]:
    """Return what can be asked for jobs at an instant (Camunda 7 REST API, Get Jobs)."""
    return Search(
        filters={
            **_equals(
                jobId="id",
                jobDefinitionId="definition",
                processInstanceId="instance",
                executionId="execution",
                processDefinitionId="process_id",
                processDefinitionKey="process",
                activityId="activity",
                failedActivityId="failed_activity",
                exceptionMessage="message",
            ),
            "jobIds": _one_of("id"),
            "processInstanceIds": _one_of("instance"),
            "withRetriesLeft": _flag(lambda job: job.retries > 0),
            "noRetriesLeft": _flag(lambda job: job.retries == 0),
            "executable": _flag(lambda job: job.retries > 0 and not job.suspended and (job.due or now) <= now),
            "timers": _flag(lambda job: job.timer),
            "messages": _flag(lambda job: not job.timer),
            "dueDates": _within("due date", "due"),
            "createTimes": _within("create time", "created"),
            "withException": _flag(lambda job: job.message is not None),
            "active": _flag(lambda job: not job.suspended),
            "suspended": _flag(lambda job: job.suspended),
            "acquired": _flag(lambda job: job.until is not None),
            "priorityLowerThanOrEquals": Filter("whole", lambda job, most: job.priority <= most),
            "priorityHigherThanOrEquals": Filter("whole", lambda job, least: job.priority >= least),
            **_tenants(),
            "includeJobsWithoutTenantId": _flag(lambda _job: True),
        },
        sorts={
            "jobId": lambda job: job.id,
            "executionId": lambda job: job.execution,
            "processInstanceId": lambda job: job.instance,
            "processDefinitionId": lambda job: job.process_id,
            "processDefinitionKey": lambda job: job.process,
            "jobPriority": lambda job: job.priority,
            "jobRetries": lambda job: job.retries,
            "jobDueDate": lambda job: job.due,
            "tenantId": lambda job: job.tenant,
        },
        identity=lambda job: job.id,
        prepare=_prepare_jobs,
    )


_BATCH_FILTERS: dict[str, Filter[Batch]] = {
    **_equals(batchId="id", type="type", createdBy="user"),
    **_tenants(),
    "suspended": _flag(lambda _batch: False),
    "startedBefore": Filter("date", lambda batch, instant: batch.start <= instant),
    "startedAfter": Filter("date", lambda batch, instant: batch.start >= instant),
}
_BATCH_SORTS: dict[str, Callable[[Batch], Any]] = {
    "batchId": lambda batch: batch.id,
    "tenantId": lambda batch: batch.tenant,
}

BATCHES: Search[Batch] = Search(
    filters={name: _BATCH_FILTERS[name] for name in ("batchId", "type", "tenantIdIn", "withoutTenantId", "suspended")},
    sorts=_BATCH_SORTS,
    identity=lambda batch: batch.id,
)
"""Camunda 7 REST API, Get Batches."""


def statistics(failed_in: Callable[[Batch], int]) -> Search[Batch]:
    """Return what can be asked for batches with their numbers (Camunda 7 REST API, Get Batch Statistics)."""
    return Search(
        filters={
            **_BATCH_FILTERS,
            "withFailures": _flag(lambda batch: failed_in(batch) > 0),
            "withoutFailures": _flag(lambda batch: failed_in(batch) == 0),
        },
        sorts={**_BATCH_SORTS, "startTime": lambda batch: batch.start},
        identity=lambda batch: batch.id,
    )


HISTORIC_BATCHES: Search[Batch] = Search(
    filters={
        **_equals(batchId="id", type="type"),
        **_tenants(),
        "completed": Filter("flag", lambda batch, wanted: (batch.end is not None) == wanted, false_too=True),
    },
    sorts={**_BATCH_SORTS, "startTime": lambda batch: batch.start, "endTime": lambda batch: batch.end},
    identity=lambda batch: batch.id,
)
"""Camunda 7 REST API, Get Historic Batches."""

LOGS: Search[Log] = Search(
    filters={
        **_equals(
            logId="id",
            jobId="job",
            jobExceptionMessage="message",
            jobDefinitionId="definition",
            processInstanceId="instance",
            processDefinitionId="process_id",
            processDefinitionKey="process",
        ),
        "activityIdIn": _one_of("activity"),
        "failedActivityIdIn": _one_of("failed_activity"),
        "executionIdIn": _one_of("execution"),
        **_tenants(),
        "creationLog": _flag(lambda log: log.event == "creation"),
        "failureLog": _flag(lambda log: log.event == "failure"),
        "successLog": _flag(lambda log: log.event == "success"),
        "deletionLog": _flag(lambda log: log.event == "deletion"),
    },
    sorts={
        "timestamp": lambda log: log.at,
        "jobId": lambda log: log.job,
        "jobRetries": lambda log: log.retries,
        "jobDueDate": lambda log: log.due,
        "processInstanceId": lambda log: log.instance,
        "occurrence": lambda log: log.number,
    },
    identity=lambda log: log.number,
)
"""Camunda 7 REST API, Get Job Logs; the engine sorts by random ids, here they stand as they came."""

INSTANCES: Search[Instance] = Search(
    filters={
        **_equals(processInstanceId="id", processDefinitionId="process_id", processDefinitionKey="process"),
        "processInstanceIds": _one_of("id"),
        "processDefinitionKeyIn": _one_of("process"),
        **_tenants(),
        "finished": _flag(lambda instance: instance.end is not None),
        "unfinished": _flag(lambda instance: instance.end is None),
        "active": _flag(lambda instance: instance.state == "ACTIVE"),
        "completed": _flag(lambda instance: instance.state == "COMPLETED"),
        "externallyTerminated": _flag(lambda instance: instance.state == "EXTERNALLY_TERMINATED"),
    },
    sorts={
        "instanceId": lambda instance: instance.id,
        "definitionKey": lambda instance: instance.process,
        "startTime": lambda instance: instance.start,
        "endTime": lambda instance: instance.end,
        "tenantId": lambda instance: instance.tenant,
    },
    identity=lambda instance: instance.id,
)
"""Camunda 7 REST API, Get Process Instances (Historic)."""

INCIDENTS: Search[Incident] = Search(
    filters={
        **_equals(
            incidentId="id",
            incidentType="type",
            incidentMessage="message",
            processDefinitionId="process_id",
            processInstanceId="instance",
            executionId="execution",
            activityId="activity",
            failedActivityId="failed_activity",
            causeIncidentId="id",
            rootCauseIncidentId="id",
            configuration="job",
        ),
        "processDefinitionKeyIn": _one_of("process"),
        "jobDefinitionIdIn": _one_of("definition"),
        "tenantIdIn": _one_of("tenant"),
        "incidentTimestampBefore": Filter("date", lambda incident, instant: incident.at < instant),
        "incidentTimestampAfter": Filter("date", lambda incident, instant: incident.at > instant),
    },
    sorts={
        "incidentId": lambda incident: incident.id,
        "incidentMessage": lambda incident: incident.message,
        "incidentTimestamp": lambda incident: incident.at,
        "incidentType": lambda incident: incident.type,
        "executionId": lambda incident: incident.execution,
        "activityId": lambda incident: incident.activity,
        "processInstanceId": lambda incident: incident.instance,
        "processDefinitionId": lambda incident: incident.process_id,
        "causeIncidentId": lambda incident: incident.id,
        "rootCauseIncidentId": lambda incident: incident.id,
        "configuration": lambda incident: incident.job,
        "tenantId": lambda incident: incident.tenant,
    },
    identity=lambda incident: incident.id,
)
"""Camunda 7 REST API, Get Incidents."""
