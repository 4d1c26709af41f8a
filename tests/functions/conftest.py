"""The running app: real functions in the local host, and a simulated system."""

from collections.abc import Iterator

import pytest

from local.stack import Machine
from tests.functions.calling import NO_TIMERS, TWICE, WRONG_SECRET, Caller
from tests.functions.signing_in import SIGN_IN

SETTINGS = {
    "TARGETS__WRONG__SYSTEM": "finance-operations",
    "TARGETS__WRONG__AUTH": "client-secret",
    "TARGETS__WRONG__CLIENT_SECRET": WRONG_SECRET,
    "TARGETS__OFF__SYSTEM": "finance-operations",
    "TARGETS__OFF__URL": "http://contoso.operations.dynamics.com",
    "TARGETS__OFF__AUTH": "managed-identity",
}


def settings_of(machine: Machine) -> dict[str, str]:
    """Return more targets: one with a wrong secret, and one that is off."""
    good = {name: value for name, value in machine.landscape.settings.items() if name.startswith("TARGETS__FO__")}
    wrong = {name.replace("__FO__", "__WRONG__"): value for name, value in good.items()}
    return {**wrong, **SETTINGS}


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    with Machine(NO_TIMERS, more_targets=settings_of) as machine:
        yield machine


@pytest.fixture(scope="session")
def guarded_machine() -> Iterator[Machine]:
    """A host whose callers have signed in, and need roles."""
    with Machine({**NO_TIMERS, **SIGN_IN}, more_targets=settings_of) as machine:
        yield machine


@pytest.fixture
def guarded(guarded_machine: Machine) -> Caller:
    return Caller(guarded_machine)


@pytest.fixture(scope="session")
def twice() -> Iterator[Machine]:
    """A host that delivers every activity twice at once, to two processes."""
    with Machine(NO_TIMERS, deliver_twice=True, durable_workers=2) as machine:
        yield machine


@pytest.fixture(scope="module", params=["once", TWICE])
def mortal(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A host whose workers are killed; of its own, because a killed process can't tell what it covered."""
    twice = request.param == "twice"
    with Machine(NO_TIMERS, deliver_twice=twice, durable_workers=2 if twice else 1) as machine:
        yield machine


@pytest.fixture
def mortal_caller(mortal: Machine) -> Iterator[Caller]:
    yield Caller(mortal)
    mortal.landscape.finance_operations.faults.clear()


@pytest.fixture
def caller(machine: Machine) -> Iterator[Caller]:
    yield Caller(machine)
    machine.landscape.finance_operations.faults.clear()
    machine.landscape.issuer.faults.clear()


@pytest.fixture(params=["once", TWICE])
def any_machine(request: pytest.FixtureRequest) -> Machine:
    """Either host."""
    machine: Machine = request.getfixturevalue("machine" if request.param == "once" else "twice")
    return machine


@pytest.fixture
def any_caller(any_machine: Machine) -> Iterator[Caller]:
    """A caller of either host."""
    yield Caller(any_machine)
    any_machine.landscape.finance_operations.faults.clear()
