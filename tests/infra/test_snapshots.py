"""What is deployed, as the committed snapshots of each environment predict it (`make infra` keeps them true)."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from local import bicep_types, infra
from local.environment import ROOT
from shared.core.settings import Settings
from shared.core.targets import Target
from shared.transport import bulkhead

Resource = dict[str, Any]
SNAPSHOTS = [one.with_suffix(".snapshot.json") for one in infra.environments()]
HOST = json.loads((ROOT / "host.json").read_text("utf-8"))
ROLES = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "Storage Queue Data Contributor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "Key Vault Secrets Officer",
}
"""The roles that may be assigned, each to data or telemetry only, by their ids (Azure built-in roles)."""
PLATFORM = {
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "AzureWebJobsStorage__blobServiceUri",
    "AzureWebJobsStorage__clientId",
    "AzureWebJobsStorage__credential",
    "AzureWebJobsStorage__queueServiceUri",
    "AzureWebJobsStorage__tableServiceUri",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID",
    "PYTHON_THREADPOOL_THREAD_COUNT",
}
NOT_ON_FLEX = {
    "ENABLE_ORYX_BUILD",
    "FUNCTIONS_EXTENSION_VERSION",
    "FUNCTIONS_MAX_HTTP_CONCURRENCY",
    "FUNCTIONS_WORKER_DYNAMIC_CONCURRENCY_ENABLED",
    "FUNCTIONS_WORKER_PROCESS_COUNT",
    "FUNCTIONS_WORKER_RUNTIME",
    "FUNCTIONS_WORKER_RUNTIME_VERSION",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
    "WEBSITE_CONTENTOVERVNET",
    "WEBSITE_CONTENTSHARE",
    "WEBSITE_DNS_SERVER",
    "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT",
    "WEBSITE_RUN_FROM_PACKAGE",
    "WEBSITE_TIME_ZONE",
    "WEBSITE_VNET_ROUTE_ALL",
}
"""App settings that Flex Consumption refuses or ignores (Azure Functions, Flex Consumption plan, deprecations)."""
UNTAGGED = {
    "Microsoft.Authorization/roleAssignments",
    "Microsoft.Consumption/budgets",
    "Microsoft.Insights/diagnosticSettings",
}
"""Resources that take no tags; neither do children of others."""


@pytest.fixture(params=SNAPSHOTS, ids=lambda path: path.name.partition(".")[0])
def snapshot(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def resources(snapshot: Path) -> list[Resource]:
    found: list[Resource] = json.loads(snapshot.read_text("utf-8"))["predictedResources"]
    return found


def of(resources: list[Resource], kind: str) -> list[Resource]:
    return [one for one in resources if one["type"] == kind]


def one_of(resources: list[Resource], kind: str) -> dict[str, Any]:
    [found] = of(resources, kind)
    properties: dict[str, Any] = found["properties"]
    return properties


def test_there_are_environments() -> None:
    assert {one.name for one in SNAPSHOTS} == {"dev.snapshot.json", "prod.snapshot.json"}


def test_each_resource_has_tags(resources: list[Resource]) -> None:
    tagged = [one for one in resources if one["type"].count("/") == 1 and one["type"] not in UNTAGGED]
    assert len(tagged) >= 8
    assert [one["name"] for one in tagged if not {"application", "azd-env-name"} <= set(one.get("tags", {}))] == []


def test_roles_are_known_and_no_wider_than_one_resource(resources: list[Resource]) -> None:
    assigned = of(resources, "Microsoft.Authorization/roleAssignments")
    assert len(assigned) >= 4
    for one in assigned:
        assert one["properties"]["roleDefinitionId"].rpartition("/")[2].rstrip("')]") in ROLES
        assert re.search(r"/providers/Microsoft\.(Storage|Insights|KeyVault)/", one["id"])
    assert of(resources, "Microsoft.Authorization/roleDefinitions") == []


def test_the_storage_takes_identities_only_and_shows_nothing(resources: list[Resource]) -> None:
    account = one_of(resources, "Microsoft.Storage/storageAccounts")
    assert (account["allowSharedKeyAccess"], account["allowBlobPublicAccess"]) == (False, False)
    assert (account["minimumTlsVersion"], account["supportsHttpsTrafficOnly"]) == ("TLS1_2", True)
    containers = of(resources, "Microsoft.Storage/storageAccounts/blobServices/containers")
    assert {one["properties"]["publicAccess"] for one in containers} == {"None"}
    assert {one["name"].rpartition("/")[2] for one in containers} == {"audit", "nightshift", "package"}


def test_no_record_is_deleted_by_its_age(resources: list[Resource]) -> None:
    rules = one_of(resources, "Microsoft.Storage/storageAccounts/managementPolicies")["policy"]["rules"]
    prefixes = {prefix for rule in rules for prefix in rule["definition"]["filters"]["prefixMatch"]}
    assert prefixes == {"audit/"}


def test_logs_are_taken_from_identities_only(resources: list[Resource]) -> None:
    assert one_of(resources, "Microsoft.Insights/components")["DisableLocalAuth"] is True
    assert one_of(resources, "Microsoft.OperationalInsights/workspaces")["features"]["disableLocalAuth"] is True


def test_the_site_is_on_flex_with_python(resources: list[Resource]) -> None:
    site = one_of(resources, "Microsoft.Web/sites")
    assert (site["httpsOnly"], site["siteConfig"]["minTlsVersion"], site["siteConfig"]["ftpsState"]) == (
        True,
        "1.2",
        "Disabled",
    )
    config = site["functionAppConfig"]
    assert config["runtime"] == {"name": "python", "version": "3.13"}
    assert config["deployment"]["storage"]["authentication"]["type"] == "UserAssignedIdentity"
    assert config["scaleAndConcurrency"]["instanceMemoryMB"] == 2048
    assert config["scaleAndConcurrency"]["triggers"] == {"http": {"perInstanceConcurrency": 32}}
    policies = of(resources, "Microsoft.Web/sites/basicPublishingCredentialsPolicies")
    assert [one["properties"]["allow"] for one in policies] == [False, False]


def test_what_holds_data_sends_its_logs(resources: list[Resource]) -> None:
    watched = {
        one["id"].rpartition("/providers/Microsoft.Insights/")[0].rpartition("/providers/")[2].split("/")[0]
        for one in of(resources, "Microsoft.Insights/diagnosticSettings")
    }
    holding = {"Microsoft.Storage", "Microsoft.Web", "Microsoft.KeyVault"}
    there = {one["type"].split("/")[0] for one in resources}
    assert watched == holding & there


def test_the_vault_is_there_only_for_secrets(snapshot: Path, resources: list[Resource]) -> None:
    secret = [name for name, value in infra.settings_in(snapshot).items() if "@Microsoft.KeyVault" in value]
    vaults = of(resources, "Microsoft.KeyVault/vaults")
    assert bool(secret) is bool(vaults)
    assert all(one["properties"]["enableRbacAuthorization"] for one in vaults)
    assert all(one["properties"]["enablePurgeProtection"] for one in vaults)


def test_secrets_are_references_only(snapshot: Path) -> None:
    secret = {name.upper() for name, field in Target.model_fields.items() if bicep_types.is_secret(field)}
    assert len(secret) == 10
    for name, value in infra.settings_in(snapshot).items():
        if name.startswith("TARGETS__") and name.split("__", 2)[2] in secret:
            assert "@Microsoft.KeyVault(SecretUri=" in value


def test_each_app_setting_is_known(snapshot: Path) -> None:
    own = {name.upper() for name in Settings.model_fields}
    fields = {name.upper() for name in Target.model_fields}
    for name in infra.settings_in(snapshot):
        assert name in own | PLATFORM or (name.startswith("TARGETS__") and name.split("__", 2)[2] in fields), name


def test_nothing_is_set_that_flex_refuses(snapshot: Path) -> None:
    assert not NOT_ON_FLEX & set(infra.settings_in(snapshot))


def test_work_at_once_fits_the_threads_with_four_to_spare(snapshot: Path) -> None:
    threads = int(infra.settings_in(snapshot)["PYTHON_THREADPOOL_THREAD_COUNT"])
    durable = HOST["extensions"]["durableTask"]
    at_once = sum(durable[f"maxConcurrent{kind}Functions"] for kind in ("Activity", "Orchestrator", "Entity"))
    assert (threads, at_once) == (bulkhead.MOST_THREADS, threads - 4)


def test_what_runs_in_hand_rest_on_is_written_down() -> None:
    durable = HOST["extensions"]["durableTask"]
    assert (durable["versionMatchStrategy"], durable["versionFailureStrategy"]) == ("CurrentOrOlder", "Reject")
    assert HOST["telemetryMode"] == "OpenTelemetry"
    assert HOST["extensionBundle"]["version"] == "[4.38.1, 5.0.0)"


def test_each_parameter_output_and_member_is_described() -> None:
    for file in sorted(infra.INFRA.rglob("*.bicep")):
        text = file.read_text("utf-8")
        declared = re.findall(r"(?m)^(?:param|output) (\w+)", text)
        described = re.findall(r"(?m)^@description\(.*\)\n(?:@\w+\(.*\)\n)*(?:param|output) (\w+)", text)
        assert declared == described, file.name


def test_outputs_are_names_and_addresses() -> None:
    outputs = re.findall(r"(?m)^output (\w+)", infra.MAIN.read_text("utf-8"))
    assert outputs == [
        *("resourceGroupName", "functionAppName", "functionAppHost"),
        *("identityClientId", "identityPrincipalId", "keyVaultName"),
    ]


def test_there_are_plain_resources_only() -> None:
    for file in infra.INFRA.rglob("*.bicep"):
        text = file.read_text("utf-8")
        assert "br:" not in text, file
        assert "br/" not in text, file
        assert not re.search(r"(?m)^extension ", text), file
