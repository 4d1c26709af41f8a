"""`python -m local demo`: what a flow and a person see, from a job that failed to a job that ran."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from local.extension import Extension
from local.machine import Machine
from local.scenes import business_central, camunda, recovery, requeue
from local.scenes.stage import Scene, Stage, needs_a_leap

_WIDTH = 100
Play = Callable[[Stage], Scene]
_ACTS: tuple[tuple[Mapping[str, str], Sequence[Play]], ...] = (
    ({}, (*requeue.SCENES, *recovery.SCENES, *business_central.SCENES, *camunda.SCENES)),
    ({"SWEEP_MODE": "apply"}, (*recovery.AT_NIGHT, *camunda.AT_NIGHT)),
)
"""The settings of an app, and the scenes that are played with it."""


def run(json_file: Path | None, program: Path | None = None) -> int:
    """Play the scenes, print what was seen, and return 0 only if every promise was kept.

    Args:
        json_file: Where to write what was seen as well.
        program: The Durable extension's; then those scenes are played that need no leap of the clock.

    Raises:
        HostError: the host or the engine can't start.
    """
    console = Console(width=_WIDTH)
    console.print("[bold]Nightshift[/] in the local host, with simulated systems (a development tool)\n")
    scenes = _on_extension(program) if program else _on_local_hub()
    for scene in scenes:
        console.print(_table(scene))
    broken = [text for scene in scenes for text, kept in scene.promises.items() if not kept]
    if program is None:
        playable = [scene.title for scene in scenes if scene.playable]
        console.print("On the Durable extension itself, `python -m local demo --engine PROGRAM` plays the scenes that")
        console.print(f"need no leap of the clock, {len(playable)} of these: {'; '.join(playable)}.\n")
    console.print(f"[bold red]Broken: {'; '.join(broken)}[/]" if broken else "[bold green]All went as promised.[/]")
    if json_file:
        json_file.write_text(json.dumps([asdict(scene) for scene in scenes], indent=2), encoding="utf-8")
    return 1 if broken else 0


def _on_local_hub() -> list[Scene]:
    return [scene for settings, plays in _ACTS for scene in _act(settings, plays, None)]


def _on_extension(program: Path) -> list[Scene]:
    with Extension(program) as extension:
        return [
            scene
            for settings, plays in _ACTS
            if (some := [play for play in plays if not needs_a_leap(play)])
            for scene in _act(settings, some, extension)
        ]


def _act(settings: Mapping[str, str], plays: Sequence[Play], extension: Extension | None) -> list[Scene]:
    with Machine(settings, extension=extension) as machine:
        stage = Stage(machine)
        return [_played(play, stage) for play in plays]


def _played(play: Play, stage: Stage) -> Scene:
    """Play a scene; what breaks off is a broken promise, and the others are still played."""
    try:
        scene = play(stage)
    except (KeyError, IndexError, TypeError, requests.RequestException) as error:
        return Scene(play.__name__, promises={f"{play.__name__} broke off: {error!r}": False})
    scene.playable = not needs_a_leap(play)
    return scene


def _table(scene: Scene) -> Table:
    table = Table(title=scene.title, title_justify="left", title_style="bold", show_header=False, width=_WIDTH)
    table.add_column(width=6, style="dim")
    table.add_column(overflow="fold")
    table.add_row("call", escape(scene.call))
    table.add_row("answer", escape(f"{scene.status} {_brief(scene.answer)}"))
    for text, kept in scene.promises.items():
        table.add_row("[green]kept[/]" if kept else "[red]BROKEN[/]", text)
    return table


def _brief(answer: Any) -> str:  # noqa: ANN401 - JSON is any value
    """Say what an answer says to a person; `--json` has all of it."""
    if isinstance(answer, list):
        return "\n".join(str(line) for line in answer)
    if not isinstance(answer, dict):
        return str(answer)
    if "next" not in answer:
        return json.dumps(answer)
    errors = "".join(f"\n{mistake['pointer']}: {mistake['detail']}" for mistake in answer.get("errors", []))
    return f"{answer['type'].rpartition(':')[2]}: {answer['detail']} {answer['next']}{errors}"
