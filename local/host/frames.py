"""What host and worker processes say to each other: a JSON header, then raw bytes, their lengths before them."""

import asyncio
import json
import socket
import struct
import threading
from typing import Any, BinaryIO

type Header = dict[str, Any]

_LENGTHS = struct.Struct(">IQ")
_LARGE = 64 * 1024


def encode(header: Header, body: bytes = b"") -> bytes:
    """Return the bytes of one frame."""
    return _head(header, len(body)) + body


def _head(header: Header, size: int) -> bytes:
    """Return what comes before a body of that size."""
    text = json.dumps(header).encode()
    return _LENGTHS.pack(len(text), size) + text


async def read(stream: asyncio.StreamReader) -> tuple[Header, bytes]:
    """Read one frame; `asyncio.IncompleteReadError` says that the other side is gone."""
    header, body = _LENGTHS.unpack(await stream.readexactly(_LENGTHS.size))
    return json.loads(await stream.readexactly(header)), await stream.readexactly(body)


class Channel:
    """The worker's end: it reads in one thread and may be written to by any."""

    def __init__(self, connection: socket.socket) -> None:
        # A frame is written at once; waiting for another one to join it would only delay an answer.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = connection
        self._reader: BinaryIO = connection.makefile("rb")
        self._writing = threading.Lock()

    def send(self, header: Header, body: bytes = b"") -> None:
        """Send one frame."""
        is_large = len(body) > _LARGE
        with self._writing:
            # One write for one packet; a large body is not copied for that.
            self._connection.sendall(_head(header, len(body)) if is_large else encode(header, body))
            if is_large:
                self._connection.sendall(body)

    def receive(self) -> tuple[Header, bytes] | None:
        """Return the next frame, or nothing when the host is gone."""
        try:
            header, body = _LENGTHS.unpack(self._read(_LENGTHS.size))
            return json.loads(self._read(header)), self._read(body)
        except OSError:
            return None

    def _read(self, size: int) -> bytes:
        data = self._reader.read(size)
        if len(data) < size:
            raise ConnectionResetError("the host is gone")
        return data
