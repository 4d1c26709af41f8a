"""Waves: items of a run that are tried together, before those that come after them."""

import secrets
from collections.abc import Iterator, Sequence

from shared.core.model import Plain
from shared.runs import records
from shared.runs.layout import PART, Layout, parts_of, size_of
from shared.runs.records import RunItem
from shared.runs.spec import RunSpec
from shared.storage.base import Store


class Wave(Plain):
    """Items that are tried together: `items` names their pages, `first` is the number of their first part."""

    number: int
    items: str
    count: int
    first: int
    size: int = PART
    """How many items a part has."""

    @property
    def layout(self) -> Layout:
        """Where the items of its parts are."""
        return Layout(self.items, self.size, self.first)

    @property
    def parts(self) -> range:
        """The numbers of its parts."""
        return range(self.first, self.first + parts_of(self.count, self.size))


def write(store: Store, spec: RunSpec, number: int, first: int, run_items: Sequence[RunItem]) -> Wave:
    """Store the items of a wave, in pages with a new name; `first` is the number of the wave's first part."""
    items, count = f"wave-{number}-{secrets.token_hex(4)}", len(run_items)
    records.write_items(store, spec.run, items, run_items)
    return Wave(number=number, items=items, count=count, first=first, size=size_of(spec, count))


def items_of(store: Store, run: str, wave: Wave) -> Iterator[RunItem]:
    """Yield the items of a wave."""
    for page in range(-(-wave.count // records.PAGE)):
        yield from records.read_items(store, run, wave.items, page)
