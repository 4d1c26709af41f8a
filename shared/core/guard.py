"""Let work go on although a step has failed that the rest does not depend on."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.core import log
from shared.core.problems import NotReady


@contextmanager
def going_on(step: str, *, target: str | None = None, run: str | None = None) -> Iterator[None]:
    """Log what fails in a step, and go on after it.

    Raises:
        NotReady: the store or the engine doesn't answer; whoever called may try again.
    """
    try:
        yield
    except NotReady:
        raise
    except Exception:  # noqa: BLE001 - whatever it is, it concerns this step only
        log.error("step-failed", step=step, target=target, run=run)
