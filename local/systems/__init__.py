"""Simulated systems for development, demos and tests, on the loopback.

Finance & Operations, Business Central, Camunda 7, and a token issuer.
"""

from local.systems.behaviour import Behaviour
from local.systems.business_central import BusinessCentral
from local.systems.business_central_behaviour import BusinessCentralBehaviour
from local.systems.business_events import BusinessEvents
from local.systems.camunda import Camunda
from local.systems.camunda_behaviour import CamundaBehaviour
from local.systems.finance_operations import FinanceOperations
from local.systems.issuer import Issuer
from local.systems.landscape import Landscape

__all__ = [
    "Behaviour",
    "BusinessCentral",
    "BusinessCentralBehaviour",
    "BusinessEvents",
    "Camunda",
    "CamundaBehaviour",
    "FinanceOperations",
    "Issuer",
    "Landscape",
]
