"""`python -m local demo`: what a flow sees, from a job that failed to a job that ran."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import timedelta
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

    def look(self, scene: Scene, path: str) -> requests.Response:
        """Read what a function tells, and note it in the scene."""
        response = self._session.get(self.machine.host.url + path, timeout=130)
        scene.call, scene.status = f"GET {path}", response.status_code
        return response

    def put_policy(self, rules: list[dict[str, str]], reason: str) -> None:
        """Change the policy, as a person would: from the version that was read."""
        url = f"{self.machine.host.url}/api/policy"
        version = self._session.get(url, timeout=30).headers["ETag"]
        self._session.put(url, json={"rules": rules, "reason": reason}, headers={"If-Match": version}, timeout=30)
        self.machine.clock.advance(1)

    def push_to_noon(self) -> None:
        """Push the clock to the next noon, so that a night lies between two of them."""
        tomorrow = self.machine.clock.now() + timedelta(hours=12, seconds=1)
        self.machine.clock.advance_to(tomorrow.replace(hour=12, minute=0, second=0, microsecond=0))

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


def _is_planned(stage: Stage) -> Scene:
    scene = Scene("A morning after: plan, look, apply, and the report of each job")
    for job in stage.system.jobs.all():
        stage.system.jobs.remove(job.id)
    names = ("Post payroll journal", "Customer statements", "Pay all vendors")
    jobs = [stage.system.jobs.add(description=name, outcomes=["Finished"]) for name in names for _ in range(4)]
    rules = [
        {"name": "never payments", "action": "deny", "job": "pay *"},
        {"name": "what may run again", "action": "allow", "job": "*"},
    ]
    stage.put_policy(rules, "The team agreed on it")
    plan = stage.post(scene, "/api/sweeps", {"reason": "The database was down"}).json()
    scene.promises["the plan touches nothing"] = sum(stage.actions(job) for job in jobs) == 0
    stage.system.jobs.set_status(jobs[0], "Finished")
    report = stage.post(scene, f"/api/runs/{plan['id']}/apply", {"reason": "Looks right"}).json()
    told = {item["id"]: item for item in report["items"]}
    scene.promises["payments were left alone, by rule"] = all(str(job) not in told for job in jobs[8:])
    scene.promises["a job that changed since is skipped, the others are done"] = (
        report["counts"]["outcome"] == {"skipped": 1, "done": 7} and told[str(jobs[0])]["type"] == "item-not-failed"
    )
    scene.answer = {"counts": report["counts"]["outcome"], "plan": _lines(plan["items"][:9:4])}
    return scene


def _is_stopped(stage: Stage) -> Scene:
    scene = Scene("Somebody stops everything; later the rest is retried")
    jobs = stage.system.jobs.fail(5, description="Inventory close", outcomes=["Finished"])
    stage.post(scene, "/api/stop", {"reason": "Wrong company"})
    stage.machine.clock.advance(1)
    stopped = stage.post(scene, _REQUEUE, {"batchJobIds": jobs, "reason": "All of them"}).json()
    scene.promises["nothing was sent, and each job says why"] = stopped["counts"]["outcome"] == {"not_attempted": 5}
    stage.post(Scene(""), "/api/resume", {"reason": "It was the right one"})
    stage.machine.clock.advance(1)
    rest = stage.post(scene, f"/api/runs/{stopped['id']}/retry", {"reason": "The rest"}).json()
    scene.answer = {"counts": rest["counts"]["outcome"], "parent": rest["parent"]}
    scene.promises["after the resume, a retry does all five"] = rest["counts"]["outcome"] == {"done": 5}
    return scene


def _is_at_night(stage: Stage) -> Scene:
    scene = Scene("A night: the timer sweeps, and leaves a plan to approve in the morning")
    stage.push_to_noon()
    before = len(stage.look(scene, "/api/runs?function=nightly_requeue").json()["runs"])
    job = stage.system.jobs.add(description="Post payroll journal", outcomes=["Finished"])
    stage.push_to_noon()
    runs = stage.look(scene, "/api/runs?function=nightly_requeue").json()["runs"]
    plan = stage.look(scene, f"/api/runs/{runs[0]['id']}").json()
    scene.answer = {"night": plan["reason"], "state": plan["state"], "plan": _lines(plan["items"])}
    scene.promises["one night, one plan"] = len(runs) == before + 1 and plan["state"] == "planned"
    scene.promises["the job is in it, and nothing was sent"] = (
        str(job) in {item["id"] for item in plan["items"]} and stage.actions(job) == 0
    )
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
    _is_planned,
    _is_stopped,
    _is_at_night,
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


def _lines(items: list[dict[str, Any]]) -> list[str]:
    """Tell the items of a plan in a line each."""
    return [
        f"{item['id']} {item['about'].get('job', '')}: {item['outcome']} by {item.get('rule', 'no rule')}"
        for item in items
    ]


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
