"""`python -m local examples`: the examples of `openapi.json`, recorded from the running app.

Each function is called as `python -m local smoke` does, and in some more ways. What differs from one recording to the
next (ids, times, addresses) is replaced, and long lists are cut.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from typing import Any

import requests

from local.smoke import SETTINGS, fill
from local.smoke_caller import App, Caller
from local.smoke_calls import STEPS
from local.stack import Machine
from shared.api.openapi.examples import FILE

type Examples = dict[str, list[dict[str, Any]]]
_LEFT_OUT = ("openapi",)
"""The answer of `openapi` would have itself in it."""
_MOST = 2
"""How many elements of a list are kept."""
_URL = "https://nightshift.example.com"


class Recorder(Caller):
    """A caller that keeps the first answer of each kind of each function.

    Attributes:
        examples: What was kept, by function.
        answers: All answers, each with the function.
        key: The function key.
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(App("the local host", machine.host.url, machine.host.function_key, machine.landscape))
        self.key = machine.host.function_key
        self.examples: Examples = {}
        self.answers: list[tuple[str, requests.Response]] = []
        self._clock = machine.clock

    def call(
        self, function: str, *expected: int, body: object = None, headers: Mapping[str, str] | None = None, **known: str
    ) -> requests.Response:
        """Call a function as `Caller` does, and keep the answer."""
        answer = super().call(function, *expected, body=body, headers=headers, **known)
        self.also(function, answer)
        if function not in _LEFT_OUT:
            listed = self.examples.setdefault(function, [])
            if _name(answer) not in {one["name"] for one in listed}:
                listed.append(_example(answer))
        return answer

    def also(self, function: str, answer: requests.Response) -> None:
        """Keep the answer of a function that was called in another way."""
        self.answers.append((function, answer))

    def wait(self, seconds: float) -> None:
        """Push the clock."""
        self._clock.advance(seconds)


def write() -> None:
    """Record the examples into their file."""
    with machine() as running:
        recorder = record(running)
    FILE.write_text(text_of(recorder.examples, running.host.url), encoding="utf-8")


@contextmanager
def machine(settings: Mapping[str, str] | None = None) -> Iterator[Machine]:
    """Run the app with a target of each system, and with more settings."""
    with Machine({**SETTINGS, **(settings or {})}) as running:
        fill(running.landscape)
        yield running


def record(running: Machine) -> Recorder:
    """Call all functions of a running app."""
    recorder = Recorder(running)
    for step in (*STEPS.values(), *_MORE):
        step(recorder)
    return recorder


def text_of(examples: Examples, url: str) -> str:
    """Return examples as they are kept: the same text, however often they are recorded.

    Args:
        examples: By function.
        url: The address of the app, which is replaced.
    """
    text = json.dumps(examples, ensure_ascii=False, indent=1).replace(url, _URL)
    for pattern, replaced in _FIXED:
        text = re.sub(pattern, replaced, text)
    for pattern, form in _NUMBERED:
        text = _numbered(text, pattern, form)
    return text + "\n"


_FIXED: tuple[tuple[str, str], ...] = (
    (r"https?://(?:127\.0\.0\.1|localhost):[0-9]+", "https://system.example.com"),
    (r"ticket=[\w-]+", "ticket=put-the-ticket-of-the-run-here"),
    (r"(after=)[\w%.-]{8,}", r"\1put-the-rest-of-the-link-here"),
    (r"\b2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?", "2026-11-28T02:15:00"),
    (r"\b2[0-9]{3}-[0-9]{2}-[0-9]{2}\b(?!T)", "2026-11-28"),
    (r'W/\\"[\w=+/]+\\"', r'W/\\"etag\\"'),
)
_NUMBERED: tuple[tuple[str, str], ...] = (
    (r"\b[0-9]{8}-[0-9a-f]{20}\b", "20261128-{:020x}"),
    (r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", "00000000-0000-4000-8000-{:012x}"),
    (r"-[0-9a-f]{16}\b", "-{:016x}"),
)


def _numbered(text: str, pattern: str, form: str) -> str:
    """Replace each id by a number; the same id has the same number."""
    numbers = count(1)
    seen: dict[str, str] = {}
    return re.sub(pattern, lambda found: seen.setdefault(found[0], form.format(next(numbers))), text)


def _example(answer: requests.Response) -> dict[str, Any]:
    media_type = answer.headers.get("Content-Type", "").partition(";")[0] if answer.content else ""
    sent = answer.request.body
    return {
        "name": _name(answer),
        "request": json.loads(sent) if sent else None,
        "status": answer.status_code,
        "media_type": media_type,
        "body": _cut(answer.json()) if media_type.endswith("json") else answer.text or None,
    }


def _name(answer: requests.Response) -> str:
    """Return what kind of answer it is."""
    if answer.headers.get("Content-Type", "").startswith("application/problem"):
        return str(answer.json()["type"]).rpartition(":")[2]
    names = {202: "accepted", 204: "no-content"}
    return answer.headers.get("Nightshift-Outcome") or names.get(answer.status_code) or "answer"


def _cut(content: object) -> object:
    """Return JSON values with the first elements of each list."""
    if isinstance(content, dict):
        return {name: _cut(value) for name, value in content.items()}
    return [_cut(value) for value in content[:_MOST]] if isinstance(content, list) else content


def _is_refused(recorder: Caller) -> None:
    recorder.call("requeue", 422, body={"batchJobId": "x", "resaon": "Trying it out"})
    running = recorder.landscape.finance_operations.jobs.add(status="Executing")
    recorder.call("requeue", 409, body={"batchJobId": running})
    recorder.call("run", 404, run="20261128-unknown")
    recorder.call("apply", 409, run=recorder.known["stopped"])


def _takes_long(recorder: Caller) -> None:
    recorder.call("requeue", 202, body={"batchJobId": recorder.failed_job()}, headers={"Prefer": "respond-async"})


def _lists(recorder: Caller) -> None:
    two = [recorder.failed_job(), recorder.landscape.finance_operations.jobs.add(status="Executing")]
    recorder.call("requeue", body={"batchJobIds": two[:1], "reason": "Trying it out"})
    recorder.call("requeue", body={"batchJobIds": two, "reason": "Trying it out", "dryRun": True})


_MORE: tuple[Callable[[Caller], None], ...] = (_is_refused, _takes_long, _lists)
