"""The requests of callers: requeue batch jobs."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from shared.core.problems import Mistake, NotValid
from shared.core.targets import System
from shared.systems.finance_operations.jobs import BatchJob, Ended
from shared.systems.requests import ItemRef, RunRequest, named_target
from shared.validation.body import read_json
from shared.validation.models import Int64Id, Strict, checked
from shared.validation.request import Call

SYSTEM: System = "finance-operations"
MOST_JOBS = 10_000


class Options(Strict):
    """The options of a run: members of the body, or of `nightshift` in a native body."""

    target: str | None = Field(default=None, min_length=1, max_length=64, description="The target's name.")
    reason: str | None = Field(default=None, min_length=1, max_length=500, description="Shown in the report.")
    fromStatuses: list[Ended] = Field(  # noqa: N815 - as callers write it
        default=["Error"],
        min_length=1,
        max_length=3,
        description="The states from which a job may be requeued; `Finished` and `Canceled` only if listed.",
    )
    dryRun: bool = Field(default=False, description="Return a plan; send nothing.")  # noqa: N815 - as above
    override: bool = Field(default=False, description="Ignore the policy's caps and allow list; needs a reason.")
    followUp: bool = Field(  # noqa: N815 - as above
        default=False, description="Watch whether the jobs recover, for FOLLOW_UP_HOURS."
    )
    cap: int | None = Field(default=None, ge=1, le=MOST_JOBS, description="Maximum number of jobs that may be touched.")
    maxParallel: int = Field(  # noqa: N815 - as above
        default=8, ge=1, le=32, description="Maximum number of parts of the run in progress at the same time."
    )
    giveUpAfter: int | None = Field(  # noqa: N815 - as above
        default=None, ge=0, le=1440, description="Minutes until the run stops trying an unreachable system."
    )


class RequeueBody(Options):
    """The body of `requeue`: one job, or a list of jobs with a reason."""

    batchJobId: Int64Id | None = Field(default=None, description="The job's BatchJobRecId.")  # noqa: N815 - F&O's name
    batchJobIds: list[Int64Id] | None = Field(  # noqa: N815 - as above
        default=None, min_length=1, max_length=MOST_JOBS, description="The jobs' BatchJobRecIds."
    )


class NativeBody(Strict):
    """The body of SetBatchJobToWaiting; `nightshift` is not sent to the system."""

    batchJobId: Int64Id = Field(description="The job's BatchJobRecId.")  # noqa: N815 - as F&O spells it
    nightshift: Options = Options()


class Requeue(BaseModel):
    """The validated operation on one job."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, defer_build=True)

    batch_job_id: int
    from_statuses: tuple[Ended, ...] = ("Error",)


def requeue(call: Call) -> RunRequest:
    """Return the request in a call of `requeue`.

    Raises:
        Refused: the call is not readable or valid.
    """
    body = checked(RequeueBody, read_json(call))
    _reject_combinations(body)
    ids = body.batchJobIds or [body.batchJobId or 0]
    return _request(call, ids, body, "", single=body.batchJobIds is None)


def requeue_native(call: Call) -> RunRequest:
    """Return the request in a call of `requeue_native`.

    Raises:
        Refused: the call is not readable or valid.
    """
    body = checked(NativeBody, read_json(call))
    return _request(call, [body.batchJobId], body.nightshift, "/nightshift", single=True, native=True)


def item(batch_job_id: int) -> ItemRef:
    """Return the item for a job of which only the id is known."""
    return ItemRef(str(batch_job_id), Requeue(batch_job_id=batch_job_id).model_dump(mode="json"))


def named(job: BatchJob) -> ItemRef:
    """Return the item for a failed job."""
    operation = Requeue(batch_job_id=job.BatchJobRecId)
    return ItemRef(str(job.BatchJobRecId), operation.model_dump(mode="json"), job.episode, job.about)


def _reject_combinations(body: RequeueBody) -> None:
    """Reject combinations whose members are valid only individually."""
    mistakes: list[Mistake] = []
    if (body.batchJobId is None) == (body.batchJobIds is None):
        mistakes.append(Mistake("send either batchJobId or batchJobIds", "/batchJobId"))
    if body.batchJobIds is not None and not body.reason:
        mistakes.append(Mistake("a list needs a reason", "/reason"))
    mistakes += _duplicates(body.batchJobIds or [])
    if mistakes:
        raise NotValid.of(*mistakes)


def _duplicates(ids: Sequence[int]) -> list[Mistake]:
    seen: set[int] = set()
    found = []
    for place, one in enumerate(ids):
        if one in seen:
            found.append(Mistake("is a duplicate", f"/batchJobIds/{place}"))
        seen.add(one)
    return found


def _request(
    call: Call, ids: Sequence[int], options: Options, pointer: str, *, single: bool, native: bool = False
) -> RunRequest:
    if options.override and not options.reason:
        raise NotValid.of(Mistake("override needs a reason", f"{pointer}/reason"))
    statuses = tuple(options.fromStatuses)
    operations = [Requeue(batch_job_id=one, from_statuses=statuses).model_dump(mode="json") for one in ids]
    return RunRequest(
        system=SYSTEM,
        target=named_target(call, options.target, f"{pointer}/target"),
        reason=options.reason,
        items=[ItemRef(str(one), operation) for one, operation in zip(ids, operations, strict=True)],
        single=single and not options.dryRun,
        native=native,
        mode="plan" if options.dryRun else "perform",
        override=options.override,
        cap=options.cap,
        max_parallel=options.maxParallel,
        follow_up=options.followUp,
        give_up_after=options.giveUpAfter,
    )
