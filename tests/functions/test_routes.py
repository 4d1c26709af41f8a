"""Routes: no two functions may match the same request."""

import itertools

import pytest

from local import generated_docs


def overlap(one: list[str], other: list[str]) -> bool:
    """Tell whether a path exists that both routes match, given as segments in lower case."""
    if not one and not other:
        return True
    for here, there in ((one, other), (other, one)):
        if here and here[0].startswith("{*"):
            # It takes any number of the other's segments, none too.
            return any(overlap(here[1:], there[count:]) for count in range(len(there) + 1))
        if here and not there and not here[0].endswith("?}"):
            return False
        if here and not there:
            return overlap(here[1:], there)
    literal = "{" not in one[0] and "{" not in other[0]
    return (not literal or one[0] == other[0]) and overlap(one[1:], other[1:])


def segments(route: str) -> list[str]:
    return route.lower().strip("/").split("/")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("health", "Health", True),
        ("health", "healthy", False),
        ("runs", "runs/{id}", False),
        ("runs/{id}", "runs/{id}/result", False),
        ("runs/{id}", "runs/latest", True),
        ("runs/{id}/result", "runs/{run}/{what}", True),
        ("runs/{id?}", "runs", True),
        ("items/{target}/{*id}", "items/{target}", True),
        ("items/{target}/{*id}", "items", False),
        ("business-central/{*root}", "business-central/api/v2.0/$batch", True),
        ("business-central/{*root}", "camunda/job/retries", False),
        ("{*all}", "health", True),
        ("{system}/data", "finance-operations/{what}", True),
        ("v-{id}", "{name}", True),
    ],
)
def test_overlapping_routes_are_recognised(one: str, other: str, *, expected: bool) -> None:
    assert overlap(segments(one), segments(other)) is expected
    assert overlap(segments(other), segments(one)) is expected


def routes() -> list[tuple[str, str, str]]:
    """Return name, method and route of every HTTP function."""
    found = generated_docs.http_functions()
    return [(one.name, method, one.route) for one in found for method in one.methods]


def test_no_two_functions_with_the_same_method_match_the_same_path() -> None:
    """The host takes the one that is registered first, however exactly another one fits."""
    told = routes()
    assert len(told) >= 5
    pairs = itertools.combinations(told, 2)
    assert [
        (one, other) for one, other in pairs if one[1] == other[1] and overlap(segments(one[2]), segments(other[2]))
    ] == []


def test_every_function_has_one_method_but_for_the_handshake_of_cloud_events() -> None:
    names = [name for name, method, _ in routes() if (name, method) != ("batch_job_event", "OPTIONS")]
    assert names == list(dict.fromkeys(names))
