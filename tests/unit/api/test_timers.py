"""A night that can't begin for one target begins for the others."""

import asyncio
from typing import Any

import pytest

from shared.api import timers
from shared.core.problems import NotReady
from shared.core.targets import Target

NIGHT: Any = None


def target(name: str) -> Target:
    return Target(name=name, system="finance-operations", url="https://fo.example", auth="managed-identity")


def begun(names: str, problem: Exception) -> list[str]:
    """Begin the night of some targets; the one that is named `x` fails."""
    seen = list[str]()

    async def begin(one: Target, night: object) -> None:
        assert night is NIGHT
        if one.name == "x":
            raise problem
        seen.append(one.name)

    asyncio.run(timers.for_each("nightly_batch", [(target(name), NIGHT) for name in names], begin))
    return seen


def test_one_target_that_fails_keeps_no_other_from_its_night() -> None:
    assert begun("axb", ValueError("damaged")) == ["a", "b"]


def test_a_tick_fails_while_the_store_is_away() -> None:
    with pytest.raises(NotReady):
        begun("axb", NotReady("away"))
