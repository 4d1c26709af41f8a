"""Named targets: how their settings are grouped, what is wrong with them, and which one a call means."""

import itertools
from pathlib import Path

import pytest
import trustme

from shared.core.problems import NotValid, Problem, TargetOff, UnknownTarget
from shared.core.targets import Target, Targets

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
ENGINE = {"SYSTEM": "camunda", "URL": "https://camunda.example.com/engine-rest"}
BASIC = {**ENGINE, "AUTH": "basic", "USERNAME": "demo", "PASSWORD": SECRET}
BEARER = {**ENGINE, "AUTH": "bearer", "TOKEN": SECRET}
WRONG = {
    "SYSTEM": "business-central-2",
    "URL": "http://contoso.operations.dynamics.com",
    "AUTH": "password",
    "AUTHORITY": "ftp://login.example.com",
    "CA_FILE": "/no/such/file.pem",
    "CONNECT_TIMEOUT": "-7",
    "READ_TIMEOUT": "661",
    "LATE_EFFECT_MINUTES": "-7",
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


@pytest.mark.parametrize("field", ["TENANT", "CLIENT_ID"])
def test_a_federated_client_needs_both_and_no_secret(field: str) -> None:
    fields = {**GOOD, "AUTH": "federated", "CLIENT_SECRET": ""}
    assert only(fields).assertion_audience == "api://AzureADTokenExchange"
    assert "AUTH federated needs TENANT and CLIENT_ID" in complaint({**fields, field: ""})


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


@pytest.mark.parametrize("field", ["CLIENT_SECRET", "CERTIFICATE", "PRIVATE_KEY", "SYSTEM_TOKEN", "URL"])
def test_a_reference_that_azure_did_not_resolve_is_off(field: str) -> None:
    text = complaint({**GOOD, field: "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/x)"})
    assert text.startswith(f"TARGETS__FO__{field}: Value error, is a Key Vault reference that Azure did not resolve")


def test_a_target_as_text_holds_no_secret() -> None:
    target = only(GOOD)
    assert SECRET not in repr(target) + str(target) + target.model_dump_json()


def test_a_file_of_certificates_must_be_there(tmp_path: Path) -> None:
    there = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(there))
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


@pytest.mark.parametrize("fields", [{**ENGINE, "AUTH": "none"}, BASIC, BEARER], ids=["none", "basic", "bearer"])
def test_an_engine_takes_a_credential_that_nobody_issues(fields: dict[str, str]) -> None:
    target = only(fields)
    assert (target.system, target.auth) == ("camunda", fields["AUTH"])
    assert (target.engine_version, target.retries) == ("", 1)


@pytest.mark.parametrize("auth", ["client-secret", "federated", "managed-identity"])
def test_an_engine_behind_entra_needs_a_scope(auth: str) -> None:
    fields = {**GOOD, **ENGINE, "AUTH": auth}
    assert f"AUTH {auth} needs SCOPE" in complaint(fields)
    assert only(fields, SCOPE="api://engine/.default").token_scope == "api://engine/.default"


def test_an_engine_behind_entra_is_told_all_that_it_lacks() -> None:
    text = complaint({**ENGINE, "AUTH": "client-secret"})
    assert "needs TENANT, CLIENT_ID and CLIENT_SECRET; " in text
    assert "needs SCOPE" in text


@pytest.mark.parametrize("system", ["finance-operations", "business-central"])
@pytest.mark.parametrize("fields", [{**ENGINE, "AUTH": "none"}, BASIC, BEARER], ids=["none", "basic", "bearer"])
def test_the_other_systems_take_entras_tokens_only(system: str, fields: dict[str, str]) -> None:
    text = complaint({**fields, "SYSTEM": system})
    kinds = "client-secret, certificate, federated, managed-identity"
    assert text.endswith(f"AUTH {fields['AUTH']} is not for {system}, which takes {kinds}")


@pytest.mark.parametrize(
    ("fields", "field", "sentence"),
    [
        (BASIC, "USERNAME", "AUTH basic needs USERNAME and PASSWORD"),
        (BASIC, "PASSWORD", "AUTH basic needs USERNAME and PASSWORD"),
        (BEARER, "TOKEN", "AUTH bearer needs TOKEN"),
    ],
)
def test_a_credential_needs_its_parts(fields: dict[str, str], field: str, sentence: str) -> None:
    text = complaint({**fields, field: ""})
    assert text.endswith(sentence)
    assert SECRET not in text


def test_no_credential_refuses_the_parts_of_none() -> None:
    assert only({**BASIC, **BEARER, "AUTH": "none"}).auth == "none"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("USERNAME", f"demo{odd}{SECRET}") for odd in (":", "\n", "\x00", "\x7f", "\udc80")],
        *[("PASSWORD", f"{SECRET}{odd}") for odd in ("\n", "\r", "\t", "\x7f", "\udc80")],
        *[("TOKEN", f"{SECRET}{odd}") for odd in ("\n", " ", "\x7f", "é", "\udc80")],
        ("TOKEN", f"Bearer {SECRET}"),
        ("ENGINE_VERSION", SECRET),
        ("ENGINE_VERSION", "v7.24"),
        ("RETRIES", "0"),
        ("RETRIES", "101"),
        ("RETRIES", SECRET),
    ],
)
def test_a_wrong_setting_of_an_engine_is_named_and_not_quoted(field: str, value: str) -> None:
    text = complaint({**BASIC, **BEARER, field: value})
    assert text.startswith(f"TARGETS__FO__{field}: ")
    assert SECRET not in text


@pytest.mark.parametrize("password", ["a:b", ":", " ", "é€ß", "p" * 500])
def test_a_password_may_be_any_text(password: str) -> None:
    assert only(BASIC, PASSWORD=password).password.get_secret_value() == password


@pytest.mark.parametrize("version", ["7.24", "7.24.0", "7.24.0-ee", "2.1.4-SNAPSHOT"])
def test_an_engine_has_a_version_and_retries(version: str) -> None:
    target = only(BASIC, ENGINE_VERSION=version, RETRIES="100")
    assert (target.engine_version, target.retries) == (version, 100)


@pytest.mark.parametrize("url", ["http://camunda.example.com/engine-rest", f"https://demo:{SECRET}@h/engine-rest"])
def test_an_engine_gets_its_password_over_tls_and_not_in_its_address(url: str) -> None:
    text = complaint({**BASIC, "URL": url})
    assert text.startswith("TARGETS__FO__URL: ")
    assert SECRET not in text


def test_another_engine_is_a_part_of_the_address() -> None:
    assert only(BASIC, URL=f"{ENGINE['URL']}/engine/two/").url == "https://camunda.example.com/engine-rest/engine/two"


@pytest.mark.parametrize("fields", [BASIC, BEARER], ids=["basic", "bearer"])
def test_an_engine_as_text_holds_no_secret(fields: dict[str, str]) -> None:
    target = only(fields)
    assert SECRET not in repr(target) + str(target) + target.model_dump_json() + repr(target.model_dump())


def test_an_engine_that_is_off_is_no_default_of_another_system() -> None:
    targets = Targets({**settings("FO", GOOD), **settings("ENGINE", {**BASIC, "PASSWORD": ""})})
    assert targets.choose("finance-operations", None).name == "fo"
    with pytest.raises(TargetOff, match="needs USERNAME and PASSWORD"):
        targets.choose("camunda", None)
    with pytest.raises(NotValid, match="not a target of camunda"):
        targets.choose("camunda", "fo")


@pytest.mark.parametrize("url", ["https://a..b", "https://.", "https://-", "https://a.-b.example", "https://é.example"])
def test_g2_a_host_that_is_no_name_turns_its_target_off(url: str) -> None:
    targets = Targets({**{f"TARGETS__FO__{name}": value for name, value in GOOD.items()}, "TARGETS__FO__URL": url})
    assert targets.on == []
    assert "TARGETS__FO__URL" in targets.off["fo"]


@pytest.mark.parametrize("name", ["*", "A/B", "A B", "-", "X" * 65])
def test_g5_a_name_that_stands_in_no_key_turns_its_target_off(name: str) -> None:
    targets = Targets({f"TARGETS__{name}__{field}": value for field, value in GOOD.items()})
    assert targets.on == []
    assert f"TARGETS__{name.upper()}: a name has letters" in targets.off[name.lower()]


def test_g5_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate", "utf-8")
    targets = Targets(
        {**{f"TARGETS__FO__{name}": value for name, value in GOOD.items()}, "TARGETS__FO__CA_FILE": str(file)}
    )
    assert "TARGETS__FO__CA_FILE: Value error, is no file of certificates" in targets.off["fo"]


def test_the_targets_of_a_system_that_are_off_are_told_with_those_of_which_the_system_is_not_known() -> None:
    wrong = {"URL": "http://contoso.operations.dynamics.com"}
    known, unknown = settings("FO", IDENTITY, **wrong), settings("ODD", IDENTITY, SYSTEM="fo")
    targets = Targets({**known, **unknown, **settings("CAM", BASIC, **wrong)})
    assert set(targets.off_of("finance-operations")) == {"fo", "odd"}
    assert set(targets.off_of("camunda")) == {"cam", "odd"}
    assert targets.off_of(None) == targets.off
