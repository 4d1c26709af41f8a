"""What callers may ask of Camunda 7: set the retries of jobs (`POST /job/retries`).

The body is the engine's own, and `nightshift` in it is ours. `jobIds` and `jobQuery` are a union, as in the engine.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from shared.operations import Wanted, named_target
from shared.systems.camunda.query import MOST_IDS, Date, JobQuery, chooses
from shared.systems.camunda.strict import Fault, Sent, an_id, filled, nulls, seconds, whole
from shared.systems.camunda.versions import Feature
from shared.validation import Call, Strict, checked, read_json

MOST_JOBS = 10_000


def _job_id(value: object) -> str:
    try:
        return an_id(value)
    except ValueError as error:
        # The engine also takes 5,000 characters, an empty text and null.
        raise ValueError(
            f"{error}: the engine takes any id, and a batch with a job that is not there never ends"
        ) from None


JobId = Annotated[str, BeforeValidator(_job_id)]
JobIds = Annotated[list[JobId], BeforeValidator(filled), Field(max_length=MOST_IDS)]


class Options(Strict):
    """Options of a run: `nightshift` in the body, members of our own."""

    target: str | None = Field(default=None, min_length=1, max_length=64, description="The target's name.")
    reason: str | None = Field(default=None, min_length=1, max_length=500, description="Why; kept in the report.")
    dryRun: bool = Field(default=False, description="Answer a plan, and send nothing.")  # noqa: N815 - callers write so
    override: bool = Field(default=False, description="Pass the policy's caps and its allow list; needs a reason.")
    followUp: bool = Field(  # noqa: N815 - as above
        default=False, description="Watch for some hours what becomes of the jobs that are done (FOLLOW_UP_HOURS)."
    )
    cap: int | None = Field(default=None, ge=1, le=MOST_JOBS, description="The most jobs that may be touched.")
    giveUpAfter: int | None = Field(  # noqa: N815 - as above
        default=None, ge=0, le=1440, description="Minutes after which an unreachable system is given up."
    )
    allJobs: bool = Field(  # noqa: N815 - as above
        default=False, description="Every job of the engine is meant, by a `jobQuery` that names no filter."
    )


class RetriesBody(Sent):
    """The body of `POST /job/retries`; `nightshift` is ours, and isn't sent on."""

    retries: Annotated[int, BeforeValidator(whole)] = Field(ge=0, lt=2**31, description="How often each may be tried.")
    jobIds: JobIds | None = Field(default=None, description="The jobs' ids.")  # noqa: N815 - as Camunda spells it
    jobQuery: JobQuery | None = Field(default=None, description="Which jobs, by filters.")  # noqa: N815 - as above
    dueDate: Date | None = Field(  # noqa: N815 - as above
        default=None, description="When they are due; null is now, and without it each keeps its own (7.19 and newer)."
    )
    nightshift: Options = Options()

    @classmethod
    def faults(cls, value: Mapping[str, Any]) -> Iterator[Fault]:
        """Yield what each member by itself would be right."""
        yield from nulls(value, ["jobIds", "jobQuery"])
        yield from ((("jobIds", place), "comes twice") for place in seconds(value.get("jobIds")))
        yield from _chosen(value)
        options = _options(value)
        if options.get("override") is True and options.get("reason") is None:
            yield ("nightshift", "reason"), "override needs a reason"


def _options(value: Mapping[str, Any]) -> Mapping[str, Any]:
    options = value.get("nightshift")
    return options if isinstance(options, dict) else {}


def _chosen(value: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what is wrong with which jobs are meant, all together."""
    every = _options(value).get("allJobs") is True
    query = value.get("jobQuery")
    filters = isinstance(query, dict) and chooses(query)
    if "jobIds" not in value and "jobQuery" not in value:
        yield ("jobIds",), "send jobIds, jobQuery, or both; an empty jobQuery, with allJobs in nightshift, is every job"
    if isinstance(query, dict) and not filters and not every:
        detail = 'names no filter, which is every job of the engine: name one, or send "nightshift": {"allJobs": true}'
        yield ("jobQuery",), detail
    if every and (filters or "jobIds" in value):
        yield (
            ("nightshift", "allJobs"),
            "means every job of the engine: neither jobIds nor a filter may stand beside it",
        )


class Selection(BaseModel):
    """Which jobs get how many retries: a validated request, which survives JSON.

    Attributes:
        retries: How often each may be tried.
        job_ids: Jobs that are named.
        query: Jobs that are chosen, as the engine reads it; empty for every job, None for none.
        all_jobs: Every job is meant.
        due: They keep their due dates, are due now, or at `due_date`.
        due_date: As the engine reads it.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    retries: int
    job_ids: tuple[str, ...] = ()
    query: dict[str, Any] | None = None
    all_jobs: bool = False
    due: Literal["keep", "now", "at"] = "keep"
    due_date: str | None = None

    @classmethod
    def of(cls, body: RetriesBody) -> Self:
        """Return what a body asks for."""
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
        """Return what the engine must have, which an older one would ignore or break on."""
        names = (self.query or {}).keys()
        needed: dict[Feature, bool] = {
            "dueDate": self.due != "keep",
            "dates": bool(names & {"dueDates", "createTimes"}),
            "acquired": "acquired" in names,
        }
        return frozenset(feature for feature, wanted in needed.items() if wanted)


@dataclass(frozen=True)
class Asked:
    """A validated call: which jobs, how, and of which target (None is the only one)."""

    selection: Selection
    options: Options
    target: str | None


def set_retries(call: Call) -> Wanted:
    """Return what a call of `POST /job/retries` asks for, as a run carries it out.

    Raises:
        Refused: the request isn't readable or valid.
    """
    found = read_retries(call)
    options = found.options
    return Wanted(
        system="camunda",
        target=found.target,
        reason=options.reason,
        items=(),
        native=True,
        mode="plan" if options.dryRun else "perform",
        override=options.override,
        cap=options.cap,
        # A job that is to have no retries does not run: nothing becomes of it.
        follow_up=options.followUp and found.selection.retries > 0,
        give_up_after=options.giveUpAfter,
        selection=found.selection.model_dump(mode="json"),
    )


def read_retries(call: Call) -> Asked:
    """Return what a call of `POST /job/retries` asks for.

    Raises:
        Refused: the request isn't readable or valid.
    """
    body = checked(RetriesBody, read_json(call))
    target = named_target(call, body.nightshift.target, "/nightshift/target")
    return Asked(Selection.of(body), body.nightshift, target)
