"""The public entity BatchJob: its fields, their Edm types and its JSON (entity set BatchJobs)."""

import base64
from datetime import datetime

from local.simulators.finance_operations.batch_job import STATUSES, Job
from local.simulators.odata.edm import Edm, Row, Shape

ENTITY_SET = "BatchJobs"
KEY = "BatchJobRecId"

ENUM_MEMBERS: dict[Edm, tuple[str, ...]] = {
    Edm.BATCH_STATUS: STATUSES,
    Edm.BATCH_LOG_LEVEL: ("Always", "OnError", "Never"),
}

FIELDS: dict[str, Edm] = {
    "BatchJobRecId": Edm.INT64,
    "JobDescription": Edm.STRING,
    "Status": Edm.BATCH_STATUS,
    "CompanyAccounts": Edm.STRING,
    "StartDateTime": Edm.DATE_TIME_OFFSET,
    "EndDateTime": Edm.DATE_TIME_OFFSET,
    "OrigStartDateTime": Edm.DATE_TIME_OFFSET,
    "StartDate": Edm.DATE_TIME_OFFSET,
    "StartTime": Edm.INT32,
    "Finishing": Edm.INT32,
    "RuntimeJob": Edm.BOOLEAN,
    "Recurrence": Edm.BINARY,
    "SaveJobToHistory": Edm.BATCH_LOG_LEVEL,
    "ExecutingBy": Edm.STRING,
    "CanceledBy": Edm.STRING,
    "PartitionKey": Edm.STRING,
}

SHAPE = Shape("BatchJob", FIELDS, KEY, ENUM_MEMBERS)


def row(job: Job) -> Row:
    """Return the field values of a job, dates still as dates, and the ETag."""
    start = job.orig_start
    return {
        "@odata.etag": _etag(job),
        "BatchJobRecId": job.id,
        "JobDescription": job.description,
        "Status": job.status,
        "CompanyAccounts": job.company,
        "StartDateTime": job.start,
        "EndDateTime": job.end,
        "OrigStartDateTime": job.orig_start,
        "StartDate": start.replace(hour=12, minute=0, second=0),
        "StartTime": start.hour * 3600 + start.minute * 60 + start.second,
        "Finishing": 0,
        "RuntimeJob": False,
        "Recurrence": None,
        "SaveJobToHistory": "Always",
        "ExecutingBy": job.executing_by,
        "CanceledBy": job.canceled_by,
        "PartitionKey": "initial",
    }


def to_json(values: Row, select: list[str] | None) -> dict[str, object]:
    """Return what the service writes: the ETag always, of the fields the selected ones."""
    return {
        name: _literal(value)
        for name, value in values.items()
        if select is None or name in select or name.startswith("@")
    }


def _literal(value: object) -> object:
    return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else value


def _etag(job: Job) -> str:
    # Record version and record id in base64, inside a weak ETag: the form in which F&O shows them.
    inside = base64.b64encode(f"'{job.version},{job.id}'".encode()).decode("ascii")
    return f'W/"{inside}"'
