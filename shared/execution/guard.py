"""Whether a run may still send: not cancelled, stopped or closed, and its night not over."""

from shared.core import clock
from shared.core.problems import Cancelled, WindowEnded
from shared.policy import switches
from shared.policy.cached_reader import Read
from shared.runs.spec import RunSpec


def refuse_halted(read: Read, spec: RunSpec, *, cancelled: bool) -> None:
    """Raise if the run was cancelled or closed, or its target was stopped.

    Args:
        read: Reads a record of the store; it may be cached.
        spec: The run.
        cancelled: The caller knows that the run is cancelled; a cached record may not show it yet.

    Raises:
        Cancelled: the run was cancelled.
        RunClosed: the run is being ended without its orchestrator.
        Stopped: the target is stopped, or everything is.
    """
    if cancelled:
        raise Cancelled(switches.CANCELLED)
    switches.refuse_stopped(read, spec.target, spec.run)


def refuse_over(read: Read, spec: RunSpec, *, cancelled: bool) -> None:
    """Raise as `refuse_halted` does, or if the run is a night that is over.

    Raises:
        WindowEnded: the night is over.
        Cancelled, RunClosed, Stopped: see `refuse_halted`.
    """
    if not cancelled and spec.is_night and clock.now() >= spec.give_up:
        raise WindowEnded(f"The night ended at {spec.give_up:%Y-%m-%dT%H:%M:%SZ}.")
    refuse_halted(read, spec, cancelled=cancelled)
