"""The paths under /local by which causes are broken and mended, in every system whose jobs have some."""

from typing import Protocol

from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from local.simulators.common.control_api import Path, answer


class _CauseChange(BaseModel):
    """Causes that break, and causes that are mended."""

    model_config = ConfigDict(extra="forbid", strict=True)

    broken: list[str] = []
    mended: list[str] = []


class WithCauses(Protocol):
    """What has jobs that share causes."""

    def broken_causes(self) -> list[str]:
        """Return the causes that are broken now."""
        ...

    def break_cause(self, cause: str) -> None:
        """Let all that needs a cause fail from now on."""
        ...

    def mend(self, cause: str) -> None:
        """Let it end again as it would without that."""
        ...


def cause_paths(jobs: WithCauses) -> list[Path]:
    """Return the paths, with what answers there."""

    async def read(_request: Request) -> Response:
        return answer({"broken": jobs.broken_causes()})

    async def change(request: Request) -> Response:
        wish = _CauseChange.model_validate_json(await request.body())
        for cause in wish.broken:
            jobs.break_cause(cause)
        for cause in wish.mended:
            jobs.mend(cause)
        return await read(request)

    return [("GET", "/local/causes", read), ("POST", "/local/causes", change)]
