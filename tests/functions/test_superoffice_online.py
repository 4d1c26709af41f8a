"""`start_task` with each kind of credential of SuperOffice: one task for each start, whatever the login host says."""

from collections.abc import Iterator
from typing import Any

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from local.simulators.superoffice.behaviour import SuperOfficeBehaviour
from local.simulators.superoffice.identities import CONTEXT
from local.simulators.superoffice.server import SuperOffice
from local.stack import Machine
from tests.functions.calling import NO_TIMERS, Caller, get, problem, put_rules

pytestmark = pytest.mark.slow

START = "superoffice/v1/BatchTask"
TICKET = "7T:ticket-in-the-settings"
ONLINE = ("ticket", "refresh", "system")
ISSUED = pytest.mark.parametrize("target", ["refresh", "system"])
URL_KEPT = 301
"""Seconds after which the app asks again where the tenant is."""


def other_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def settings_of(machine: Machine) -> dict[str, str]:
    """Return a target of SuperOffice Online for each kind of credential, and some that can't sign in."""
    office = machine.landscape.superoffice
    app = office.app
    secret = {"CLIENT_ID": app.client_id, "CLIENT_SECRET": app.client_secret}
    refresh = {"AUTH": "refresh-token", **secret, "REFRESH_TOKEN": office.sessions.refresh_token}
    tokens = {"APP_TOKEN": app.client_secret, "SYSTEM_TOKEN": app.system_token}
    system = {"AUTH": "system-user", **tokens, "PRIVATE_KEY": app.private_key_pem}
    kinds = {
        "TICKET": {"AUTH": "ticket", "TOKEN": TICKET, "APP_TOKEN": app.client_secret},
        "REFRESH": refresh,
        "SYSTEM": system,
        "FORGED": {**system, "PRIVATE_KEY": other_key()},
        "STALE": {**refresh, "REFRESH_TOKEN": "rt-of-another-day"},
    }
    common = {"SYSTEM": "superoffice", "URL": office.login.url, "CONTEXT": CONTEXT}
    return {
        f"TARGETS__{name}__{field}": value
        for name, fields in kinds.items()
        for field, value in {**common, **fields}.items()
    }


class Starter(Caller):
    """Starts tasks at a target, and looks at the simulated SuperOffice."""

    @property
    def office(self) -> SuperOffice:
        return self.machine.landscape.superoffice

    def start(self, target: str, **headers: str) -> requests.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.post(START, {"Name": "REPORTER"}, headers={"Nightshift-Target": target, **named})

    def starts(self) -> int:
        return len(self.office.book.starts())

    def begin_anew(self) -> None:
        """Reset all but the sessions: the app's settings and processes hold some of them."""
        office = self.office
        office.faults.clear()
        office.login.reset()
        office.behaviour = SuperOfficeBehaviour(installation="online")
        office.tasks.clear()
        office.book.clear()
        office.sessions.admit(TICKET)


@pytest.fixture(scope="module")
def online() -> Iterator[Machine]:
    """A host with targets of SuperOffice Online."""
    with Machine(NO_TIMERS, more_targets=settings_of) as one:
        yield one


@pytest.fixture
def starter(online: Machine) -> Iterator[Starter]:
    starter = Starter(online)
    starter.begin_anew()
    put_rules(starter, [{"name": "reports", "action": "allow", "job": "REPORT*"}])
    yield starter
    starter.begin_anew()


@pytest.mark.parametrize("target", ONLINE)
def test_each_scheme_starts_a_task(starter: Starter, target: str) -> None:
    answer = starter.start(target)
    [task] = starter.office.tasks.all()
    assert (answer.status_code, answer.text, starter.starts()) == (200, str(task.id), 1)


def test_on_site_it_is_basic(starter: Starter) -> None:
    starter.office.behaviour.installation = "on-site"
    assert starter.start("superoffice").status_code == 200
    assert starter.starts() == 1


@pytest.mark.parametrize(("target", "setting"), [("forged", "PRIVATE_KEY"), ("stale", "REFRESH_TOKEN")])
def test_a_credential_that_is_refused_starts_nothing_and_names_its_setting(
    starter: Starter, target: str, setting: str
) -> None:
    told = problem(starter.start(target), 424, "credentials-refused")
    assert f"TARGETS__{target.upper()}__{setting}" in told["detail"]
    states = {one["target"]: one["state"] for one in get(starter, "systems")["systems"]}
    assert (states[target], states["refresh"]) == ("no token", "ok")
    assert starter.starts() == 0


@pytest.mark.parametrize("message", ["The system token has expired.", None])
def test_200_without_success_starts_nothing(starter: Starter, message: str | None) -> None:
    """The old minute of a signed token is one of the reasons."""
    starter.office.sessions.revoke("tickets")
    starter.office.login.faults.add("not-successful", kind="ticket", message=message, times=None)
    problem(starter.start("system"), 424, "credentials-refused")
    assert starter.starts() == 0


def test_a_token_is_signed_anew_as_of_its_minute(starter: Starter) -> None:
    starter.office.behaviour.stamp_minutes = 1
    for _ in range(2):
        starter.office.sessions.revoke("tickets")
        starter.machine.clock.advance(1200)
        assert starter.start("system").status_code == 200
    assert {call.refused for call in starter.office.login.book.calls("ticket")} == {None}
    assert starter.starts() == 2


@ISSUED
def test_what_was_revoked_is_renewed_and_the_task_started_once(starter: Starter, target: str) -> None:
    assert starter.start(target).status_code == 200
    for kind in ("tickets", "access-tokens"):
        starter.office.sessions.revoke(kind)
    assert starter.start(target).status_code == 200
    assert starter.starts() == 2


@ISSUED
def test_what_has_expired_is_renewed_before_it_is_sent(starter: Starter, target: str) -> None:
    assert starter.start(target).status_code == 200
    starter.machine.clock.advance(7 * 3600)
    starter.office.book.clear()
    assert starter.start(target).status_code == 200
    assert [call.status for call in starter.office.book.calls(kind="action")] == [200]


def test_a_ticket_in_the_settings_that_was_revoked_is_no_longer_taken(starter: Starter) -> None:
    starter.office.sessions.revoke("tickets")
    problem(starter.start("ticket"), 424, "access-denied")
    assert starter.starts() == 0


@ISSUED
def test_a_401_for_ever_ends_after_the_second(starter: Starter, target: str) -> None:
    starter.office.faults.add("status", status=401, kind="action", times=None)
    problem(starter.start(target), 424, "access-denied")
    assert len(starter.office.book.calls(kind="action")) == 2


@pytest.mark.parametrize("target", ONLINE)
def test_a_tenant_that_has_moved_is_found_and_the_task_started_once(starter: Starter, target: str) -> None:
    assert starter.start(target).status_code == 200
    starter.office.behaviour.pod = 2
    assert starter.start(target).status_code == 200
    assert starter.starts() == 2


def test_a_tenant_in_maintenance_is_waited_for(starter: Starter) -> None:
    starter.office.behaviour.state = "OfflineMaintenance"
    starter.machine.clock.advance(URL_KEPT)
    accepted = starter.start("system", Prefer="respond-async")
    for _ in range(5):
        starter.machine.clock.advance(60)
    run = accepted.headers["Nightshift-Run"]
    assert get(starter, f"runs/{run}")["state"] == "waiting"
    assert starter.office.book.calls() == []
    starter.office.behaviour.state = "Running"
    assert starter.result(accepted).status_code == 200
    assert starter.starts() == 1


def test_a_maintenance_that_does_not_end_is_given_up(starter: Starter) -> None:
    starter.office.behaviour.state = "OfflineMaintenance"
    starter.machine.clock.advance(URL_KEPT)
    body: dict[str, Any] = {"Name": "REPORTER", "nightshift": {"giveUpAfter": 10}}
    headers = {"Nightshift-Target": "system", "Prefer": "respond-async"}
    told = problem(starter.result(starter.post(START, body, headers=headers)), 424, "target-unreachable")
    assert "OfflineMaintenance" in told["detail"]
    assert starter.office.book.calls() == []


def test_a_maintenance_that_begins_under_a_start_leaves_it_unknown(starter: Starter) -> None:
    assert starter.start("system").status_code == 200
    starter.office.behaviour.state = "OfflineMaintenance"
    answer = starter.start("system")
    starter.office.behaviour.state = "Running"
    if answer.status_code == 202:
        # Of two processes, the other one has asked where the tenant is, and waits, or waits for the first one.
        assert (starter.result(answer).status_code, starter.starts()) in ((200, 2), (409, 1))
        return
    told = problem(answer, 409, "outcome-unknown")
    starter.machine.clock.advance(1200)
    checked = starter.post(f"runs/{told['run']}/check", {"reason": "later"}, headers={"Nightshift-Target": None})
    assert [item["type"] for item in checked.json()["items"]] == ["outcome-unknown"]
    assert starter.starts() == 1


def test_nothing_is_sent_to_another_domain(starter: Starter) -> None:
    starter.office.behaviour.told_api = starter.office.other_url
    starter.machine.clock.advance(URL_KEPT)
    problem(starter.start("system"), 424, "answer-not-understood")
    assert starter.office.book.calls() == []


@ISSUED
def test_a_login_host_that_is_down_is_waited_for(starter: Starter, target: str) -> None:
    kind: Any = "token" if target == "refresh" else "ticket"
    for revoked in ("tickets", "access-tokens"):
        starter.office.sessions.revoke(revoked)
    starter.office.login.faults.add("status", status=503, kind=kind, times=3)
    accepted = starter.start(target, Prefer="respond-async")
    assert starter.result(accepted).status_code == 200
    assert starter.starts() == 1


@pytest.mark.parametrize("target", [*ONLINE, "forged", "stale"])
def test_no_answer_holds_a_secret(starter: Starter, target: str) -> None:
    app, sessions = starter.office.app, starter.office.sessions
    answer = starter.start(target)
    text = f"{answer.text}{answer.headers}{starter.run(answer)}{get(starter, 'systems')}"
    for secret in (app.client_secret, app.system_token, sessions.refresh_token, "eyJ", "7T:", "8A:", "PRIVATE KEY-"):
        assert secret not in text
