"""Where a demo's scenes are played: over HTTP, with a look at what truly happened in the simulated systems."""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import requests

from local.stack import Machine

_LONGEST = 300
_LONGEST_PUSHES = 60
_UNDER_WAY = ("running", "watching", "waiting")
REQUEUE = "/api/finance-operations/requeue"


@dataclass
class Scene:
    """One thing that is shown: the call, its answer, and each promise with whether it was kept."""

    title: str
    call: str = ""
    status: int = 0
    answer: Any = None
    playable: bool = False
    """It needs no leap of the clock, so it can be played on the Durable extension, too."""
    promises: dict[str, bool] = field(default_factory=dict)


def leaps[Play: Callable[..., Scene]](play: Play) -> Play:
    """Mark a scene that pushes the clock by more than seconds: a real engine lives by the real time."""
    play.__dict__["leaps"] = True
    return play


def needs_a_leap(play: Callable[..., Scene]) -> bool:
    """Tell whether a scene can be played only where the clock can be pushed."""
    return bool(play.__dict__.get("leaps"))


class Stage:
    """Plays the scenes over HTTP, and looks at the simulated system to see what truly happened."""

    def __init__(
        self, machine: Machine, cards: Sequence[Sequence[str]] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        """Take a machine that may not run yet.

        Args:
            machine: The app, and the systems.
            cards: The texts of the cards that the app has posted so far.
            headers: What App Service authentication says of who calls.
        """
        self.machine = machine
        self.cards = cards
        self.system = machine.landscape.finance_operations
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["x-functions-key"] = machine.host.function_key
        self._session.headers.update(headers or {})

    def post(self, scene: Scene, path: str, body: object, **headers: str) -> requests.Response:
        """Call a function as a flow would, and note it in the scene."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = self._session.post(self.machine.host.url + path, json=body, headers=named, timeout=130)
        told = " ".join(f"{name}: {value}" for name, value in named.items())
        scene.call = f"POST {path.rpartition('/')[2]} {_short(json.dumps(body))} {told}".strip()
        scene.status, scene.answer = response.status_code, content(response)
        return response

    def post_pushing(self, scene: Scene, path: str, body: object, **headers: str) -> requests.Response:
        """Call a function that waits for long, and push the clock meanwhile where it can be."""
        with ThreadPoolExecutor(1) as hand:
            call = hand.submit(self.post, scene, path, body, **headers)
            while not self.machine.is_real and not call.done():
                self.machine.clock.advance(1)
            return call.result()

    def delete(self, scene: Scene, path: str) -> requests.Response:
        """Delete something, and note it in the scene."""
        response = self._session.delete(self.machine.host.url + path, timeout=130)
        scene.call = f"DELETE {path}"
        scene.status, scene.answer = response.status_code, content(response)
        return response

    def look(self, scene: Scene, path: str) -> requests.Response:
        """Read what a function tells, and note it in the scene."""
        response = self._session.get(self.machine.host.url + path, timeout=130)
        scene.call, scene.status = f"GET {path}", response.status_code
        return response

    def read(self, path: str) -> dict[str, Any]:
        """Return what a GET below /api answers."""
        told: dict[str, Any] = self.look(Scene(""), f"/api/{path}").json()
        return told

    def report(self, run: str) -> dict[str, Any]:
        """Return what is told of a run."""
        return self.read(f"runs/{run}")

    def put_policy(self, rules: Sequence[Mapping[str, object]], reason: str) -> None:
        """Change the policy, as a person would: from the version that was read."""
        url = f"{self.machine.host.url}/api/policy"
        version = self._session.get(url, timeout=30).headers["ETag"]
        self._session.put(url, json={"rules": list(rules), "reason": reason}, headers={"If-Match": version}, timeout=30)
        self.wait(1)

    def wait(self, seconds: float) -> None:
        """Let some seconds pass: at once where the clock can be pushed."""
        self.machine.wait(seconds)

    def push_until_told(self, scene: Scene, function: str) -> dict[str, Any]:
        """Push the clock until the newest run of a function has ended, and return what is told of it."""
        run = self.look(scene, f"/api/runs?function={function}").json()["value"][0]["id"]
        return self.push_until_ended(run)

    def push_until_ended(self, run: str) -> dict[str, Any]:
        """Push the clock until a run has ended, for some hours at most, and return what is told of it."""
        for _ in range(_LONGEST_PUSHES):
            told = self.report(run)
            if told["state"] not in _UNDER_WAY:
                break
            self.machine.clock.advance(300)
        return told

    def push_to(self, hour: int, minute: int) -> None:
        """Push the clock to the next such time of day in UTC."""
        self.machine.clock.advance_to(self._next(hour, minute))

    def leap_to(self, hour: int, minute: int) -> None:
        """Set the clock to the next such time of day in UTC, over a time of which nothing is shown."""
        self.machine.clock.leap_to(self._next(hour, minute))

    def _next(self, hour: int, minute: int) -> datetime:
        now = self.machine.clock.now()
        then = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
        return then if then > now else then + timedelta(days=1)

    def get(self, url: str) -> requests.Response:
        """Follow a Location, as a flow does: without a key."""
        return requests.get(url, timeout=130)

    def actions(self, job: int) -> int:
        """Return how many action calls the system got for a job."""
        return len(self.system.book.calls(kind="action", job=job))

    def remove_jobs(self) -> None:
        """Remove all jobs; new ones get other ids, unlike after a reset, so that the app knows none of them."""
        for job in self.system.jobs.all():
            self.system.jobs.remove(job.id)

    def status(self, job: int) -> str:
        """Return the job's status in the system at this moment."""
        found = self.system.jobs.get(job)
        return str(found.status) if found else "gone"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def lines(items: list[dict[str, Any]]) -> list[str]:
    """Tell the items of a plan in a line each."""
    return [
        f"{item['id']} {item['about']['job'] or ''}: {item['outcome']} by {item['rule'] or 'no rule'}" for item in items
    ]


def counted(run: Mapping[str, Any], kind: str = "outcome") -> dict[str, int]:
    """Return the counts of a run that are not 0."""
    return {name: count for name, count in run["counts"][kind].items() if count}


def content(response: requests.Response) -> Any:  # noqa: ANN401 - JSON is any value
    """Return an answer's JSON value, or its text."""
    try:
        return response.json()
    except ValueError:
        return response.text
