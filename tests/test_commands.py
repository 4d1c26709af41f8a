"""`python -m local`: its commands, their exit codes, and the demo."""

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from rich.console import Console

from local import arguments, commands, environment
from local.clock import LocalClock
from local.demo import run as demo
from local.demo.stage import Scene, Stage, leaps
from local.environment import ROOT
from local.extension import Extension
from local.host.errors import HostError

CHECKS = ("test", "lint", "check", "engine", "bench")
COMMANDS = ("demo", "serve", *CHECKS, "docs", "examples", "smoke", "package", "infra")
PATIENCE = 60
SCREEN = 24
# The Python that .venv was made with, which has none of our requirements.
BARE: str = sys._base_executable  # type: ignore[attr-defined]  # noqa: SLF001 - nothing else names it


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A checkout in which nothing is set up, and of `local` there is only what may be needed by then."""
    (tmp_path / "local").mkdir()
    for name in ("__init__", "__main__", "arguments", "environment"):
        shutil.copy(ROOT / "local" / f"{name}.py", tmp_path / "local")
    return tmp_path


def ran(folder: Path, *given: str, python: str = BARE) -> subprocess.CompletedProcess[str]:
    """Run a command, with a window in which lines of ours don't wrap."""
    return subprocess.run(  # noqa: S603 - our own command
        [python, *given],
        cwd=folder,
        env={**os.environ, "COLUMNS": "80", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_g12_help_names_each_command_in_a_line_before_anything_is_set_up(clone: Path) -> None:
    done = ran(clone, "-m", "local", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    told = re.findall(r"^    (\w+) {2,}\w.+[\w)/]$", done.stdout, re.MULTILINE)
    assert tuple(told) == COMMANDS
    assert not (clone / ".venv").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_g12_the_help_of_a_command_runs_nothing(clone: Path, command: str) -> None:
    done = ran(clone, "-m", "local", command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: python -m local {command} [-h]")
    assert not (clone / ".venv").exists()


def test_the_help_of_serve_names_its_options_and_the_ports(clone: Path) -> None:
    told = " ".join(ran(clone, "-m", "local", "serve", "--help").stdout.split())
    for option in ("--port", "--fixed-ports", "--key", "--settings", "--jobs", "--engine"):
        assert f" {option} " in told
    assert "issuer 7081, finance-operations 7082, business-central 7083, camunda 7084" in told


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ([], "required: COMMAND"),
        (["deploy"], "invalid choice: 'deploy'"),
        (["--verbose"], "required: COMMAND"),
        (["lint", "--fix"], "unrecognized arguments: --fix"),
        (["serve", "--por", "1"], "unrecognized arguments: --por 1"),
        (["serve", "--port", "65536"], "must be a number from 0 to 65535"),
        (["serve", "--key", "it's"], "must be letters, digits and"),
        (["demo", "now"], "unrecognized arguments: now"),
    ],
)
def test_what_cant_be_understood_ends_with_2_and_the_usage(
    capsys: pytest.CaptureFixture[str], given: list[str], complaint: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        arguments.parse(given)
    told = capsys.readouterr()
    assert (caught.value.code, told.out) == (2, "")
    assert told.err.startswith("usage: python -m local")
    assert complaint in told.err


def test_no_command_ends_the_process_with_2(clone: Path) -> None:
    done = ran(clone, "-m", "local")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: ")


def test_the_key_of_the_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert arguments.parse(["serve"]).key is None
    monkeypatch.setenv(arguments.KEY_VARIABLE, "from-outside")
    assert arguments.parse(["serve"]).key == "from-outside"
    assert arguments.parse(["serve", "--key", "from-a-line"]).key == "from-a-line"
    monkeypatch.setenv(arguments.KEY_VARIABLE, "two words")
    with pytest.raises(SystemExit):
        arguments.parse(["serve"])


def test_commands_need_nothing_that_is_installed_until_they_run() -> None:
    done = ran(ROOT, "-c", "import sys; from local import commands; print(sorted(sys.modules))")
    assert done.returncode == 0, done.stderr
    assert "'local.serve'" not in done.stdout
    assert "'shared'" not in done.stdout


@pytest.mark.slow
def test_lint_tells_of_a_syntax_error_in_the_app(clone: Path) -> None:
    shutil.copy(ROOT / "local" / "commands.py", clone / "local")
    (clone / "function_app.py").write_text("def broken(:\n", "utf-8")
    (clone / "pyproject.toml").write_text("[tool.mypy]\nfiles = ['function_app.py']\n", "utf-8")
    given = ("-c", "import sys; from local import commands; sys.exit(commands.run('lint', []))")
    done = ran(clone, *given, python=sys.executable)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert re.search(r"function_app\.py:1:12", done.stdout)


@pytest.fixture
def pytests(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the commands would run, instead of running it; and no old measurements to be deleted."""
    found: list[list[str]] = []

    def python(*given: str, **_: str) -> int:
        found.append(list(given))
        return 0

    monkeypatch.setattr(commands, "_python", python)
    monkeypatch.setattr(commands, "_measured", list)
    return found


def test_all_tests_run_in_parallel(pytests: list[list[str]]) -> None:
    assert commands.run("test", []) == 0
    (tested,) = pytests
    assert tested[:2] == ["-m", "pytest"]
    assert "--numprocesses" in tested


def test_coverage_is_told_and_demanded_where_it_is_asked_for(pytests: list[list[str]]) -> None:
    assert commands.run("test", ["--coverage"]) == 0
    tested, _, covered = pytests
    assert tested[:5] == ["-m", "coverage", "run", "-m", "pytest"]
    assert "--numprocesses" in tested
    assert "--fail-under=90" in covered


@pytest.mark.parametrize(
    ("given", "parallel", "quick"),
    [
        (["tests/test_serve.py"], False, True),
        (["tests/test_serve.py", "-k", "csv", "-x"], False, True),
        (["tests/test_serve.py::test_a_csv_of_jobs"], False, False),
        (["tests/test_serve.py", "tests/test_docs.py"], True, True),
        (["tests/unit"], True, True),
        (["-k", "policy"], True, True),
        (["-m", "slow", "tests/engine"], True, True),
    ],
)
def test_g12_some_tests_run_without_coverage(
    pytests: list[list[str]], given: list[str], *, parallel: bool, quick: bool
) -> None:
    assert commands.run("test", given) == 0
    (tested,) = pytests
    assert tested[:2] == ["-m", "pytest"]
    assert tested[-len(given) :] == given
    assert ("--numprocesses" in tested, "not slow and not engine" in tested) == (parallel, quick)


@pytest.mark.slow
def test_a_file_of_tests_is_run_as_pytest_runs_it() -> None:
    done = ran(ROOT, "-m", "local", "test", "tests/test_serve.py", "-q", "-k", "csv", python=sys.executable)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^\d+ passed, \d+ deselected", done.stdout, re.MULTILINE)
    assert "TOTAL" not in done.stdout
    none = ran(ROOT, "-m", "local", "test", "tests/test_serve.py", "-q", "-k", "nonesuch", python=sys.executable)
    assert none.returncode == 5


@pytest.mark.parametrize("command", ["check", "engine"])
def test_check_and_engine_pass_arguments_on(
    pytests: list[list[str]], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("NIGHTSHIFT_ENGINE", sys.executable)
    monkeypatch.setattr("local.azurite.install", lambda: True)
    monkeypatch.setattr("local.extension.version_of", lambda _: "3")
    assert commands.run(command, ["-k", "deaths", "-x"]) == 0
    assert pytests
    assert all(given[-3:] == ["-k", "deaths", "-x"] for given in pytests)


@pytest.mark.skipif(sys.platform == "win32", reason="a process isn't ended by a signal there")
def test_the_exit_code_of_what_a_signal_has_ended_is_that_of_a_shell() -> None:
    killed = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)"]
    with subprocess.Popen(killed) as child:  # noqa: S603 - our own interpreter
        assert environment._ended(child) == 128 + signal.SIGTERM  # noqa: SLF001 - `run` would set .venv up
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(5)"]) as child:
        assert environment._ended(child) == 5  # noqa: SLF001 - as above


def scene_of(title: str, *, kept: bool = True, playable: bool = True) -> Scene:
    return Scene(title, playable=playable, promises={f"{title} is kept": kept})


def plays(*titles: str) -> list[Callable[[Stage], Scene]]:
    return [lambda _, title=title: scene_of(title) for title in titles]  # type: ignore[misc] # mypy knows no such default


@pytest.fixture
def without_apps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is started for an act; one that begins at 23 o'clock can't be."""

    @contextmanager
    def app(act: demo.Act, _: Extension | None) -> Iterator[None]:
        if act.begins[0] == 23:
            raise HostError("There is no app for it.")
        yield

    monkeypatch.setattr(demo, "_app", app)


def shown(acts: Sequence[demo.Act], console: Console) -> Iterator[Scene]:
    return demo._shown(console, demo._played(acts, None), 4)  # noqa: SLF001 - `run` plays all of it


@pytest.mark.usefixtures("without_apps")
def test_each_scene_is_printed_as_soon_as_it_was_played() -> None:
    told = threading.Event()
    console = Console(width=100, record=True, file=Path(os.devnull).open("w"))  # noqa: SIM115 - it goes with the test

    def waits(_: Stage) -> Scene:
        assert told.wait(PATIENCE)
        return scene_of("second")

    acts = [demo.Act([*plays("first"), waits], (0, 0)), demo.Act(plays("third", "fourth"), (1, 0))]
    scenes = shown(acts, console)
    assert next(scenes).title == "first"
    printed = console.export_text(clear=False)
    assert "1/4  first" in printed
    assert "second" not in printed
    told.set()
    assert [scene.title for scene in scenes] == ["second", "third", "fourth"]


@pytest.mark.usefixtures("without_apps")
def test_an_act_that_cant_be_started_ends_the_demo() -> None:
    acts = [demo.Act(plays("first"), (0, 0)), demo.Act(plays("never"), (23, 0))]
    scenes = shown(acts, Console(file=Path(os.devnull).open("w")))  # noqa: SIM115 - it goes with the test
    assert next(scenes).title == "first"
    with pytest.raises(HostError, match="no app for it"):
        next(scenes)


def test_the_summary_fits_on_a_screen_and_names_what_was_broken() -> None:
    good = [scene_of(f"scene {one}", playable=one % 2 == 0) for one in range(1, 12)]
    fine = demo.summary(good, 12.3, on_engine=False)
    assert "11 of 11 promises were kept[/], in 11 scenes and 12 seconds." in fine[0]
    assert "plays 2, 4, 6, 8, 10 on the Durable extension" in "\n".join(fine)
    assert str(demo.LOG_FILE) in "\n".join(fine)
    bad = demo.summary([*good, *(scene_of(f"[bad] {one}", kept=False) for one in range(30))], 1, on_engine=True)
    assert max(len(fine), len(bad)) <= SCREEN
    assert "11 of 41" in bad[0]
    assert r"scene 12: \[bad] 0 is kept" in "\n".join(bad)
    assert "... and 22 more" in "\n".join(bad)


def test_a_real_engine_plays_what_needs_no_leap() -> None:
    @leaps
    def far(_: Stage) -> Scene:
        return scene_of("far")

    (near,) = plays("near")
    acts = demo._playable([demo.Act([near, far], (0, 0)), demo.Act([far], (0, 0))])  # noqa: SLF001 - it plays nothing
    assert [list(act.plays) for act in acts] == [[near]]


@pytest.mark.slow
def test_the_demo_keeps_its_promises_and_its_logs_out_of_the_way() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "local", "demo"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as played:
        assert played.stdout is not None
        assert played.stderr is not None
        lines = iter(played.stdout)
        head = [next(lines), next(lines)]
        assert str(demo.LOG_FILE) in head[1]
        next(line for line in lines if re.match(r"1/\d+  ", line))
        assert played.poll() is None
        rest = list(lines)
        assert (played.wait(PATIENCE), played.stderr.read()) == (0, "")
    end = "".join(rest).rpartition("┘\n")[2]
    assert end.count("\n") <= SCREEN
    assert re.search(r"(\d+) of \1 promises were kept, in \d+ scenes", end)
    assert "listens on http://127.0.0.1" in demo.LOG_FILE.read_text("utf-8")


def test_what_is_due_in_a_leap_of_the_clock_is_late() -> None:
    clock = LocalClock()
    begun = clock.now()
    fired: list[float] = []
    for minutes in (1, 2, 90):
        when = begun + timedelta(minutes=minutes)
        clock.call_at(when, lambda: fired.append((clock.now() - begun).total_seconds()))
    clock.leap_to(begun + timedelta(hours=1))
    clock.close()
    assert [round(seconds) for seconds in fired] == [3600, 3600]
