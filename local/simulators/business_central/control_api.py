"""The paths under /local that only Business Central has: its companies, its journals and their lines."""

from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from local.simulators.business_central.data import Data
from local.simulators.common.control_api import Control, Controlled, Path, answer
from local.simulators.common.exact_json import dumps


class _NewCompany(BaseModel):
    """A company, with as many journals and customers as wanted."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = "CRONUS International Ltd."
    journals: list[str] = []
    customers: int = Field(default=0, ge=0, le=100_000)


class WithData(Controlled, Protocol):
    """What is controlled here."""

    @property
    def data(self) -> Data:
        """What is in it."""
        ...


class BusinessCentralControl(Control):
    """What can be looked at and changed over HTTP."""

    def __init__(self, system: WithData) -> None:
        super().__init__(system)
        self._data = system.data

    def more(self) -> list[Path]:
        """Return the paths that only this system has."""
        return [
            ("GET", "/local/companies", self._read_companies),
            ("POST", "/local/companies", self._add_company),
            ("POST", "/local/sample", self._sample),
            ("GET", "/local/lines/{journal}", self._read_lines),
        ]

    async def _read_companies(self, _request: Request) -> Response:
        return answer({"companies": self._data.overview()})

    async def _add_company(self, request: Request) -> Response:
        wish = _NewCompany.model_validate_json(await request.body() or b"{}")
        company = self._data.add_company(wish.name)
        journals = {code: self._data.add_journal(company, code) for code in wish.journals}
        self._data.add_customers(wish.customers, company)
        return answer({"id": company, "journals": journals}, 201)

    async def _sample(self, _request: Request) -> Response:
        return answer({"id": self._data.sample()}, 201)

    async def _read_lines(self, request: Request) -> Response:
        lines = self._data.lines(request.path_params["journal"].lower())
        return Response(dumps({"lines": lines}), media_type="application/json")
