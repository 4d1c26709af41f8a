"""For tests of the Finance & Operations client: a target that returns given replies."""

import json
from datetime import UTC, datetime
from typing import Any

from shared.core.targets import Target
from shared.transport.connection import Connection, Reply

NOW = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)
JOB = 5637144245
ENTITY = {"BatchJobRecId": JOB, "Status": "Error", "StartDateTime": "a", "EndDateTime": "b", "More": 1}


def reply(status: int, content: object = b"", kind: str = "application/json; odata.metadata=minimal") -> Reply:
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return Reply(status, {"Content-Type": kind}, body)


class Replying(Connection):
    """A target that returns the given replies, the last one repeatedly, and records the calls."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.asked: list[tuple[str, str]] = []
        told = {"name": "fo", "system": "finance-operations", "url": "https://h", "auth": "managed-identity"}
        super().__init__(Target.model_validate(told))

    def call(self, method: str, path: str, *_: Any, **__: Any) -> Reply:  # noqa: ANN401 - any call is answered so
        self.asked.append((method, path))
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
