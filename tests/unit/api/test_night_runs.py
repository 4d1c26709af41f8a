"""The runs of a night, while one is in the list that was never recorded: the call that began it has died."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shared.api import night_runs
from shared.api.night_runs import Here
from shared.core.settings import Settings
from shared.runs import index, records
from shared.runs.spec import RunSpec
from shared.storage.sqlite import SqliteStore

NOW = datetime(2026, 11, 27, 3, 0, tzinfo=UTC)
UNUSED: Any = None


class All:
    """A caller who may see everything."""

    def sees(self, *_: object) -> bool:
        return True


ALL: Any = All()


def recorded(store: SqliteStore, function: str, origin: str, **more: object) -> RunSpec:
    members = {"run": "20261127-a", "ticket": "t", "function": function, "system": "finance-operations", "base": ""}
    members |= {"shape": "items", "target": "fo", "origin": origin, "actor": "key"}
    spec = RunSpec.model_validate({**members, "created": NOW, "give_up": NOW, **more})
    records.write_spec(store, spec, [])
    index.add(store, spec.model_copy(update={"run": "20261127-dead"}))
    return spec


def test_a_run_by_hand_that_was_never_recorded_hides_no_night(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "store.db"))
    spec = recorded(store, "apply", "http", plan="20261127-plan")
    assert night_runs._by_hand(store, NOW.date(), NOW.date()) == [spec]  # noqa: SLF001 - its callers ask the engine


def test_the_events_of_a_night_are_all_counted_on_a_day_that_has_many_more(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "store.db"))
    spec = recorded(store, "batch_job_event", "event")
    for number in range(1010):
        later = {"run": f"20261127-{number}", "created": NOW + timedelta(hours=9)}
        records.write_spec(store, spec.model_copy(update=later), [])
    here = Here(store, UNUSED, Settings(), "", NOW, ALL)
    found = night_runs._of_events(here, NOW - timedelta(hours=1), NOW + timedelta(hours=1))  # noqa: SLF001 - as above
    assert found == ([spec], True)


def test_a_run_of_an_event_that_was_never_recorded_hides_no_night(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "store.db"))
    spec = recorded(store, "batch_job_event", "event")
    here = Here(store, UNUSED, Settings(), "", NOW, ALL)
    found = night_runs._of_events(here, NOW - timedelta(hours=1), NOW + timedelta(hours=1))  # noqa: SLF001 - as above
    assert found == ([spec], True)
