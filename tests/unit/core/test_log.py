"""What is logged: a line, and the same fields as attributes for OpenTelemetry."""

import logging
from collections.abc import Iterator

import pytest
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from shared.core import log
from shared.core.outcome import Ending

# The platform's worker has this handler; the one that replaces it is another package.
pytestmark = pytest.mark.filterwarnings("ignore:.*LoggingHandler.*:DeprecationWarning")


@pytest.fixture
def exported() -> Iterator[InMemoryLogRecordExporter]:
    """What OpenTelemetry's own handler exports of the app's log."""
    exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]  # as it is published
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    handler, logger = LoggingHandler(logger_provider=provider), logging.getLogger("nightshift")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield exporter
    logger.removeHandler(handler)
    logger.setLevel(level)


def attributes(exported: InMemoryLogRecordExporter) -> dict[str, object]:
    [one] = exported.get_finished_logs()
    found = one.log_record.attributes or {}
    return {name: value for name, value in found.items() if name.startswith("nightshift.")}


def test_a_run_carries_its_target_and_counts(exported: InMemoryLogRecordExporter) -> None:
    log.info("run-answered", run="20261128-1", target="fo", function="requeue", source=None, done=12, skipped=2)
    assert attributes(exported) == {
        "nightshift.event": "run-answered",
        "nightshift.run": "20261128-1",
        "nightshift.target": "fo",
        "nightshift.function": "requeue",
        "nightshift.done": 12,
        "nightshift.skipped": 2,
    }


def test_an_item_carries_its_outcome(exported: InMemoryLogRecordExporter) -> None:
    log.info("item-ended", run="20261128-1", target="fo", item="a job", outcome=Ending.DONE)
    assert attributes(exported)["nightshift.outcome"] == "done"
    assert (
        exported.get_finished_logs()[0].log_record.body
        == 'item-ended run=20261128-1 target=fo item="a job" outcome=done'
    )


def test_an_exception_carries_its_run(exported: InMemoryLogRecordExporter) -> None:
    try:
        int("damaged")
    except ValueError:
        log.error("records-unreadable", run="20261128-1", item=None)
    assert attributes(exported) == {"nightshift.event": "records-unreadable", "nightshift.run": "20261128-1"}
