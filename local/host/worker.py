"""A worker process: it indexes the app and runs what the host sends it.

The host starts it as `python -m local.host.worker` and writes one line of JSON to its standard input: where to connect,
the secret of this start, and the app's directory.
"""

import asyncio
import atexit
import json
import logging
import os
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

# The library has no type hints.
import azure_functions_runtime as runtime  # type: ignore[import-untyped]

from local.host import answers, protos
from local.host.frames import Channel, Header
from local.host.worker_clock import WorkerClock
from shared.core import clock as core_clock

_log = logging.getLogger("worker")


class Worker:
    """One worker process's work: invocations on its event loop, the host's messages in a thread of their own.

    A thread, so that the clock still answers when a function blocks the event loop, as it may on Azure.
    """

    def __init__(self, channel: Channel, clock: WorkerClock) -> None:
        self._channel = channel
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Run what the host sends until it says stop, or is gone."""
        threading.Thread(target=self._listen, name="host", daemon=True).start()
        await self._stopped.wait()

    def _listen(self) -> None:
        while (frame := self._channel.receive()) is not None:
            self._handle(*frame)
        self._loop.call_soon_threadsafe(self._stopped.set)

    def _handle(self, header: Header, body: bytes) -> None:
        match header["type"]:
            case "invoke":
                self._loop.call_soon_threadsafe(self._start, header, body)
            case "clock":
                self._clock.follow(header["offset"], header["at"])
                self._channel.send({"type": "clock", "number": header["number"]})
            case "wake":
                self._clock.wake(header["sleep"])
            case "stop":
                self._loop.call_soon_threadsafe(self._stopped.set)

    def _start(self, header: Header, body: bytes) -> None:
        task = self._loop.create_task(self._invoke(header, body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _invoke(self, header: Header, body: bytes) -> None:
        # The library sets this for sync functions only; a sleeping async function must be known as well.
        runtime.invocation_id_cv.set(header["id"])
        inputs = {item["name"]: _typed_data(item, body) for item in header["inputs"]}
        request = protos.invocation(header["id"], header["function_id"], inputs)
        response = await runtime.invocation_request(request)
        answer, data = _answer(response)
        if not answer["ok"]:
            _log.error("The function %s failed: %s", header["function"], answer["trace"])
        self._channel.send({"type": "result", "id": header["id"], **answer}, data)


def _typed_data(item: Header, body: bytes) -> protos.TypedData:
    match item["type"]:
        case "http":
            data = protos.TypedData(bytes=body)
            fields = ("method", "url", "headers", "query", "params")
            http = protos.RpcHttp(body=data, **{field: item[field] for field in fields})
            return protos.TypedData(http=http)
        case "body":
            return protos.TypedData(**{item["as"]: body.decode()})
        case _:
            return protos.TypedData(string=item["text"])


def _answer(response: Any) -> tuple[Header, bytes]:  # noqa: ANN401 - an untyped message
    exception = response.result.exception
    if exception is not None:
        return {"ok": False, "error": exception.message, "trace": exception.stack_trace}, b""
    try:
        header, body = answers.encode(response.return_value)
    except Exception as error:  # noqa: BLE001 - whatever it is, the host waits for an answer
        _log.exception("An answer can't be sent")
        return {"ok": False, "error": f"{type(error).__name__}: {error}", "trace": ""}, b""
    return {"ok": True, **header}, body


async def _index(directory: str) -> Header:
    runtime.start_threadpool_executor()
    init = protos.request(worker_init_request=protos.request(capabilities={}, function_app_directory=directory).request)
    init.properties = {"host": "127.0.0.1", "protos": protos}
    result = (await runtime.worker_init_request(init)).result
    if result.exception is not None:
        _log.error("The app can't be indexed: %s", result.exception.stack_trace)
        return {"type": "failed", "message": result.exception.message}
    indexed = (await runtime.functions_metadata_request(None)).function_metadata_results or []
    functions = [{"name": item.name, "id": item.function_id, "bindings": item.raw_bindings} for item in indexed]
    return {"type": "ready", "functions": functions}


async def _serve(channel: Channel, config: Header) -> None:
    clock = WorkerClock(channel, config["offset"], config["at"])
    core_clock.use(clock)
    worker = Worker(channel, clock)
    message = await _index(config["directory"])
    channel.send(message)
    if message["type"] == "ready":
        await worker.run()
    _leave()


def _configure_logging() -> None:
    warnings = logging.StreamHandler(sys.stderr)
    warnings.setLevel(logging.WARNING)
    others = logging.StreamHandler(sys.stdout)
    others.addFilter(lambda record: record.levelno < logging.WARNING)
    logging.basicConfig(
        level=logging.INFO, handlers=[warnings, others], format="%(levelname)s %(name)s: %(message)s", force=True
    )
    # What the library says at INFO while it indexes grows with the square of the number of functions.
    logging.getLogger("azure.functions").setLevel(logging.WARNING)


def _enter_app(directory: str) -> None:
    # The library imports the app by the name of its file; the repository itself stays importable after it.
    root = str(Path.cwd())
    sys.path[:] = [directory, root, *(entry for entry in sys.path if entry not in {"", root, directory})]
    os.chdir(directory)


def _leave() -> None:
    # A function may still sleep in a thread that a normal exit would wait for; what was registered to be done at exit
    # (coverage's data, flushed logs) is done all the same.
    atexit._run_exitfuncs()  # noqa: SLF001 - nothing public does it without waiting
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def main() -> None:
    """Connect to the host, and run the app until it says stop."""
    # Where these reach every process of a terminal or a service, the host is the one that says when to stop.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    config = json.loads(sys.stdin.buffer.readline())
    _configure_logging()
    _enter_app(config["directory"])
    channel = Channel(socket.create_connection(("127.0.0.1", config["port"])))
    channel.send({"type": "hello", "secret": config["secret"], "worker": config["worker"], "pid": os.getpid()})
    asyncio.run(_serve(channel, config))


if __name__ == "__main__":
    main()
