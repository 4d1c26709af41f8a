"""The content of a response, with a limit of its size and of its duration."""

from time import monotonic

import requests

_BLOCK = 64 * 1024


class TooLargeError(Exception):
    """The content has more bytes than allowed."""


class TooSlowError(Exception):
    """The content did not end in time."""


def read_content(response: requests.Response, most: int, ends: float) -> bytes:
    """Return the body of a streamed response.

    Args:
        response: The response, none of which was read.
        most: Its largest size in bytes, after decompression.
        ends: When it must have ended, by `time.monotonic`.

    Raises:
        TooLargeError, TooSlowError: it is larger, or takes longer.
    """
    content = bytearray()
    # `read1` returns what has come; `read` would wait until a whole block has.
    while piece := response.raw.read1(_BLOCK, decode_content=True):
        content += piece
        if len(content) > most:
            raise TooLargeError
        if monotonic() > ends:
            raise TooSlowError
    return bytes(content)
