"""Recorded orchestrations as files: `version-{version}/{name}.json`, one instance each.

The folders are named by the version of the orchestrators that made the recordings.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import durabletask.internal.orchestrator_service_pb2 as pb
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from pydantic import BaseModel, ConfigDict

HERE = Path(__file__).resolve().parent


class Turn(NamedTuple):
    """One turn of an orchestrator: what had happened before, what came new, and what it asked for."""

    past: Sequence[pb.HistoryEvent]
    new: Sequence[pb.HistoryEvent]
    actions: Sequence[pb.OrchestratorAction]


class StoredTurn(BaseModel):
    """One turn in a file.

    Attributes:
        past: How many events of the history had happened before.
        new: The events that came new, as protobuf writes them in JSON.
        actions: What the orchestrator asked for, in the same form.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    past: int
    new: list[dict[str, Any]]
    actions: list[dict[str, Any]]


class Recording(BaseModel):
    """One instance that ended.

    Attributes:
        version: The version of the orchestrator that it began under.
        orchestrator: The orchestrator's name.
        engine: What ran it: the Durable extension and its version, or the local hub.
        instance: The instance's id.
        history: What had happened before the last turn.
        turns: All turns, in their order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    orchestrator: str
    engine: str
    instance: str
    history: list[dict[str, Any]]
    turns: list[StoredTurn]

    def read(self) -> Iterator[Turn]:
        """Yield the turns with their events."""
        history = [ParseDict(event, pb.HistoryEvent()) for event in self.history]
        for turn in self.turns:
            new = [ParseDict(event, pb.HistoryEvent()) for event in turn.new]
            yield Turn(history[: turn.past], new, [ParseDict(one, pb.OrchestratorAction()) for one in turn.actions])

    @classmethod
    def of(cls, version: str, engine: str, turns: Sequence[Turn], instance: str) -> "Recording":
        """Return the recording of an instance's turns.

        Raises:
            ValueError: a turn's past is not the beginning of the last one's, so the history was rewritten.
        """
        history = [plain(event) for event in turns[-1].past]
        if any([plain(event) for event in turn.past] != history[: len(turn.past)] for turn in turns):
            raise ValueError(f"the history of {instance} was rewritten")
        events = [*turns[-1].past, *turns[-1].new]
        name = next(event.executionStarted.name for event in events if event.HasField("executionStarted"))
        stored = [
            StoredTurn(
                past=len(turn.past),
                new=[plain(event) for event in turn.new],
                actions=[plain(action) for action in turn.actions],
            )
            for turn in turns
        ]
        return cls(version=version, orchestrator=name, engine=engine, instance=instance, history=history, turns=stored)


def plain(message: Message) -> dict[str, Any]:
    """Return a message as JSON without stacks, which name files of the machine that recorded it."""
    found: dict[str, Any] = _without_stacks(MessageToDict(message))
    return found


def _without_stacks(value: object) -> Any:  # noqa: ANN401 - JSON is any value
    if isinstance(value, dict):
        return {name: _without_stacks(one) for name, one in value.items() if name != "stackTrace"}
    return [_without_stacks(one) for one in value] if isinstance(value, list) else value


def files() -> list[Path]:
    """Return the recordings of all versions."""
    return sorted(HERE.glob("version-*/*.json"))


def name_of(file: Path) -> str:
    """Return what a recording is called in a test's name."""
    return str(file.relative_to(HERE).with_suffix("").as_posix())


def write(file: Path, recording: Recording) -> None:
    """Write a recording, one event or turn a line."""
    lines = ",\n".join(f"{json.dumps(name)}: {_laid_out(value)}" for name, value in recording.model_dump().items())
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def _laid_out(value: object) -> str:
    if isinstance(value, list):
        return "[\n  " + ",\n  ".join(json.dumps(one) for one in value) + "\n]"
    return json.dumps(value)
