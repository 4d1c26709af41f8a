"""The app's own work on a batch, in this process: CPU of validate, plan and merge."""

import json
import statistics

from benchmarks.measuring import cpu
from benchmarks.operations import Journals, as_body
from benchmarks.table import Row, row
from shared.core.targets import Targets
from shared.fanout.merging import merge
from shared.systems.operations import OperationResponse
from shared.systems.registry import fan_out_of
from shared.validation.request import Call

_ENVIRONMENT = {
    "TARGETS__BC__SYSTEM": "business-central",
    "TARGETS__BC__URL": "http://127.0.0.1:1",
    "TARGETS__BC__AUTH": "managed-identity",
}
_JOURNALS = Journals("6f1c2a44-0000-4000-8000-000000000001", [f"6f1c2a44-0000-4000-8000-{n:012}" for n in range(50)])
_ROUNDS = 5
_REPEATS = {1_000: 20, 10_000: 3, 40_000: 1}
"""How often each size is carried out in a round: a single time is too short to be measured where there are few."""


def own_work() -> list[Row]:
    """Measure validate + plan + merge over reading and writing the same bytes as JSON, and how it grows."""
    bodies = {number: as_body(_JOURNALS.operations(number)) for number in _REPEATS}
    over, growth = [], []
    carry_out(bodies[1_000])
    for _ in range(_ROUNDS):
        each = {number: _each(bodies[number], number) for number in _REPEATS}
        growth.append(max(each.values()) / min(each.values()))
        plain = statistics.median(cpu(lambda: json.dumps(json.loads(bodies[10_000]))) for _ in range(3))
        over.append(each[10_000] * 10_000 / plain)
    return [
        row("10,000 operations: CPU of validate + plan + merge over json.loads + json.dumps", over, 4),
        row("that per operation at 1,000, 10,000, 40,000: largest over smallest", growth, 1.10),
    ]


def carry_out(body: bytes) -> None:
    """Validate, plan, and merge answers, as the app does apart from its calls and its store."""
    target = Targets(_ENVIRONMENT).named("bc")
    headers = {"content-type": "application/json", "prefer": "odata.continue-on-error"}
    fan_out = fan_out_of(target.system)
    call = Call("POST", "batch", "http://x", headers, {}, {"root": "api/v2.0/$batch"}, body)
    asked = fan_out.read(call).validated(target)
    for chunk in fan_out.chunks(asked, target):
        ids = [asked.operations[place].id for place in chunk.operations]
        merge(ids, [OperationResponse(one, 201, body="{}") for one in ids], stopped=False, snapshot=False)


def _each(body: bytes, number: int) -> float:
    return statistics.median(cpu(lambda: carry_out(body)) for _ in range(_REPEATS[number])) / number
