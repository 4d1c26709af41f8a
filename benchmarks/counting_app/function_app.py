"""The app itself, with each call of its store written down: one line in the file that BENCH_STORE_CALLS names.

Only the bench runs it: the app knows nothing of being counted.
"""

import importlib.util
import os
from collections.abc import Callable
from typing import Any

from local.environment import ROOT
from shared.core.settings import Settings
from shared.storage import app as storage
from shared.storage.base import Store

_file = os.open(os.environ["BENCH_STORE_CALLS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
_open_store = storage.open_store


class CountedStore:
    """A store that writes down its calls: the method and the key."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the store has
        found = getattr(self._store, name)
        return _counted(name, found) if callable(found) else found


def _counted(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def counted(*given: Any, **named: Any) -> Any:  # noqa: ANN401 - as above
        key = given[0] if given else next(iter(named.values()), "")
        # One write, so that lines of several processes don't mix.
        os.write(_file, f"{name} {key}\n".encode())
        return method(*given, **named)

    return counted


def _open_counted(settings: Settings) -> Any:  # noqa: ANN401 - it has what a store has
    return CountedStore(_open_store(settings))


storage.open_store = _open_counted
_spec = importlib.util.spec_from_file_location("counted_function_app", ROOT / "function_app.py")
if _spec is None or _spec.loader is None:
    raise ImportError("There is no function_app.py.")
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
app = _module.app
