"""A batch larger than Business Central takes, and the truth about each of its operations."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from local.demo.stage import Scene, Stage, counted

_BATCH = "/api/business-central/api/v2.0/$batch"


def _lines(stage: Stage, number: int, prefix: str) -> tuple[str, list[dict[str, Any]]]:
    """Return a new journal of a company, and operations that add lines to that."""
    central = stage.machine.landscape.business_central
    company = central.add_company(name="CRONUS")
    journal = central.add_journal(company)
    url = f"companies({company})/journals({journal})/journalLines"
    operations = [
        {
            "id": f"{prefix}{one}",
            "method": "POST",
            "url": url,
            "body": {"documentNumber": f"SALARY-{one}", "postingDate": "2026-11-30", "amount": -3250.50},
        }
        for one in range(1, number + 1)
    ]
    return journal, operations


def _is_large(stage: Stage) -> Scene:
    scene = Scene("2,300 salary lines in one batch, of which one is bad: in order, then mended")
    journal, operations = _lines(stage, 2300, "r")
    operations[1233]["body"]["postingDate"] = "the 30th"
    answer = stage.post(scene, _BATCH, {"requests": operations}, Prefer="wait=100")
    central = stage.machine.landscape.business_central
    run = answer.headers["Nightshift-Run"]
    first = counted(stage.report(run))
    scene.promises["1,233 are done, one is rejected, and nothing was sent behind it"] = (
        first == {"done": 1233, "rejected": 1, "not_attempted": 1066} and len(central.lines(journal)) == 1233
    )
    body = {**operations[1233]["body"], "postingDate": "2026-11-30"}
    retry = {"reason": "The date was mended", "replace": {"r1234": body}}
    mended = stage.post(scene, f"/api/runs/{run}/retry", retry, Prefer="wait=100")
    numbers = [line["documentNumber"] for line in central.lines(journal)]
    scene.promises["after a retry with that body replaced, all 2,300 are there in order"] = numbers == [
        f"SALARY-{one}" for one in range(1, 2301)
    ]
    scene.call = f"POST $batch with {len(operations)} operations, then {scene.call}"
    scene.answer = {"first": first, "retry": counted(stage.report(mended.headers["Nightshift-Run"]))}
    return scene


def _is_in_parallel(stage: Stage) -> Scene:
    scene = Scene("300 operations go on over errors, throttling and a lost answer")
    central = stage.machine.landscape.business_central
    operations = [one for journal in "abc" for one in _lines(stage, 100, journal)[1]]
    central.faults.add("throttle", kind="operation", share=0.05, seed=1, times=None, retry_after=0)
    central.faults.add("status", kind="operation", operation="b7", status=400)
    central.faults.add("cut", kind="batch", after=True, times=1)
    before = len(central.book.writes())
    answer = stage.post_pushing(scene, _BATCH, {"requests": operations}, Prefer="odata.continue-on-error, wait=100")
    central.faults.clear()
    told = counted(stage.report(answer.headers["Nightshift-Run"]))
    written = Counter(one.operation for one in central.book.writes()[before:] if one.took_effect)
    done = {one["id"] for one in answer.json()["responses"] if one["status"] == 201}
    scene.call, scene.answer = f"POST $batch with {len(operations)} operations, continue-on-error", told
    scene.promises["each operation has one outcome"] = sum(told.values()) == 300
    scene.promises["what is done is in the system's book, once; the lost ones say unknown"] = (
        all(written[one] == 1 for one in done) and max(written.values()) == 1 and told["unknown"] > 0
    )
    return scene


SCENES: tuple[Callable[[Stage], Scene], ...] = (_is_large, _is_in_parallel)
