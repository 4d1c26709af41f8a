"""Targets that sign in without a secret, through the running app."""

from collections.abc import Iterator

import pytest

from local.simulators.entra.certificates import KeyPair
from local.stack import Machine
from tests.functions.calling import NO_TIMERS, Caller, get, problem

pytestmark = pytest.mark.slow

PASSWORD = "password-of-4711"
CERTIFIED, FOREIGN = KeyPair("nightshift"), KeyPair("nightshift")


def settings_of(machine: Machine) -> dict[str, str]:
    """Return a target of each kind, and the same with a flaw."""
    issuer = machine.landscape.issuer
    issuer.registration.certificates.append(CERTIFIED.certificate)
    issuer.trust(issuer.identities.user_assigned)
    certificate = {"AUTH": "certificate", "CERTIFICATE_PASSWORD": PASSWORD}
    federated = {"AUTH": "federated", "IDENTITY_CLIENT_ID": issuer.identities.user_assigned}
    kinds: dict[str, dict[str, str]] = {
        "certified": {**certificate, "CERTIFICATE": CERTIFIED.pem(PASSWORD).replace("\n", "\\n")},
        "packed": {**certificate, "CERTIFICATE": CERTIFIED.pfx(PASSWORD)},
        "foreign": {**certificate, "CERTIFICATE": FOREIGN.pfx(PASSWORD)},
        "locked": {**certificate, "CERTIFICATE": CERTIFIED.pfx("another")},
        "federated": federated,
        "elsewhere": {**federated, "ASSERTION_AUDIENCE": "api://AzureADTokenExchangeChina"},
        "stranger": {"AUTH": "federated"},
    }
    fo = {name: value for name, value in machine.landscape.settings.items() if name.startswith("TARGETS__FO__")}
    common = {name.removeprefix("TARGETS__FO__"): value for name, value in fo.items() if "SECRET" not in name}
    return {
        f"TARGETS__{name.upper()}__{field}": value
        for name, kind in kinds.items()
        for field, value in {**common, **kind}.items()
    }


@pytest.fixture(scope="module")
def caller() -> Iterator[Caller]:
    with Machine(NO_TIMERS, more_targets=settings_of) as machine:
        yield Caller(machine)


@pytest.mark.parametrize("target", ["certified", "packed", "federated"])
def test_a_job_is_requeued_without_a_secret(caller: Caller, target: str) -> None:
    for _ in range(2):
        job = caller.failed_job()
        answer = caller.requeue(job, Nightshift_Target=target)
        assert answer.status_code == 200, answer.text
        assert (caller.job(job).status, caller.actions(job)) == ("Waiting", 1)
        # The next token needs an assertion by the clock of the app.
        caller.machine.clock.advance(7200)


@pytest.mark.parametrize(
    ("target", "setting", "code"),
    [
        ("foreign", "CERTIFICATE", "AADSTS700027"),
        ("elsewhere", "ASSERTION_AUDIENCE", "AADSTS700212"),
        ("stranger", "IDENTITY_CLIENT_ID", "AADSTS700213"),
    ],
)
def test_a_credential_that_is_refused_names_its_setting(caller: Caller, target: str, setting: str, code: str) -> None:
    job = caller.failed_job()
    answer = caller.requeue(job, Nightshift_Target=target)
    told = problem(answer, 424, "credentials-refused")
    assert f"{code}; see TARGETS__{target.upper()}__{setting}" in told["detail"]
    assert caller.actions(job) == 0


def test_systems_shows_who_can_sign_in(caller: Caller) -> None:
    found = {one["target"]: one for one in get(caller, "systems")["systems"]}
    assert {name: one["state"] for name, one in found.items() if one["system"] in ("finance-operations", None)} == {
        **dict.fromkeys(("fo", "certified", "packed", "federated"), "ok"),
        **dict.fromkeys(("foreign", "elsewhere", "stranger"), "no token"),
        "locked": "off",
    }
    assert "CERTIFICATE cannot be read" in found["locked"]["reason"]
    assert PASSWORD not in str(found)


def test_neither_keys_nor_assertions_are_logged(caller: Caller) -> None:
    for target in ("certified", "foreign", "federated", "stranger"):
        caller.requeue(caller.failed_job(), Nightshift_Target=target)
    log = caller.machine.host.log()
    for secret in (PASSWORD, "PRIVATE", CERTIFIED.pem(PASSWORD)[100:140], "eyJ"):
        assert secret not in log
