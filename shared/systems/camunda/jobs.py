"""Jobs of the engine (Camunda 7 REST API, Get Jobs (POST)): read some by their ids, or page through a query."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import batched
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.operations import Named
from shared.policy import Facts
from shared.problems import AnswerNotUnderstood
from shared.systems.camunda.service import NAME, count, objects, read
from shared.transport import Connection

MOST_JOBS = 10_000
WITH_RETRIES = "retries "
"""What stands for the failure of a job that has retries left: how many, since that is what a sending changes."""
_PASSES = 3
_MOST_ROWS = 50_000
_LONGEST_CAUSE = 200
_UUID = r"[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4,12}){3,4}"
_BY_ID = [{"sortBy": "jobId", "sortOrder": "asc"}]


class Job(BaseModel):
    """A job (JobDto), as far as a decision needs it."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    id: str
    retries: int
    jobDefinitionId: str | None = None  # noqa: N815 - as Camunda spells it
    executionId: str | None = None  # noqa: N815 - as above
    processInstanceId: str | None = None  # noqa: N815 - as above
    processDefinitionId: str | None = None  # noqa: N815 - as above
    processDefinitionKey: str | None = None  # noqa: N815 - as above
    exceptionMessage: str | None = None  # noqa: N815 - as above
    failedActivityId: str | None = None  # noqa: N815 - as above
    dueDate: str | None = None  # noqa: N815 - as above
    suspended: bool = False
    tenantId: str | None = None  # noqa: N815 - as above
    batchId: str | None = None  # noqa: N815 - as above

    @property
    def is_of_process(self) -> bool:
        """Whether it belongs to a process; seed, monitor and execution jobs of batches have no definition."""
        return self.processDefinitionId is not None

    @property
    def cause(self) -> str:
        """By what it fails: the first line of its exception, without what names a single case."""
        return cause_of(self.exceptionMessage or "")

    @property
    def about(self) -> dict[str, str]:
        """What people call it."""
        named = {
            "process": self.processDefinitionKey,
            "activity": self.failedActivityId,
            "instance": self.processInstanceId,
            "tenant": self.tenantId,
            "cause": self.cause,
            "ofBatch": self.batchId,
        }
        return {name: text for name, text in named.items() if text}


class Change(BaseModel):
    """What is to be done to a job: give it retries, and perhaps another due date."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    retries: int
    due: Literal["keep", "now", "at"] = "keep"
    due_date: str | None = None
    machine: bool = False
    """No person has named the job: it must have failed, and be one of a process."""

    def body(self, jobs: Sequence[str]) -> dict[str, Any]:
        """Return the body of `POST /job/retries`; no due date, a null and a date are three things."""
        due = {} if self.due == "keep" else {"dueDate": self.due_date}
        return {"retries": self.retries, "jobIds": list(jobs), **due}


def cause_of(message: str) -> str:
    """Return by what a job fails: a message's first line, in which ids, numbers and quoted names stand for any.

    A message such as `Invoice 4711 not found` is another one for each job; its cause is the same.
    """
    line = next(iter(message.strip().splitlines()), "").strip()
    line = re.sub(rf"(?<![^\W_])(?:{_UUID}|[0-9a-fA-F]{{16,}})(?![^\W_])", "#", line)
    # An apostrophe inside of a word, as in "can't", opens no name.
    line = re.sub(r"[\w.+-]+@[\w.-]+", "#", line)
    line = re.sub(r"(?<!\w)'.*?'(?!\w)|\"[^\"]*\"", "'#'", line)
    return re.sub(r"\d+", "#", line)[:_LONGEST_CAUSE]


def jobs_by_id(connection: Connection, ids: Iterable[str], run: str) -> dict[str, Job]:
    """Return those of some jobs that exist.

    Raises:
        Failed: they can't be read.
    """
    found: dict[str, Job] = {}
    size = connection.target.page_size
    for some in batched(ids, size, strict=False):
        found |= {job.id: job for job in _page(connection, {"jobIds": list(some)}, 0, size, run)}
    return found


def jobs_of(connection: Connection, query: Mapping[str, Any], most: int, run: str) -> Iterator[Job]:
    """Yield the jobs of a query, page after page in the order of their ids, but not many more than `most`.

    A job that leaves the query while its pages are read lets the next page begin one too far; so several pages are read
    again, until nothing new is found.

    Raises:
        Failed: they can't be listed.
    """
    seen: set[str] = set()
    for _ in range(_PASSES):
        fresh, several = 0, False
        for skip, page in _pages(connection, query, run):
            new = [job for job in page if job.id not in seen]
            seen |= {job.id for job in new}
            yield from new
            fresh, several = fresh + len(new), skip > 0
            if len(seen) > most:
                return
        if not (fresh and several):
            return


def _pages(connection: Connection, query: Mapping[str, Any], run: str) -> Iterator[tuple[int, list[Job]]]:
    size = connection.target.page_size
    last = ""
    for skip in range(0, _MOST_ROWS, size):
        page = _page(connection, {**query, "sorting": _BY_ID}, skip, size, run)
        yield skip, page
        # One that answers the same page again and again has come to no end.
        if len(page) < size or page[-1].id == last:
            return
        last = page[-1].id


def failed_page(connection: Connection, skip: int, top: int, run: str) -> list[Job]:
    """Return some of the jobs without retries, in the order of their ids.

    Raises:
        Failed: they can't be listed.
    """
    found: list[Job] = []
    query = {"noRetriesLeft": True, "sorting": _BY_ID}
    while len(found) < top:
        wanted = min(top - len(found), connection.target.page_size)
        page = _page(connection, query, skip + len(found), wanted, run)
        found += page
        if len(page) < wanted:
            break
    return found


def count_of(connection: Connection, query: Mapping[str, Any], run: str) -> int:
    """Return how many jobs a query would hit.

    Raises:
        Failed: they can't be counted.
    """
    return count(read(connection, "/job/count", run, dict(query)), "counting jobs")


def item(job: Job, change: Change, episode: str | None) -> Named:
    """Return a job as an item of a run; where it has retries left, how many is what a sending changes."""
    return Named(job.id, change.model_dump(mode="json"), episode or f"{WITH_RETRIES}{job.retries}", job.about)


def facts(named: Named, target: str) -> Facts:
    """Return what a rule may see of a job: its process, activity (`job`) and tenant (`company`)."""
    about = named.about
    return Facts(
        target=target,
        job=about.get("activity", ""),
        company=about.get("tenant", ""),
        process=about.get("process", ""),
    )


def _page(connection: Connection, query: Mapping[str, Any], skip: int, top: int, run: str) -> list[Job]:
    reply = read(connection, f"/job?firstResult={skip}&maxResults={top}", run, dict(query))
    return [_job(one) for one in objects(reply, "listing jobs")]


def _job(content: Mapping[str, Any]) -> Job:
    try:
        return Job.model_validate(content)
    except ValidationError:
        raise AnswerNotUnderstood(f"The answer of {NAME} has not the fields of a job.") from None
