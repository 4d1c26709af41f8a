"""What is logged when a run has answered, and when it has ended: how many items ended how."""

from collections.abc import Mapping

from shared.core import log
from shared.runs.report import Run
from shared.runs.spec import RunSpec


def log_answered(spec: RunSpec, head: Run, source: str | None = None) -> dict[str, int]:
    """Log and return the outcomes of a run; `source` is the run whose items it has checked."""
    counts = _some(head.counts.outcome)
    log.info("run-answered", run=spec.run, target=spec.target, function=spec.function, source=source, **counts)
    return counts


def log_ended(spec: RunSpec, head: Run) -> dict[str, int]:
    """Log and return what became of the items of a run that was followed."""
    counts = _some(head.counts.recovery)
    log.info("run-ended", run=spec.run, target=spec.target, function=spec.function, **counts)
    return counts


def _some[Name: str](counts: Mapping[Name, int]) -> dict[str, int]:
    return {str(name): count for name, count in counts.items() if count}
