"""The app's settings: typed, described, and read once in a process.

Azure restarts every instance when a setting changes, so what was read at the start stays true.
"""

import os
from collections.abc import Mapping
from functools import cache
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """The app's settings; each name here, in capitals, is the name of the app setting.

    Targets have settings of their own (`targets.py`).
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    store: Literal["blob", "sqlite"] = Field(
        default="blob",
        description="Where runs, keys and claims are kept: `blob` (Azure Blob Storage, in the account of "
        "AzureWebJobsStorage) or `sqlite` (one machine).",
    )
    store_container: str = Field(default="nightshift", description="The blob container; made if it is not there.")
    store_path: str = Field(default="nightshift.db", description="The file of the SQLite store.")
    public_url: str = Field(
        default="",
        description="The app's address as callers see it, such as `https://nightshift.example.com`, for `Location` and "
        "links. Empty: the address that the request came to.",
    )
    max_body: int = Field(default=20 * 1024 * 1024, ge=1, description="The largest request body, in bytes.")
    wait_seconds: int = Field(
        default=30,
        ge=0,
        le=100,
        description="How many seconds a call waits for its run before it answers 202; `Prefer: wait=N` overrides it.",
    )
    result_retention_hours: int = Field(
        default=24,
        ge=1,
        description="How many hours an answer can be fetched, and repeated under its Idempotency-Key; then it is 410.",
    )
    trust_client_principal: bool = Field(
        default=False,
        description="`true` only if App Service authentication is on and lets nobody in without signing in: then the "
        "header `x-ms-client-principal-id` names the caller. Otherwise anyone could send it.",
    )

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """Return the settings in `environment`; an empty text counts as absent."""
        names = cls.model_fields
        return cls.model_validate({name: environment[name.upper()] for name in names if environment.get(name.upper())})


@cache
def app_settings() -> Settings:
    """Return this process's settings."""
    return Settings.read(os.environ)
