"""Cards for people: posted once to a flow that may be down, without a word of the night being lost."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from local.stack import Machine
from tests.functions.calling import Caller, allow_all, get, only
from tests.functions.test_night import push_to, wait_for_day

pytestmark = pytest.mark.slow

SIGNATURE = "sig=very-secret"


class Flow:
    """The webhook of a flow; `status` is what it answers."""

    def __init__(self) -> None:
        self.status = 202
        self.posted: list[dict[str, Any]] = []
        flow = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                flow.posted.append(json.loads(body))
                self.send_response(flow.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Log nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/workflows/1?{SIGNATURE}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def titles(self) -> list[str]:
        return [one["summary"] for one in self.posted]

    def texts(self, number: int) -> str:
        body = self.posted[number]["attachments"][0]["content"]["body"]
        return "\n".join(run["text"] for block in body for run in block["inlines"])


@pytest.fixture
def flow() -> Iterator[Flow]:
    flow = Flow()
    yield flow
    flow.server.shutdown()
    flow.server.server_close()


def settings(flow: Flow, **more: str) -> dict[str, str]:
    night = {"SWEEP_AT": "02:00", "SWEEP_UNTIL": "06:00", "SWEEP_MODE": "apply"}
    return {**night, "NOTIFY_URL": flow.url, **only("nightly_requeue", "housekeeping"), **more}


def storm(caller: Caller) -> None:
    for number in range(30):
        caller.system.jobs.add(description=f"Job {number}", outcomes=["Finished"], cause="database")
    caller.system.jobs.break_cause("database")


def kinds(caller: Caller) -> set[str]:
    return {one["kind"] for one in get(caller, "needs-person")["value"]}


def test_people_are_told_at_night_what_needs_them_and_in_the_morning_how_it_went(flow: Flow) -> None:
    with Machine(settings(flow, REPORT_AT="06:30")) as machine:
        caller = Caller(machine)
        wait_for_day(machine)
        allow_all(caller)
        storm(caller)
        push_to(machine, 3, 10)
        stopped = "Stopped: 5 of the 5 ended items of the last wave failed again."
        assert [stopped in flow.texts(number) for number in range(len(flow.posted))].count(True) == 1
        caller.system.jobs.mend("database")
        push_to(machine, 6, 20)
        told = len(flow.posted)
        push_to(machine, 6, 50)
        [title] = flow.titles[told:]
        assert title.startswith("Nightshift: the night of ")
        assert "30 recovered" in flow.texts(-1)
        push_to(machine, 12, 0)
        assert len(flow.posted) == told + 1


def test_a_flow_that_is_down_fails_no_night_and_gets_the_card_later(flow: Flow) -> None:
    flow.status = 503
    with Machine(settings(flow)) as machine:
        caller = Caller(machine)
        wait_for_day(machine)
        allow_all(caller)
        job = caller.failed_job()
        push_to(machine, 12, 0)
        assert caller.job(job).status == "Finished"
        assert "notify-failed" in kinds(caller)
        tried = len(flow.posted)
        assert 2 <= tried < 60
        flow.status = 202
        push_to(machine, 13, 30)
        nights = [title for title in flow.titles[tried:] if title.startswith("Nightshift: the night of ")]
        assert len(nights) == 1
        assert "notify-failed" not in kinds(caller)
