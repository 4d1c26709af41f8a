"""Worker processes: started, counted, replaced when they die, stopped."""

import asyncio
import contextlib
import json
import logging
import os
import secrets
import sys
from collections import deque
from collections.abc import Collection, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from local.clock import LocalClock
from local.host import frames
from local.host.errors import HostError
from local.host.frames import Header
from local.host.link import Link, WorkerLostError

type Role = Literal["http", "durable", "timer"]

_log = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[2]
_PASSED_ON = frozenset({"PATH", "SYSTEMROOT", "HOME", "USERPROFILE", "TEMP", "TMP", "TMPDIR"})
_PASSED_ON_PREFIXES = ("COVERAGE_", "PYTHON")
_START_SECONDS = 60.0
_STOP_SECONDS = 4.0
_RESTART_SECONDS = 0.5
_LINE_BYTES = 16 * 1024 * 1024


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a worker: the app's settings, and little of this process's own."""
    passed_on = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in _PASSED_ON or name.upper().startswith(_PASSED_ON_PREFIXES)
    }
    defaults = {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
    return passed_on | defaults | dict(settings)


@dataclass
class _Process:
    """A worker process from its start on; the link comes when it has connected."""

    role: Role
    number: int
    handle: asyncio.subprocess.Process
    connected: asyncio.Future[Link]

    @property
    def link(self) -> Link | None:
        """The link, if the process has connected and indexed the app."""
        link = self.connected.result() if self.connected.done() else None
        return link if link is not None and link.ready.done() and link.ready.exception() is None else None

    def ask_to_exit(self) -> None:
        """Ask the process to exit; one that doesn't listen yet is ended."""
        if self.link is not None:
            self.link.stop()
        else:
            self.kill()

    def kill(self) -> None:
        """End the process."""
        with contextlib.suppress(ProcessLookupError):
            self.handle.kill()


class Workers:
    """The worker processes of a host. All methods belong to the host's event loop, `work` and `log` to any thread."""

    def __init__(self, directory: Path, settings: Mapping[str, str], clock: LocalClock) -> None:
        self._directory = directory
        self._settings = settings
        self._clock = clock
        self._secret = secrets.token_hex(32)
        self._server: asyncio.Server | None = None
        self._processes: dict[int, _Process] = {}
        self._links: list[Link] = []
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: deque[str] = deque(maxlen=5000)
        self._numbers = 0
        self._stopping = False
        self._verbose = os.environ.get("NIGHTSHIFT_LOCAL_VERBOSE") == "1"

    async def start(self, roles: Collection[Role]) -> list[Header]:
        """Start a worker for each of `roles`, and return the functions as they were indexed.

        Raises:
            HostError: A worker could not be started, or the app not be indexed.
        """
        self._server = await asyncio.start_server(self._welcome, "127.0.0.1", 0)
        return await self.add(roles)

    async def add(self, roles: Collection[Role]) -> list[Header]:
        """Start more workers, one for each of `roles`; otherwise as `start`."""
        try:
            async with asyncio.timeout(_START_SECONDS):
                indexed = await asyncio.gather(*(self._spawn(role) for role in roles))
        except TimeoutError as error:
            raise HostError(f"A worker process was not ready within {_START_SECONDS:g} seconds.") from error
        except WorkerLostError as error:
            raise HostError(f"The app in {self._directory} can't be indexed: {error}\n{self._tail()}") from error
        return indexed[0]

    async def stop(self) -> None:
        """Ask all to exit, and end those that don't."""
        self._stopping = True
        processes = list(self._processes.values())
        for process in processes:
            process.ask_to_exit()
        # Each task ends when its process does.
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_SECONDS)
        for process in processes:
            process.kill()
        for task in self._tasks:
            task.cancel()
        if self._server is not None:
            self._server.close()
            # On Windows the process that was started may be a launcher: the real one ends with its connection.
            self._server.close_clients()

    def kill(self, role: Role) -> None:
        """End all workers of a role at once; others are started in their place."""
        for process in list(self._processes.values()):
            if process.role == role:
                process.kill()

    async def end(self, link: Link) -> None:
        """End one worker at once, and return when it is gone."""
        for process in list(self._processes.values()):
            if process.link is link:
                process.kill()
        await link.gone.wait()

    def ready(self, role: Role) -> list[Link]:
        """Return the workers of that role that can be given work."""
        return [link for link in self._links if link.role == role]

    async def wait_for(self, role: Role, other_than: Link | None = None) -> Link:
        """Return the worker of that role with the least in its hands, if possible another one than `other_than`."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.ready(role))
        return min(self.ready(role), key=lambda link: (link is other_than, link.load))

    async def tell_time(self) -> None:
        """Tell all workers the time, and return when they know it."""
        await asyncio.gather(*(link.tell_time() for link in self._links))

    def work(self) -> tuple[bool, set[object]]:
        """Tell whether anything runs that doesn't sleep, and the keys of what does sleep."""
        works = [link.work() for link in list(self._links)]
        return any(busy for busy, _ in works), {key for _, asleep in works for key in asleep}

    def log(self) -> str:
        """Return the last lines that the workers have written."""
        return "\n".join(list(self._lines))

    async def _spawn(self, role: Role) -> list[Header]:
        process = await self._start_process(role)
        first: set[asyncio.Future[Any]] = {asyncio.ensure_future(process.handle.wait()), process.connected}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if not process.connected.done():
            raise WorkerLostError("the worker process has ended before it was ready")
        link = process.connected.result()
        functions = await link.ready
        if not link.lost:
            await self._enlist(link)
        return functions

    async def _enlist(self, link: Link) -> None:
        # Listed first: a push of the clock that comes in between is told to this one too.
        self._links.append(link)
        await link.tell_time()
        async with self._changed:
            self._changed.notify_all()

    async def _start_process(self, role: Role) -> _Process:
        pipe = asyncio.subprocess.PIPE
        handle = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "local.host.worker", cwd=_ROOT, env=environment(self._settings),
            stdin=pipe, stdout=pipe, stderr=pipe, limit=_LINE_BYTES,
            # What a terminal or a supervisor sends to the whole group is not for workers: the host tells them to stop.
            process_group=0,
        )  # fmt: skip
        self._numbers += 1
        process = _Process(role, self._numbers, handle, asyncio.get_running_loop().create_future())
        self._processes[process.number] = process
        self._keep(self._follow(handle.stdout, forward=self._verbose))
        self._keep(self._follow(handle.stderr, forward=True))
        self._keep(self._watch(process))
        self._introduce(process)
        return process

    def _introduce(self, process: _Process) -> None:
        # By the standard input: neither a process list nor the app's settings may show the secret.
        port = self._server.sockets[0].getsockname()[1] if self._server else 0
        instant = self._clock.instant()
        config = {
            "port": port,
            "secret": self._secret,
            "worker": process.number,
            "directory": str(self._directory),
            "offset": instant.offset,
            "at": instant.at,
        }
        if process.handle.stdin is not None:
            process.handle.stdin.write(json.dumps(config).encode() + b"\n")

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            hello, _ = await frames.read(reader)
            process = self._processes.get(hello["worker"])
            if process is None or not secrets.compare_digest(hello["secret"], self._secret):
                writer.close()
                return
            link = Link(reader, writer, self._clock, hello["pid"], process.role)
            process.connected.set_result(link)
            await link.listen()
            if link in self._links:
                self._links.remove(link)

    async def _watch(self, process: _Process) -> None:
        code = await process.handle.wait()
        del self._processes[process.number]
        if process.link is not None and not self._stopping:
            self._say(f"A worker process ({process.role}, {process.link.pid}) ended with code {code}; starting another")
            await self._replace(process.role)

    async def _replace(self, role: Role) -> None:
        while not self._stopping:
            try:
                await self._spawn(role)
            except WorkerLostError as error:
                if not self._stopping:
                    self._say(f"A worker process could not be started again: {error}")
                    await asyncio.sleep(_RESTART_SECONDS)
            else:
                return

    async def _follow(self, stream: asyncio.StreamReader | None, *, forward: bool) -> None:
        while stream is not None and (line := await stream.readline()):
            text = line.decode("utf-8", "replace").rstrip()
            self._lines.append(text)
            if forward:
                print(text, file=sys.stderr)

    def _say(self, text: str) -> None:
        self._lines.append(text)
        _log.warning(text)

    def _tail(self) -> str:
        return "\n".join(list(self._lines)[-20:])

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
