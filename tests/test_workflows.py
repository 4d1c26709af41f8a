"""The workflows of GitHub Actions: what they may do, what they call, and that nothing in them moves by itself."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from local import arguments
from local.environment import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").iterdir())
SCRIPTS = sorted(GITHUB.glob("*.sh"))
CONTAINER = ROOT / ".devcontainer" / "devcontainer.json"
READS: dict[str, str] = {"contents": "read"}
SIGNS_IN: dict[str, str] = {**READS, "id-token": "write"}
USES = re.compile(r"^\s*(?:- )?uses: (\S+)(?: # (\S+))?$", re.MULTILINE)
MANIFESTS = {
    "pip": "requirements.txt",
    "github-actions": ".github/workflows",
    "npm": "package.json",
    "devcontainers": ".devcontainer/devcontainer.json",
}
every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def parsed(path: Path) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load(read(path))
    return found


def triggers(path: Path) -> dict[str, Any]:
    """Return what starts a workflow; for YAML the word `on` is true."""
    found: dict[str, Any] = parsed(path)[True]
    return found


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = parsed(path)["jobs"]
    return found


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in jobs(path).values():
        yield from job["steps"]


def scripts() -> Iterator[str]:
    """Yield all that is run: by the workflows, by the scripts that they call, and by the container."""
    for path in WORKFLOWS:
        yield from (step["run"] for step in steps(path) if "run" in step)
    yield from (read(path) for path in SCRIPTS)
    yield from (line for name, line in json.loads(read(CONTAINER)).items() if name.endswith("Command"))


def version_in(path: Path, pattern: str) -> str:
    [found] = re.findall(pattern, read(path))
    return str(found)


def test_there_are_workflows() -> None:
    assert [path.name for path in WORKFLOWS] == ["deploy.yml", "test.yml", "what-if.yml"]


@every_workflow
def test_every_action_is_pinned_by_a_hash_and_says_its_version(path: Path) -> None:
    found = USES.findall(read(path))
    assert len(found) == sum("uses" in step for step in steps(path))
    for action, version in found:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r"v\d+\.\d+\.\d+", version), f"{action} has the version {version!r}"


def test_an_action_has_the_same_hash_everywhere() -> None:
    found = {one for path in WORKFLOWS for one in USES.findall(read(path))}
    assert len({action.partition("@")[0] for action, _ in found}) == len(found), found


@every_workflow
def test_only_jobs_that_sign_in_to_azure_get_a_token_and_all_others_only_read(path: Path) -> None:
    assert parsed(path)["permissions"] == READS
    for name, job in jobs(path).items():
        signs_in = any(step.get("uses", "").startswith("azure/login@") for step in job["steps"])
        assert job.get("permissions", READS) == (SIGNS_IN if signs_in else READS), name
        # Who may have a token is decided by the environment, on both sides.
        assert ("environment" in job) == signs_in, name


@every_workflow
def test_every_job_ends_in_time_on_a_runner_that_is_named(path: Path) -> None:
    for name, job in jobs(path).items():
        assert isinstance(job["timeout-minutes"], int), name
        assert job["timeout-minutes"] <= 90, name
        runners = job["strategy"]["matrix"]["os"] if "matrix" in job["runs-on"] else [job["runs-on"]]
        assert not [one for one in runners if one.endswith("-latest")], name


@every_workflow
def test_nothing_from_outside_is_written_into_a_script(path: Path) -> None:
    assert [step["run"] for step in steps(path) if "${{" in step.get("run", "")] == []


@every_workflow
def test_no_workflow_has_a_secret_or_runs_the_code_of_forks_with_rights(path: Path) -> None:
    assert "secrets." not in read(path)
    assert triggers(path).keys() <= {"pull_request", "push", "release", "workflow_dispatch"}
    checkouts = [step for step in steps(path) if step.get("uses", "").startswith("actions/checkout@")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_pull_requests_of_forks_do_not_come_near_azure() -> None:
    path = GITHUB / "workflows" / "what-if.yml"
    own = "github.event.pull_request.head.repo.full_name == github.repository"
    assert {name: (job["if"], job["environment"]) for name, job in jobs(path).items()} == {"what-if": (own, "dev-plan")}


def test_deployments_to_an_environment_come_one_after_the_other_and_are_never_cut_off() -> None:
    path = GITHUB / "workflows" / "deploy.yml"
    assert parsed(path)["concurrency"]["cancel-in-progress"] is False
    assert jobs(path)["deploy"]["needs"] == ["package", "what-if"]
    choices = triggers(path)["workflow_dispatch"]["inputs"]["environment"]["options"]
    assert choices == sorted(file.stem for file in (ROOT / "infra" / "environments").glob("*.bicepparam"))


def test_every_command_of_the_project_that_is_called_exists() -> None:
    called = [line for script in scripts() for line in re.findall(r"python[\d.]* -m local (.+)", script)]
    assert {line.split()[0] for line in called} >= {"lint", "test", "check", "infra", "smoke", "package"}
    for line in called:
        # It ends the process where it can't understand them.
        assert arguments.parse(shlex.split(line)).command == line.split()[0]


def test_every_script_that_is_called_exists_and_every_script_is_called() -> None:
    called = {name for script in scripts() for name in re.findall(r"bash (\.github/\S+)", script)}
    assert called == {path.relative_to(ROOT).as_posix() for path in SCRIPTS}


def test_ci_and_the_container_have_the_same_tools() -> None:
    bicep = version_in(GITHUB / "bicep.sh", r"(?m)^version=(\S+)$")
    assert version_in(CONTAINER, r'"bicepVersion": "(\S+)"') == bicep
    core_tools = r"azure-functions-core-tools@(\d+\.\d+\.\d+)\b"
    assert version_in(CONTAINER, core_tools) == version_in(GITHUB / "workflows" / "test.yml", core_tools)
    assert re.fullmatch(r"mcr\.microsoft\.com/devcontainers/python:\d+\.\d+\.\d+-3\.13-\w+", image())


def image() -> str:
    return str(json.loads(read(CONTAINER))["image"])


def test_dependabot_looks_where_something_is() -> None:
    for update in parsed(GITHUB / "dependabot.yml")["updates"]:
        folder = ROOT / str(update["directory"]).lstrip("/")
        assert (folder / MANIFESTS[update["package-ecosystem"]]).exists()
        assert update["schedule"] == {"interval": "weekly"}
        assert update["groups"]
