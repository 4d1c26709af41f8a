"""`python -m local demo`: what a flow sees, from a job that failed to a job that ran."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from local.machine import Machine

_WIDTH = 100
_REQUEUE = "/api/finance-operations/requeue"
_NATIVE = "/api/finance-operations/data/BatchJobs/Microsoft.Dynamics.DataEntities.SetBatchJobToWaiting"


@dataclass
class Scene:
    """One thing that is shown: the call, its answer, and each promise with whether it was kept."""

    title: str
    call: str = ""
    status: int = 0
    answer: Any = None
    promises: dict[str, bool] = field(default_factory=dict)


class Stage:
    """Plays the scenes over HTTP, and looks at the simulated system to see what truly happened."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.system = machine.landscape.finance_operations
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["x-functions-key"] = machine.host.function_key

    def post(self, scene: Scene, path: str, body: object, **headers: str) -> requests.Response:
        """Call a function as a flow would, and note it in the scene."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = self._session.post(self.machine.host.url + path, json=body, headers=named, timeout=130)
        told = " ".join(f"{name}: {value}" for name, value in named.items())
        scene.call = f"POST {path.rpartition('/')[2]} {json.dumps(body)} {told}".strip()
        scene.status, scene.answer = response.status_code, _content(response)
        return response

    def get(self, url: str) -> requests.Response:
        """Follow a Location, as a flow does: without a key."""
        return requests.get(url, timeout=130)

    def actions(self, job: int) -> int:
        """Return how many action calls the system got for a job."""
        return len(self.system.book.calls(kind="action", job=job))

    def status(self, job: int) -> str:
        """Return the job's status in the system at this moment."""
        found = self.system.jobs.get(job)
        return str(found.status) if found else "gone"


def _goes_well(stage: Stage) -> Scene:
    scene = Scene("A failed job is requeued, and runs")
    job = stage.system.jobs.add(description="Post payroll journal", company="USMF", outcomes=["Finished"])
    stage.post(scene, _REQUEUE, {"batchJobId": job, "reason": "The number sequence was mended"})
    scene.promises["200, and the answer of Finance & Operations"] = scene.status == 200 and scene.answer["IsSuccess"]
    scene.promises["the job waits to run"] = stage.status(job) == "Waiting"
    stage.machine.clock.advance(3600)
    scene.promises["an hour later it has finished"] = stage.status(job) == "Finished"
    return scene


def _is_refused(stage: Stage) -> Scene:
    scene = Scene("A running job is refused, and the answer says why")
    job = stage.system.jobs.add(description="Vendor payment proposal", company="DEMF", status="Executing")
    stage.post(scene, _REQUEUE, {"batchJobId": job})
    scene.promises["409, and nothing was sent"] = scene.status == 409 and stage.actions(job) == 0
    scene.promises["the type says that it runs"] = scene.answer["type"].endswith(":item-running")
    return scene


def _is_repeated(stage: Stage) -> Scene:
    scene = Scene("The same call comes again under its Idempotency-Key")
    job = stage.system.jobs.add(description="Inventory close", company="USMF", outcomes=["Finished"])
    first = stage.post(scene, _REQUEUE, {"batchJobId": job}, Idempotency_Key="inventory-close-1")
    again = stage.post(scene, _REQUEUE, {"batchJobId": job}, Idempotency_Key="inventory-close-1")
    scene.promises["the same run and the same bytes"] = _same(first, again)
    scene.promises["one action call in the system"] = stage.actions(job) == 1
    return scene


def _is_polled(stage: Stage) -> Scene:
    scene = Scene("A flow that won't wait gets 202, and follows the Location")
    job = stage.system.jobs.add(description="Customer statements", company="GBSI", outcomes=["Finished"])
    accepted = stage.post(scene, _REQUEUE, {"batchJobId": job}, Prefer="respond-async")
    scene.promises["202 with an absolute Location and Retry-After"] = (
        accepted.status_code == 202
        and accepted.headers["Location"].startswith("http")
        and "Retry-After" in accepted.headers
    )
    answer = accepted
    for _ in range(20):
        if answer.status_code != 202:
            break
        stage.machine.clock.advance(float(answer.headers["Retry-After"]))
        answer = stage.get(accepted.headers["Location"])
    scene.answer = _content(answer)
    scene.promises["then 200, without a key"] = answer.status_code == 200 and scene.answer["IsSuccess"]
    return scene


def _is_native(stage: Stage) -> Scene:
    scene = Scene("A client of Finance & Operations swaps its base URL, and keeps the rest")
    job = stage.system.jobs.add(description="Currency revaluation", company="USMF", outcomes=["Finished"])
    stage.post(scene, _NATIVE, {"batchJobId": job})
    scene.promises["200, in the system's own envelope"] = scene.status == 200 and "@odata.context" in scene.answer
    return scene


def _is_lost(stage: Stage) -> Scene:
    scene = Scene("The system's answer gets lost on the way")
    job = stage.system.jobs.add(description="General ledger post", company="DEMF", outcomes=["Finished"])
    stage.system.faults.add("cut", kind="action", job=job, after=True, times=1)
    stage.post(scene, _REQUEUE, {"batchJobId": job})
    scene.promises["200: the job itself shows that it was done"] = scene.status == 200
    scene.promises["it was sent once, not twice"] = stage.actions(job) == 1
    return scene


def _is_wrong(stage: Stage) -> Scene:
    scene = Scene("A call with two mistakes is told both")
    stage.post(scene, _REQUEUE, {"batchJobId": "0x12", "resaon": "typing error"})
    pointers = {mistake["pointer"] for mistake in scene.answer["errors"]}
    scene.promises["422 with a JSON pointer to each"] = scene.status == 422 and pointers == {"/batchJobId", "/resaon"}
    return scene


SCENES: tuple[Callable[[Stage], Scene], ...] = (
    _goes_well,
    _is_refused,
    _is_repeated,
    _is_polled,
    _is_native,
    _is_lost,
    _is_wrong,
)


def run(json_file: Path | None) -> int:
    """Play every scene, print what was seen, and return 0 only if every promise was kept."""
    console = Console(width=_WIDTH)
    console.print("[bold]Nightshift[/] in the local host, with a simulated Finance & Operations (a development tool)\n")
    with Machine() as machine:
        stage = Stage(machine)
        scenes = [_played(play, stage) for play in SCENES]
    for scene in scenes:
        console.print(_table(scene))
    broken = [text for scene in scenes for text, kept in scene.promises.items() if not kept]
    console.print(f"[bold red]Broken: {'; '.join(broken)}[/]" if broken else "[bold green]All went as promised.[/]")
    if json_file:
        json_file.write_text(json.dumps([asdict(scene) for scene in scenes], indent=2), encoding="utf-8")
    return 1 if broken else 0


def _played(play: Callable[[Stage], Scene], stage: Stage) -> Scene:
    """Play a scene; what breaks off is a broken promise, and the others are still played."""
    try:
        return play(stage)
    except (KeyError, TypeError, requests.RequestException) as error:
        return Scene(play.__name__, promises={f"{play.__name__} broke off: {error!r}": False})


def _table(scene: Scene) -> Table:
    table = Table(title=scene.title, title_justify="left", title_style="bold", show_header=False, width=_WIDTH)
    table.add_column(width=6, style="dim")
    table.add_column(overflow="fold")
    table.add_row("call", escape(scene.call))
    table.add_row("answer", escape(f"{scene.status} {_brief(scene.answer)}"))
    for text, kept in scene.promises.items():
        table.add_row("[green]kept[/]" if kept else "[red]BROKEN[/]", text)
    return table


def _brief(answer: Any) -> str:  # noqa: ANN401 - as _content
    """Say what an answer says to a person; `--json` has all of it."""
    if not isinstance(answer, dict):
        return str(answer)
    if "type" not in answer:
        return json.dumps(answer)
    errors = "".join(f"\n{mistake['pointer']}: {mistake['detail']}" for mistake in answer.get("errors", []))
    return f"{answer['type'].rpartition(':')[2]}: {answer['detail']} {answer['next']}{errors}"


def _content(response: requests.Response) -> Any:  # noqa: ANN401 - JSON is any value
    try:
        return response.json()
    except ValueError:
        return response.text


def _same(first: requests.Response, again: requests.Response) -> bool:
    same_run = first.headers["Nightshift-Run"] == again.headers["Nightshift-Run"]
    return same_run and first.content == again.content and again.headers.get("Nightshift-Replayed") == "true"
