"""The judge: what every example must end with, by the book of the system."""

from collections import Counter
from collections.abc import Iterator

from shared.core.outcome import Ending
from shared.runs import records
from shared.runs.report import Item
from shared.runs.spec import RunSpec
from tests.simulation.book import Effect
from tests.simulation.world import World

_MAY_BE = (Ending.DONE, Ending.UNKNOWN)


def judge(world: World) -> None:
    """Fail unless nothing was done twice, and what is told agrees with the book."""
    world.turned.turn(7200)
    world.system.come_to()
    book = world.system.book
    twice = {one: count for one, count in Counter((one.item, one.failure) for one in book).items() if count > 1}
    assert not twice, (twice, book)
    told = dict(_told(world))
    assert {one.run for one in book} <= {source.run for source, _ in told.values()}
    _is_handed_on_once(world)
    for run, (source, items) in told.items():
        assert len(items) == len({item.id for item in items}), (run, items)
        _agrees(run, source, {item.id: item for item in items}, book)


def _is_handed_on_once(world: World) -> None:
    """Fail if two runs have come to an item that both took of one run, whatever stopped the second one there."""
    specs = [spec for run in world.runs if (spec := records.known_spec(world.store, run)) and spec.taken_from]
    come_to = [
        (spec.taken_from, item.id)
        for spec in specs
        for item in records.all_items(world.store, spec.run)
        if item.outcome is not Ending.NOT_ATTEMPTED
    ]
    twice = {one: count for one, count in Counter(come_to).items() if count > 1}
    assert not twice, (twice, specs)


def _told(world: World) -> Iterator[tuple[str, tuple[RunSpec, list[Item]]]]:
    """Yield what each run tells, and the run that it tells of: a check tells of another one."""
    for run in world.runs:
        spec = records.known_spec(world.store, run)
        if spec and spec.mode == "perform":
            assert records.read_report(world.store, run), f"{run} never ended"
            yield run, (records.source_of(world.store, spec), list(records.all_items(world.store, run)))


def _agrees(run: str, source: RunSpec, items: dict[str, Item], book: list[Effect]) -> None:
    own = [one for one in book if one.run == source.run]
    if source.run == run:
        # Nothing was touched that nobody asked for.
        assert {one.item for one in own} <= items.keys(), (run, own)
    for one in own:
        assert one.item not in items or items[one.item].outcome in _MAY_BE, (run, items[one.item], book)
    for item in items.values():
        if item.outcome is Ending.DONE:
            shown = [one for one in book if one.item == item.id and (one.episode == item.episode or one in own)]
            assert shown, (run, item, book)
