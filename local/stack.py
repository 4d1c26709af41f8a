"""Nightshift on one machine: the function app in the local host, a store in a file, and the simulated systems.

Hub and store live and die together, so every start begins empty.
"""

import secrets
import tempfile
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from local.clock import LocalClock
from local.environment import ROOT
from local.extension import Extension
from local.host.host import Host
from local.simulators.landscape import SYSTEMS, Landscape

_SAMPLE = {"PYTHON_THREADPOOL_THREAD_COUNT": "32"}
"""As in local.settings.sample.json: on one core, Python itself would have 5 threads."""


class Machine:
    """All of it, started and stopped as one.

    Attributes:
        clock: The one clock of the host, the app and the systems.
        landscape: The simulated systems and the token issuer.
        host: The host that runs the function app.
        store_path: The file of the store, where that is one.
    """

    def __init__(  # noqa: PLR0913 - each is a choice of its own, and has a default
        self,
        settings: Mapping[str, str] | None = None,
        *,
        more_targets: Callable[["Machine"], Mapping[str, str]] = lambda _: {},
        port: int = 0,
        deliver_twice: bool = False,
        durable_workers: int = 1,
        all_targets: bool = False,
        azure_latency: bool = False,
        extension: Extension | None = None,
        systems: Collection[str] = SYSTEMS,
        ports: Mapping[str, int] | None = None,
        function_key: str | None = None,
    ) -> None:
        """Prepare it; nothing runs yet.

        Args:
            settings: More app settings, or other ones.
            more_targets: Gives settings that depend on the simulated systems.
            port: The port of the functions; 0 takes a free one.
            deliver_twice: Deliver every activity twice at once.
            durable_workers: How many processes run durable functions.
            all_targets: Have a target by managed identity, too; then neither is the default.
            azure_latency: Take starts up as late as where HTTP and durable functions run on different machines.
            extension: Run on the Durable extension and Azurite; then nobody can push the clock.
            systems: The systems to simulate; the settings name targets of the others.
            ports: The ports of the simulated systems and of the issuer; free ones where none is given.
            function_key: The key that opens all functions of level FUNCTION; a random one if none is given.

        Raises:
            PortError: one of the ports can't be used.
        """
        self.clock = LocalClock(may_be_pushed=extension is None)
        self.landscape = Landscape(self.clock.now, self.clock.call_at, systems=systems, ports=ports)
        self._folder = tempfile.TemporaryDirectory(prefix="nightshift-", ignore_cleanup_errors=True)
        targets = {
            name: value for name, value in self.landscape.settings.items() if all_targets or "__FO_MI__" not in name
        }
        self.store_path = str(Path(self._folder.name) / "store.db")
        self._extension = extension
        self._settings = {**_SAMPLE, **targets, **self._store(), **more_targets(self), **(settings or {})}
        self._workers = {"deliver_twice": deliver_twice, "durable_workers": durable_workers}
        self._azure_latency = azure_latency
        # All hosts of an app have the same keys.
        self._keys = {
            "function_key": function_key or secrets.token_urlsafe(32),
            "master_key": secrets.token_urlsafe(32),
        }
        self.host = self.another_host(port)

    @property
    def is_real(self) -> bool:
        """Whether it runs on the extension, by the real time."""
        return self._extension is not None

    def wait(self, seconds: float) -> None:
        """Let some seconds pass: at once where the clock can be pushed."""
        if self.is_real:
            time.sleep(seconds)
        else:
            self.clock.advance(seconds)

    def another_host(self, port: int = 0, *, serves_only: bool = False) -> Host:
        """Return another host of the same app, store and systems; it isn't started.

        On the extension it works on the same task hub, as where an app scales out; by itself each has its own.

        Args:
            port: The port of the functions; 0 takes a free one.
            serves_only: It takes no durable work, as an instance that serves HTTP where functions scale apart.
        """
        hub = self._extension.hub(ROOT / "host.json", client_only=serves_only) if self._extension else None
        return Host(
            ROOT,
            self._settings,
            clock=self.clock,
            port=port,
            deliver_twice=bool(self._workers["deliver_twice"]),
            durable_workers=int(self._workers["durable_workers"]),
            hub=hub,
            azure_latency=self._azure_latency,
            **self._keys,
        )

    def _store(self) -> dict[str, str]:
        if self._extension is None:
            return {"STORE": "sqlite", "STORE_PATH": self.store_path}
        container = self._extension.hub_name.lower()
        audit = {"AUDIT_CONTAINER": f"{container}-audit"}
        return {"STORE": "blob", "AzureWebJobsStorage": self._extension.storage, "STORE_CONTAINER": container, **audit}

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
