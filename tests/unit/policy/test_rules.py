"""The policy: which rule decides, what it allows, and how long a machine must wait."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.problems import NotValid
from shared.policy.rules import (
    Decision,
    Facts,
    Initiator,
    Rule,
    Rules,
    allowing,
    decide,
    matches,
    suggested_rule,
    too_soon,
)
from shared.validation.models import checked

FACTS = Facts("fo", "Invoice posting", "USMF", "Month's end")
NOW = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)


def rule(name: str, action: str = "allow", **more: object) -> Rule:
    return Rule.model_validate({"name": name, "action": action, **more})


def rules(*some: Rule) -> Rules:
    return Rules(rules=list(some))


@pytest.mark.parametrize("by", list(Initiator))
def test_the_first_rule_that_matches_decides(by: Initiator) -> None:
    no, yes = rule("no", "deny", company="us*"), rule("yes", cap=3, waits=[5, 10])
    assert decide(rules(no, yes), FACTS, by) == Decision(allowed=False, rule="no")
    assert decide(rules(yes, no), FACTS, by) == Decision(allowed=True, rule="yes", cap=3, waits=(5, 10))
    assert decide(rules(rule("other", "deny", company="DEMF"), yes), FACTS, by).rule == "yes"


@pytest.mark.parametrize("some", [(), (rule("other", target="another"),), (rule("other", "deny", job="another"),)])
def test_what_no_rule_matches_a_hand_may_touch_and_a_machine_may_not(some: tuple[Rule, ...]) -> None:
    assert decide(rules(*some), FACTS, Initiator.HAND) == Decision(allowed=True, rule=None)
    assert decide(rules(*some), FACTS, Initiator.MACHINE) == Decision(allowed=False, rule=None)


def test_a_decision_says_its_reason_to_a_person() -> None:
    assert decide(rules(rule("R 1")), FACTS, Initiator.MACHINE).reason == "Rule R 1 allows it."
    assert decide(rules(rule("R 1", "deny")), FACTS, Initiator.HAND).reason == "Rule R 1 denies it."
    assert decide(rules(), FACTS, Initiator.HAND).reason == "No rule denies it."
    assert decide(rules(), FACTS, Initiator.MACHINE).reason == "No rule allows it."


@pytest.mark.parametrize("field", ["target", "job", "company", "process"])
def test_all_patterns_of_a_rule_must_match(field: str) -> None:
    every = {"target": "FO", "job": "invoice*", "company": "usmf", "process": "*end"}
    assert matches(rule("r", **every), FACTS)
    assert not matches(rule("r", **{**every, field: "x"}), FACTS)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        *[("*", "", True), ("*", "any\nthing", True), ("a", "A", True), ("STRASSE", "straße", True)],
        *[("a*", "abc", True), ("*c", "ABC", True), ("a*c", "ac", True), ("a?c", "abc", True), ("a?c", "ac", False)],
        *[("[ab]", "[AB]", True), ("[ab]", "a", False), ("[!a]", "b", False), ("[", "[", True), ("]", "]", True)],
        *[("a", "ab", False), ("?", "\n", True), ("[[]", "[[]", True), ("[[]", "[", False), ("*[1]", "Post [1]", True)],
        *[("a.c", "abc", False)],
        *[("a\\*", "a\\b", True), ("", "", None), ("x" * 200, "X" * 200, True), ("x" * 201, "", None)],
    ],
)  # fmt: skip
def test_a_pattern_has_two_characters_of_its_own_and_no_case(pattern: str, text: str, *, expected: bool | None) -> None:
    if expected is None:
        with pytest.raises(NotValid):
            checked(Rule, {"name": "r", "action": "allow", "job": pattern})
    else:
        assert matches(rule("r", job=pattern), Facts("fo", text)) is expected


TARGETS = st.from_regex(r"[a-z0-9_]{1,20}", fullmatch=True)
TEXTS = st.text(max_size=200) | st.text(min_size=195, max_size=300) | st.text(alphabet="[]*?!-\\ aAßİ", max_size=20)


def narrowest(facts: Facts) -> Rule:
    wanted = allowing(facts)
    assert wanted is not None
    return wanted


@pytest.mark.parametrize("company", ["", "USMF"])
def test_no_rule_would_allow_an_item_without_job_and_process(company: str) -> None:
    assert allowing(Facts("fo", company=company)) is None
    assert suggested_rule(Facts("fo", company=company)) is None
    assert suggested_rule(Facts("fo", company=company, process="p")) is not None


def test_the_rule_that_would_allow_an_item_is_told_as_it_is_written() -> None:
    assert suggested_rule(Facts("fo", "Post *", "USMF")) == {
        "name": "allow it",
        "action": "allow",
        "target": "fo",
        "job": "Post ?",
        "company": "USMF",
        "process": "*",
        "cap": None,
        "waits": [],
        "startAgain": False,
    }


def test_a_rule_lets_a_task_start_again_only_if_it_says_so() -> None:
    rules: list[dict[str, object]] = [{"name": "reports", "action": "allow", "job": "REPORTER"}]
    again = Facts("so", "REPORTER", again=True)
    for by in Initiator:
        told = decide(Rules.model_validate({"rules": rules}), again, by)
        assert (told.allowed, told.lacks_rule, "startAgain" in told.reason) == (False, True, True)
    assert decide(Rules.model_validate({"rules": rules}), Facts("so", "REPORTER"), Initiator.MACHINE).allowed
    rules[0]["startAgain"] = True
    assert decide(Rules.model_validate({"rules": rules}), again, Initiator.MACHINE).allowed
    suggested = suggested_rule(again)
    assert suggested is not None
    assert decide(Rules.model_validate({"rules": [suggested]}), again, Initiator.MACHINE).allowed


def _named(field: str, text: str) -> Facts:
    more: dict[str, Any] = {field: text}
    return replace(Facts("fo", "j"), **more)


@pytest.mark.parametrize("field", ["job", "company", "process"])
def test_a_name_that_is_too_long_for_a_rule_is_cut(field: str) -> None:
    told = suggested_rule(_named(field, "x" * 200))
    assert told is not None
    assert told[field] == "x" * 200
    told = suggested_rule(_named(field, "x" * 201))
    assert told is not None
    assert told[field] == "x" * 199 + "*"


@given(TARGETS, TEXTS, TEXTS, TEXTS, st.sampled_from(list(Initiator)))
def test_the_rule_that_would_allow_an_item_allows_it_when_put_first(
    target: str, job: str, company: str, process: str, by: Initiator
) -> None:
    facts = Facts(target, job, company, process)
    wanted = allowing(facts)
    assert (wanted is None) is (not job and not process)
    if wanted is None:
        assert suggested_rule(facts) is None
        return
    assert Rule.model_validate(suggested_rule(facts)) == wanted
    decision = decide(rules(wanted, rule("nothing", "deny")), facts, by)
    assert (decision.allowed, decision.rule) == (True, wanted.name)


@given(TARGETS, *[st.text(alphabet="[]?!-\\ abc", min_size=1, max_size=8)] * 2)
def test_the_rule_that_would_allow_an_item_allows_no_longer_or_shorter_name(
    target: str, job: str, company: str
) -> None:
    wanted = narrowest(Facts(target, job, company))
    for other in (
        Facts(target, job + "a", company),
        Facts(target, job, company[:-1]),
        Facts(f"{target}x", job, company),
    ):
        assert not matches(wanted, other)


@given(TARGETS, st.text(alphabet="[]!-\\ abc", min_size=1, max_size=8), st.text(alphabet="[]!-\\ abc", max_size=8))
def test_the_rule_that_would_allow_an_item_allows_exactly_that_name(target: str, job: str, other: str) -> None:
    assert matches(narrowest(Facts(target, job)), Facts(target, other)) is (job == other)


@pytest.mark.parametrize(
    ("waits", "attempts", "ago", "left"),
    [
        ((), 1, 0, None),
        ((5,), 0, 0, None),
        ((5,), 1, None, None),
        ((5,), 1, 0, 5),
        ((5,), 1, 4, 1),
        ((5,), 1, 5, None),
        ((5,), 1, 6, None),
        ((5, 60), 1, 4, 1),
        ((5, 60), 2, 4, 56),
        ((5, 60), 3, 4, 56),
        ((5, 60), 100, 60, None),
        ((0, 60), 1, 0, None),
        ((1440,), 1, -1, 1441),
    ],
)
def test_a_machine_waits_as_long_as_the_attempts_so_far_say(
    waits: tuple[int, ...], attempts: int, ago: int | None, left: int | None
) -> None:
    last = None if ago is None else NOW - timedelta(minutes=ago)
    expected = None if left is None else NOW + timedelta(minutes=left)
    assert too_soon(waits, attempts, last, NOW) == expected


def test_each_rule_has_a_name_of_its_own() -> None:
    with pytest.raises(NotValid) as caught:
        checked(Rules, {"rules": [{"name": name, "action": "deny"} for name in ("b", "a", "b", "c", "a")]})
    assert "duplicates: a, b" in caught.value.mistakes[0].detail
    assert len(rules(rule("a"), rule("A")).rules) == 2


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"name": ""}, "/rules/0/name"),
        ({"name": "x" * 65}, "/rules/0/name"),
        ({"name": "a\nb<"}, "/rules/0/name"),
        ({"action": "Allow"}, "/rules/0/action"),
        ({"cap": 0}, "/rules/0/cap"),
        ({"cap": 101}, "/rules/0/cap"),
        ({"cap": True}, "/rules/0/cap"),
        ({"waits": [-1]}, "/rules/0/waits/0"),
        ({"waits": [1441]}, "/rules/0/waits/0"),
        ({"waits": [0] * 21}, "/rules/0/waits"),
        ({"jobs": "*"}, "/rules/0/jobs"),
        ({"target": None}, "/rules/0/target"),
    ],
)
def test_a_rule_that_is_written_wrongly_is_pointed_at(wrong: dict[str, object], pointer: str) -> None:
    with pytest.raises(NotValid) as caught:
        checked(Rules, {"rules": [{"name": "r", "action": "allow", **wrong}]})
    assert [mistake.pointer for mistake in caught.value.mistakes] == [pointer]
