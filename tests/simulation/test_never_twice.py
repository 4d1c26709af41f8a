"""Whoever calls, dies, pauses or comes twice: nothing takes effect twice, and what is told is what is in the book.

Retries by hand, applies of a plan, nights, events and checks are interleaved step by step, for all three ways of
sending. The book of the simulated system is the judge.
"""

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.conftest import PROFILE
from tests.simulation.calls import Calls, Deed
from tests.simulation.camunda import Camunda
from tests.simulation.central import Central
from tests.simulation.finance import Finance
from tests.simulation.judge import judge
from tests.simulation.plays import QUARREL, Move, Story, play, stories, tell
from tests.simulation.world import App

pytestmark = pytest.mark.slow

_QUICK = (Phase.explicit, Phase.reuse, Phase.generate)
"""To shrink a play takes minutes; the thorough profile takes up the one that failed, and shrinks it."""
MANY = settings(
    max_examples=90 if PROFILE == "thorough" else 15,
    phases=(*_QUICK, Phase.shrink) if PROFILE == "thorough" else _QUICK,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
RETRIES = ("retry", "other retry", "some", "newest", "keyed", "check", "cancel", "housekeeping")


def retries(calls: Calls, run: str, some: str, **check: object) -> dict[str, Callable[[], Deed]]:
    """Return who may want what a run left."""
    return {
        "retry": lambda: calls.retry(run, "a"),
        "other retry": lambda: calls.retry(run, "b"),
        "some": lambda: calls.retry_known(run, "c", some, only=[some]),
        "newest": lambda: calls.retry(calls.newest(), "d"),
        "keyed": lambda: calls.retry(run, "e", key="k"),
        "check": lambda: calls.check(run, **check),
        "cancel": lambda: calls.cancel(run),
        "housekeeping": calls.housekeeping,
    }


@MANY
@given(stories(*RETRIES, "again", "night", "event", "apply", "apply some"))
def test_one_item_by_each_call(app: App, story: Story) -> None:
    with app.world_of(lambda: Finance(("1", "2", "9"))) as world:
        calls = Calls(world)
        world.begin("plan", calls.first(("1", "2"), dryRun=True))
        world.carry_on()
        first = calls.first(("1", "2"), giveUpAfter=story.give_up)
        scenes = retries(calls, "20261123-00000000000000000001", "1") | {
            "again": lambda: calls.first(("1",)),
            "night": calls.night,
            "event": lambda: calls.event("1"),
            "apply": lambda: calls.apply(world.runs[0]),
            "apply some": lambda: calls.apply(world.runs[0], only=["2"]),
        }
        tell(world, first, story, scenes)
        judge(world)


@MANY
@given(stories(*RETRIES, "repeat"))
def test_many_items_by_one_call(app: App, story: Story) -> None:
    with app.world_of(lambda: Camunda(("a", "b", "c", "z"))) as world:
        calls = Calls(world)
        first = calls.first(("a", "b", "c"), "k", giveUpAfter=story.give_up)
        scenes = retries(calls, "20261123-00000000000000000000", "a") | {"repeat": lambda: first}
        tell(world, first, story, scenes)
        judge(world)


@MANY
@given(stories("night", "apply", "apply some", "check", "housekeeping"))
def test_many_items_by_one_call_of_a_machine(app: App, story: Story) -> None:
    with app.world_of(lambda: Camunda(("a", "b", "c"))) as world:
        calls = Calls(world)
        world.begin("plan", calls.first(("a", "b"), dryRun=True))
        world.carry_on()
        scenes: dict[str, Callable[[], Deed]] = {
            "night": calls.night,
            "apply": lambda: calls.apply(world.runs[0]),
            "apply some": lambda: calls.apply(world.runs[0], only=["a"]),
            "check": lambda: calls.check(calls.newest()),
            "housekeeping": calls.housekeeping,
        }
        tell(world, calls.night(), story, scenes)
        judge(world)


@MANY
@given(stories(*RETRIES, "mended", "night", "repeat"), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 2))
def test_a_chunk_of_operations(
    app: App,
    story: Story,
    settles: bool,  # noqa: FBT001 - hypothesis passes them by place
    continues: bool,  # noqa: FBT001
    refused: bool,  # noqa: FBT001
    busy: int,
) -> None:
    with app.world_of(lambda: Central("1234", "2" if refused else "")) as world:
        assert isinstance(world.system, Central)
        world.system.busy = busy
        calls = Calls(world, continues)
        options = {"settleBy": ["documentNumber"]} if settles else {}
        first = calls.first("1234", "k", giveUpAfter=story.give_up, **options)
        run, mended = "20261123-00000000000000000000", {"documentNumber": "2", "mended": True}
        scenes = retries(calls, run, "1", **({} if settles else {"settleBy": ["documentNumber"]})) | {
            "night": calls.night,
            "repeat": lambda: first,
            "mended": lambda: calls.retry_known(run, "m", "2", replace={"2": mended}),
        }
        tell(world, first, story, scenes)
        judge(world)


@MANY
@given(
    st.lists(st.sampled_from(["retry", "other retry", "some", "keyed", "repeat", "night"]), min_size=2, max_size=4),
    QUARREL,
)
def test_several_who_want_what_a_run_left(app: App, names: list[str], moves: list[Move]) -> None:
    """A1, A2, A3: what a run left is sent once, whoever wants it, and whatever of them stands still or dies."""
    with app.world_of(lambda: Central("1234")) as world:
        calls = Calls(world, continues=True)
        first = calls.first("1234", "k", giveUpAfter=0)
        scenes = retries(calls, "20261123-00000000000000000000", "1") | {
            "night": calls.night,
            "repeat": lambda: first,
        }
        tell(world, first, Story(["throttled"] * 2, give_up=0, ended=True, names=[], moves=[]), {})
        play(world, [(name, scenes[name]) for name in names], moves)
        # What is left may be retried, but by nobody whose items another one has.
        for run in list(world.runs):
            world.begin("last", calls.retry(run, "last"))
            world.carry_on()
        judge(world)


@MANY
@given(stories("apply", "apply some", "retry", "newest", "check", "housekeeping"))
def test_a_chunk_of_a_plan(app: App, story: Story) -> None:
    with app.world_of(lambda: Central("1234")) as world:
        calls = Calls(world)
        world.begin("plan", calls.first("1234", dryRun=True))
        world.carry_on()
        plan = world.runs[0]
        scenes = retries(calls, "20261123-00000000000000000001", "1", settleBy=["documentNumber"]) | {
            "apply": lambda: calls.apply(plan),
            "apply some": lambda: calls.apply(plan, only=["1", "2"]),
        }
        tell(world, calls.apply(plan), story, scenes)
        judge(world)
