"""A local host in a process of its own: `python -m benchmarks.host_process`.

The host, its task hub and its HTTP server then share no interpreter with what measures.
"""

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.processes import Parent
from benchmarks.turns import Turns
from local.clock import LocalClock
from local.environment import ROOT
from local.extension import Extension
from local.host.host import Host

_SAMPLE = {"PYTHON_THREADPOOL_THREAD_COUNT": "32"}
"""As in local.settings.sample.json."""


def main() -> None:
    """Run a host until the bench is gone."""
    parent = Parent()
    with ExitStack() as stack:
        host = _host(parent, stack)
        turns = Turns()
        host.watch_turns(turns.seen)
        parent.tell({"url": host.url, "key": host.function_key})
        parent.obey(
            {
                "workers": lambda: [*host.workers("http"), *host.workers("durable")],
                "cost": turns.of,
                "log": host.log,
            }
        )


def _host(parent: Parent, stack: ExitStack) -> Host:
    config = parent.config
    engine = config.get("engine")
    extension = stack.enter_context(Extension(Path(engine))) if engine else None
    clock = LocalClock(may_be_pushed=extension is None)
    stack.callback(clock.close)
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True))
    app = _with_host_json(Path(config["app"]), Path(folder))
    store = {"STORE": "sqlite", "STORE_PATH": str(Path(folder) / "store.db")}
    if extension and config.get("store") == "blob":
        store = {"STORE": "blob", "AzureWebJobsStorage": extension.storage}
    host = Host(
        app,
        {**_SAMPLE, **store, **config["settings"]},
        clock=clock,
        hub=extension.hub(app / "host.json") if extension else None,
        azure_latency=bool(config.get("azure_latency")),
    )
    return stack.enter_context(host)


def _with_host_json(app: Path, folder: Path) -> Path:
    """Return the directory of an app; one that has no host.json is copied, and gets that of the product."""
    if (app / "host.json").is_file():
        return app
    for file in (ROOT / "host.json", app / "function_app.py"):
        shutil.copy(file, folder)
    return folder


if __name__ == "__main__":
    main()
