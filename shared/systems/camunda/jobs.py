"""Jobs of the engine (Camunda 7 REST API, Get Jobs (POST)): read jobs by their ids, or the pages of a query."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import batched
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.core.problems import AnswerNotUnderstood
from shared.policy.rules import Facts
from shared.systems.camunda.client import NAME, count, objects, read
from shared.systems.requests import ItemRef
from shared.transport.connection import Connection

MOST_JOBS = 10_000
FAILED = {"noRetriesLeft": True, "withException": True}
"""The query of failed jobs: one without retries that never failed is on hold, by a person's choice."""
WITH_RETRIES = "retries "
"""Prefix of the episode of a job with retries left: their number follows, because a call changes it."""
_PASSES = 3
_MOST_ROWS = 50_000
_LONGEST_CAUSE = 200
_UUID = r"[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4,12}){3,4}"
_BY_ID = [{"sortBy": "jobId", "sortOrder": "asc"}]


class Job(BaseModel):
    """A job (JobDto), as far as decisions need it."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True)

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
        """The cause of its failure: the first line of the exception, without details of the single case."""
        return cause_of(self.exceptionMessage or "")

    @property
    def about(self) -> dict[str, str]:
        """The job's description for people."""
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
    """What to do to a job: set its retries, and perhaps its due date."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True, defer_build=True)

    retries: int
    due: Literal["keep", "now", "at"] = "keep"
    due_date: str | None = None
    machine: bool = False
    """No person has named the job: it must have failed, and belong to a process."""

    def body(self, jobs: Sequence[str]) -> dict[str, Any]:
        """Return the body of `POST /job/retries`; no due date, null and a date have different effects."""
        due = {} if self.due == "keep" else {"dueDate": self.due_date}
        return {"retries": self.retries, "jobIds": list(jobs), **due}


def cause_of(message: str) -> str:
    """Return the cause in a message: its first line, with ids, numbers and quoted names replaced.

    A message such as `Invoice 4711 not found` differs from job to job; its cause is the same.
    """
    line = next(iter(message.strip().splitlines()), "").strip()
    line = re.sub(rf"(?<![^\W_])(?:{_UUID}|[0-9a-fA-F]{{16,}})(?![^\W_])", "#", line)
    # An apostrophe within a word, as in "can't", does not open a name.
    line = re.sub(r"[\w.+-]+@[\w.-]+", "#", line)
    line = re.sub(r"(?<!\w)'.*?'(?!\w)|\"[^\"]*\"", "'#'", line)
    return re.sub(r"\d+", "#", line)[:_LONGEST_CAUSE]


def jobs_by_id(connection: Connection, ids: Iterable[str], run: str) -> dict[str, Job]:
    """Return the jobs that exist, by their ids.

    Raises:
        Failed: they cannot be read.
    """
    found: dict[str, Job] = {}
    size = connection.target.page_size
    for some in batched(ids, size, strict=False):
        found |= {job.id: job for job in _page(connection, {"jobIds": list(some)}, 0, size, run)}
    return found


def jobs_of(connection: Connection, query: Mapping[str, Any], most: int, run: str) -> Iterator[Job]:
    """Yield the jobs of a query, page after page in the order of their ids, but not many more than `most`.

    If a job leaves the query between two pages, the next page starts one job too late. So several pages are read again,
    until a pass finds nothing new.

    Raises:
        Failed: they cannot be listed.
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
        # An engine may return the same page repeatedly.
        if len(page) < size or page[-1].id == last:
            return
        last = page[-1].id


def failed_page(connection: Connection, skip: int, top: int, run: str) -> list[Job]:
    """Return a page of the failed jobs, in the order of their ids.

    Raises:
        Failed: they cannot be listed.
    """
    found: list[Job] = []
    query = {**FAILED, "sorting": _BY_ID}
    while len(found) < top:
        wanted = min(top - len(found), connection.target.page_size)
        page = _page(connection, query, skip + len(found), wanted, run)
        found += page
        if len(page) < wanted:
            break
    return found


def count_of(connection: Connection, query: Mapping[str, Any], run: str) -> int:
    """Return the number of jobs that a query selects.

    Raises:
        Failed: they cannot be counted.
    """
    return count(read(connection, "/job/count", run, dict(query)), "counting jobs")


def item(job: Job, change: Change, episode: str | None) -> ItemRef:
    """Return the item for a job; without `episode`, the number of its retries identifies its state."""
    return ItemRef(job.id, change.model_dump(mode="json"), episode or f"{WITH_RETRIES}{job.retries}", job.about)


def facts(named: ItemRef, target: str) -> Facts:
    """Return what policy rules can match of a job: its process, activity (`job`) and tenant (`company`)."""
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
        raise AnswerNotUnderstood(f"The response of {NAME} lacks fields of a job.") from None
