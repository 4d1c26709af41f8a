"""What tests and demos put into Business Central, and look up in it."""

from dataclasses import dataclass

from local.simulators.business_central.entities import COMPANIES, CUSTOMERS, ITEMS, JOURNALS, LINES, SETS, Values
from local.simulators.business_central.samples import add_samples
from local.simulators.business_central.store import Record, Store


@dataclass(frozen=True, slots=True)
class Overview:
    """A company and its journals, with how many lines each has."""

    id: str
    name: str
    customers: int
    items: int
    journals: list[dict[str, object]]


class Data:
    """The entities, for those who need no HTTP; everything is named by its id."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add_company(self, name: str = "CRONUS International Ltd.") -> str:
        """Add a company; the first one is the default company."""
        return self._store.create(COMPANIES, "", {"name": name, "displayName": name}).id

    def add_journal(self, company: str, code: str = "", name: str = "") -> str:
        """Add a journal without lines."""
        return self._store.create(JOURNALS, company, {"code": code, "displayName": name or code}).id

    def add_customers(self, count: int, company: str | None = None) -> list[str]:
        """Add customers with numbers of their own, to the default company unless one is given."""
        parent = company or self._default()
        return [
            self._store.create(CUSTOMERS, parent, {"displayName": f"Customer {number}"}).id
            for number in range(1, count + 1)
        ]

    def add_items(self, count: int, company: str | None = None) -> list[str]:
        """Add items with numbers of their own, to the default company unless one is given."""
        parent = company or self._default()
        return [
            self._store.create(ITEMS, parent, {"displayName": f"Item {number}"}).id for number in range(1, count + 1)
        ]

    def sample(self) -> str:
        """Add a company with a few customers, items and journals."""
        company = self.add_company()
        found = self._store.get(COMPANIES, "", company)
        if found is not None:
            add_samples(self._store, found)
        return company

    def lines(self, journal: str) -> list[Values]:
        """Return the lines of a journal in the order of their making; numbers are `exact_json.Number`."""
        return self.entities(LINES.name, journal)

    def entities(self, set_name: str, parent: str = "") -> list[Values]:
        """Return the entities of a set (`customers`) under a parent, which companies don't have."""
        return [record.shown() for record in self._store.records(SETS[set_name], parent)]

    def overview(self) -> list[Overview]:
        """Return all companies with their journals."""
        with self._store.lock:
            return [self._company(company) for company in self._store.records(COMPANIES, "")]

    def _company(self, company: Record) -> Overview:
        journals: list[dict[str, object]] = [
            {"id": one.id, "code": one.values["code"], "lines": len(self._store.records(LINES, one.id))}
            for one in self._store.records(JOURNALS, company.id)
        ]
        customers, items = (len(self._store.records(one, company.id)) for one in (CUSTOMERS, ITEMS))
        return Overview(company.id, str(company.values["name"]), customers, items, journals)

    def _default(self) -> str:
        companies = self._store.records(COMPANIES, "")
        return companies[0].id if companies else self.add_company()
