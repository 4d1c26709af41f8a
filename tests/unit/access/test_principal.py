"""The headers of App Service authentication: read as documented, and nothing breaks what reads them."""

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.access import caller, principal
from shared.access.caller import KEY, admit
from shared.access.roles import Role
from shared.core.problems import RoleMissing
from shared.core.settings import Settings

ID = "11111111-2222-3333-4444-555555555555"
ROLE_URI = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"
OID_URI = "http://schemas.microsoft.com/identity/claims/objectidentifier"


def header(*claims: tuple[str, object], **more: object) -> str:
    content = {"auth_typ": "aad", "claims": [{"typ": typ, "val": val} for typ, val in claims], **more}
    return base64.b64encode(json.dumps(content).encode()).decode()


def read(text: str, **more: str) -> principal.Principal:
    return principal.read({principal.HEADER: text, **{f"{principal.HEADER}-{name}": one for name, one in more.items()}})


def test_roles_id_and_name_are_read() -> None:
    found = read(
        header(("roles", "reader"), ("roles", "operator.crm"), role_typ=ROLE_URI), id=ID, name="ada@example.com"
    )
    assert found == principal.Principal(ID, "ada@example.com", ("reader", "operator.crm"))


def test_roles_have_either_type_of_claim_and_no_other() -> None:
    claims = (
        (ROLE_URI, "admin"),
        ("roles", "reader"),
        ("groups", "operator"),
        ("role", "operator"),
        ("scp", "operator"),
    )
    assert read(header(*claims, role_typ=ROLE_URI), id=ID).roles == ("reader", "admin")
    assert read(header(*claims), id=ID).roles == ("reader",)
    assert read(header(*claims, role_typ=""), id=ID).roles == ("reader",)


def test_an_id_and_a_name_may_be_claims_only() -> None:
    assert read(header((OID_URI, ID), ("name", "Ada"))) == principal.Principal(ID, "Ada", ())
    assert read(header(("oid", ID), ("n", "Ada"), name_typ="n")) == principal.Principal(ID, "Ada", ())
    assert read(header(("oid", ID))).name is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "e30=",
        "not base64",
        "e30",
        "é",
        "\ud800",
        base64.b64encode(b"[]").decode(),
        base64.b64encode(b"\xff").decode(),
        base64.b64encode(b"[" * 30_000).decode(),
        header(("roles", 1)),
        header(("roles", None)),
        f"{header(('roles', 'admin'))},{header(('roles', 'admin'))}",
        header(*[("roles", "admin")] * 2001),
        header(("roles", "admin"), ("x", "x" * 64 * 1024)),
    ],
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(RoleMissing, match="can't be read"):
        read(text, id=ID)


@pytest.mark.parametrize("named", ["", " ", "a b", "a\nb", "x" * 257, "é"])
def test_a_principal_without_an_id_is_refused(named: str) -> None:
    with pytest.raises(RoleMissing, match="names no caller"):
        read(header(("roles", "admin")), id=named)


def test_a_name_is_shown_without_control_characters_and_bounded() -> None:
    assert read(header(), id=ID, name=" Ada\r\n\x1b[31m ").name == "Ada[31m"
    assert read(header(), id=ID, name="\n").name is None
    assert len(read(header(), id=ID, name="x" * 5000).name or "") == 256


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["typ", "val", "claims", "x"]) | st.text(), inner),
    max_leaves=20,
)
HEADERS = st.one_of(
    st.text(),
    st.binary().map(lambda data: base64.b64encode(data).decode()),
    JSON.map(lambda content: base64.b64encode(json.dumps(content).encode()).decode()),
    st.dictionaries(st.sampled_from(["claims", "name_typ", "role_typ"]), JSON).map(
        lambda content: base64.b64encode(json.dumps(content).encode()).decode()
    ),
    st.lists(st.tuples(st.sampled_from(["roles", "oid", "name"]), st.text())).map(lambda claims: header(*claims)),
)


@given(HEADERS, st.none() | st.text(), st.none() | st.text())
def test_any_header_is_a_principal_or_a_problem(text: str, named: str | None, name: str | None) -> None:
    more = {"id": named, "name": name}
    with contextlib.suppress(RoleMissing):
        found = read(text, **{kind: one for kind, one in more.items() if one is not None})
        assert 0 < len(found.id) <= 256
        assert found.name is None or 0 < len(found.name) <= 256
        assert {one.role for one in caller.grants_of(found.roles)} <= set(Role)


def settle(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:  # noqa: ANN401 - settings of any kind
    monkeypatch.setattr(caller, "app_settings", lambda: Settings(**settings))


ADMIN = {principal.HEADER: header(("roles", "admin")), f"{principal.HEADER}-id": ID}


def test_headers_count_only_where_roles_are_on(monkeypatch: pytest.MonkeyPatch) -> None:
    settle(monkeypatch)
    assert admit("put_policy", ADMIN).actor == admit("put_policy", {}).actor == KEY
    settle(monkeypatch, auth_roles="on")
    found = admit("put_policy", ADMIN)
    assert (found.actor.id, found.actor.proven) == (ID, True)
    with pytest.raises(RoleMissing, match="names no signed-in caller"):
        admit("put_policy", {})


@pytest.mark.parametrize("function", ["health", "run_result", "batch_job_event"])
def test_a_function_without_a_role_believes_no_header(monkeypatch: pytest.MonkeyPatch, function: str) -> None:
    """Their paths may be left out of the sign-in, and then anybody may have sent the header."""
    settle(monkeypatch, auth_roles="on")
    assert admit(function, ADMIN).actor == admit(function, {principal.HEADER: "?"}).actor == KEY
