"""Nightshift on one machine: the function app in the local host, a store in a file, and the simulated systems.

Hub and store live and die together, so every start begins empty.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from local.clock import LocalClock
from local.environment import ROOT
from local.host import Host
from local.systems import Landscape


class Machine:
    """All of it, started and stopped as one.

    Attributes:
        clock: The one clock of the host, the app and the systems.
        landscape: The simulated systems and the token issuer.
        host: The host that runs the function app.
        store_path: The file of the store.
    """

    def __init__(
        self,
        settings: Mapping[str, str] | None = None,
        *,
        more_targets: Callable[["Machine"], Mapping[str, str]] = lambda _: {},
        port: int = 0,
        deliver_twice: bool = False,
        durable_workers: int = 1,
        all_targets: bool = False,
    ) -> None:
        """Prepare it; nothing runs yet.

        Args:
            settings: More app settings, or other ones.
            more_targets: Gives settings that depend on the simulated systems.
            port: The port of the functions; 0 takes a free one.
            deliver_twice: Deliver every activity twice at once.
            durable_workers: How many processes run durable functions.
            all_targets: Have a target by managed identity, too; then neither is the default.
        """
        self.clock = LocalClock()
        self.landscape = Landscape(self.clock.now, self.clock.call_at)
        self._folder = tempfile.TemporaryDirectory(prefix="nightshift-", ignore_cleanup_errors=True)
        targets = {
            name: value for name, value in self.landscape.settings.items() if all_targets or "__FO_MI__" not in name
        }
        self.store_path = str(Path(self._folder.name) / "store.db")
        store = {"STORE": "sqlite", "STORE_PATH": self.store_path}
        self.host = Host(
            ROOT,
            {**targets, **store, **more_targets(self), **(settings or {})},
            clock=self.clock,
            port=port,
            deliver_twice=deliver_twice,
            durable_workers=durable_workers,
        )

    def __enter__(self) -> Self:
        self.landscape.start()
        try:
            self.host.start()
        except BaseException:
            self._stop_landscape()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.host.stop()
        self._stop_landscape()

    def _stop_landscape(self) -> None:
        self.landscape.stop()
        self.clock.close()
        self._folder.cleanup()
