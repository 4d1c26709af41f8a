"""Let work go on although a step has failed that the rest does not depend on."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.core import log
from shared.core.problems import NotReady


@contextmanager
def going_on(step: str, *, target: str | None = None, run: str | None = None, always: bool = False) -> Iterator[None]:
    """Log what fails in a step, and go on after it; with `always`, also if the store or the engine doesn't answer.

    Raises:
        NotReady: the store or the engine doesn't answer; whoever called may try again.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, NotReady) and not always:
            raise
        log.error("step-failed", step=step, target=target, run=run)
