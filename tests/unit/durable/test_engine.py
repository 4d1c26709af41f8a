"""The engine when it doesn't answer: every call says so, and none of them hangs."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable

import azure.durable_functions as df
import pytest

from shared.core.problems import NotReady
from shared.durable.engine import Engine

CALLS: dict[str, Callable[[Engine], Awaitable[object]]] = {
    "start": lambda engine: engine.start("20261123-ab"),
    "close": lambda engine: engine.close("20261123-ab", "terminated"),
    "cancel": lambda engine: engine.cancel("20261123-ab"),
    "phase": lambda engine: engine.phase("20261123-ab"),
    "answers": lambda engine: engine.answers(0.3),
}


async def asked(port: int, call: Callable[[Engine], Awaitable[object]]) -> None:
    """Ask an engine at a port."""
    told = json.dumps({"taskHubName": "hub", "rpcBaseUrl": f"http://127.0.0.1:{port}"})
    client = df.DurableFunctionsClient(told)
    try:
        await call(Engine(client, patience=0.3))
    finally:
        await client.close()


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_engine_that_is_away_is_not_ready(call: Callable[[Engine], Awaitable[object]]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(NotReady, match="engine does not answer"):
        asyncio.run(asked(port, call))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_an_engine_that_never_answers_is_not_ready(call: Callable[[Engine], Awaitable[object]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(NotReady, match=r"within 0\.3 s"):
        asyncio.run(asyncio.wait_for(asked(silent.getsockname()[1], call), 5))
