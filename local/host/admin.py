"""`POST /admin/functions/{name}`: a function that has no route is run now, as the platform's own tools do it."""

import json

from local.host.functions import Catalogue
from local.host.timers import Timers


class Admin:
    """Runs timer functions on demand; whoever comes here has shown the master key."""

    def __init__(self, catalogue: Catalogue, timers: Timers) -> None:
        self._catalogue = catalogue
        self._timers = timers

    def invoke(self, name: str, body: bytes) -> int:
        """Run a function in the background, and return the status to answer with."""
        # Azure refuses a call without a body: an empty object is the least. What is in it is not for a timer.
        if not _is_object(body):
            return 400
        function = self._catalogue.named(name.removesuffix("/"))
        if function is None:
            return 404
        if function.info.kind != "timer":
            return 400
        self._timers.run_now(function)
        return 202


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False
