"""Named targets: how their settings are grouped, what is wrong with them, and which one a call means."""

import itertools
from pathlib import Path

import pytest

from shared.problems import NotValid, Problem, TargetOff, UnknownTarget
from shared.targets import Target, Targets

SECRET = "hunter2-of-a-target"
GOOD = {
    "SYSTEM": "finance-operations",
    "URL": "https://contoso.operations.dynamics.com",
    "AUTH": "client-secret",
    "TENANT": "a-tenant",
    "CLIENT_ID": "a-client",
    "CLIENT_SECRET": SECRET,
}
IDENTITY = {name: GOOD[name] for name in ("SYSTEM", "URL")} | {"AUTH": "managed-identity"}
WRONG = {
    "SYSTEM": "business-central-2",
    "URL": "http://contoso.operations.dynamics.com",
    "AUTH": "password",
    "AUTHORITY": "ftp://login.example.com",
    "CA_FILE": "/no/such/file.pem",
    "CONNECT_TIMEOUT": "-7",
    "READ_TIMEOUT": "661",
    "COLOUR": "red",
}


def settings(name: str, fields: dict[str, str], **more: str) -> dict[str, str]:
    return {f"TARGETS__{name}__{field}": value for field, value in {**fields, **more}.items()}


def only(fields: dict[str, str], **more: str) -> Target:
    return Targets(settings("FO", fields, **more)).named("fo")


def complaint(fields: dict[str, str]) -> str:
    targets = Targets(settings("FO", fields))
    assert targets.on == []
    return targets.off["fo"]


def test_settings_are_grouped_by_name_in_any_case() -> None:
    mixed = {
        "targets__Fo__url": GOOD["URL"],
        "Targets__FO__System": GOOD["SYSTEM"],
        "TARGETS__fo__AUTH": "managed-identity",
    }
    targets = Targets({**mixed, **settings("TEST_2", GOOD), "OTHER__FO__URL": "x", "TARGETS": "x", "TARGETS_FO": "x"})
    assert [target.name for target in targets.on] == ["fo", "test_2"]
    assert targets.off == {}


@pytest.mark.parametrize("name", ["fo", "FO", "Fo"])
def test_a_target_is_named_in_any_case(name: str) -> None:
    assert Targets(settings("FO", GOOD)).named(name).name == "fo"


def test_an_empty_setting_counts_as_absent() -> None:
    assert only(IDENTITY, CLIENT_ID="", SCOPE="", CA_FILE="") == only(IDENTITY)


def test_what_is_not_set_has_a_default() -> None:
    target = only(GOOD)
    assert target.authority == "https://login.microsoftonline.com"
    assert (target.connect_timeout, target.read_timeout, target.ca_file) == (10, 120, "")


def test_every_setting_is_described() -> None:
    assert all(field.description for name, field in Target.model_fields.items() if name != "name")


@pytest.mark.parametrize(
    ("url", "scope"),
    [
        ("https://Contoso.Operations.Dynamics.com/", "https://contoso.operations.dynamics.com/.default"),
        ("https://contoso.operations.dynamics.cn///", "https://contoso.operations.dynamics.cn/.default"),
        ("HTTPS://CONTOSO.EXAMPLE:8443", "https://contoso.example:8443/.default"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/.default"),
    ],
)
def test_the_scope_is_the_address_in_lower_case_without_a_slash_at_its_end(url: str, scope: str) -> None:
    assert only(GOOD, URL=url).token_scope == scope
    assert not only(GOOD, URL=url).url.endswith("/")


@pytest.mark.parametrize(
    ("url", "scope"),
    [
        (
            "https://api.businesscentral.dynamics.com/v2.0/contoso.com/Production",
            "https://api.businesscentral.dynamics.com/.default",
        ),
        ("https://API.BusinessCentral.Dynamics.com/v2.0/Prod/", "https://api.businesscentral.dynamics.com/.default"),
        ("https://bc.contoso.example:7048/BC", "https://bc.contoso.example:7048/bc/.default"),
        (
            "https://api.businesscentral.dynamics.com.example",
            "https://api.businesscentral.dynamics.com.example/.default",
        ),
    ],
)
def test_the_scope_of_business_central_online_has_neither_tenant_nor_environment(url: str, scope: str) -> None:
    assert only(GOOD, SYSTEM="business-central", URL=url).token_scope == scope
    assert only(GOOD, SYSTEM="business-central", URL=url, SCOPE="x/.default").token_scope == "x/.default"


def test_a_batch_has_limits_of_its_own() -> None:
    target = only(GOOD, SYSTEM="business-central")
    assert (target.batch_operations, target.batch_bytes, target.in_flight, target.company) == (100, 4 * 2**20, 5, "")
    assert only(GOOD, BATCH_OPERATIONS="1000", IN_FLIGHT="50", COMPANY="CRONUS").in_flight == 50


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("BATCH_OPERATIONS", "0"),
        ("BATCH_OPERATIONS", "1001"),
        ("BATCH_BYTES", "1"),
        ("IN_FLIGHT", "0"),
        ("IN_FLIGHT", "51"),
    ],
)
def test_a_limit_out_of_its_bounds_is_off(field: str, value: str) -> None:
    assert f"TARGETS__FO__{field}: " in complaint({**GOOD, field: value})


def test_a_scope_of_its_own_is_taken_as_it_is() -> None:
    assert only(GOOD, SCOPE="api://Some-App/.default").token_scope == "api://Some-App/.default"


@pytest.mark.parametrize(
    "url",
    [
        "http://contoso.operations.dynamics.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "ftp://127.0.0.1",
        "contoso.operations.dynamics.com",
        "https://",
        "https://contoso.example?a=b",
        "https://contoso.example#a",
        f"https://user:{SECRET}@contoso.example",
        "https://127.0.0.1\\@contoso.example",
    ],
)
def test_an_address_that_is_not_safe_is_off(url: str) -> None:
    text = complaint({**GOOD, "URL": url})
    assert text.startswith("TARGETS__FO__URL: ")
    assert SECRET not in text


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1"])
def test_plain_http_is_for_this_machine_only(url: str) -> None:
    assert only(GOOD, URL=url).url == url


@pytest.mark.parametrize("field", WRONG)
def test_each_wrong_setting_is_named_and_stops_no_other_target(field: str) -> None:
    targets = Targets({**settings("BAD", {**GOOD, field: WRONG[field]}), **settings("FO", GOOD)})
    assert [target.name for target in targets.on] == ["fo"]
    assert f"TARGETS__BAD__{field}: " in targets.off["bad"]
    assert WRONG[field] not in targets.off["bad"]
    assert targets.choose("finance-operations", "FO").name == "fo"
    with pytest.raises(TargetOff, match=f"TARGETS__BAD__{field}"):
        targets.named("bad")


@pytest.mark.parametrize("field", ["SYSTEM", "URL", "AUTH"])
def test_a_setting_that_is_needed_is_named_when_it_is_missing(field: str) -> None:
    fields = {name: value for name, value in GOOD.items() if name != field}
    assert f"TARGETS__FO__{field}: Field required" in complaint(fields)


@pytest.mark.parametrize("field", ["TENANT", "CLIENT_ID", "CLIENT_SECRET"])
def test_a_client_secret_needs_all_three(field: str) -> None:
    text = complaint({name: value for name, value in GOOD.items() if name != field})
    assert field in text
    assert SECRET not in text


def test_all_mistakes_are_told_at_once() -> None:
    text = complaint({**GOOD, **WRONG})
    assert [field for field in WRONG if f"TARGETS__FO__{field}: " in text] == list(WRONG)


@pytest.mark.parametrize("fields", list(itertools.combinations(WRONG, 2)))
def test_no_complaint_holds_a_secret_wherever_the_secret_was_put(fields: tuple[str, ...]) -> None:
    """A secret in the wrong box is the commonest mistake of all."""
    environment = settings("FO", {**GOOD, **dict.fromkeys(fields, SECRET)})
    targets = Targets(environment)
    assert SECRET not in targets.off["fo"]
    with pytest.raises(Problem) as caught:
        targets.choose("finance-operations", "fo")
    assert SECRET not in str(caught.value) + repr(caught.value) + caught.value.answer().body.decode()


def test_a_target_as_text_holds_no_secret() -> None:
    target = only(GOOD)
    assert SECRET not in repr(target) + str(target) + target.model_dump_json()


def test_a_file_of_certificates_must_be_there(tmp_path: Path) -> None:
    there = tmp_path / "ca.pem"
    there.write_text("")
    assert only(GOOD, CA_FILE=str(there)).ca_file == str(there)
    assert "is not a file" in complaint({**GOOD, "CA_FILE": str(tmp_path)})


def test_the_only_target_of_a_system_is_its_default() -> None:
    assert Targets(settings("FO", GOOD)).choose("finance-operations", None).name == "fo"


def test_of_several_targets_one_must_be_named() -> None:
    targets = Targets({**settings("TEST", GOOD), **settings("PROD", GOOD)})
    with pytest.raises(NotValid, match="prod, test") as caught:
        targets.choose("finance-operations", None)
    assert [mistake.header for mistake in caught.value.mistakes] == ["Nightshift-Target"]
    assert targets.choose("finance-operations", "prod").name == "prod"


@pytest.mark.parametrize("wrong", [{"URL": "x"}, {"SYSTEM": ""}, {"COLOUR": "red"}])
def test_a_target_that_is_off_still_counts_for_the_default(wrong: dict[str, str]) -> None:
    """Otherwise a mistake in one target's settings would send unnamed calls to another one."""
    targets = Targets({**settings("TEST", GOOD), **settings("PROD", {**GOOD, **wrong})})
    assert [target.name for target in targets.on] == ["test"]
    with pytest.raises(NotValid, match="prod, test") as caught:
        targets.choose("finance-operations", None)
    assert [mistake.header for mistake in caught.value.mistakes] == ["Nightshift-Target"]
    assert targets.choose("finance-operations", "test").name == "test"


def test_an_only_target_that_is_off_says_so() -> None:
    with pytest.raises(TargetOff, match="TARGETS__FO__URL"):
        Targets(settings("FO", {**GOOD, "URL": "x"})).choose("finance-operations", None)


def test_a_target_of_no_known_system_is_nobodys_default() -> None:
    targets = Targets({**settings("FO", GOOD), **settings("BC", {**GOOD, "SYSTEM": "business-central-2"})})
    assert targets.choose("finance-operations", None).name == "fo"


@pytest.mark.parametrize("field", ["URL", "AUTHORITY"])
@pytest.mark.parametrize(
    "url",
    [
        *[f"https://:{SECRET}@h", "https://@h", f"https://{SECRET}@h", f"https://h:{SECRET}", f"https://h:{SECRET}@h:1"],
        *["https://h:abc", "https://h:99999", "https://h:-1", "https://h:0", "https://h:²", "https://h?", "https://h#"],
        *["https://h?a", "https://h/#a", "https://h /", "https://h\t", " https://h", "https://h\n", "https:///a"],
        *[f"https://[{SECRET}", "https://[::1", "https://[h]", "https://:443", "https:h", "//h", "https://h\\a"],
        *["https://a\uff0fb", "https://\u2100h", "javascript:alert(1)", "file:///etc/passwd", SECRET],
    ],
)  # fmt: skip
def test_no_odd_address_is_taken_and_none_is_quoted(field: str, url: str) -> None:
    text = complaint({**GOOD, field: url})
    assert text.startswith(f"TARGETS__FO__{field}: ")
    assert SECRET not in text


def test_without_any_target_there_is_no_default() -> None:
    with pytest.raises(UnknownTarget, match="none"):
        Targets({}).choose("finance-operations", None)


@pytest.mark.parametrize("name", ["", "other", "fo ", "TARGETS__FO"])
def test_an_unknown_target_is_refused_with_the_names_that_there_are(name: str) -> None:
    targets = Targets({**settings("FO", GOOD), **settings("BAD", {**GOOD, "URL": "x"})})
    with pytest.raises(UnknownTarget, match=r"it has: bad \(off\), fo\."):
        targets.named(name)


def test_a_target_tells_the_name_of_its_settings() -> None:
    assert only(GOOD).setting("client_secret") == "TARGETS__FO__CLIENT_SECRET"
