"""Business Central: operations that write records, many by one call."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from tests.simulation.book import Answer, Effect, Message, System

Operation = Mapping[str, Any]


class Central(System):
    """An environment that writes each record as often as it is told to; `bad` are records that it refuses.

    Attributes:
        busy: How many of its next calls are throttled inside: each second operation of them.
        others: Records of somebody else.
    """

    def __init__(self, items: Sequence[str], bad: Iterable[str] = ()) -> None:
        super().__init__(items)
        self.bad = set(bad)
        self.busy = 0
        self.others: list[str] = []

    def answer(self, message: Message) -> Answer:
        if message.method == "GET":
            number = re.search(r"documentNumber eq '(\w+)'", unquote(message.query))
            written = [one.item for one in self.book] + self.others
            rows: list[Operation] = [{} for one in written if number and one == number[1]]
            return Answer(200, {"value": rows[:2]})
        operations: list[Operation] = message.content["requests"]
        some = operations[: len(operations) // 2 + 1]
        return self.change(
            lambda: Answer(200, {"responses": self._run(operations, message)}), lambda: self._run(some, message)
        )

    def meddle(self) -> None:
        """Let somebody write two records that look like one of ours."""
        self.others += [self.items[0]] * 2

    def _run(self, operations: Sequence[Operation], message: Message) -> list[Operation]:
        """Run operations; without continue-on-error, the first that fails ends it."""
        busy, self.busy = self.busy > 0, max(self.busy - 1, 0)
        given: list[Operation] = []
        for place, one in enumerate(operations):
            number = one["body"]["documentNumber"]
            refused = number in self.bad and "mended" not in one["body"]
            status = 429 if busy and place % 2 else 400 if refused else 201
            given.append({"id": one["id"], "status": status, "headers": {"Retry-After": "5"}, "body": {}})
            if status == 201:
                self.book.append(Effect(message.run, number, 0))
            elif message.headers["Prefer"].endswith("false"):
                break
        return given

    @staticmethod
    def operation(number: str, **more: object) -> dict[str, Any]:
        """Return an operation as a caller writes it."""
        body = {"documentNumber": number, **more}
        return {"id": number, "method": "POST", "url": "companies(1)/journalLines", "body": body}

    @staticmethod
    def batch(numbers: Iterable[str], **options: object) -> bytes:
        """Return the body of a call."""
        operations = [Central.operation(number) for number in numbers]
        return json.dumps({"requests": operations, "nightshift": {"target": "bc", **options}}).encode()
