"""`python -m local serve`, as a person meets it."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep

import pytest
import requests

from local import environment, own_settings
from local.arguments import FIXED_PORTS, KEY_VARIABLE
from local.azurite import is_listening
from local.calls import calls_of, http_file
from local.environment import ROOT
from local.extension import VARIABLE
from local.host.functions import FunctionInfo
from local.host.host import Host
from local.job_list import BadJobsError, read_jobs
from local.own_settings import BadSettingsError
from local.simulators.landscape import Landscape
from tests.functions.calling import TIMERS

OWN = [
    {"id": 11, "description": "Runs", "status": "Executing"},
    {"id": 12, "description": "Failed", "company": "DEMF", "outcomes": ["Error", "Finished"]},
]
PATIENCE = 60
SOON = 10
"""Within so many seconds it ends; a laden machine needs some of them."""
HOLDS = 1.5
"""Within so many seconds a stop, or its end, is known everywhere."""
SECRET = "a-secret-that-nobody-prints"
on_posix = pytest.mark.skipif(sys.platform == "win32", reason="a process can't be sent these signals there")
with_curl = pytest.mark.skipif(
    sys.platform == "win32" or not shutil.which("curl"), reason="the lines are for a POSIX shell that has curl"
)


class Served:
    """A `serve` in a process of its own, and what it has printed up to its last line."""

    def __init__(self, process: subprocess.Popen[str], http_file: Path) -> None:
        self.process = process
        self.http_file = http_file
        self.text = ""
        assert process.stdout is not None
        for line in process.stdout:
            self.text += line
            if line.endswith("Ctrl-C ends it.\n"):
                break

    def call(self, function: str, tool: str) -> str:
        """Return the line that calls a function."""
        lines = [line.strip() for line in self.text.splitlines()]
        below = [lines[i + 1] for i, line in enumerate(lines) if line == f"# {function}"]
        return next(line for line in below if line.startswith(tool))

    def told_by(self, name: str, below: str) -> dict[str, list[dict[str, object]]]:
        """Return what the line of a name says that stands below the line of a system."""
        _, _, text = self.text.partition(f"\n  {below}")
        line = next(line for line in text.splitlines() if line.strip().startswith(name))
        told: dict[str, list[dict[str, object]]] = requests.get(line.split()[-1], timeout=PATIENCE).json()
        return told

    def jobs(self) -> list[dict[str, object]]:
        return self.told_by("its jobs", below="Finance & Operations")["jobs"]

    def failed(self) -> int:
        """Add a job that has failed, and return its id."""
        url = re.search(r"its jobs +curl (.+)", self.text)
        assert url
        made: dict[str, list[int]] = requests.post(url[1], json=[{"description": "Failed"}], timeout=PATIENCE).json()
        return made["ids"][0]

    @property
    def port(self) -> int:
        found = re.search(r"^  functions +http://127\.0\.0\.1:(\d+)/api$", self.text, re.MULTILINE)
        assert found
        return int(found[1])

    def errors(self) -> str:
        return self.http_file.with_suffix(".errors").read_text("utf-8")

    def processes(self) -> list[int]:
        """Return all processes that it has started, and itself."""
        return _session(self.process.pid)


def _session(leader: int) -> list[int]:
    """Return the processes of a session, where /proc tells them."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            if session == str(leader) and state != "Z":
                found.append(int(folder.name))
    return found


def _inherited() -> dict[str, str]:
    """Return the environment without what would choose the engine, the store or a key for `serve`."""
    return {name: value for name, value in os.environ.items() if name not in {VARIABLE, KEY_VARIABLE, "STORE"}}


@contextmanager
def _process(
    http_file: Path, *arguments: str, python: str = sys.executable, settings: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    command = [python, "-m", "local", "serve", "--http", str(http_file), *arguments]
    # In a session of its own, as a terminal has it: Ctrl-C reaches all processes of it.
    with (
        http_file.with_suffix(".errors").open("w", encoding="utf-8") as errors,
        subprocess.Popen(  # noqa: S603 - our own command
            command,
            cwd=ROOT,
            env={**_inherited(), **(settings or {})},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        ) as process,
    ):
        # Should it never come to its last line, its end ends the reading.
        watch = threading.Timer(3 * PATIENCE, process.kill)
        watch.start()
        try:
            yield process
        finally:
            watch.cancel()
            process.kill()


@contextmanager
def serving(
    http_file: Path, *arguments: str, python: str = sys.executable, settings: Mapping[str, str] | None = None
) -> Iterator[Served]:
    with _process(http_file, "--port", "0", *arguments, python=python, settings=settings) as process:
        yield Served(process, http_file)


def refused(*arguments: str, **settings: str) -> tuple[int, str]:
    """Return the exit code and the complaint of a `serve` that can't start."""
    command = [sys.executable, "-m", "local", "serve", "--port", "0", *arguments]
    done = subprocess.run(  # noqa: S603 - our own command
        command,
        cwd=ROOT,
        env={**_inherited(), **settings},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr.strip()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("serve")
    (folder / "jobs.json").write_text(json.dumps(OWN), "utf-8")
    with serving(folder / "calls.http", "--jobs", str(folder / "jobs.json")) as served:
        yield served


def follow(curl: str) -> requests.Response:
    """Do what a line of curl says."""
    words = shlex.split(curl)
    headers = dict(words[i + 1].split(": ", 1) for i, word in enumerate(words) if word == "-H")
    body = words[words.index("-d") + 1] if "-d" in words else None
    return requests.request(words[words.index("-X") + 1], words[3], headers=headers, data=body, timeout=PATIENCE)


def paste(line: str, **variables: str) -> tuple[int, str]:
    """Run a line as a shell does where it is pasted, and return the status and the body."""
    command = ["sh", "-c", f"{line} --silent --show-error --write-out '\n%{{http_code}}'"]
    done = subprocess.run(  # noqa: S603 - our own line
        command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    body, _, status = done.stdout.rpartition("\n")
    return int(status), body


def test_the_curl_lines_are_answered(served: Served) -> None:
    assert follow(served.call("health", "curl")).status_code == 200
    answer = follow(served.call("requeue", "curl"))
    # The job that failed is the one that is named.
    assert (answer.status_code, answer.json()["Batch JobId"]) == (200, 12)


def test_the_line_of_set_retries_gives_the_documented_jobs_theirs(served: Served) -> None:
    before = {str(job["id"]): job for job in served.told_by("its jobs", below="Camunda 7")["jobs"]}
    assert before["aJob"]["retries"] == before["secondJob"]["retries"] == 0
    assert len([job for job in before.values() if job["process"] == "invoice" and not job["retries"]]) > 2
    answer = follow(served.call("set_retries", "curl"))
    assert (answer.status_code, answer.json()["totalJobs"]) == (200, 2)
    made = served.told_by("its batches", below="Camunda 7")["batches"][-1]
    assert (made["id"], made["job_ids"]) == (answer.json()["id"], ["aJob", "secondJob"])


def test_the_line_of_delete_batch_deletes_the_one_that_can_never_end(served: Served) -> None:
    line = served.call("delete_batch", "curl")
    assert '/api/camunda/batch/$BATCH"' in line
    assert "$BATCH" in served.text.splitlines()[-1]
    stuck = served.told_by("its batches", below="Camunda 7")["batches"][0]
    assert stuck["end"] is None
    assert follow(line.replace("$BATCH", str(stuck["id"]))).status_code == 204


class Pasted:
    """Pastes the lines of a `serve` into a shell, after setting the variables that they have."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.left = set(re.findall(r"^  # (\w+)", served.text.partition("The same in PowerShell")[0], re.MULTILINE))

    def paste(self, title: str, body: str = "", *, failing: int = 0, **variables: str) -> dict[str, object]:
        """Paste a function's line as it is, or with another body; it must be a success, or fail with this status."""
        full = next(line[4:] for line in self.served.text.splitlines() if re.match(rf"  # {title}( |$)", line))
        line = self.served.call(full, "curl")
        status, answer = paste(re.sub(r" -d .*", f" -d '{body}'", line) if body else line, **variables)
        assert status == failing if failing else 200 <= status < 300, (title, status, answer)
        self.left.discard(title)
        told: dict[str, object] = json.loads(answer) if answer else {}
        return told

    def run(self, body: str, *, failing: int = 0) -> str:
        """Start a run by another body than the printed one, and return its id."""
        self.paste("requeue", body, failing=failing)
        runs = self.paste("runs")["value"]
        assert isinstance(runs, list)
        return str(runs[0]["id"])


@pytest.mark.slow
@with_curl
def test_g14_every_printed_line_of_curl_is_a_success_when_it_is_pasted(tmp_path: Path) -> None:
    with serving(tmp_path / "calls.http") as served:
        pasted = Pasted(served)
        for title in ("health", "openapi", "systems", "failures", "policy", "put_policy", "put_policy"):
            pasted.paste(title)
        nights = pasted.paste("nights")["value"]
        assert isinstance(nights, list)
        pasted.paste("night", DATE=nights[0]["night"])
        for title in ("requeue", "requeue_native", "batch_job_event", "batch", "set_retries"):
            pasted.paste(title)
        stuck = served.told_by("its batches", below="Camunda 7")["batches"][0]
        pasted.paste("delete_batch", BATCH=str(stuck["id"]))
        task = str(pasted.paste("start_task"))
        pasted.paste("task", TASK=task)
        pasted.paste("stop_task", TASK=task)
        pasted.paste("object_service")
        pasted.paste("send_objects")
        summary = _part(pasted)
        for title in ("object_batches", "object_batch", "delete_object_batch"):
            pasted.paste(title, SUMMARY=summary)
        pasted.paste("run_process")
        executions: object = pasted.paste("process_executions")
        assert isinstance(executions, list)
        pasted.paste("process_execution", EXECUTION=str(executions[-1]["_id"]))
        for title in TIMERS:
            pasted.paste(title)
        _paste_the_lines_of_runs(pasted)
        assert pasted.left == set()
        for line in served.text.splitlines():
            if found := re.match(r"  \w[\w ]+  +(curl .*)", line):
                assert 200 <= paste(found[1].partition("   (")[0])[0] < 300, line
        served.process.terminate()
        assert served.process.wait(PATIENCE) == 0


def _part(pasted: Pasted) -> str:
    """Return the newest summary of the simulated OpenDataDSL."""
    batches = pasted.served.told_by("its batches", below="OpenDataDSL")["batches"]
    summary = batches[-1]["summary"]
    assert isinstance(summary, dict)
    return str(summary["_id"])


def _paste_the_lines_of_runs(pasted: Pasted) -> None:
    plan = str(pasted.paste("sweep")["id"])
    told = pasted.paste("run", RUN=plan)
    pasted.paste("apply", RUN=plan)
    links = told["links"]
    assert isinstance(links, dict)
    pasted.paste("run_result", RUN=plan, TICKET=links["result"].partition("ticket=")[2])
    lost = _unknown(pasted.served)
    needs = pasted.paste("needs_person")["value"]
    assert isinstance(needs, list)
    (need,) = [str(one["id"]) for one in needs if one["run"] == lost]
    pasted.paste("acknowledge", NEED=need)
    pasted.paste("check", RUN=lost)
    # The check has shown that nothing happened, and nobody may say otherwise.
    pasted.paste("settle", '{"happened": false, "reason": "I looked"}', RUN=lost)
    items = pasted.paste("run", RUN=lost)["items"]
    assert isinstance(items, list)
    pasted.paste("item", TARGET="fo", ITEM=items[0]["id"])
    pasted.paste("audit")
    pasted.paste("stop")
    sleep(HOLDS)
    two = f"{pasted.served.failed()}, {pasted.served.failed()}"
    # Of a list that is stopped nothing is done.
    stopped = pasted.run(f'{{"batchJobIds": [{two}], "reason": "All"}}', failing=422)
    pasted.paste("resume")
    sleep(HOLDS)
    pasted.paste("retry", RUN=stopped)
    watched = pasted.run(f'{{"batchJobId": {pasted.served.failed()}, "followUp": true}}')
    pasted.paste("cancel", RUN=watched)


def _unknown(served: Served) -> str:
    """Return a run of which it is unknown whether its job was requeued: the system's answers get lost."""
    faults = next(line.split()[-1] for line in served.text.splitlines() if line.startswith("  a fault "))
    requests.post(faults, json={"effect": "cut", "kind": "action"}, timeout=PATIENCE).raise_for_status()
    words = shlex.split(served.call("requeue", "curl"))
    headers = {"x-functions-key": words[words.index("-H") + 1].partition(": ")[2], "Prefer": "respond-async"}
    answer = requests.post(words[3], json={"batchJobId": served.failed()}, headers=headers, timeout=PATIENCE)
    clock = f"http://127.0.0.1:{served.port}/local/clock"
    requests.post(clock, json={"advance": 3600}, timeout=PATIENCE).raise_for_status()
    requests.delete(faults, timeout=PATIENCE).raise_for_status()
    return answer.headers["Nightshift-Run"]


def test_its_own_jobs_are_loaded_and_no_others(served: Served) -> None:
    assert [(job["id"], job["description"]) for job in served.jobs()] == [(11, "Runs"), (12, "Failed")]


def test_the_powershell_lines_say_the_same(served: Served) -> None:
    curl = shlex.split(served.call("requeue", "curl"))
    line = served.call("requeue", "Invoke-RestMethod")
    key = curl[curl.index("-H") + 1].partition(": ")[2]
    assert f"-Method Post -Uri \"{curl[3]}\" -Headers @{{'x-functions-key'='{key}'}}" in line
    assert "-ContentType 'application/json' -Body '{\"batchJobId\": 12}'" in line
    assert "/runs/${RUN}/result?ticket=${TICKET}" in served.call("run_result", "Invoke-RestMethod")


def test_the_http_file_holds_every_call(served: Served) -> None:
    assert str(served.http_file) in served.text
    text = served.http_file.read_text("utf-8")
    variables = dict(re.findall(r"^@(\w+) = (.+)$", text, re.MULTILINE))
    assert set(re.findall(r"\{\{(\w+)\}\}", text)) <= set(variables)
    request = next(part for part in text.split("### ") if part.startswith("requeue\n"))
    for name, value in variables.items():
        request = request.replace(f"{{{{{name}}}}}", value)
    head, _, body = request.strip().partition("\n\n")
    _, target, *headers = head.splitlines()
    method, url = target.split()
    answer = requests.request(method, url, headers=dict(h.split(": ") for h in headers), data=body, timeout=PATIENCE)
    assert answer.status_code in {200, 409}


@pytest.mark.slow
@on_posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_g11_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path / "calls.http") as served:
        processes = served.processes()
        assert len(processes) > 3 or not Path("/proc").is_dir()
        # Where it runs as a service, SIGTERM goes to every process, and nobody may start workers anew.
        for process in processes or [served.process.pid]:
            os.kill(process, number)
        begun = monotonic()
        assert served.process.wait(PATIENCE) == 0
        assert monotonic() - begun < SOON
        assert "could not be started again" not in served.errors()
        assert "Traceback" not in served.errors()
        assert served.processes() == []
        assert not is_listening(served.port)


@pytest.mark.slow
@on_posix
def test_sigterm_while_it_starts_ends_it_with_0_and_without_a_word(tmp_path: Path) -> None:
    with _process(tmp_path / "calls.http", "--port", "0") as process:
        # Its first worker is there, and not ready yet.
        while process.poll() is None and len(_session(process.pid)) < 2:
            sleep(0.02)
        for one in _session(process.pid):
            os.kill(one, signal.SIGTERM)
        told, _ = process.communicate(timeout=PATIENCE)
        assert (process.returncode, told.replace("Stopping ...\n", "")) == (0, "")
        assert (tmp_path / "calls.errors").read_text("utf-8").count("\n") <= 1
        assert _session(process.pid) == []


@pytest.mark.slow
@on_posix
@pytest.mark.skipif(not environment.is_ours(), reason="the tests run in another environment than .venv")
def test_sigterm_to_the_process_that_only_sets_up_ends_both(tmp_path: Path) -> None:
    outside: str = sys._base_executable  # type: ignore[attr-defined]  # noqa: SLF001 - nothing else names it
    with serving(tmp_path / "calls.http", python=outside) as served:
        os.kill(served.process.pid, signal.SIGTERM)
        assert served.process.wait(PATIENCE) == 0
        assert served.processes() == []


@pytest.mark.slow
def test_g13_own_settings_are_used_and_their_system_is_not_simulated(tmp_path: Path) -> None:
    file = tmp_path / "own.json"
    with Landscape(lambda: datetime.now(UTC)) as theirs:
        job = theirs.finance_operations.jobs.add(description="Theirs")
        values = {
            name.replace("__FO__", "__THEIRS__"): value
            for name, value in theirs.settings.items()
            if name.startswith("TARGETS__FO__")
        }
        store = {"STORE_PATH": str(tmp_path / "kept.db")}
        file.write_text(json.dumps({"IsEncrypted": False, "Values": {**values, **store}}), "utf-8")
        more = {"TARGETS__THEIRS__URL": "https://nobody.example", "TARGETS__CAMUNDA__QUIET": "01:00-02:00"}
        with serving(tmp_path / "calls.http", "--settings", str(file), settings=more) as served:
            answer = follow(served.call("requeue", "curl").replace('"batchJobId": 0', f'"batchJobId": {job}'))
            assert (answer.status_code, answer.json()["Batch JobId"]) == (200, job)
            systems = follow(served.call("systems", "curl")).json()
        assert [call.job for call in theirs.finance_operations.book.calls(kind="action")] == [job]
        secret = theirs.issuer.identities.client_secret
    told = served.text + served.errors() + served.http_file.read_text("utf-8")
    assert f"{theirs.finance_operations.url}   (your own: target theirs, client-secret)" in served.text
    assert "(simulated: target bc; needs a token)" in served.text
    assert "(simulated: target camunda, with your QUIET; lets everybody in)" in served.text
    assert "its book of calls" not in served.text
    assert "5637144576" not in served.text
    assert secret not in told
    assert {one["target"] for one in systems["systems"]} == {"theirs", "bc", "camunda", "superoffice", "opendatadsl"}
    assert f"The store is yours, and stays: STORE_PATH {tmp_path / 'kept.db'}." in served.text
    assert (tmp_path / "kept.db").is_file()


VALUES = {
    "TARGETS__FO__SYSTEM": "finance-operations",
    "TARGETS__FO__URL": "https://contoso.operations.dynamics.com",
    "TARGETS__FO__AUTH": "client-secret",
    "TARGETS__FO__TENANT": "contoso",
    "TARGETS__FO__CLIENT_ID": "nightshift",
    "TARGETS__FO__CLIENT_SECRET": SECRET,
}


def test_g13_settings_of_the_environment_count_and_those_of_the_file_go_before_them(tmp_path: Path) -> None:
    file = tmp_path / "plain.json"
    file.write_text(json.dumps({"TARGETS__FO__URL": "https://other.example", "SWEEP_MODE": "off"}), "utf-8")
    own = own_settings.read(file, {**VALUES, "SWEEP_MODE": "apply", "PLAN_TTL": "3", "PATH": "/bin", "STORE": ""})
    assert [target.url for target in own.targets] == ["https://other.example"]
    assert own.systems == ("business-central", "camunda", "superoffice", "opendatadsl")
    assert {name: own.values.get(name) for name in ("SWEEP_MODE", "PLAN_TTL", "PATH", "STORE")} == {
        "SWEEP_MODE": "off",
        "PLAN_TTL": "3",
        "PATH": None,
        "STORE": None,
    }
    assert SECRET not in repr(own)


def test_a_target_with_a_mistake_is_the_persons_own_all_the_same() -> None:
    own = own_settings.read(None, {**VALUES, "TARGETS__FO__TENANT": ""})
    assert own.systems == ("business-central", "camunda", "superoffice", "opendatadsl")
    assert list(own.off) == ["fo"]
    assert "needs TENANT" in own.off["fo"]
    nameless = own_settings.read(None, {"TARGETS__CAMUNDA__URL": "https://camunda.example/engine-rest"})
    assert nameless.systems == ("finance-operations", "business-central", "superoffice", "opendatadsl")
    assert list(nameless.off) == ["camunda"]


def test_without_own_settings_all_is_simulated() -> None:
    own = own_settings.read(None, {"PATH": "/bin"})
    assert (own.values, own.targets, own.store) == ({}, (), "")
    assert own.systems == ("finance-operations", "business-central", "camunda", "superoffice", "opendatadsl")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "is not JSON in UTF-8: "),
        ("[]", "must be a JSON object of settings"),
        ('{"Values": []}', "must be a JSON object of settings"),
        ('{"IsEncrypted": true, "Values": {}}', "is encrypted"),
        (f'{{"TARGETS__FO__PASSWORD": ["{SECRET}"]}}', "TARGETS__FO__PASSWORD must be a text"),
        (f'{{"SWEEP_MODE": "{SECRET}"}}', "SWEEP_MODE: Input should be 'off', 'plan' or 'apply'"),
        (f'{{"SWEEP_AT": "{SECRET}"}}', "SWEEP_AT: Value error, is not a time of day as HH:MM"),
        ('{"AUTH_ROLES": "on"}', "AUTH_ROLES is on, but App Service authentication is not"),
        ('{"WEBSITE_AUTH_ENABLED": "True"}', "AUTH_ROLES is off, but App Service authentication is on"),
        ('{"TARGETS__BC__SYSTEM": "camunda"}', "the target bc is the simulated business-central here"),
    ],
)
def test_bad_settings_are_told_without_their_values(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "bad.json"
    file.write_text(text, "utf-8")
    with pytest.raises(BadSettingsError) as caught:
        own_settings.read(file, {})
    assert sentence in str(caught.value)
    assert SECRET not in str(caught.value)


def test_bad_settings_and_jobs_for_an_own_system_end_it_with_2(tmp_path: Path) -> None:
    assert refused("--settings", str(tmp_path / "nowhere")) == (2, f"{tmp_path / 'nowhere'}: No such file or directory")
    (tmp_path / "jobs.json").write_text(json.dumps(OWN), "utf-8")
    code, told = refused("--jobs", str(tmp_path / "jobs.json"), **VALUES)
    assert (code, "--jobs is for the simulated Finance & Operations" in told) == (2, True)


@pytest.fixture
def fixed() -> Mapping[str, int]:
    """The fixed ports, where nobody has one of them."""
    if taken := [port for port in FIXED_PORTS.values() if is_listening(port)]:
        pytest.skip(f"somebody on this machine listens on {taken}")
    return FIXED_PORTS


@pytest.mark.slow
def test_g13_fixed_ports_and_a_key_can_be_relied_on(tmp_path: Path, fixed: Mapping[str, int]) -> None:
    settings = {KEY_VARIABLE: "of-the-environment"}
    with serving(tmp_path / "calls.http", "--fixed-ports", "--key", "of-a-script", settings=settings) as served:
        jobs = requests.get(f"http://127.0.0.1:{fixed['finance-operations']}/local/jobs", timeout=PATIENCE)
        companies = requests.get(f"http://127.0.0.1:{fixed['business-central']}/local/companies", timeout=PATIENCE)
        batches = requests.get(f"http://127.0.0.1:{fixed['camunda']}/local/batches", timeout=PATIENCE)
        tasks = requests.get(f"http://127.0.0.1:{fixed['superoffice']}/local/tasks", timeout=PATIENCE)
        objects = requests.get(f"http://127.0.0.1:{fixed['opendatadsl']}/local/objects", timeout=PATIENCE)
        assert [one.status_code for one in (jobs, companies, batches, tasks, objects)] == [200] * 5
        assert is_listening(fixed["superoffice-login"])
        assert is_listening(fixed["issuer"])
        url = f"http://127.0.0.1:{served.port}/api/runs"
        right, wrong = ({"x-functions-key": key} for key in ("of-a-script", "of-the-environment"))
        assert requests.get(url, headers=right, timeout=PATIENCE).status_code == 200
        assert requests.get(url, headers=wrong, timeout=PATIENCE).status_code == 401
        assert "x-functions-key: of-a-script'" in served.call("runs", "curl")
        code, told = refused("--fixed-ports")
    assert code == 1
    assert told.startswith(f"Port {fixed['issuer']} of 127.0.0.1 can't be used: ")
    assert "--fixed-ports gives it to the simulated issuer" in told


def test_a_port_of_the_functions_that_is_taken_is_told_with_the_option() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, told = refused("--port", str(port))
    assert code == 1
    assert re.search(rf"^Port {port} of 127.0.0.1 can't be used: .+ --port names another one", told)


def test_a_system_that_is_not_simulated_takes_no_fixed_port(fixed: Mapping[str, int]) -> None:
    with Landscape(lambda: datetime.now(UTC), systems=("camunda",), ports=fixed) as landscape:
        assert [name for name, port in fixed.items() if is_listening(port)] == ["issuer", "camunda", "managed-identity"]
        assert landscape.settings == {
            "TARGETS__CAMUNDA__SYSTEM": "camunda",
            "TARGETS__CAMUNDA__URL": f"http://127.0.0.1:{fixed['camunda']}/engine-rest",
            "TARGETS__CAMUNDA__AUTH": "none",
        }
    with Landscape(lambda: datetime.now(UTC), systems=(), ports=fixed) as landscape:
        assert not any(is_listening(port) for port in fixed.values())
        assert landscape.settings == {}


def test_g14_the_http_file_asks_for_the_version_that_a_change_is_made_to() -> None:
    policy = FunctionInfo("policy", "http", "policy", ("GET",), "FUNCTION")
    change = FunctionInfo("put_policy", "http", "policy", ("PUT",), "FUNCTION")
    host = Host(ROOT, {})
    text = http_file(host, list(calls_of([policy, change], iter(()))))
    seen, changed = text.split("### ")[2:]
    assert "# @name seen\nGET {{host}}/api/policy\nx-functions-key: {{functionKey}}" in seen
    assert "PUT {{host}}/api/policy\n" in changed
    assert "If-Match: {{seen.response.headers.ETag}}\nContent-Type: application/json\n\n{" in changed


def test_a_timer_is_run_by_the_admin_path_and_an_unknown_function_has_no_body() -> None:
    functions = [
        FunctionInfo("nightly", "timer", schedule="0 0 2 * * *"),
        FunctionInfo("new", "http", "new/{name}/{*rest}", ("PUT",), "ANONYMOUS"),
        FunctionInfo("looks", "orchestrator"),
    ]
    nightly, new = calls_of(functions, iter([1]))
    assert (nightly.method, nightly.path, nightly.key, nightly.body) == (
        "POST",
        "/admin/functions/nightly",
        "master",
        "{}",
    )
    assert "0 0 2 * * *" in nightly.title
    assert (new.method, new.path, new.key, new.body) == ("PUT", "/api/new/{name}/{rest}", "", "")


@pytest.mark.parametrize(
    "text",
    [
        "id,description,outcomes,queue_seconds,end\n7,A,Error Finished,1.5,2026-11-22T02:00:00Z\n8,B,,,\n",
        "\ufeffid;description;outcomes;queue_seconds;end\r\n7;A;Error|Finished;1.5;2026-11-22T02:00:00Z\r\n8;B;;;\r\n",
    ],
)
def test_a_csv_of_jobs(tmp_path: Path, text: str) -> None:
    file = tmp_path / "jobs.csv"
    file.write_text(text, "utf-8", newline="")
    first, second = read_jobs(file)
    assert first["outcomes"] == ["Error", "Finished"]
    assert (first["id"], first["queue_seconds"], first["end"].year) == (7, 1.5, 2026)
    assert second == {"id": 8, "description": "B"}


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("jobs.json", "[{", "Invalid JSON"),
        ("jobs.json", "{}", "Input should be a valid"),
        ("jobs.json", '[{"id": 1}, {"colour": "red"}]', "job 2, colour: Extra inputs are not permitted."),
        ("jobs.json", '[{"id": 1}, {"id": 1}]', "There is a batch job 1 already."),
        ("jobs.csv", "id,status\n1,Error\n2,Broken\n", "job 2, status: Input should be"),
        ("jobs.csv", "id\nseven\n", "job 1, id: Input should be a valid integer"),
        ("jobs.csv", "id\n1,2\n", "job 1, more cells than names: Extra inputs"),
    ],
)
def test_a_bad_list_of_jobs(tmp_path: Path, name: str, text: str, sentence: str) -> None:
    file = tmp_path / name
    file.write_text(text, "utf-8")
    with pytest.raises(BadJobsError, match=re.escape(f"{file}: ")) as caught:
        read_jobs(file)
    assert sentence in str(caught.value)


def test_a_missing_list_of_jobs_ends_it_with_2(tmp_path: Path) -> None:
    code, told = refused("--jobs", str(tmp_path / "nowhere.json"))
    assert (code, told) == (2, f"{tmp_path / 'nowhere.json'}: No such file or directory")
