"""What this host reads of host.json, with Azure's defaults for what it leaves out."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from local.host.errors import HostError

_TIME_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})")


@dataclass(frozen=True)
class DurableSettings:
    """`extensions.durableTask`; the limits that it leaves out are those of Flex Consumption.

    Attributes:
        hub_name: The task hub's name.
        default_version: The newest version of orchestrations that this app runs; None means that it runs none.
        match_strategy: `CurrentOrOlder`, `Strict`, or `None` (any).
        failure_strategy: What happens to an orchestration of another version: `Reject` (it waits), or `Fail`.
        reorder_window: For how long the sorter of entity messages keeps what it has seen; zero switches it off.
        polling: How long an idle queue is left alone at most.
        control_visibility: After a crash, when the turns and entity batches that it held are given out again.
        work_item_visibility: The same for activities.
        activities: How many activities run at once.
        orchestrators: How many turns run at once.
        entities: How many batches of entity operations run at once.
        entity_batch: How many operations a batch has at most.
        max_grpc_message_size: What clients are told, in bytes.
    """

    hub_name: str = "TestHubName"
    default_version: str | None = None
    match_strategy: str = "CurrentOrOlder"
    failure_strategy: str = "Reject"
    reorder_window: timedelta = timedelta(minutes=30)
    polling: timedelta = timedelta(seconds=30)
    control_visibility: timedelta = timedelta(minutes=5)
    work_item_visibility: timedelta = timedelta(minutes=5)
    activities: int = 10
    orchestrators: int = 5
    entities: int = 10
    entity_batch: int = 50
    max_grpc_message_size: int = 4 * 1024 * 1024


@dataclass(frozen=True)
class HostJson:
    """What this host reads of host.json."""

    route_prefix: str
    durable: DurableSettings


def read_host_json(directory: Path) -> HostJson:
    """Read host.json.

    Raises:
        HostError: it can't be read; the message says why.
    """
    file = directory / "host.json"
    try:
        extensions = json.loads(file.read_text("utf-8")).get("extensions", {})
        durable = _durable(extensions.get("durableTask", {}))
    except (OSError, ValueError) as error:
        raise HostError(f"{file} can't be read: {error}") from error
    prefix = extensions.get("http", {}).get("routePrefix", "api").strip("/")
    return HostJson(prefix, durable)


def _durable(found: Mapping[str, Any]) -> DurableSettings:
    usual, storage = DurableSettings(), found.get("storageProvider", {})
    window = found.get("entityMessageReorderWindowInMinutes")
    return DurableSettings(
        hub_name=found.get("hubName", usual.hub_name),
        default_version=found.get("defaultVersion"),
        match_strategy=found.get("versionMatchStrategy", usual.match_strategy),
        failure_strategy=found.get("versionFailureStrategy", usual.failure_strategy),
        reorder_window=usual.reorder_window if window is None else timedelta(minutes=window),
        polling=_span(storage.get("maxQueuePollingInterval"), usual.polling),
        control_visibility=_span(storage.get("controlQueueVisibilityTimeout"), usual.control_visibility),
        work_item_visibility=_span(storage.get("workItemQueueVisibilityTimeout"), usual.work_item_visibility),
        activities=found.get("maxConcurrentActivityFunctions", usual.activities),
        orchestrators=found.get("maxConcurrentOrchestratorFunctions", usual.orchestrators),
        entities=found.get("maxConcurrentEntityFunctions", usual.entities),
        entity_batch=found.get("maxEntityOperationBatchSize", usual.entity_batch),
        max_grpc_message_size=found.get("maxGrpcMessageSizeInBytes", usual.max_grpc_message_size),
    )


def _span(text: str | None, usual: timedelta) -> timedelta:
    """Return a .NET TimeSpan, such as `00:01:00` or `1.02:00:00`."""
    if text is None:
        return usual
    found = _TIME_SPAN.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time span such as 00:01:00")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
