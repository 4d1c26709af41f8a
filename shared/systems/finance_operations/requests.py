"""What callers may ask of Finance & Operations, and what that means."""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from shared.operations import Named, Wanted, named_target
from shared.problems import Mistake, NotValid
from shared.systems.finance_operations.jobs import BatchJob, Ended
from shared.targets import System
from shared.validation import Call, Int64Id, Strict, checked, read_json

SYSTEM: System = "finance-operations"
MOST_JOBS = 10_000


class Options(Strict):
    """Options of a run; `nightshift` in a native body, members of our own."""

    target: str | None = Field(default=None, min_length=1, max_length=64, description="The target's name.")
    reason: str | None = Field(default=None, min_length=1, max_length=500, description="Why; kept in the report.")
    fromStatuses: list[Ended] = Field(  # noqa: N815 - as callers write it
        default=["Error"],
        min_length=1,
        max_length=3,
        description="From which states it may be requeued: `Error`, and where it is meant `Finished` or `Canceled`.",
    )
    dryRun: bool = Field(default=False, description="Answer a plan, and send nothing.")  # noqa: N815 - as above
    override: bool = Field(default=False, description="Pass the policy's caps and its allow list; needs a reason.")
    followUp: bool = Field(  # noqa: N815 - as above
        default=False, description="Watch for some hours what becomes of the jobs that are done (FOLLOW_UP_HOURS)."
    )
    cap: int | None = Field(default=None, ge=1, le=MOST_JOBS, description="The most jobs that may be touched.")
    maxParallel: int = Field(  # noqa: N815 - as above
        default=8, ge=1, le=32, description="How many parts of the run are at work at the same time."
    )
    giveUpAfter: int | None = Field(  # noqa: N815 - as above
        default=None, ge=0, le=1440, description="Minutes after which an unreachable system is given up."
    )


class RequeueBody(Options):
    """The body of `requeue`: one job, or a list of jobs with a reason."""

    batchJobId: Int64Id | None = Field(default=None, description="The job's BatchJobRecId.")  # noqa: N815 - F&O's name
    batchJobIds: list[Int64Id] | None = Field(  # noqa: N815 - as above
        default=None, min_length=1, max_length=MOST_JOBS, description="The jobs' BatchJobRecIds."
    )


class NativeBody(Strict):
    """The body of SetBatchJobToWaiting; `nightshift` is ours, and isn't sent on."""

    batchJobId: Int64Id = Field(description="The job's BatchJobRecId.")  # noqa: N815 - as F&O spells it
    nightshift: Options = Options()


class Requeue(BaseModel):
    """One validated operation: requeue one job."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    batch_job_id: int
    from_statuses: tuple[Ended, ...] = ("Error",)


def requeue(call: Call) -> Wanted:
    """Return what a call of `requeue` asks for.

    Raises:
        Refused: the request isn't readable or valid.
    """
    body = checked(RequeueBody, read_json(call))
    _refuse_together(body)
    ids = body.batchJobIds or [body.batchJobId or 0]
    return _wanted(call, ids, body, "", single=body.batchJobIds is None)


def requeue_native(call: Call) -> Wanted:
    """Return what a call of `requeue_native` asks for.

    Raises:
        Refused: the request isn't readable or valid.
    """
    body = checked(NativeBody, read_json(call))
    return _wanted(call, [body.batchJobId], body.nightshift, "/nightshift", single=True, native=True)


def item(batch_job_id: int) -> Named:
    """Return a job of which only the id is known as an item of a run."""
    return Named(str(batch_job_id), Requeue(batch_job_id=batch_job_id).model_dump(mode="json"))


def named(job: BatchJob) -> Named:
    """Return a failed job as an item of a run."""
    operation = Requeue(batch_job_id=job.BatchJobRecId)
    return Named(str(job.BatchJobRecId), operation.model_dump(mode="json"), job.episode, job.about)


def _refuse_together(body: RequeueBody) -> None:
    """Refuse what each member by itself would be right."""
    mistakes: list[Mistake] = []
    if (body.batchJobId is None) == (body.batchJobIds is None):
        mistakes.append(Mistake("send either batchJobId or batchJobIds", "/batchJobId"))
    if body.batchJobIds is not None and not body.reason:
        mistakes.append(Mistake("a list needs a reason", "/reason"))
    mistakes += _doubled(body.batchJobIds or [])
    if mistakes:
        raise NotValid.of(*mistakes)


def _doubled(ids: Sequence[int]) -> list[Mistake]:
    seen: set[int] = set()
    found = []
    for place, one in enumerate(ids):
        if one in seen:
            found.append(Mistake("comes twice", f"/batchJobIds/{place}"))
        seen.add(one)
    return found


def _wanted(
    call: Call, ids: Sequence[int], options: Options, pointer: str, *, single: bool, native: bool = False
) -> Wanted:
    if options.override and not options.reason:
        raise NotValid.of(Mistake("override needs a reason", f"{pointer}/reason"))
    statuses = tuple(options.fromStatuses)
    operations = [Requeue(batch_job_id=one, from_statuses=statuses).model_dump(mode="json") for one in ids]
    return Wanted(
        system=SYSTEM,
        target=named_target(call, options.target, f"{pointer}/target"),
        reason=options.reason,
        items=[Named(str(one), operation) for one, operation in zip(ids, operations, strict=True)],
        single=single and not options.dryRun,
        native=native,
        mode="plan" if options.dryRun else "perform",
        override=options.override,
        cap=options.cap,
        max_parallel=options.maxParallel,
        follow_up=options.followUp,
        give_up_after=options.giveUpAfter,
    )
