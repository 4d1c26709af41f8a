"""Why the host can't do what was asked of it."""


class HostError(Exception):
    """The host can't start or go on; the message is a sentence that says why."""


class PortError(HostError):
    """A port of 127.0.0.1 can't be listened on.

    Attributes:
        port: Its number.
    """

    def __init__(self, port: int, reason: str) -> None:
        super().__init__(f"Port {port} of 127.0.0.1 can't be used: {reason}.")
        self.port = port
