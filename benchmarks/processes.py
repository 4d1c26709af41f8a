"""Processes of the bench: each is told what to do by lines of JSON, and ends with the process that started it."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from local import environment
from local.environment import ROOT

_STOP_SECONDS = 20.0


class ChildError(Exception):
    """A process of the bench has ended; the message is what it wrote last."""


class Child:
    """A process that this one has started.

    Its standard input is a pipe that closes with this process, however this one ends; that is what ends it.

    Attributes:
        told: What it said of itself when it was ready.
    """

    def __init__(self, module: str, **config: object) -> None:
        """Start a module, and return when it is ready.

        Raises:
            ChildError: it has ended before.
        """
        # Not a pipe: nobody reads it while all goes well.
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - closed by `close`
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", module],
            cwd=ROOT,
            env=environment.variables(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            # Ctrl-C in a terminal is for the bench, which then lets its processes end.
            process_group=0,
        )
        try:
            self.told = self._answer(config)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self._process.pid

    def ask(self, wish: str, **details: object) -> Any:  # noqa: ANN401 - JSON is any value
        """Let it do something, and return its answer.

        Raises:
            ChildError: it has ended.
        """
        return self._answer({"do": wish, **details})

    def close(self) -> None:
        """Let it end, and end it if it doesn't within some seconds."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self, message: Mapping[str, object]) -> Any:  # noqa: ANN401 - as above
        asked, answers = self._process.stdin, self._process.stdout
        if asked is None or answers is None:
            raise ChildError("The process has no pipes.")
        try:
            asked.write(json.dumps(message) + "\n")
            asked.flush()
            line = answers.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise ChildError(f"A process of the bench has ended:\n{self._tail()}")
        return json.loads(line)

    def _tail(self) -> str:
        self._log.seek(0)
        return "".join(self._log.readlines()[-20:])


class Parent:
    """The process that has started this one, as this one sees it.

    Attributes:
        config: How this process was asked to be.
    """

    def __init__(self) -> None:
        """Read the configuration; what else is printed goes to the log from now on."""
        self._answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self.config: dict[str, Any] = json.loads(sys.stdin.readline())

    def tell(self, answer: object) -> None:
        """Answer what was asked last."""
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()

    def obey(self, commands: Mapping[str, Callable[..., object]]) -> None:
        """Do what it asks, until it is gone."""
        for line in sys.stdin:
            wish = json.loads(line)
            self.tell(commands[wish.pop("do")](**wish))
