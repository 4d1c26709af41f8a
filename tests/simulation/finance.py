"""Finance & Operations: jobs that failed, each requeued by a call of its own."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from shared.core import clock
from tests.simulation.book import Answer, Effect, Message, System


@dataclass
class Job:
    """A batch job."""

    number: str
    failures: int = 1
    status: str = "Error"
    ended: str = "2026-11-23T06:30:00Z"

    @property
    def row(self) -> dict[str, Any]:
        return {"BatchJobRecId": int(self.number), "Status": self.status, "EndDateTime": self.ended}


class Finance(System):
    """An environment whose action requeues a job whatever its state: so each second call is in the book."""

    def __init__(self, items: Sequence[str]) -> None:
        super().__init__(items)
        self.jobs = {item: Job(item) for item in items}

    def answer(self, message: Message) -> Answer:
        if message.method == "POST":
            job = self.jobs[str(message.content["batchJobId"])]
            # A part of one job's requeue is nothing.
            return self.change(lambda: self._requeue(job, message.run), lambda: None)
        named = re.search(r"BatchJobs\((\d+)\)$", message.path)
        if named:
            return Answer(200, self.jobs[named[1]].row)
        return Answer(200, {"value": [job.row for job in self.jobs.values() if job.status == "Error"]})

    def fail_again(self) -> None:
        for job in self.jobs.values():
            if job.status == "Waiting":
                job.status, job.failures = "Error", job.failures + 1
                job.ended = f"{clock.now() + timedelta(seconds=job.failures):%Y-%m-%dT%H:%M:%SZ}"

    def meddle(self) -> None:
        """Let somebody cancel a failed job: a state that no requeue leads to."""
        job = self.jobs[self.items[0]]
        if job.status == "Error":
            job.status = "Canceled"

    def _requeue(self, job: Job, run: str) -> Answer:
        self.book.append(Effect(run, job.number, job.failures, f"Error {job.ended}"))
        job.status = "Waiting"
        return Answer(200, {"ResponseStatusCode": 200, "IsSuccess": True, "Batch JobId": int(job.number)})
