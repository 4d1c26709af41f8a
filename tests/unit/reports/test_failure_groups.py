"""Failures in groups: nothing is lost, nothing is counted twice, and the largest group comes first."""

from datetime import UTC, datetime
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from shared.reports.failures import By, Failure, grouped, key_of
from shared.runs.report import About

NAMES = st.sampled_from([None, "a", "b", "c"])
FAILURES = st.builds(
    Failure,
    id=st.integers(0, 999).map(str),
    target=st.sampled_from(["fo", "bc"]),
    system=st.just("finance-operations"),
    about=st.builds(About, job=NAMES, company=NAMES),
    cause=NAMES,
    failed=st.none() | st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - with the zones
    allowed=st.booleans(),
    rule=NAMES,
    reason=st.just("No rule allows it."),
)


def failure(name: str, **more: object) -> Failure:
    known = {"id": name, "target": "fo", "system": "finance-operations", "about": About(job="Post", company="USMF")}
    return Failure.model_validate({**known, "allowed": False, "reason": "No rule allows it.", **more})


@given(st.lists(FAILURES, max_size=40), st.sampled_from(get_args(By)))
def test_each_failure_is_in_one_group(failures: list[Failure], by: By) -> None:
    groups = grouped(failures, by)
    assert sum(group.count for group in groups) == len(failures)
    assert {group.key for group in groups} == {key_of(one, by) for one in failures}
    assert len({group.key for group in groups}) == len(groups)
    for group in groups:
        own = [one for one in failures if key_of(one, by) == group.key]
        assert group.count == len(own)
        assert group.policy.allow + group.policy.deny + group.policy.none == group.count
        assert [one.id for one in group.examples] == [one.id for one in own[:3]]
        assert group.targets == sorted({one.target for one in own})


@given(st.lists(FAILURES, max_size=40), st.sampled_from(get_args(By)))
def test_the_largest_group_comes_first_and_the_order_of_failures_does_not_matter(
    failures: list[Failure], by: By
) -> None:
    groups = grouped(failures, by)
    assert [group.count for group in groups] == sorted((group.count for group in groups), reverse=True)
    turned = grouped(failures[::-1], by)
    assert [(one.key, one.count, one.oldest, one.newest) for one in turned] == [
        (one.key, one.count, one.oldest, one.newest) for one in groups
    ]


def test_a_group_says_since_when_and_what_the_policy_says() -> None:
    first, last = datetime(2026, 11, 24, 1, tzinfo=UTC), datetime(2026, 11, 24, 3, tzinfo=UTC)
    some = [
        failure("1", failed=last, allowed=True, rule="payroll"),
        failure("2", failed=first, rule="no payments"),
        failure("3"),
    ]
    [group] = grouped(some, "job")
    assert (group.oldest, group.newest, group.count) == (first, last, 3)
    assert (group.policy.allow, group.policy.deny, group.policy.none) == (1, 1, 1)
    assert [(one.name, one.count) for one in group.policy.rules] == [("no payments", 1), ("payroll", 1)]


def test_failures_without_a_cause_are_one_group() -> None:
    groups = grouped([failure("1"), failure("2", cause="SMTP"), failure("3", target="fo2")], "cause")
    assert [(one.key, one.count, one.targets) for one in groups] == [(None, 2, ["fo", "fo2"]), ("SMTP", 1, ["fo"])]
    assert [(one.name, one.count) for one in groups[0].jobs] == [("Post", 2)]


def test_nothing_is_no_group() -> None:
    assert grouped([], "job") == []
