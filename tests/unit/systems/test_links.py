"""Links of failures into their systems: documented pages only, and nothing that a caller could break out of."""

import pytest

from shared.core.targets import Target, Targets
from shared.systems.registry import definitions, failures_of
from tests.unit.core.test_targets import BASIC, IDENTITY, settings

COCKPIT = "https://camunda.example.com/camunda/app/cockpit/default"


def target(fields: dict[str, str], **more: str) -> Target:
    return Targets(settings("ONE", fields, **more)).named("one")


@pytest.mark.parametrize(
    ("about", "query"),
    [
        ({"company": "USMF"}, "cmp=USMF&mi=BatchJob"),
        ({}, "mi=BatchJob"),
        ({"company": "A&mi=x #"}, "cmp=A%26mi%3Dx+%23&mi=BatchJob"),
    ],
)
def test_a_batch_job_leads_to_the_form_of_its_company(about: dict[str, str], query: str) -> None:
    found = failures_of("finance-operations").link(target(IDENTITY), about)
    assert found == f"https://contoso.operations.dynamics.com/?{query}"


def test_a_camunda_job_leads_to_cockpit_if_a_setting_says_where_that_is() -> None:
    link = failures_of("camunda").link
    assert link(target(BASIC), {"instance": "i-1"}) is None
    with_cockpit = target(BASIC, COCKPIT_URL=f"{COCKPIT}/")
    assert link(with_cockpit, {"instance": "i/1"}) == f"{COCKPIT}/#/process-instance/i%2F1/runtime"
    assert link(with_cockpit, {}) is None


def test_the_url_of_cockpit_is_checked() -> None:
    targets = Targets(settings("ONE", BASIC, COCKPIT_URL="https://user:hunter2@camunda.example.com"))
    assert "TARGETS__ONE__COCKPIT_URL" in targets.off["one"]
    assert "hunter2" not in targets.off["one"]


def test_no_link_is_made_up() -> None:
    without = {
        name for name, one in definitions().items() if one.failures and not one.failures.link(target(IDENTITY), {})
    }
    assert without == {"camunda", "superoffice", "opendatadsl"}
