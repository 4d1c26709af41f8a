"""A company as a demo may have it."""

from local.simulators.business_central.entities import CUSTOMERS, ITEMS, JOURNALS, Values
from local.simulators.business_central.store import Record, Store
from local.simulators.common.exact_json import Number

_CUSTOMERS = ("Adatum Corporation", "Trey Research", "School of Fine Art", "Alpine Ski House", "Relecloud")
_ITEMS = (("1896-S", "ATHENS Desk", "1000.80"), ("1900-S", "PARIS Guest Chair, black", "192.80"))
_JOURNALS = (("SALARIES", "Salaries"), ("DEFAULT", "Default Journal"))


def add_samples(store: Store, company: Record) -> None:
    """Add a few customers, items and journals to a company."""
    for name in _CUSTOMERS:
        values: Values = {"displayName": name}
        store.create(CUSTOMERS, company.id, values)
    for number, name, price in _ITEMS:
        store.create(ITEMS, company.id, {"number": number, "displayName": name, "unitPrice": Number(price)})
    for code, name in _JOURNALS:
        store.create(JOURNALS, company.id, {"code": code, "displayName": name})
