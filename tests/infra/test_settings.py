"""Every setting of the app has its parameter in the template, and arrives as the app reads it (with the Bicep CLI)."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
from annotated_types import Ge, Le
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from local import bicep_types, infra
from shared.core.settings import Settings
from shared.core.targets import Target, Targets

pytestmark = pytest.mark.slow
TEXTS = {
    "public_url": "https://nightshift.example.com",
    "event_waits": "1,2,3",
    "sweep_at": "01:00,02:30",
    "sweep_until": "05:00",
    "report_at": "06:30",
    "sweep_time_zone": "Europe/Berlin",
    "url": "https://camunda.example.com/engine-rest",
    "cockpit_url": "https://camunda.example.com/cockpit",
    "quiet": "22:00-23:30",
    "authority": "https://login.example.com",
    "engine_version": "7.24.0",
    "environment": "test",
    "assertion_audience": "api://other",
}
CAMUNDA = {"system": "camunda", "auth": "basic", "username": "nightshift"}
NOT_ALL = {"name", "system", "auth", "context", "ca_file"}
"""Fields whose value depends on others, or on the machine; the environments have them."""


@pytest.fixture(autouse=True)
def _found() -> None:
    if infra.program() is None:
        pytest.skip(f"the Bicep CLI isn't here: {infra.VARIABLE} names no program, and it isn't on the PATH")


def value(name: str, field: FieldInfo) -> Any:  # noqa: ANN401 - a setting of any kind
    """Return a value that is not the default."""
    kind = field.annotation
    if get_origin(kind) is Literal:
        return next(one for one in get_args(kind) if one != field.default)
    if kind in (int, float):
        least = next((one.ge for one in field.metadata if isinstance(one, Ge)), 1)
        most = next((one.le for one in field.metadata if isinstance(one, Le)), None)
        return most if most is not None and most != field.default else least
    return TEXTS.get(name, "words")


def whole(model: type[Settings] | type[Target]) -> dict[str, Any]:
    fixed = bicep_types.FIXED | NOT_ALL
    return {
        name: int(given) if field.annotation is float else given
        for name, field in model.model_fields.items()
        if name not in fixed and not bicep_types.is_secret(field) and (given := value(name, field)) is not None
    }


def secrets() -> dict[str, str]:
    return {
        name: f"the-{name.replace('_', '-')}" for name, one in Target.model_fields.items() if bicep_types.is_secret(one)
    }


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder beside the template: a relative path leads to it, also from another drive of Windows."""
    found = infra.INFRA / f".test-{os.getpid()}"
    found.mkdir()
    yield found
    for file in found.iterdir():
        file.unlink()
    found.rmdir()


def deployed(folder: Path, settings: dict[str, Any], targets: list[dict[str, Any]], more: str = "") -> dict[str, str]:
    """Return the app settings that these parameters make, with more lines of Bicep."""
    file = folder / "all.bicepparam"
    # JSON in strings is all that Bicep and Python write alike.
    file.write_text(
        "using '../main.bicep'\n"
        "param environmentName = 'all'\n"
        "param location = 'westeurope'\n"
        f"param settings = json('''{json.dumps(settings)}''')\n"
        f"param targets = json('''{json.dumps(targets)}''')\n{more}",
        "utf-8",
    )
    return infra.settings_of(file)


def test_each_setting_arrives_as_the_app_reads_it(folder: Path) -> None:
    wanted, target = whole(Settings), {**whole(Target), **CAMUNDA, "name": "Engine"}
    found = deployed(folder, wanted, [{**target, "secrets": secrets()}])
    read = Settings.read(found)
    assert {name: getattr(read, name) for name in wanted} == wanted
    secret = {name for name, one in Settings.model_fields.items() if bicep_types.is_secret(one)}
    assert set(wanted) | secret | bicep_types.FIXED == set(Settings.model_fields)
    assert all("/secrets/" not in one or one.startswith("[format(") for one in found.values())
    known = {name: one for name, one in found.items() if "KeyVault" not in one}
    [app] = Targets({**known, "TARGETS__ENGINE__PASSWORD": "made-up"}).on
    assert {name: getattr(app, name) for name in target} == {**target, "name": "engine"}
    assert set(target) | set(secrets()) | NOT_ALL == set(Target.model_fields)


def test_each_secret_is_a_reference(folder: Path) -> None:
    found = deployed(folder, {}, [{"name": "engine", **CAMUNDA, "url": TEXTS["url"], "secrets": secrets()}])
    for name, named in secrets().items():
        text = found[f"TARGETS__ENGINE__{name.upper()}"]
        assert "@Microsoft.KeyVault(SecretUri={0}secrets/{1})" in text
        assert f"'{named}'" in text


def test_a_secret_of_the_app_is_a_reference(folder: Path) -> None:
    found = deployed(folder, {}, [], "param settingReferences = { notify_url: 'teams-webhook' }\n")
    assert "@Microsoft.KeyVault(SecretUri={0}secrets/{1})" in found["NOTIFY_URL"]
    assert "'teams-webhook'" in found["NOTIFY_URL"]


def test_an_identity_that_is_not_named_is_the_apps(folder: Path) -> None:
    url, tenant = TEXTS["url"], "00000000-0000-0000-0000-000000000001"
    entra = {"system": "camunda", "url": url, "scope": "api://x/.default", "tenant": tenant}
    found = deployed(
        folder,
        {},
        [
            {**entra, "name": "one", "auth": "managed-identity"},
            {**entra, "name": "two", "auth": "federated", "client_id": "theirs"},
            {**entra, "name": "three", "auth": "managed-identity", "client_id": "another"},
        ],
    )
    assert "outputs.clientId.value" in found["TARGETS__ONE__CLIENT_ID"]
    assert "outputs.clientId.value" in found["TARGETS__TWO__IDENTITY_CLIENT_ID"]
    assert (found["TARGETS__TWO__CLIENT_ID"], found["TARGETS__THREE__CLIENT_ID"]) == ("theirs", "another")


def test_roles_and_sign_in_are_on_together(folder: Path) -> None:
    for client, trusted in (("", False), ("00000000-0000-0000-0000-000000000007", True)):
        found = deployed(folder, {}, [], f"param signInClientId = '{client}'\n")
        resources = json.loads((folder / "all.snapshot.json").read_text("utf-8"))["predictedResources"]
        [sign_in] = [one["properties"] for one in resources if one["id"].endswith("/config/authsettingsV2")]
        assert (found["AUTH_ROLES"], sign_in["platform"]["enabled"]) == ("on" if trusted else "off", trusted)
        assert sign_in.get("globalValidation", {}).get("requireAuthentication", False) is trusted


@pytest.mark.parametrize(
    ("settings", "target", "said"),
    [
        ({"sweep_mod": "off"}, {}, "sweep_mod"),
        ({"sweep_mode": "of"}, {}, "sweep_mode"),
        ({}, {"client_secret": "x"}, "client_secret"),
        ({}, {"auth": "password"}, "auth"),
    ],
)
def test_what_the_app_would_not_take_is_not_deployed(
    folder: Path, settings: dict[str, Any], target: dict[str, Any], said: str
) -> None:
    with pytest.raises(infra.InfraError, match=said):
        deployed(folder, settings, [{"name": "engine", **CAMUNDA, "url": TEXTS["url"], **target}])


def test_secrets_are_all_of_one_kind() -> None:
    assert {one.annotation for name, one in Target.model_fields.items() if name in secrets()} == {SecretStr}
