"""Sign-in without roles, or roles without sign-in: the app says so, and sends nothing."""

from collections.abc import Iterator

import pytest
import requests

from local import generated_docs
from local.stack import Machine
from shared.validation.functions import HttpFunction
from tests.functions.calling import Caller, only, problem
from tests.functions.signing_in import signed_in
from tests.functions.test_roles import ask, sent

pytestmark = pytest.mark.slow


@pytest.fixture(
    scope="module",
    params=[{"AUTH_ROLES": "on"}, {"WEBSITE_AUTH_ENABLED": "true"}],
    ids=str,
)
def half(request: pytest.FixtureRequest) -> Iterator[Caller]:
    with Machine({**only("nightly_requeue", "housekeeping"), "SWEEP_MODE": "apply", **request.param}) as machine:
        yield Caller(machine)


@pytest.mark.parametrize("function", generated_docs.http_functions(), ids=lambda one: one.name)
def test_each_function_names_the_setting(half: Caller, function: HttpFunction) -> None:
    headers = {"x-functions-key": half.machine.host.function_key, **signed_in("admin")}
    answer = ask(half, function, headers)
    told = problem(answer, 503, "not-ready")
    assert "AUTH_ROLES is" in told["detail"]
    assert "WEBSITE_AUTH_ENABLED" in told["detail"]


def test_health_tells_it_to_anybody(half: Caller) -> None:
    told = problem(requests.get(f"{half.url}/health", timeout=30), 503, "not-ready")
    assert "AUTH_ROLES" in told["detail"]


def test_a_night_sends_nothing(half: Caller) -> None:
    half.failed_job()
    half.machine.clock.advance(25 * 3600)
    assert "AUTH_ROLES" in half.machine.host.log()
    assert sent(half) == 0
