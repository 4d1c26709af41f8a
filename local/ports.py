"""A socket on a port of 127.0.0.1."""

import socket
import sys

from local.host.errors import PortError


def bound(port: int) -> socket.socket:
    """Return a socket that is bound to a port; 0 takes a free one.

    Raises:
        PortError: somebody else has it, or this process may not have it.
    """
    # Only if the protocol is named does asyncio send small answers at once; else they wait 40 ms for each other.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if sys.platform != "win32":
        # A port that was just left can be taken again. On Windows the option would take one that is in use.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise PortError(port, error.strerror or str(error)) from error
    return listener
