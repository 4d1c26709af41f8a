"""Every system that the app knows has a simulator."""

from local.simulators.landscape import SIMULATORS, SYSTEMS
from shared.systems.registry import definitions


def test_every_system_of_the_registry_is_simulated_under_a_name_of_its_own() -> None:
    assert set(SYSTEMS) == set(definitions())
    assert len({one.target for one in SIMULATORS}) == len(SIMULATORS)
