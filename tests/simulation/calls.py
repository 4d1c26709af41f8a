"""What people, flows and timers do: each is the work of an actor."""

import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from shared.api.apply import apply_plan
from shared.api.batch import send_batch
from shared.api.cancel import cancel_run
from shared.api.check import check_run
from shared.api.events import receive_events
from shared.api.retry import retry_run
from shared.api.start import start_and_answer
from shared.api.timers import start_retries, start_sweeps
from shared.core.outcome import Ending
from shared.core.problems import Problem
from shared.durable.open_runs import check_open_runs
from shared.runs import records
from shared.systems.camunda.requests import set_retries
from shared.systems.finance_operations.requests import requeue
from shared.validation.request import Call
from tests.simulation.central import Central
from tests.simulation.finance import Finance
from tests.simulation.world import World, now_of

Deed = Callable[[], object]
_EVENING = 8
"""The hour at which the first night begins that knows of an example's batches; one of jobs begins with the example."""


def _call(function: str, body: object, run: str = "", **more: str) -> Call:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    route = {"id": run, "root": "api/v2.0/$batch"}
    sent = {"content-type": "application/json", "prefer": "respond-async"}
    sent |= {name.replace("_", "-"): text for name, text in more.items()}
    return Call("POST", function, "https://night.example/api/x", sent, {}, route, content)


@dataclass
class Calls:
    """The calls that can be made of one world; `continues`: a batch goes on behind what fails."""

    world: World
    continues: bool = True

    def first(self, items: Sequence[str], key: str = "", **options: object) -> Deed:
        """Ask for some items, as a caller does; a call with a key may be repeated."""
        named = {"reason": "r", **options}
        headers = {"prefer": f"respond-async{', odata.continue-on-error' if self.continues else ''}"}
        if key:
            headers["idempotency_key"] = key
        if isinstance(self.world.system, Central):
            call = _call("batch", Central.batch(items, **named), **headers)
            return self._deed(lambda: send_batch(call, "business-central", self.world.engine))
        if isinstance(self.world.system, Finance):
            call = _call("requeue", {"batchJobIds": [int(one) for one in items], **named}, **headers)
            return self._deed(lambda: start_and_answer(call, requeue(call), self.world.engine))
        call = _call("set_retries", {"retries": 1, "jobIds": list(items), "nightshift": named}, **headers)
        return self._deed(lambda: start_and_answer(call, set_retries(call), self.world.engine))

    def retry(self, run: str, reason: str, key: str = "", **more: object) -> Deed:
        """Retry what a run left."""
        headers = {"idempotency_key": key} if key else {}
        call = _call("retry", {"reason": reason, **more}, run, **headers)
        return self._deed(lambda: retry_run(call, self.world.engine))

    def retry_known(self, run: str, reason: str, item: str, **more: Any) -> Deed:  # noqa: ANN401 - members of a body
        """Retry an item that `more` names; a person does not do that while its outcome is unknown."""
        retry = self.retry(run, reason, **more)

        def deed() -> object:
            told = {one.id: one.outcome for one in records.all_items(self.world.store, run)}
            return retry() if told.get(item, Ending.UNKNOWN) is not Ending.UNKNOWN else None

        return deed

    def apply(self, run: str, **more: object) -> Deed:
        """Apply a plan."""
        call = _call("apply", {"reason": "go", **more}, run)
        return self._deed(lambda: apply_plan(call, self.world.engine))

    def check(self, run: str, **more: object) -> Deed:
        """Ask again for what is unknown of a run."""
        call = _call("check", {"reason": "c", **more}, run)
        return self._deed(lambda: check_run(call))

    def cancel(self, run: str) -> Deed:
        """Cancel a run."""
        call = _call("cancel", {"reason": "x"}, run)
        return self._deed(lambda: cancel_run(call, self.world.engine))

    def event(self, item: str) -> Deed:
        """Bring the event that a job failed."""
        body = {"BusinessEventId": "BatchJobFailed", "EventId": f"e{item}", "JobId": int(item), "JobStatus": "Error"}
        call = _call("batch_job_event", body)
        return self._deed(lambda: receive_events(call, "finance-operations", self.world.engine))

    def night(self) -> Deed:
        """Let the timer of a night fire."""
        if isinstance(self.world.system, Central):
            self.world.turned.time = max(self.world.turned.time, self.world.turned.time.replace(hour=_EVENING))
            return self._deed(lambda: start_retries("business-central", "nightly_batch", self.world.engine))
        if isinstance(self.world.system, Finance):
            return self._deed(lambda: start_sweeps("finance-operations", "nightly_requeue", self.world.engine))
        return self._deed(lambda: start_sweeps("camunda", "nightly_retries", self.world.engine))

    def housekeeping(self) -> Deed:
        """Let the timer fire that looks after open runs."""
        return self._deed(lambda: check_open_runs(self.world.engine))

    def newest(self) -> str:
        """Return the run with a report that began last; the first one, if none has."""
        store = self.world.store
        known = [run for run in self.world.runs if records.read_report(store, run)]
        return (known or self.world.runs)[-1]

    def _deed(self, call: Callable[[], Coroutine[Any, Any, object]]) -> Deed:
        def deed() -> object:
            try:
                return now_of(call())
            except Problem as problem:
                return problem

        return deed
