"""API keys: what is sent of them, and where they never show."""

from base64 import b64encode

import pytest
import requests
from pydantic import SecretStr

from shared.core.targets import Target, Targets
from shared.transport.credentials import auth_for

EMAIL = "night@example.com"
KEY = "key:of-4711"
SIGNED = b64encode(f"{EMAIL}:{KEY}".encode()).decode()
ENGINE = {"SYSTEM": "camunda", "URL": "https://h/engine-rest", "AUTH": "none"}


def engine(**more: str) -> Targets:
    return Targets({f"TARGETS__ENGINE__{name}": value for name, value in {**ENGINE, **more}.items()})


def target(**more: str) -> Target:
    """Return a target with an API key, as long as no system takes one."""
    (found,) = engine(EMAIL=EMAIL, API_KEY=KEY, **more).on
    return found.model_copy(update={"auth": "api-key"})


@pytest.mark.parametrize(
    ("more", "sent"),
    [
        ({}, {"Authorization": f"Basic {SIGNED}"}),
        ({"API_KEY_AS": "basic"}, {"Authorization": f"Basic {SIGNED}"}),
        ({"API_KEY_AS": "headers"}, {"x-odsl-email": EMAIL, "x-odsl-key": KEY}),
    ],
)
def test_a_key_is_sent_in_either_way(more: dict[str, str], sent: dict[str, str]) -> None:
    request = requests.Request("GET", "https://h/batch/v1", auth=auth_for(target(**more))).prepare()
    assert dict(request.headers) == sent


def test_a_key_is_shown_nowhere() -> None:
    auth = auth_for(target())
    text = repr(auth) + str(auth) + repr(target()) + target().model_dump_json()
    assert KEY not in text
    assert SIGNED not in text
    assert target().api_key == SecretStr(KEY)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("EMAIL", value) for value in ("a:b@example.com", "a b", "\xe9@example.com", "a\n")],
        *[("API_KEY", f"{KEY}{odd}") for odd in ("\n", " ", "\x7f", "\xe9", "\udc80")],
        ("API_KEY_AS", KEY),
    ],
)
def test_a_wrong_part_is_named_and_not_quoted(field: str, value: str) -> None:
    text = engine(**{field: value}).off["engine"]
    assert text.startswith(f"TARGETS__ENGINE__{field}: ")
    assert value not in text


@pytest.mark.parametrize("system", ["finance-operations", "business-central", "camunda", "superoffice"])
def test_no_other_system_takes_a_key(system: str) -> None:
    text = engine(SYSTEM=system, AUTH="api-key", EMAIL=EMAIL, API_KEY=KEY).off["engine"]
    assert f"AUTH api-key is not for {system}" in text
