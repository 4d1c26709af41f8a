"""Recorded runs as files: what happened to a run, and, where it was cut off, what else there was at that moment.

    version-{version}/{name}.json         the whole history of a run that ended
    version-{version}/cuts/{name}.json    a run in the middle: its history so far, the store, and the system's jobs

The folders are named by the version of the orchestrator that made the recording.
"""

import json
import re
from base64 import b64decode
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import durabletask.internal.orchestrator_service_pb2 as pb
from google.protobuf.json_format import MessageToDict, ParseDict
from pydantic import AwareDatetime, BaseModel, ConfigDict

from local.systems.jobs import JobSettings

HERE = Path(__file__).resolve().parent
_INSTANT = re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d")
"""A moment of the recording; those of other centuries mean that there is none."""


class Recording(BaseModel):
    """A run that ended.

    Attributes:
        version: The version of the orchestrator that it began under.
        orchestrator: The orchestrator's name.
        run: The run's id, which is the instance's.
        history: The events, as protobuf writes them in JSON.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    orchestrator: str
    run: str
    history: list[dict[str, Any]]

    @property
    def events(self) -> list[pb.HistoryEvent]:
        """Return the history as the engine has it."""
        return [ParseDict(event, pb.HistoryEvent()) for event in self.history]


class Cut(Recording):
    """A run in the middle.

    Attributes:
        at: When it was cut off.
        custom_status: What the orchestrator said of itself last, as JSON.
        ticket: What opens the run's result; the host that it was made for is gone.
        records: Everything in the store: keys, and data in base64.
        jobs: The jobs of the simulated system. One in Error has not taken an action of this run; another one has.
    """

    at: AwareDatetime
    custom_status: str | None
    ticket: str
    records: dict[str, str]
    jobs: list[JobSettings]

    def data(self, key: str, by: timedelta) -> bytes:
        """Return a record of the store, with its moments moved."""
        return moved(b64decode(self.records[key]).decode(), by).encode()


def as_history(events: Sequence[pb.HistoryEvent]) -> list[dict[str, Any]]:
    """Return events as a recording holds them."""
    return [MessageToDict(event) for event in events]


def moved(text: str, by: timedelta) -> str:
    """Return a text in which every moment of the recording is later by whole seconds."""
    return _INSTANT.sub(lambda found: f"{datetime.fromisoformat(found[0]) + by:%Y-%m-%dT%H:%M:%S}", text)


def files(pattern: str) -> list[Path]:
    """Return the recordings of all versions whose names within their version's folder match."""
    return sorted(HERE.glob(f"version-*/{pattern}"))


def name_of(file: Path) -> str:
    """Return what a recording is called in a test's name."""
    return str(file.relative_to(HERE).with_suffix("").as_posix())


def write(file: Path, recording: Recording) -> None:
    """Write a recording, one event, record or job a line."""
    told = recording.model_dump(mode="json")
    lines = ",\n".join(f"{json.dumps(name)}: {_laid_out(value)}" for name, value in told.items())
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def _laid_out(value: object) -> str:
    match value:
        case list():
            return "[\n  " + ",\n  ".join(json.dumps(one) for one in value) + "\n]"
        case dict():
            return (
                "{\n  " + ",\n  ".join(f"{json.dumps(name)}: {json.dumps(one)}" for name, one in value.items()) + "\n}"
            )
        case _:
            return json.dumps(value)
