"""The simulated systems in a process of their own: `python -m benchmarks.landscape_process`.

They are controlled over HTTP, by their own paths under /local.
"""

from benchmarks.processes import Parent
from local.clock import LocalClock
from local.simulators.landscape import Landscape

_SYSTEMS = ("finance-operations", "business-central")


def main() -> None:
    """Serve until the bench is gone; tell it where the systems are, a token for each, and the app's settings."""
    parent, clock = Parent(), LocalClock()
    with Landscape(clock.now, clock.call_at, systems=_SYSTEMS) as landscape:
        # One target a system: then it is the default.
        settings = {name: value for name, value in landscape.settings.items() if "__FO_MI__" not in name}
        systems = {
            one.system: {"url": one.url, "token": landscape.issuer.token(one.url)} for one in landscape.simulated
        }
        parent.tell({"settings": settings, "systems": systems})
        parent.obey({})
    clock.close()


if __name__ == "__main__":
    main()
