"""Jobs, batches and the rest as the REST API shows them."""

from local.simulators.camunda.batch import JOBS_PER_SEED, Batch
from local.simulators.camunda.dates import write_date
from local.simulators.camunda.history import Instance, Log
from local.simulators.camunda.job import Job
from local.simulators.camunda.store import Incident

type Row = dict[str, object]


def job_row(job: Job, *, with_batch: bool) -> Row:
    """Return a job (Camunda 7 REST API, Get Job); `batchId` came with 7.22."""
    row: Row = {
        "id": job.id,
        "jobDefinitionId": job.definition,
        "processInstanceId": job.instance,
        "processDefinitionId": job.process_id,
        "processDefinitionKey": job.process,
        "executionId": job.execution,
        "exceptionMessage": job.message,
        "failedActivityId": job.failed_activity,
        "retries": job.retries,
        "dueDate": write_date(job.due),
        "suspended": job.suspended,
        "priority": job.priority,
        "tenantId": job.tenant,
        "createTime": write_date(job.created),
    }
    return {**row, "batchId": job.batch} if with_batch else row


def batch_row(batch: Batch) -> Row:
    """Return a batch (Camunda 7 REST API, Get Batch)."""
    return {**_common(batch), "jobsCreated": batch.jobs_created, "suspended": False}


def statistics_row(batch: Batch, failed: int) -> Row:
    """Return a batch with its numbers (Camunda 7 REST API, Get Batch Statistics); what failed remains."""
    done = batch.total - batch.remaining
    return {**batch_row(batch), "remainingJobs": batch.remaining, "completedJobs": done, "failedJobs": failed}


def historic_batch_row(batch: Batch) -> Row:
    """Return a batch as the history has it (Camunda 7 REST API, Get Historic Batch)."""
    return {**_common(batch), "endTime": write_date(batch.end), "removalTime": None}


def _common(batch: Batch) -> Row:
    return {
        "id": batch.id,
        "type": batch.type,
        "totalJobs": batch.total,
        "batchJobsPerSeed": JOBS_PER_SEED,
        "invocationsPerBatchJob": 1,
        "seedJobDefinitionId": batch.definition("seed"),
        "monitorJobDefinitionId": batch.definition("monitor"),
        "batchJobDefinitionId": batch.definition("execution"),
        "tenantId": batch.tenant,
        "createUserId": batch.user,
        "startTime": write_date(batch.start),
        "executionStartTime": write_date(batch.execution_start),
    }


def incident_row(incident: Incident) -> Row:
    """Return an incident (Camunda 7 REST API, Get Incident)."""
    return {
        "id": incident.id,
        "processDefinitionId": incident.process_id,
        "processInstanceId": incident.instance,
        "executionId": incident.execution,
        "incidentTimestamp": write_date(incident.at),
        "incidentType": incident.type,
        "activityId": incident.activity,
        "failedActivityId": incident.failed_activity,
        "causeIncidentId": incident.id,
        "rootCauseIncidentId": incident.id,
        "configuration": incident.job,
        "incidentMessage": incident.message,
        "tenantId": incident.tenant,
        "jobDefinitionId": incident.definition,
        "annotation": None,
    }


def log_row(log: Log) -> Row:
    """Return an event in the life of a job (Camunda 7 REST API, Get Job Log)."""
    events = {f"{event}Log": log.event == event for event in ("creation", "failure", "success", "deletion")}
    return {
        "id": log.id,
        "timestamp": write_date(log.at),
        "removalTime": None,
        "jobId": log.job,
        "jobDueDate": write_date(log.due),
        "jobRetries": log.retries,
        "jobPriority": log.priority,
        "jobExceptionMessage": log.message,
        "failedActivityId": log.failed_activity,
        "jobDefinitionId": log.definition,
        "activityId": log.activity,
        "executionId": log.execution,
        "processInstanceId": log.instance,
        "processDefinitionId": log.process_id,
        "processDefinitionKey": log.process,
        "rootProcessInstanceId": log.instance,
        "tenantId": log.tenant,
        "batchId": log.batch,
        **events,
    }


def instance_row(instance: Instance) -> Row:
    """Return a process instance (Camunda 7 REST API, Get Process Instance (Historic))."""
    lasted = instance.end and round((instance.end - instance.start).total_seconds() * 1000)
    return {
        "id": instance.id,
        "businessKey": None,
        "processDefinitionId": instance.process_id,
        "processDefinitionKey": instance.process,
        "startTime": write_date(instance.start),
        "endTime": write_date(instance.end),
        "removalTime": None,
        "durationInMillis": lasted,
        "rootProcessInstanceId": instance.id,
        "superProcessInstanceId": None,
        "tenantId": instance.tenant,
        "state": instance.state,
    }
