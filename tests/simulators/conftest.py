from collections.abc import Iterator

import pytest

from local.simulators.business_central.server import BusinessCentral
from local.simulators.camunda.server import Camunda
from local.simulators.entra.issuer import Issuer
from local.simulators.finance_operations.server import FinanceOperations
from local.simulators.landscape import SYSTEMS, Landscape
from local.simulators.opendatadsl.server import OpenDataDsl
from local.simulators.superoffice.server import SuperOffice
from local.simulators.testing.business_central import CentralCaller
from local.simulators.testing.camunda import CamundaCaller
from local.simulators.testing.finance_operations import Caller, Clock, Endpoint
from local.simulators.testing.opendatadsl import OpenDataDslCaller
from local.simulators.testing.superoffice import SuperOfficeCaller


@pytest.fixture(scope="session")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def running(clock: Clock) -> Iterator[Landscape]:
    with Landscape(clock, clock.call_at, systems=SYSTEMS) as landscape:
        yield landscape


@pytest.fixture
def landscape(running: Landscape, clock: Clock) -> Landscape:
    if clock.instant.microsecond:
        # A test before this one turned the clock by a fraction; what shows whole seconds begins with a whole one.
        clock.forward(1 - clock.instant.microsecond / 1_000_000)
    running.finance_operations.reset()
    running.business_central.reset()
    running.camunda.reset()
    running.superoffice.reset()
    running.opendatadsl.reset()
    running.issuer.reset()
    return running


@pytest.fixture
def fo(landscape: Landscape) -> FinanceOperations:
    return landscape.finance_operations


@pytest.fixture
def bc(landscape: Landscape) -> BusinessCentral:
    return landscape.business_central


@pytest.fixture
def camunda(landscape: Landscape) -> Camunda:
    return landscape.camunda


@pytest.fixture
def superoffice(landscape: Landscape) -> SuperOffice:
    return landscape.superoffice


@pytest.fixture
def office(landscape: Landscape) -> Iterator[SuperOfficeCaller]:
    caller = SuperOfficeCaller(landscape)
    with caller.session:
        yield caller


@pytest.fixture
def tenant(landscape: Landscape) -> OpenDataDsl:
    return landscape.opendatadsl


@pytest.fixture
def odsl(landscape: Landscape) -> Iterator[OpenDataDslCaller]:
    caller = OpenDataDslCaller(landscape)
    with caller.session:
        yield caller


@pytest.fixture
def rest(landscape: Landscape) -> Iterator[CamundaCaller]:
    caller = CamundaCaller(landscape)
    with caller.session:
        yield caller


@pytest.fixture
def central(landscape: Landscape) -> Iterator[CentralCaller]:
    central = CentralCaller(landscape)
    with central.session:
        yield central


@pytest.fixture
def company(bc: BusinessCentral) -> str:
    return bc.add_company()


@pytest.fixture
def journal(bc: BusinessCentral, company: str) -> str:
    return bc.add_journal(company, "SALARIES")


@pytest.fixture
def issuer(landscape: Landscape) -> Issuer:
    return landscape.issuer


@pytest.fixture
def caller(landscape: Landscape) -> Iterator[Caller]:
    caller = Caller(landscape)
    with caller.session:
        yield caller


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as endpoint:
        yield endpoint
