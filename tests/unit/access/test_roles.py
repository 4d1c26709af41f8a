"""What roles and their limits mean, and that no function is without a row."""

import re

import pytest

from local import generated_docs
from local.environment import ROOT
from shared.access import caller, roles
from shared.access.caller import Actor, Caller, Grant, grants_of
from shared.access.roles import Need, Reach, Role
from shared.core.problems import RoleMissing
from shared.core.targets import Targets

URLS = {
    "TARGETS__FO__SYSTEM": "finance-operations",
    "TARGETS__FO__URL": "https://contoso.operations.dynamics.com",
    "TARGETS__FO__AUTH": "managed-identity",
    # A target may be called as another system is.
    "TARGETS__CAMUNDA__SYSTEM": "superoffice",
    "TARGETS__CAMUNDA__URL": "not a URL",
    "TARGETS__CRM__SYSTEM": "superoffice",
    "TARGETS__CRM__URL": "not a URL",
}


@pytest.fixture(autouse=True)
def _targets(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Targets(URLS)
    assert ([one.name for one in found.on], list(found.off)) == (["fo"], ["camunda", "crm"])
    monkeypatch.setattr(caller, "app_targets", lambda: found)


def who(need: Need, *names: str) -> Caller:
    return Caller(Actor("a"), grants_of(names), need)


def test_every_function_with_a_route_has_a_row_and_no_other() -> None:
    assert set(roles.NEEDS) == {one.name for one in generated_docs.http_functions()}


def test_every_function_asks_by_its_own_name() -> None:
    text = (ROOT / "function_app.py").read_text("utf-8")
    pairs = re.findall(r"^async def (\w+)\(req\b.*?serve\(\s*req,\s*\"(\w+)\"", text, re.MULTILINE | re.DOTALL)
    assert [one for one, _ in pairs] == [function.name for function in generated_docs.http_functions()]
    assert [pair for pair in pairs if pair[0] != pair[1]] == []


def test_a_function_without_a_row_answers_nobody() -> None:
    with pytest.raises(LookupError, match="no row for the function newcomer"):
        roles.needed("newcomer")


def test_what_changes_something_needs_more_than_a_reader() -> None:
    for one in generated_docs.http_functions():
        need = roles.needed(one.name)
        if need.role is None:
            assert one.name in ("health", "openapi", "run_result", "batch_job_event")
        else:
            assert (need.role is Role.READER) == (one.methods == ("GET",)), one.name


def test_the_names_of_roles_are_read_strictly() -> None:
    found = grants_of(
        ["reader", "operator.FO", "admin.superoffice", "Operator", "operator.", "operators", "operator.a b", "x", ""]
    )
    assert sorted(one.text for one in found) == ["admin.superoffice", "operator.fo", "reader"]


@pytest.mark.parametrize(
    ("role", "target", "system", "expected"),
    [
        ("operator", "fo", None, True),
        ("operator", None, None, True),
        ("admin", "fo", None, True),
        ("reader", "fo", None, False),
        ("operator.fo", "fo", None, True),
        ("operator.fo", None, None, False),
        ("operator.fo", "crm", None, False),
        ("operator.finance-operations", "fo", None, True),
        ("operator.finance-operations", None, None, False),
        ("operator.superoffice", "fo", None, False),
        ("operator.superoffice", "crm", None, True),
        ("operator.superoffice", "camunda", None, True),
        # The name of a system means the system.
        ("operator.camunda", "camunda", None, False),
        ("operator.camunda", "gone", "camunda", True),
        ("operator.gone", "gone", "camunda", True),
        ("operator.superoffice", "gone", None, False),
    ],
)
def test_a_limit_is_a_system_or_a_target(role: str, target: str | None, system: str | None, *, expected: bool) -> None:
    one = who(Need(Role.OPERATOR), role)
    assert one.may(Role.OPERATOR, target, system) is expected
    if expected:
        one.require(target, system)
    else:
        with pytest.raises(RoleMissing, match=f"The caller has {role}"):
            one.require(target, system)


@pytest.mark.parametrize(
    ("role", "need", "expected"),
    [
        ("reader.fo", Need(Role.READER), True),
        ("reader.fo", Need(Role.OPERATOR), False),
        ("reader.fo", Need(Role.READER, Reach.SHOWN), True),
        ("reader.fo", Need(Role.READER, Reach.ANYTHING), True),
        ("admin.fo", Need(Role.ADMIN, Reach.EVERYTHING), False),
        ("admin", Need(Role.ADMIN, Reach.EVERYTHING), True),
        ("operator.fo", Need(Role.OPERATOR, system="finance-operations"), True),
        ("operator.fo", Need(Role.OPERATOR, system="superoffice"), False),
        ("operator.crm", Need(Role.OPERATOR, system="superoffice"), True),
        ("operator.camunda", Need(Role.OPERATOR, system="superoffice"), False),
        ("operator.camunda", Need(Role.OPERATOR, system="camunda"), True),
        ("operator.gone", Need(Role.OPERATOR, system="camunda"), False),
        ("nothing", Need(Role.READER), False),
        ("nothing", Need(None), True),
    ],
)
def test_the_door_opens_for_whoever_may_use_a_function_for_something(role: str, need: Need, *, expected: bool) -> None:
    if expected:
        who(need, role).enter()
    else:
        with pytest.raises(RoleMissing, match=str(need.role)):
            who(need, role).enter()


def test_the_problem_names_each_role_that_would_do() -> None:
    with pytest.raises(RoleMissing) as caught:
        who(Need(Role.OPERATOR), "reader").require("fo")
    assert caught.value.detail == (
        "This needs the role operator or operator.finance-operations or operator.fo. The caller has reader."
    )
    with pytest.raises(RoleMissing, match=r"needs the role operator or operator.superoffice\. "):
        # Not operator.camunda: that is the system.
        who(Need(Role.OPERATOR), "reader").require("camunda")
    with pytest.raises(RoleMissing, match=r"needs the role operator, for all targets. The caller has operator.fo"):
        who(Need(Role.OPERATOR), "operator.fo").require(None)
    with pytest.raises(RoleMissing, match="The caller has no role of this app"):
        who(Need(Role.READER)).enter()


def test_the_app_itself_may_do_all() -> None:
    assert caller.APP.may(Role.ADMIN, None)
    assert caller.APP.sees("gone")
    assert Grant(Role.ADMIN).covers(None, None)
