"""Simulated systems for development, demos and tests: Finance & Operations and a token issuer, on the loopback."""

from local.systems.behaviour import Behaviour
from local.systems.business_events import BusinessEvents
from local.systems.finance_operations import FinanceOperations
from local.systems.issuer import Issuer
from local.systems.landscape import Landscape

__all__ = ["Behaviour", "BusinessEvents", "FinanceOperations", "Issuer", "Landscape"]
