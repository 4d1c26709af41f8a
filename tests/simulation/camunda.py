"""Camunda: jobs without retries, which get new ones by one call for all of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from shared.core import clock
from tests.simulation.book import Answer, Effect, Message, System


@dataclass
class Job:
    """A job of the engine, and when it failed last."""

    id: str
    failed: str
    failures: int = 1
    retries: int = 0

    @property
    def row(self) -> dict[str, Any]:
        return {"id": self.id, "retries": self.retries, "processDefinitionId": "p", "exceptionMessage": "No."}


class Camunda(System):
    """An engine whose batches are over at once, and stay in the history."""

    def __init__(self, items: Sequence[str]) -> None:
        super().__init__(items)
        self.jobs = {item: Job(item, _written(clock.now() - timedelta(hours=1))) for item in items}
        # A history without any batch may be one that shows none.
        self.batches = [_batch(0, 1, clock.now() - timedelta(days=1))]

    def answer(self, message: Message) -> Answer:
        asked = message.path.rpartition("/engine-rest")[2]
        if asked == "/job/retries":
            jobs = [self.jobs[one] for one in message.content["jobIds"]]
            # The engine does all of a call, or nothing.
            return self.change(lambda: self._set_retries(jobs, message.run), lambda: None)
        if asked == "/job":
            named = message.content.get("jobIds")
            found = [job for job in self.jobs.values() if (job.id in named if named else not job.retries)]
            return Answer(200, [job.row for job in found])
        if asked == "/incident":
            job = self.jobs[parse_qs(message.query)["configuration"][0]]
            row = {"configuration": job.id, "incidentTimestamp": job.failed}
            return Answer(200, [] if job.retries else [row])
        # Lists of what is in progress, and logs of jobs, are empty.
        return Answer(200, self.batches[::-1] if asked == "/history/batch" else [])

    def fail_again(self) -> None:
        for job in self.jobs.values():
            if job.retries:
                job.retries, job.failures = 0, job.failures + 1
                job.failed = _written(clock.now() + timedelta(seconds=job.failures))

    def meddle(self) -> None:
        """Let somebody make a batch that is as large as ours, of one job of ours and others."""
        self.jobs[self.items[0]].retries = 1
        self.batches.append(_batch(len(self.batches), len(self.items), clock.now()))

    def _set_retries(self, jobs: Sequence[Job], run: str) -> Answer:
        for job in jobs:
            self.book.append(Effect(run, job.id, job.failures, f"retries {job.retries}" if job.retries else job.failed))
            job.retries = 1
        self.batches.append(_batch(len(self.batches), len(jobs), clock.now()))
        return Answer(200, self.batches[-1])


def _batch(number: int, total: int, start: datetime) -> dict[str, Any]:
    return {"id": f"batch-{number}", "type": "set-job-retries", "totalJobs": total, "startTime": _written(start)}


def _written(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}+0000"
