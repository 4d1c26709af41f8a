"""Calls of the store at the same time, and in what order where that would gain nothing."""

import threading
from collections.abc import Iterator

import pytest

from shared.core.settings import app_settings
from shared.storage.parallel import both, each


@pytest.fixture
def remote(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A store that is a round trip away."""
    monkeypatch.setenv("STORE", "blob")
    app_settings.cache_clear()
    yield
    monkeypatch.undo()
    app_settings.cache_clear()


@pytest.mark.usefixtures("remote")
def test_calls_that_call_several_themselves_do_not_wait_for_each_other() -> None:
    def several(number: int) -> int:
        return sum(each(lambda more: number * more, range(3)))

    assert each(several, range(100)) == [3 * number for number in range(100)]
    assert each(lambda number: both(lambda: number, lambda: -number), range(100)) == [(n, -n) for n in range(100)]


@pytest.mark.usefixtures("remote")
def test_both_are_at_work_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=10)
    assert both(lambda: meeting.wait() >= 0, lambda: meeting.wait() >= 0) == (True, True)


@pytest.mark.usefixtures("remote")
def test_what_fails_is_raised_when_the_other_has_ended() -> None:
    done = threading.Event()

    def fails() -> None:
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        both(done.set, fails)
    assert done.is_set()
    with pytest.raises(KeyError, match="gone"):
        both(fails, done.is_set)


def test_a_file_is_called_by_one_thread() -> None:
    assert app_settings().store == "sqlite"
    here = threading.get_ident()
    assert set(each(lambda _: threading.get_ident(), range(20))) == {here}
    assert both(threading.get_ident, threading.get_ident) == (here, here)
