"""Durable functions that close a run whose own orchestrator is gone."""

from typing import cast, get_args

from durabletask.task import OrchestrationContext

from shared.durable import closing
from shared.durable.engine import CANCEL
from shared.durable.run_orchestrator import Reference, Turns, patient, until_done
from shared.execution.waiting import RetryLater
from shared.policy.switches import How
from shared.runs import records
from shared.storage.app import app_store


def close_run(context: OrchestrationContext, work: Reference) -> Turns:
    """Close a run; this orchestration may be started again at any time, even after it has failed."""
    cancelled = context.wait_for_external_event(CANCEL)
    return (yield from until_done(context, "end_closed_run", {"run": work["run"], "how": work["how"]}, cancelled))


@patient
def end_closed_run(work: Reference) -> Reference:
    """Write the outcomes, the report and the response of a run that has ended only in the engine."""
    store, how = app_store(), str(work["how"])
    if how not in get_args(How):
        raise ValueError(f"unknown reason for closing a run: {how!r}")
    done = closing.close_run(store, records.read_spec(store, str(work["run"])), cast(How, how))
    return {"wait": done.seconds} if isinstance(done, RetryLater) else {"state": str(done.state)}
