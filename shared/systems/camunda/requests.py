"""The requests of callers: set the retries of jobs (`POST /job/retries`).

The body is the engine's own, with `nightshift` added. `jobIds` and `jobQuery` are a union, as in the engine.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from shared.systems.camunda.job_query import MOST_IDS, Date, JobQuery, chooses
from shared.systems.camunda.jobs import MOST_JOBS
from shared.systems.camunda.strict_json import Fault, Sent, an_id, duplicates, filled, nulls, whole
from shared.systems.camunda.versions import Feature
from shared.systems.requests import RunRequest, named_target
from shared.validation.body import read_json
from shared.validation.models import Strict, checked
from shared.validation.request import Call


def _job_id(value: object) -> str:
    try:
        return an_id(value)
    except ValueError as error:
        # The engine also accepts 5,000 characters, an empty text and null.
        raise ValueError(
            f"{error}: the engine accepts any id, and a batch with a job that does not exist never ends"
        ) from None


JobId = Annotated[str, BeforeValidator(_job_id)]
JobIds = Annotated[list[JobId], BeforeValidator(filled), Field(max_length=MOST_IDS)]


class Options(Strict):
    """The options of a run: `nightshift` in the body."""

    target: str | None = Field(default=None, min_length=1, max_length=64, description="The target's name.")
    reason: str | None = Field(default=None, min_length=1, max_length=500, description="Shown in the report.")
    dryRun: bool = Field(default=False, description="Return a plan; send nothing.")  # noqa: N815 - as callers write it
    override: bool = Field(default=False, description="Ignore the policy's caps and allow list; needs a reason.")
    followUp: bool = Field(  # noqa: N815 - as above
        default=False, description="Watch whether the jobs recover, for FOLLOW_UP_HOURS."
    )
    cap: int | None = Field(default=None, ge=1, le=MOST_JOBS, description="Maximum number of jobs that may be touched.")
    giveUpAfter: int | None = Field(  # noqa: N815 - as above
        default=None, ge=0, le=1440, description="Minutes until the run stops trying an unreachable system."
    )
    allJobs: bool = Field(  # noqa: N815 - as above
        default=False, description="Select every job of the engine, by a `jobQuery` without filters."
    )


class RetriesBody(Sent):
    """The body of `POST /job/retries`; `nightshift` is not sent to the engine."""

    retries: Annotated[int, BeforeValidator(whole)] = Field(ge=0, lt=2**31, description="Tries left for each job.")
    jobIds: JobIds | None = Field(default=None, description="The jobs' ids.")  # noqa: N815 - as Camunda spells it
    jobQuery: JobQuery | None = Field(default=None, description="Filters that select jobs.")  # noqa: N815 - as above
    dueDate: Date | None = Field(  # noqa: N815 - as above
        default=None,
        description="When the jobs are due (7.19 and newer); null is now. Without it, each job keeps its due date.",
    )
    nightshift: Options = Options()

    @classmethod
    def faults(cls, value: Mapping[str, Any]) -> Iterator[Fault]:
        """Yield combinations whose members are valid only individually."""
        yield from nulls(value, ["jobIds", "jobQuery"])
        yield from ((("jobIds", place), "is a duplicate") for place in duplicates(value.get("jobIds")))
        yield from _chosen(value)
        options = _options(value)
        if options.get("override") is True and options.get("reason") is None:
            yield ("nightshift", "reason"), "override needs a reason"
        if options.get("followUp") is True and value.get("retries") == 0:
            yield ("nightshift", "followUp"), "there is nothing to watch: a job without retries does not run"


def _options(value: Mapping[str, Any]) -> Mapping[str, Any]:
    options = value.get("nightshift")
    return options if isinstance(options, dict) else {}


def _chosen(value: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield the mistakes of the selection as a whole."""
    every = _options(value).get("allJobs") is True
    query = value.get("jobQuery")
    filters = isinstance(query, dict) and chooses(query)
    if "jobIds" not in value and "jobQuery" not in value:
        yield ("jobIds",), "send jobIds, jobQuery, or both; for every job, an empty jobQuery and nightshift.allJobs"
    if isinstance(query, dict) and not filters and not every:
        yield ("jobQuery",), 'has no filter, so it selects every job: add one, or send "nightshift": {"allJobs": true}'
    if every and (filters or "jobIds" in value):
        yield ("nightshift", "allJobs"), "selects every job of the engine: omit jobIds and filters"


class JobSelection(BaseModel):
    """The jobs of a validated request and their retries; it can be stored as JSON.

    Attributes:
        retries: How often the engine may try each job.
        job_ids: The named jobs.
        query: The engine's query; empty selects every job, None selects none.
        all_jobs: The caller selects every job on purpose.
        due: The jobs keep their due dates, are due now, or at `due_date`.
        due_date: In the engine's format.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, defer_build=True)

    retries: int
    job_ids: tuple[str, ...] = ()
    query: dict[str, Any] | None = None
    all_jobs: bool = False
    due: Literal["keep", "now", "at"] = "keep"
    due_date: str | None = None

    @classmethod
    def of(cls, body: RetriesBody) -> Self:
        """Return the selection of a body."""
        at = "now" if body.dueDate is None else "at"
        return cls(
            retries=body.retries,
            job_ids=tuple(body.jobIds or ()),
            query=None if body.jobQuery is None else body.jobQuery.wire(),
            all_jobs=body.nightshift.allJobs,
            due=at if "dueDate" in body.model_fields_set else "keep",
            due_date=body.dueDate,
        )

    @property
    def needs(self) -> frozenset[Feature]:
        """Return the required features, which an older engine would ignore or fail on."""
        names = (self.query or {}).keys()
        needed: dict[Feature, bool] = {
            "dueDate": self.due != "keep",
            "dates": bool(names & {"dueDates", "createTimes"}),
            "acquired": "acquired" in names,
        }
        return frozenset(feature for feature, wanted in needed.items() if wanted)


@dataclass(frozen=True)
class RetriesRequest:
    """A validated call; `target` is None if it names none."""

    selection: JobSelection
    options: Options
    target: str | None


def set_retries(call: Call) -> RunRequest:
    """Return the request in a call of `POST /job/retries`, for a run.

    Raises:
        Refused: the call is not readable or valid.
    """
    found = read_retries(call)
    options = found.options
    return RunRequest(
        system="camunda",
        shape="bulk",
        target=found.target,
        reason=options.reason,
        items=(),
        native=True,
        mode="plan" if options.dryRun else "perform",
        override=options.override,
        cap=options.cap,
        follow_up=options.followUp,
        give_up_after=options.giveUpAfter,
        selection=found.selection.model_dump(mode="json"),
    )


def read_retries(call: Call) -> RetriesRequest:
    """Return the selection, options and target in a call of `POST /job/retries`.

    Raises:
        Refused: the call is not readable or valid.
    """
    body = checked(RetriesBody, read_json(call))
    target = named_target(call, body.nightshift.target, "/nightshift/target")
    return RetriesRequest(JobSelection.of(body), body.nightshift, target)
