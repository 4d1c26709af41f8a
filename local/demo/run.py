"""`python -m local demo`: what a flow and a person see, from a job that failed to a job that ran."""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import requests
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from local.demo import business_central, camunda, mornings, opendatadsl, person, recovery, requeue, superoffice
from local.demo.stage import Scene, Stage, needs_a_leap
from local.demo.webhook import Webhook
from local.environment import ROOT
from local.extension import Extension
from local.stack import Machine

LOG_FILE = ROOT / ".local" / "demo.log"
_WIDTH = 100
_MOST_BROKEN = 8
"""How many broken promises the summary names; it has to fit on a screen."""
_NEXT = (
    "Next:   python -m local serve                    all of this to call yourself, with a line of curl for each call",
    "        python -m local serve --settings FILE    the same, with a system of your own",
    "        python -m local test                     the tests",
    "        README.md                                what each function takes and answers",
)
Play = Callable[[Stage], Scene]


@dataclass(frozen=True)
class Act:
    """Scenes that are played in one app, which is started for them.

    Attributes:
        plays: The scenes.
        begins: The time of day at which the app's clock begins, in UTC.
        settings: The app's settings, beside the usual ones.
        has_people: Callers sign in, and cards are posted for them.
    """

    plays: Sequence[Play]
    begins: tuple[int, int]
    settings: Mapping[str, str] = field(default_factory=dict)
    has_people: bool = False


ACTS = (
    Act(
        (
            *requeue.SCENES,
            *recovery.SCENES,
            *business_central.SCENES,
            *camunda.SCENES,
            *superoffice.SCENES,
            *opendatadsl.SCENES,
        ),
        begins=(0, 0),
        settings={"SWEEP_UNTIL": "03:00"},
    ),
    Act(
        (*recovery.AT_NIGHT, *camunda.AT_NIGHT, *superoffice.AT_NIGHT, *mornings.AT_NIGHT),
        begins=(1, 45),
        settings={"SWEEP_MODE": "apply", "SWEEP_UNTIL": "05:00", "FOLLOW_UP_HOURS": "1", "BATCH_RETRY": "on"},
        has_people=True,
    ),
)


def run(json_file: Path | None, program: Path | None = None) -> int:
    """Play the scenes, print each as it happens, and return 0 only if every promise was kept.

    Args:
        json_file: Where to write what was seen as well.
        program: The Durable extension's; then those scenes are played that need no leap of the clock.

    Raises:
        HostError: the host or the engine can't start.
    """
    console = Console(width=_WIDTH, highlight=False)
    begun = time.monotonic()
    acts = _playable(ACTS) if program else ACTS
    total = sum(len(act.plays) for act in acts)
    console.print("[bold]Nightshift[/] in the local host, with simulated systems (a development tool): ", end="")
    console.print(f"{total} scenes.\nWhat host, workers and simulators log: {LOG_FILE}\n", soft_wrap=True)
    with _logging_to(LOG_FILE), Extension(program) if program else nullcontext() as extension:
        scenes = list(_shown(console, _played(acts, extension), total))
    told = summary(scenes, time.monotonic() - begun, on_engine=program is not None)
    console.print("\n".join(told), soft_wrap=True)
    if json_file:
        json_file.write_text(json.dumps([asdict(scene) for scene in scenes], indent=2), encoding="utf-8")
    return 0 if all(all(scene.promises.values()) for scene in scenes) else 1


def summary(scenes: Sequence[Scene], seconds: float, *, on_engine: bool) -> list[str]:
    """Return the lines that end the demo; no more than a screen has."""
    promises = [(number, text, kept) for number, scene in enumerate(scenes, 1) for text, kept in scene.promises.items()]
    broken = [f"scene {number}: {text}" for number, text, kept in promises if not kept]
    colour = "red" if broken else "green"
    played = f"in {len(scenes)} scenes and {seconds:.0f} seconds"
    more = [f"... and {len(broken) - _MOST_BROKEN} more"] if len(broken) > _MOST_BROKEN else []
    return [
        f"[bold {colour}]{len(promises) - len(broken)} of {len(promises)} promises were kept[/], {played}.",
        *(f"[red]BROKEN[/]  {escape(text)}" for text in [*broken[:_MOST_BROKEN], *more]),
        f"Log:    {escape(str(LOG_FILE))}",
        *([] if on_engine else [_on_engine(scenes)]),
        *_NEXT,
    ]


def _on_engine(scenes: Sequence[Scene]) -> str:
    numbers = ", ".join(str(number) for number, scene in enumerate(scenes, 1) if scene.playable)
    return f"Engine: `demo --engine PROGRAM` plays {numbers} on the Durable extension; no clock leaps there."


def _playable(acts: Sequence[Act]) -> list[Act]:
    """Return what a real engine can play, which nobody can push."""
    some = [replace(act, plays=[play for play in act.plays if not needs_a_leap(play)]) for act in acts]
    return [act for act in some if act.plays]


@contextmanager
def _logging_to(file: Path) -> Iterator[None]:
    """Send the standard error of this process and its children to a file, and into that all that workers log."""
    os.environ.setdefault("NIGHTSHIFT_LOCAL_VERBOSE", "1")
    file.parent.mkdir(parents=True, exist_ok=True)
    terminal = os.dup(2)
    with file.open("w", encoding="utf-8") as log:
        os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(terminal, 2)
        os.close(terminal)


def _shown(console: Console, scenes: Iterator[Scene], total: int) -> Iterator[Scene]:
    """Print each scene when it has been played; on a terminal, tell meanwhile which one is."""
    with console.status(f"starting, then scene 1 of {total} ...") as status:
        for number, scene in enumerate(scenes, 1):
            console.print(_table(f"{number}/{total}", scene))
            status.update(f"scene {number + 1} of {total} ...")
            yield scene


def _played(acts: Sequence[Act], extension: Extension | None) -> Iterator[Scene]:
    """Play the acts at the same time; return the scenes in their order, each as soon as it has been played."""
    told: list[SimpleQueue[Scene | None]] = [SimpleQueue() for _ in acts]
    first_started, cancelled = threading.Event(), threading.Event()

    def play(number: int) -> None:
        if number:
            # The first scenes come sooner if only one app is started for them.
            first_started.wait()
        try:
            with _app(acts[number], extension) as stage:
                first_started.set()
                for one in acts[number].plays:
                    if not cancelled.is_set():
                        told[number].put(_scene(one, stage))
        finally:
            first_started.set()
            told[number].put(None)

    with ThreadPoolExecutor(len(acts)) as stages:
        try:
            for number, act in enumerate([stages.submit(play, number) for number in range(len(acts))]):
                yield from iter(told[number].get, None)
                act.result()
        finally:
            cancelled.set()


@contextmanager
def _app(act: Act, extension: Extension | None) -> Iterator[Stage]:
    with Webhook() as webhook:
        told = {**person.SIGN_IN, "NOTIFY_URL": webhook.url} if act.has_people else {}
        machine = Machine({**act.settings, **told}, extension=extension)
        stage = Stage(machine, webhook.cards, person.headers() if act.has_people else {})
        if extension is None:
            # Nothing runs yet that would have to follow, so this takes no time.
            stage.leap_to(*act.begins)
        with machine:
            yield stage


def _scene(play: Play, stage: Stage) -> Scene:
    """Play a scene; what breaks off is a broken promise, and the others are still played."""
    try:
        scene = play(stage)
    except (KeyError, IndexError, TypeError, requests.RequestException) as error:
        return Scene(play.__name__, promises={f"{play.__name__} broke off: {error!r}": False})
    scene.playable = not needs_a_leap(play)
    return scene


def _table(number: str, scene: Scene) -> Table:
    title = f"{number}  {escape(scene.title)}"
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, width=_WIDTH)
    table.add_column(width=6, style="dim")
    table.add_column(overflow="fold")
    table.add_row("call", escape(scene.call))
    table.add_row("answer", escape(f"{scene.status} {_brief(scene.answer)}"))
    for text, kept in scene.promises.items():
        table.add_row("[green]kept[/]" if kept else "[red]BROKEN[/]", escape(text))
    return table


def _brief(answer: Any) -> str:  # noqa: ANN401 - JSON is any value
    """Say what an answer says to a person; `--json` has all of it."""
    if isinstance(answer, list):
        return "\n".join(str(line) for line in answer)
    if not isinstance(answer, dict):
        return str(answer)
    if "next" not in answer:
        return json.dumps(answer)
    errors = "".join(
        f"\n{one['pointer'] or one['header'] or one['parameter']}: {one['detail']}" for one in answer["errors"]
    )
    return f"{answer['type'].rpartition(':')[2]}: {answer['detail']} {answer['next']}{errors}"
