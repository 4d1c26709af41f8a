"""`python -m local bench`: what fanning a batch out costs, against what it can't cost less than.

Every row is a ratio of two things that are measured side by side in one run, because machines are noisy: its median
over a few rounds, with the spread of the rounds.
"""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import requests

from local.stack import Machine
from shared.core.targets import Targets
from shared.fanout.merging import merge
from shared.systems.operations import OperationResponse
from shared.systems.registry import fan_out_of
from shared.validation.request import Call

RESULTS = Path(__file__).resolve().parent / "results.json"
_ENVIRONMENT = {
    "TARGETS__BC__SYSTEM": "business-central",
    "TARGETS__BC__URL": "http://127.0.0.1:1",
    "TARGETS__BC__AUTH": "managed-identity",
}
_DOCUMENTS = 50
_BATCH, _EACH, _PLACES = 0.2, 0.002, 5


class Row(NamedTuple):
    """A measurement."""

    row: str
    value: float
    target: float
    better: str
    spread: tuple[float, float]


def operations(number: int, size: int = 500) -> list[dict[str, Any]]:
    """Return lines of 50 documents, each of about so many bytes."""
    return [
        {
            "id": str(one),
            "method": "POST",
            "url": f"companies(1)/journals({one % _DOCUMENTS})/journalLines",
            "headers": {"Content-Type": "application/json"},
            "body": {"documentNumber": f"D{one}", "amount": 12.50, "description": "x" * (size - 220)},
        }
        for one in range(number)
    ]


def run() -> int:
    """Measure everything, print it, and write it down."""
    rows = [_wall(), *_work(), _memory()]
    for row in rows:
        low, high = row.spread
        print(f"{row.row:58} {row.value:6.2f}  (target {row.target}, spread {low:.2f} to {high:.2f})")
    RESULTS.write_text(json.dumps([row._asdict() for row in rows], indent=2) + "\n", encoding="utf-8")
    return 0


def _row(name: str, values: Sequence[float], target: float) -> Row:
    rounded = [round(value, 3) for value in values]
    return Row(name, statistics.median(rounded), target, "lower", (min(rounded), max(rounded)))


def _wall() -> Row:
    """Measure 10,000 operations under 50 documents through the whole app, over the time that the batches need."""
    number, values = 10_000, []
    with Machine() as machine:
        central = machine.landscape.business_central
        for _ in range(3):
            central.reset()
            central.behaviour.batch_seconds, central.behaviour.operation_seconds = _BATCH, _EACH
            company = central.add_company(name="CRONUS")
            journals = [central.add_journal(company, f"J{one}") for one in range(_DOCUMENTS)]
            sent = operations(number)
            for place, one in enumerate(sent):
                one["url"] = f"companies({company})/journals({journals[place % _DOCUMENTS]})/journalLines"
            began = time.perf_counter()
            answer = _sent(machine, sent)
            took = time.perf_counter() - began
            if {one["status"] for one in answer.json()["responses"]} != {201}:
                raise RuntimeError("not every operation was done")
            chunks = len(central.book.batches())
            ideal = -(-chunks // _PLACES) * (_BATCH + _EACH * number / chunks)
            values.append(took / ideal)
    return _row("10,000 operations, 50 documents: wall over ideal", values, 1.15)


def _sent(machine: Machine, sent: list[dict[str, Any]]) -> requests.Response:
    headers = {"x-functions-key": machine.host.function_key, "Prefer": "odata.continue-on-error, wait=100"}
    url = f"{machine.host.url}/api/business-central/api/v2.0/$batch"
    return requests.post(url, json={"requests": sent}, headers=headers, timeout=130)


def _work() -> list[Row]:
    """Measure the CPU of validating, planning and merging, over reading and writing the same bytes as JSON."""
    body = json.dumps({"requests": operations(10_000)}).encode()
    over = []
    for _ in range(5):
        plain = _cpu(lambda: json.dumps(json.loads(body)))
        over.append(_cpu(lambda: _fanned(body)) / plain)
    each = []
    small, large = (json.dumps({"requests": operations(number)}).encode() for number in (1000, 40_000))
    for _ in range(3):
        few = statistics.median(_cpu(lambda: _fanned(small)) for _ in range(9)) / 1000
        each.append(_cpu(lambda: _fanned(large)) / 40_000 / few)
    return [
        _row("validate + plan + merge over json.loads + json.dumps", over, 8),
        _row("that, an operation: at 40,000 over 1,000", each, 1.2),
    ]


def _fanned(body: bytes) -> None:
    """Validate, plan, and merge answers, as the app does apart from its calls."""
    target = Targets(_ENVIRONMENT).named("bc")
    headers = {"content-type": "application/json", "prefer": "odata.continue-on-error"}
    fan_out = fan_out_of(target.system)
    call = Call("POST", "batch", "http://x", headers, {}, {"root": "api/v2.0/$batch"}, body)
    asked = fan_out.read(call).validated(target)
    for chunk in fan_out.chunks(asked, target):
        ids = [asked.operations[place].id for place in chunk.operations]
        merge(ids, [OperationResponse(one, 201, body="{}") for one in ids], stopped=False, snapshot=False)


def _memory() -> Row:
    """Measure the most memory that a worker of the app ever held while a body of 20 MB went through it, over its bytes.

    The system itself tells it (`VmHWM`), what the worker needs anyway counted.
    """
    with Machine() as machine:
        central = machine.landscape.business_central
        company = central.add_company(name="CRONUS")
        journal = central.add_journal(company)
        sent = operations(40_000, 460)
        for one in sent:
            one["url"] = f"companies({company})/journals({journal})/journalLines"
        size = len(json.dumps({"requests": sent}).encode())
        _sent(machine, sent)
        workers = [*machine.host.workers("http"), *machine.host.workers("durable")]
        values = [_most_memory(pid) / size for pid in workers]
    worst = round(max(values), 3)
    return Row(f"peak memory of a worker, a body of {size / 1e6:.0f} MB, over it", worst, 8, "lower", (worst, worst))


def _most_memory(pid: int) -> int:
    """Return the most bytes that a process has held."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def _cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
