"""The durable function that brings runs to their end whose own orchestrator is gone."""

from typing import cast, get_args

import azure.durable_functions as df
from durabletask.task import OrchestrationContext

from shared import closing, records
from shared.attempts import Wait
from shared.control import How
from shared.durable import CANCEL, CLOSE
from shared.orchestrators import Reference, Turns, patient, until_done
from shared.store import app_store

blueprint = df.Blueprint()


@blueprint.orchestration_trigger(context_name="context", orchestration=CLOSE)
def close_run(context: OrchestrationContext, work: Reference) -> Turns:
    """Bring a run to its end; it may be started again at any time, also when it has failed."""
    cancelled = context.wait_for_external_event(CANCEL)
    return (yield from until_done(context, "end_closed_run", {"run": work["run"], "how": work["how"]}, cancelled))


@blueprint.activity_trigger(input_name="work")
@patient
def end_closed_run(work: dict) -> dict:  # type: ignore[type-arg]  # the worker loads plain types only
    """Write what is known of each item of a run that ended in the engine only, and its report and answer."""
    store, how = app_store(), str(work["how"])
    if how not in get_args(How):
        raise ValueError(f"no run ends by {how!r}")
    done = closing.close(store, records.read_order(store, str(work["run"])), cast(How, how))
    return {"wait": done.seconds} if isinstance(done, Wait) else {"state": str(done.state)}
