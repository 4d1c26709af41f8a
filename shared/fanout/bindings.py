"""Look up in the registry and the settings how a batch is sent."""

from shared.core.targets import app_targets
from shared.execution.bindings import connected
from shared.fanout.batch_records import BatchSpec
from shared.runs.spec import RunSpec
from shared.systems.operations import ChunkSender
from shared.systems.registry import fan_out_of


def chunk_sender(spec: RunSpec, batch: BatchSpec) -> ChunkSender:
    """Return the sender of a batch's chunks.

    Raises:
        TargetLost: the target is no longer in the settings.
    """
    sender = fan_out_of(spec.system).sender
    return sender(connected(spec.target), batch, spec.run)


def slots_of(spec: RunSpec) -> int:
    """Return how many chunks may be in flight at the run's target."""
    known = {target.name: target for target in app_targets().on}
    return known[spec.target].in_flight if spec.target in known else 1
