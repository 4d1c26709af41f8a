"""`infra/entra.sh` against an Azure CLI that is made up: what it makes in Entra, and that it makes it once."""

import json
import os
import re
import shutil
import subprocess
import sys
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from local import infra

SCRIPT = infra.INFRA / "entra.sh"
TEXT = SCRIPT.read_text("utf-8")
BASH = shutil.which("bash")
TENANT = "00000000-0000-0000-0000-00000000000a"
PRINCIPAL = "00000000-0000-0000-0000-00000000000b"
CLIENT = "00000000-0000-0000-0000-00000000000c"
SERVICE = "00000000-0000-0000-0000-00000000000d"
FAKE = r'''
"""As much of the Azure CLI as infra/entra.sh calls, with what Entra holds in a file."""
import json, pathlib, re, sys

FOLDER = pathlib.Path(__file__).parent
state = json.loads((FOLDER / "state.json").read_text())
words = [one for one in sys.argv[1 : next(i for i, one in enumerate(sys.argv) if one.startswith("--"))]]
options = {}
for one in sys.argv[1 + len(words) :]:
    if one.startswith("--"):
        options[last := one] = True
    else:
        options[last] = one
apps, credentials, services = state["apps"], state["credentials"], state["services"]


def app():
    return next(one for one in apps if one["appId"] == options["--id"])


def create_app():
    made = {
        "appId": CLIENT, "displayName": options["--display-name"], "signInAudience": options["--sign-in-audience"],
        "identifierUris": [], "appRoles": json.loads(options["--app-roles"]),
        "api": {"oauth2PermissionScopes": [], "preAuthorizedApplications": [],
                "requestedAccessTokenVersion": int(options["--requested-access-token-version"])},
    }
    apps.append(made)
    return made


def create_credential():
    credentials.append(json.loads(options["--parameters"]))
    return credentials[-1]


def create_service():
    services.append({"id": SERVICE, "appId": app()["appId"], "appRoleAssignmentRequired": False})
    return services[-1]


def require():
    name, value = options["--set"].split("=")
    services[0][name] = json.loads(value)


def patch():
    assert options["--method"] == "PATCH"
    url = "https://graph.microsoft.com/v1.0/applications(appId='%s')"
    [found] = [one for one in apps if url % one["appId"] == options["--url"]]
    found["api"].update(json.loads(options["--body"])["api"])


def named():
    [(member, value)] = re.findall(r"^(\w+) eq '(.*)'$", options["--filter"])
    return [one for one in (apps if words[1] == "app" else services) if one[member] == value]


COMMANDS = {
    "account show": lambda: state["account"],
    "identity show": lambda: state["identities"][options["--resource-group"] + "/" + options["--name"]],
    "ad app list": named,
    "ad app create": create_app,
    "ad app show": app,
    "ad app update": lambda: app().update(identifierUris=[options["--identifier-uris"]]),
    "ad app federated-credential list": lambda: credentials,
    "ad app federated-credential create": create_credential,
    "ad sp list": named,
    "ad sp create": create_service,
    "ad sp show": lambda: services[0],
    "ad sp update": require,
    "rest": patch,
}


def select(found, query):
    """What JMESPath selects: members, [] and a list of members at the end."""
    path, _, row = query.partition("[].[")
    if row:
        members = [one.strip() for one in row.removesuffix("]").split(",")]
        return [[select(one, member) for member in members] for one in select(found, path)]
    for member, place in re.findall(r"(\w*)(\[\d*\])?\.?", path):
        if member:
            found = [one[member] for one in found] if isinstance(found, list) else found[member]
        if place and place != "[]":
            found = found[int(place[1:-1])]
    return found


def text(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


with (FOLDER / "calls.jsonl").open("a") as file:
    print(json.dumps(sys.argv[1:]), file=file)
if state["failures"] and words != ["account", "show"] and words[-1] not in ("show", "list"):
    state["failures"] -= 1
    if not state["failures"]:
        (FOLDER / "state.json").write_text(json.dumps(state))
        sys.exit("ERROR: Resource does not exist or one of its queried reference-property objects are not present.")
answer = COMMANDS[" ".join(words)]()
(FOLDER / "state.json").write_text(json.dumps(state))
if answer is not None:
    answer = select(answer, options["--query"]) if "--query" in options else [answer]
    for row in answer if isinstance(answer, list) else [answer]:
        print("\t".join(map(text, row)) if isinstance(row, list) else text(row))
'''

pytestmark = pytest.mark.skipif(BASH is None or os.name == "nt", reason="bash isn't here, or not that of a Unix")


class Ended(NamedTuple):
    code: int
    out: str
    err: str


class Entra:
    """What the made-up Azure CLI holds, and what it was asked for."""

    def __init__(self, folder: Path) -> None:
        self._state = folder / "state.json"
        self._calls = folder / "calls.jsonl"
        (folder / "az.py").write_text(f'CLIENT, SERVICE = "{CLIENT}", "{SERVICE}"\n{FAKE}', "utf-8")
        az = folder / "az"
        az.write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{folder}/az.py" "$@"\n', "utf-8")
        az.chmod(0o755)
        self._folder = folder
        self.change(
            account={"tenantId": TENANT},
            identities={"rg-nightshift-prod/id-nightshift-prod": {"tenantId": TENANT, "principalId": PRINCIPAL}},
            apps=[],
            credentials=[],
            services=[],
            failures=0,
        )

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._state.read_text("utf-8"))
        return found

    def change(self, **members: object) -> None:
        now = self.state if self._state.exists() else {}
        self._state.write_text(json.dumps({**now, **members}), "utf-8")

    def calls(self) -> list[list[str]]:
        """Return the calls since the last time."""
        lines = self._calls.read_text("utf-8").splitlines() if self._calls.exists() else []
        self._calls.write_text("", "utf-8")
        return [json.loads(line) for line in lines]

    def writes(self) -> list[str]:
        """Return the commands since the last time that could have changed something."""
        commands = [list(takewhile(lambda word: not word.startswith("--"), call)) for call in self.calls()]
        return [" ".join(words) for words in commands if words[-1] not in ("show", "list")]

    def run(self, *arguments: str) -> Ended:
        assert BASH
        environment = {**os.environ, "PATH": f"{self._folder}{os.pathsep}{os.environ['PATH']}", "PAUSE": "0"}
        ended = subprocess.run(  # noqa: S603 - bash and our own script
            [BASH, str(SCRIPT), *arguments], capture_output=True, encoding="utf-8", env=environment, check=False
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)


@pytest.fixture
def entra(tmp_path: Path) -> Entra:
    return Entra(tmp_path)


class Twice(NamedTuple):
    """Two runs, one after the other: how each ended, what it wrote, and what Entra held then."""

    ended: list[Ended]
    writes: list[list[str]]
    states: list[dict[str, Any]]


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Twice:
    entra = Entra(tmp_path_factory.mktemp("entra"))
    runs = [(entra.run("prod"), entra.writes(), entra.state) for _ in range(2)]
    return Twice(*(list(one) for one in zip(*runs, strict=True)))


def test_bash_can_read_it() -> None:
    assert BASH
    subprocess.run([BASH, "-n", str(SCRIPT)], check=True)  # noqa: S603 - bash and our own script


def test_it_knows_no_way_to_make_a_secret() -> None:
    for forbidden in ("credential reset", "--password", "--key-value", "passwordCredential", "addPassword"):
        assert forbidden not in TEXT


def test_it_makes_what_the_template_expects(twice: Twice) -> None:
    assert (twice.ended[0].code, twice.ended[0].out.splitlines()[0]) == (0, f"signInClientId: {CLIENT}")
    [app] = twice.states[0]["apps"]
    assert (app["displayName"], app["signInAudience"]) == ("nightshift-prod", "AzureADMyOrg")
    assert app["identifierUris"] == [f"api://{CLIENT}"]
    assert app["api"]["requestedAccessTokenVersion"] == 2
    [scope] = app["api"]["oauth2PermissionScopes"]
    [client] = app["api"]["preAuthorizedApplications"]
    assert client["delegatedPermissionIds"] == [scope["id"]]
    assert twice.states[0]["services"] == [{"id": SERVICE, "appId": CLIENT, "appRoleAssignmentRequired": True}]


def test_it_trusts_the_identity_of_the_app_and_nothing_else(twice: Twice) -> None:
    [credential] = twice.states[0]["credentials"]
    assert {**credential, "description": None} == {
        "name": "nightshift",
        "description": None,
        "issuer": f"https://login.microsoftonline.com/{TENANT}/v2.0",
        "subject": PRINCIPAL,
        "audiences": ["api://AzureADTokenExchange"],
    }


def test_there_are_three_roles_for_people_and_apps(twice: Twice) -> None:
    [app] = twice.states[0]["apps"]
    assert {role["value"] for role in app["appRoles"]} == {"reader", "operator", "admin"}
    assert len({role["id"] for role in app["appRoles"]}) == len(app["appRoles"]) == 3
    for role in app["appRoles"]:
        assert (role["allowedMemberTypes"], role["isEnabled"]) == (["User", "Application"], True)
        assert role["description"]
        assert re.search(rf"\b{role['value']} +{role['id']}$", twice.ended[0].out, re.MULTILINE)


def test_roles_for_one_system_or_target_stay_and_are_told(entra: Entra) -> None:
    entra.run("prod")
    [app] = entra.state["apps"]
    more = [{"value": "operator.superoffice", "id": "id-of-one"}, {"value": "reader.fo_de", "id": "id-of-another"}]
    entra.change(apps=[{**app, "appRoles": [*app["appRoles"], *more]}])
    entra.writes()
    ended = entra.run("prod")
    assert (ended.code, entra.writes()) == (0, [])
    for role in more:
        assert re.search(rf"^ +{role['value']}\s+{role['id']}$", ended.out, re.MULTILINE)


@pytest.mark.parametrize("value", ["owner", "owner.fo", "operator.", "operator.a b", "xoperator.fo"])
def test_other_roles_are_not_taken_for_its_own(entra: Entra, value: str) -> None:
    entra.run("prod")
    [app] = entra.state["apps"]
    entra.change(apps=[{**app, "appRoles": [*app["appRoles"], {"value": value, "id": "id"}]}])
    assert "has other roles" in entra.run("prod").err


def test_the_second_run_changes_nothing(twice: Twice) -> None:
    assert twice.writes == [
        [
            "ad app create",
            "ad app update",
            "rest",
            "rest",
            "ad app federated-credential create",
            "ad sp create",
            "ad sp update",
        ],
        [],
    ]
    assert twice.ended[1] == Ended(0, twice.ended[0].out, "")
    assert twice.states[1] == twice.states[0]


def test_a_run_that_was_cut_off_is_completed_by_the_next(entra: Entra, twice: Twice) -> None:
    whole = twice.states[0]
    [app], [service] = whole["apps"], whole["services"]
    bare = {**app, "identifierUris": [], "api": {**app["api"], "oauth2PermissionScopes": []}}
    bare["api"]["preAuthorizedApplications"] = []
    entra.change(apps=[bare])
    assert (entra.run("prod").code, entra.state) == (0, whole)
    entra.change(
        apps=[{**app, "api": {**app["api"], "preAuthorizedApplications": []}}],
        services=[{**service, "appRoleAssignmentRequired": False}],
    )
    assert (entra.run("prod").code, entra.state) == (0, whole)


def test_what_entra_does_not_know_yet_is_tried_again(entra: Entra) -> None:
    entra.change(failures=2)
    ended = entra.run("prod")
    assert (ended.code, entra.writes().count("ad app update")) == (0, 2)
    assert "ERROR" not in ended.err


def test_another_identity_is_not_let_in(entra: Entra, twice: Twice) -> None:
    other = {"tenantId": TENANT, "principalId": "00000000-0000-0000-0000-00000000000e"}
    entra.change(**{**twice.states[0], "identities": {"rg-other/id-other": other}})
    ended = entra.run("prod", "rg-other", "id-other")
    assert (ended.code, entra.writes()) == (1, [])
    assert "trusts something else" in ended.err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"account": {"tenantId": "another"}}, "is in the tenant"),
        ({"apps": [{"appId": one, "displayName": "nightshift-prod"} for one in "ab"]}, "Several registrations"),
        ({"apps": [{"appId": "a", "displayName": "nightshift-prod", "appRoles": []}]}, "has other roles"),
    ],
)
def test_what_it_did_not_make_is_left_alone(entra: Entra, change: dict[str, Any], said: str) -> None:
    entra.change(**change)
    before = entra.state
    ended = entra.run("prod")
    assert (ended.code, entra.writes(), entra.state) == (1, [], before)
    assert said in ended.err


@pytest.mark.parametrize(
    "arguments", [(), ("a b",), ("prod", "rg", "id", "name", "more"), ("prod", "rg", "id", "o'name")]
)
def test_wrong_arguments_ask_nothing(entra: Entra, arguments: tuple[str, ...]) -> None:
    ended = entra.run(*arguments)
    assert ended.code in (1, 2)
    assert (ended.out, entra.calls()) == ("", [])
    assert "NAME" in ended.err


def test_help_tells_the_arguments(entra: Entra) -> None:
    ended = entra.run("--help")
    assert (ended.code, ended.err, entra.calls()) == (0, "", [])
    assert "ENVIRONMENT" in ended.out
