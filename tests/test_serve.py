"""`python -m local serve`, as a person meets it."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from local import serve
from local.environment import ROOT
from local.extension import VARIABLE
from local.host import FunctionInfo

OWN = [
    {"id": 11, "description": "Runs", "status": "Executing"},
    {"id": 12, "description": "Failed", "company": "DEMF", "outcomes": ["Error", "Finished"]},
]
PATIENCE = 60


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


@contextmanager
def serving(http_file: Path, *arguments: str) -> Iterator[Served]:
    command = [sys.executable, "-m", "local", "serve", "--port", "0", "--http", str(http_file), *arguments]
    # In a session of its own, as a terminal has it: Ctrl-C reaches all processes of it.
    with (
        http_file.with_suffix(".errors").open("w", encoding="utf-8") as errors,
        subprocess.Popen(  # noqa: S603 - our own command
            command,
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if name != VARIABLE},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        ) as process,
    ):
        # Should it never come to its last line, its end ends the reading.
        watch = threading.Timer(PATIENCE, process.kill)
        watch.start()
        try:
            yield Served(process, http_file)
        finally:
            watch.cancel()
            process.kill()


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


def test_the_line_of_nightly_retries_runs_the_timer(served: Served) -> None:
    title = next(line for line in served.text.splitlines() if line.startswith("  # nightly_retries (a timer: "))
    assert follow(served.call(title.removeprefix("  # "), "curl")).status_code == 202


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


@pytest.mark.skipif(sys.platform == "win32", reason="a process can't be sent SIGINT there")
def test_sigint_ends_it_with_0(tmp_path: Path) -> None:
    with serving(tmp_path / "calls.http") as served:
        assert len(served.jobs()) > 2
        os.killpg(served.process.pid, signal.SIGINT)
        assert served.process.wait(PATIENCE) == 0
    assert "Traceback" not in (tmp_path / "calls.errors").read_text("utf-8")


def test_a_timer_is_run_by_the_admin_path_and_an_unknown_function_has_no_body() -> None:
    functions = [
        FunctionInfo("nightly", "timer", schedule="0 0 2 * * *"),
        FunctionInfo("new", "http", "new/{name}/{*rest}", ("PUT",), "ANONYMOUS"),
        FunctionInfo("looks", "orchestrator"),
    ]
    nightly, new = serve._calls(functions, iter([1]))  # noqa: SLF001 - no function of the app is of these kinds yet
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
    first, second = serve.read_jobs(file)
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
    with pytest.raises(serve.BadJobsError, match=re.escape(f"{file}: ")) as caught:
        serve.read_jobs(file)
    assert sentence in str(caught.value)


def test_a_missing_list_of_jobs_ends_it_with_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "local", "serve", "--port", "0", "--jobs", str(tmp_path / "nowhere.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)  # noqa: S603 - our own command
    assert done.returncode == 2
    assert done.stderr.strip() == f"{tmp_path / 'nowhere.json'}: No such file or directory"
