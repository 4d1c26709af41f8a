"""What an engine has, by its version: Camunda's own numbers, and those of its forks, which began anew."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.systems.camunda.versions import Feature, Version

FEATURES = get_args(Feature)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("7.24.0", Version(7, 24)),
        ("7.17.0", Version(7, 17)),
        ("1.0.3", Version(1, 0, 3)),
        ("2.1.4", Version(2, 1, 4)),
        ("7.24.0-SNAPSHOT", Version(7, 24)),
        ("7.21.3-ee", Version(7, 21, 3)),
        ("7.19.0-alpha3", Version(7, 19)),
        ("2.2.0-SNAPSHOT+a.1", Version(2, 2)),
        ("7.24", Version(7, 24)),
    ],
)
def test_a_version_is_read(text: str, version: Version) -> None:
    assert Version.read(text) == version


@pytest.mark.parametrize(
    "junk",
    [
        *[None, "", "7", "x", "v7.24.0", "7.24.0 ", "7.24.0\n", "7.x.0", "7..0", "7.24.0-", "-7.24.0", "\u0667.24.0"],
        *[7.24, 7, [], {}, b"7.24.0", "7.24.0-" + "x" * 65, "99999.1.1", "7.24.0.1"],
    ],
)
def test_junk_is_no_version(junk: object) -> None:
    assert Version.read(junk) is None


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("7.0.0", set[str]()),
        ("7.9.9", set[str]()),
        ("7.17.0", set[str]()),
        ("7.18.12", set[str]()),
        ("7.19.0", {"dueDate", "dates"}),
        ("7.23.0", {"dueDate", "dates"}),
        ("7.24.0", {"dueDate", "dates", "acquired"}),
        ("7.25.1-ee", {"dueDate", "dates", "acquired"}),
        ("7.100.0", {"dueDate", "dates", "acquired"}),
        ("1.0.0", {"dueDate", "dates"}),
        ("1.0.3", {"dueDate", "dates"}),
        ("1.99.0", {"dueDate", "dates"}),
        ("2.0.0", {"dueDate", "dates", "acquired"}),
        ("2.1.4", {"dueDate", "dates", "acquired"}),
        ("0.9.0", set[str]()),
        ("8.6.0", set[str]()),
    ],
)
def test_what_an_engine_has_follows_from_its_version(text: str, has: set[str]) -> None:
    version = Version.read(text)
    assert version is not None
    assert {feature for feature in FEATURES if version.has(feature)} == has


@given(major=st.sampled_from([1, 2, 7]), minor=st.integers(0, 99), more=st.integers(0, 99))
def test_a_newer_engine_of_the_same_major_has_no_less(major: int, minor: int, more: int) -> None:
    older, newer = Version(major, minor), Version(major, minor + more)
    assert all(newer.has(feature) for feature in FEATURES if older.has(feature))
