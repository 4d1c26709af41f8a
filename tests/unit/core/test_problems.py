"""The tree of problems: what it says in its docstring is what there is, and each problem tells what to do next."""

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from shared.core import problems
from shared.core.problems import ItemProblem, Mistake, NotReady, Problem, RefusedBySystem, StoreError, catalogue
from shared.core.response import Response

BRANCH = re.compile(r"(?P<lead>[| ]*)(?:\|--|`--) (?P<name>\w+)(?: +(?P<status>\d{3})(?= ))? +(?P<next>\S.*)")


@dataclass(frozen=True)
class Line:
    """One line of the tree in the docstring."""

    name: str
    parent: str
    status: int


def drawn() -> list[Line]:
    """Return the tree as the docstring draws it; a line without a status has that of the line above it."""
    found: list[Line] = []
    above: list[Line] = []
    for text in (inspect.getdoc(problems) or "").splitlines():
        if root := re.fullmatch(r" {0,4}(Problem|StoreError)(?: .*)?", text):
            above = [Line(root[1], "", 0)]
        elif branch := BRANCH.fullmatch(text):
            depth = (len(branch["lead"]) - len("    ")) // 4 + 1
            above = above[:depth]
            found.append(Line(branch["name"], above[-1].name, int(branch["status"] or above[-1].status)))
            above.append(found[-1])
    return found


def below(kind: type[Exception]) -> Iterator[type[Exception]]:
    for child in kind.__subclasses__():
        yield child
        yield from below(child)


KINDS = [kind for kind in (*below(Problem), *below(StoreError)) if kind.__module__ == problems.__name__]
LEAVES = [kind for kind in KINDS if issubclass(kind, Problem) and not kind.__subclasses__()]


def test_the_docstring_draws_exactly_the_classes_that_there_are() -> None:
    lines = drawn()
    assert len(lines) > 25
    assert [line.name for line in lines] == list(dict.fromkeys(line.name for line in lines))
    assert {(line.name, line.parent) for line in lines} == {
        (kind.__name__, kind.__bases__[0].__name__) for kind in KINDS
    }


def test_the_docstring_tells_the_right_status() -> None:
    told = {line.name: line.status for line in drawn()}
    assert {kind.__name__: told[kind.__name__] for kind in LEAVES} == {kind.__name__: kind.status for kind in LEAVES}


@pytest.mark.parametrize("kind", LEAVES)
def test_every_problem_tells_what_it_is_and_what_to_do_next(kind: type[Problem]) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.slug)
    assert 400 <= kind.status <= 599
    assert kind.title[0].isupper()
    assert not kind.title.endswith(".")
    assert kind.next_step.endswith(".")
    assert kind.__doc__


def test_only_one_problem_may_be_repeated_as_it_is() -> None:
    assert [kind for kind in LEAVES if kind.status in (408, 429) or kind.status >= 500] == [NotReady]


def test_a_run_that_exists_never_answers_what_platforms_repeat() -> None:
    assert all(
        400 <= kind.status < 500 and kind.status not in (408, 429) for kind in LEAVES if issubclass(kind, ItemProblem)
    )


def test_no_two_problems_share_a_slug() -> None:
    own = [kind.slug for kind in KINDS if issubclass(kind, Problem) and vars(kind).get("slug")]
    assert len(own) == len(set(own))


def test_the_catalogue_has_every_problem_by_its_slug() -> None:
    told = catalogue()
    told.pop("", None)
    assert set(told) == {kind.slug for kind in LEAVES}
    assert all(kind.slug == slug for slug, kind in told.items())


def test_a_problem_as_text_carries_the_run() -> None:
    text = str(RefusedBySystem("It is locked.", run="20261123-ab"))
    assert text.startswith("refused-by-system: It is locked. ")
    assert text.endswith("(run 20261123-ab)")
    assert "(run" not in str(RefusedBySystem("It is locked."))


NOTHING_MORE: dict[str, object] = {
    "upstreamStatus": None,
    "upstreamCode": None,
    "rule": None,
    "wouldAllow": None,
    "names": [],
    "links": {"self": None},
}
"""The extension members of a problem that says no more than what RFC 9457 has."""


def test_a_problem_as_an_answer_is_that_of_rfc_9457() -> None:
    problem = RefusedBySystem("It is locked.", run="20261123-ab", members={"upstreamStatus": 500}, headers={"X-A": "b"})
    answer = problem.answer()
    assert (answer.status, answer.content_type) == (422, "application/problem+json")
    assert answer.headers == {"Nightshift-Run": "20261123-ab", "X-A": "b"}
    assert json.loads(answer.body) == {
        "type": "urn:nightshift:problem:refused-by-system",
        "title": "The system refused",
        "status": 422,
        "detail": "It is locked.",
        "next": RefusedBySystem.next_step,
        "run": "20261123-ab",
        "errors": [],
        **NOTHING_MORE,
        "upstreamStatus": 500,
    }


def test_what_only_the_app_needs_to_know_is_not_in_the_answer() -> None:
    told = json.loads(RefusedBySystem("It is locked.", members={"sent": False, "retryAfter": 3.5}).answer().body)
    assert not {"sent", "retryAfter"} & told.keys()


@pytest.mark.parametrize("kind", LEAVES)
def test_every_answer_has_the_members_of_rfc_9457(kind: type[Problem]) -> None:
    answer = kind("What happened.").answer()
    told = json.loads(answer.body)
    assert list(told) == ["type", "title", "status", "detail", "next", "run", "errors", *NOTHING_MORE]
    assert told["status"] == answer.status == kind.status
    assert told["type"] == f"urn:nightshift:problem:{kind.slug}"
    assert answer.headers == {}


def test_mistakes_are_members_of_errors_with_pointer_or_header() -> None:
    mistakes = (Mistake("at the root", ""), Mistake("here", "/a/0"), Mistake("there", header="Prefer"), Mistake("oh"))
    told = problems.NotValid("Wrong.", mistakes=mistakes).body().errors
    nowhere = {"pointer": None, "header": None, "parameter": None}
    assert [one.model_dump() for one in told] == [
        {**nowhere, "detail": "at the root", "pointer": ""},
        {**nowhere, "detail": "here", "pointer": "/a/0"},
        {**nowhere, "detail": "there", "header": "Prefer"},
        {**nowhere, "detail": "oh"},
    ]


def test_an_answer_keeps_its_bytes_when_headers_are_added() -> None:
    first = Response.of(200, {"name": "Ä"}, Nightshift_Run="r")
    more = first.with_headers({"A": "b"})
    assert (more.body, more.headers) == ('{"name":"Ä"}'.encode(), {"Nightshift-Run": "r", "A": "b"})
    assert first.headers == {"Nightshift-Run": "r"}
