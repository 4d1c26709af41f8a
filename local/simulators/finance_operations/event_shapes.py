"""The batch business events of Finance & Operations and the shapes in which they travel.

The keys are those of the schema that F&O offers for download; its sample shows their empty values, too. The names in
BusinessEventId are made by the rule for such names, as nobody has written the true ones down.
"""

import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from local.simulators.finance_operations.batch_job import Happening
from local.simulators.finance_operations.jobs import Occurrence

type Shape = Literal["plain", "event-grid", "event-grid-object", "cloud-events", "dataverse"]
"""F&O's own POST; Event Grid with the payload as a JSON string or as an object; CloudEvents; Dataverse's webhook."""
type Payload = dict[str, Any]

GRID_SHAPES: tuple[Shape, ...] = ("event-grid", "event-grid-object")
GRID_ORIGIN = "eventgrid.azure.net"
_TOPIC = "/subscriptions/00000000-0000-0000-0000-000000000001/providers/Microsoft.EventGrid/topics/batch"
_NAMES: dict[Happening, str] = {
    "started": "BatchJobStartedBusinessEvent",
    "finished": "BatchJobFinishedBusinessEvent",
    "failed": "BatchJobFailedBusinessEvent",
    "cancelled": "BatchJobCanceledBusinessEvent",
}
_SYMBOLS: dict[Happening, str] = {
    "started": "Executing",
    "finished": "Finished",
    "failed": "Error",
    "cancelled": "Canceled",
}
_TEST_NAME = "BusinessEventsTestEndpointContract"
_TEST_CONTROL_NUMBER = -(2**63)
_NO_TIME = datetime(1900, 1, 1, tzinfo=UTC)
_NOBODY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class BusinessEvent:
    """One event, the same for everybody who hears of it.

    Attributes:
        id: EventId.
        kind: What happened; "test" for the message that an endpoint gets when it is created.
        job: BatchJobRecId.
        time: When it happened.
        payload: What F&O sends.
    """

    id: str
    kind: Happening | Literal["test"]
    job: int | None
    time: datetime
    payload: Payload

    @property
    def name(self) -> str:
        """The BusinessEventId."""
        return str(self.payload["BusinessEventId"])


def event_of(occurrence: Occurrence, control_number: int) -> BusinessEvent:
    """Return the event of something that happened to a job."""
    kind, at, job = occurrence.happening, occurrence.at, occurrence.job
    common = _common(_NAMES[kind], job.company, control_number, at)
    payload = {
        "AdminEmailId": "",
        **common,
        "JobDescription": job.description,
        "JobEndUtcDateTime": _date(_NO_TIME if kind == "started" else at),
        "JobExecutedByEmailId": "",
        "JobId": job.id,
        "JobOwnerEmailId": "",
        "JobStatus": _SYMBOLS[kind],
        "MajorVersion": 0,
        "MinorVersion": 0,
        "ParentContextRecordSubjects": None,
    }
    return BusinessEvent(common["EventId"], kind, job.id, at, payload)


def trial_event(now: datetime) -> BusinessEvent:
    """Return the message by which F&O tries an endpoint that is being created."""
    common = _common(_TEST_NAME, "DAT", _TEST_CONTROL_NUMBER, now)
    return BusinessEvent(common["EventId"], "test", None, now, {**common, "MajorVersion": 0, "MinorVersion": 0})


def _common(name: str, company: str, control_number: int, at: datetime) -> Payload:
    return {
        "BusinessEventId": name,
        "BusinessEventLegalEntity": company,
        "ContextRecordSubject": "",
        "ControlNumber": control_number,
        "EventId": str(uuid.uuid4()).upper(),
        "EventTime": _date(at),
        "EventTimeIso8601": _iso(at),
        "InitiatingUserAADObjectId": f"{{{_NOBODY}}}",
    }


def message(event: BusinessEvent, shape: Shape, attempt: int) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body of a POST."""
    if shape in GRID_SHAPES:
        headers = {**_grid_headers("Notification"), "aeg-delivery-count": str(attempt - 1)}
        data = event.payload if shape == "event-grid-object" else json.dumps(event.payload)
        return headers, _json([_grid(event.id.lower(), event.name, event.time, data)])
    if shape == "cloud-events":
        headers = {"Content-Type": "application/cloudevents+json; charset=utf-8", "aeg-event-type": "Notification"}
        return headers, _json(_cloud(event))
    if shape == "dataverse":
        return _dataverse_headers(event), _json(_execution_context(event))
    return {"Content-Type": "application/json; charset=utf-8"}, _json(event.payload)


def validation(code: str, now: datetime) -> tuple[dict[str, str], bytes]:
    """Return the headers and the body by which Event Grid asks an endpoint whether it wants to be one."""
    # The URL is where somebody could agree by hand; who opens it on his own account finds nothing.
    data = {"validationCode": code, "validationUrl": f"https://eventgrid.invalid/validate?id={code}"}
    body = [_grid(str(uuid.uuid4()), "Microsoft.EventGrid.SubscriptionValidationEvent", now, data)]
    return _grid_headers("SubscriptionValidation"), _json(body)


def _grid_headers(kind: str) -> dict[str, str]:
    return {
        "Content-Type": "application/json; charset=utf-8",
        "aeg-event-type": kind,
        "aeg-subscription-name": "NIGHTSHIFT",
        "aeg-data-version": "1",
        "aeg-metadata-version": "1",
    }


def _grid(event_id: str, name: str, at: datetime, data: object) -> Payload:
    return {
        "id": event_id,
        "topic": _TOPIC,
        "subject": name,
        "eventType": name,
        "eventTime": _iso(at),
        "data": data,
        "dataVersion": "1",
        "metadataVersion": "1",
    }


def _cloud(event: BusinessEvent) -> Payload:
    return {
        "specversion": "1.0",
        "id": event.id.lower(),
        "source": _TOPIC,
        "subject": event.name,
        "type": event.name,
        "time": _iso(event.time),
        "datacontenttype": "application/json",
        "data": event.payload,
    }


def _dataverse_headers(event: BusinessEvent) -> dict[str, str]:
    return {
        "Content-Type": "application/json; charset=utf-8",
        "x-ms-dynamics-organization": "nightshift.crm4.dynamics.com",
        "x-ms-dynamics-entity-name": "none",
        "x-ms-dynamics-request-name": event.name,
        "x-ms-correlation-request-id": event.id.lower(),
    }


def _execution_context(event: BusinessEvent) -> Payload:
    """Return a RemoteExecutionContext; its collections are lists of pairs (data contract of the Dataverse SDK)."""
    return {
        "BusinessUnitId": _NOBODY,
        "CorrelationId": event.id.lower(),
        "Depth": 1,
        "InitiatingUserId": _NOBODY,
        "InputParameters": [{"key": key, "value": value} for key, value in event.payload.items()],
        "IsExecutingOffline": False,
        "IsInTransaction": False,
        "IsOfflinePlayback": False,
        "IsolationMode": 1,
        "MessageName": event.name,
        "Mode": 1,
        "OperationCreatedOn": _date(event.time),
        "OperationId": event.id.lower(),
        "OrganizationId": _NOBODY,
        "OrganizationName": "nightshift",
        "OutputParameters": [],
        "ParentContext": None,
        "PostEntityImages": [],
        "PreEntityImages": [],
        "PrimaryEntityId": _NOBODY,
        "PrimaryEntityName": "none",
        "RequestId": event.id.lower(),
        "SecondaryEntityName": "none",
        "SharedVariables": [],
        "Stage": 40,
        "UserId": _NOBODY,
    }


def _date(at: datetime) -> str:
    return f"/Date({round(at.timestamp() * 1000)})/"


def _iso(at: datetime) -> str:
    # .NET writes seven digits of a second.
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}0Z"


def _json(content: object) -> bytes:
    return json.dumps(content).encode()
