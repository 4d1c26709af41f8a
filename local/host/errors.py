"""Why the host can't do what was asked of it."""


class HostError(Exception):
    """The host can't start or go on; the message is a sentence that says why."""
