"""The app's settings: typed, described, and read once in a process.

Azure restarts every instance when a setting changes, so what was read at the start stays true.
"""

import os
import re
from collections.abc import Mapping
from functools import cache
from typing import Literal, Self
from zoneinfo import ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from shared.problems import NotReady
from shared.sweep import Preset, Schedule


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
    give_up_minutes: int = Field(
        default=30,
        ge=0,
        le=1440,
        description="How many minutes a run that somebody started tries again while a system can't be reached or is "
        "throttling; a night tries until its window ends.",
    )
    attempts_cap: int = Field(
        default=5,
        ge=1,
        le=100,
        description="How many attempts in a row may fail until a machine leaves an item to a person; a rule's `cap` "
        "goes before it.",
    )
    follow_up_hours: int = Field(
        default=4, ge=1, le=24, description="How long it is watched what becomes of the items that were done."
    )
    event_waits: str = Field(
        default="5,15,60",
        description="Minutes before the first, the second ... attempt that an event makes at an item that fails again "
        "and again; after the last one it is left to the sweep.",
    )
    storm_limit: int = Field(
        default=50,
        ge=1,
        le=1000,
        description="How many events of a target start something within 10 minutes; the rest is left to the sweep.",
    )
    plan_ttl: int = Field(default=24, ge=1, le=168, description="How many hours a plan can be applied.")
    sweep_mode: Literal["off", "plan", "apply"] = Field(
        default="plan",
        description="What the nightly sweep does: nothing, leave a plan to approve, or do what the policy allows.",
    )
    sweep_at: str = Field(
        default="02:00", description="When it begins: one or more times of day, such as `02:00,04:30`."
    )
    sweep_until: str = Field(default="06:00", description="When it ends, and gives up what it could not reach.")
    sweep_time_zone: str = Field(default="UTC", description="The zone of those times, such as `Europe/Berlin`.")
    sweep_waves: Preset = Field(
        default="careful",
        description="How many items a night tries at once: `careful` starts with 5 and grows as they recover, `all` "
        "tries all of them.",
    )
    batch_retry: Literal["off", "on"] = Field(
        default="off",
        description="`on`: at night, what the day's batches (business-central) left failed or not attempted goes "
        "again, as far as the policy allows it.",
    )
    sweep_cap: int = Field(
        default=1000, ge=1, le=10_000, description="The most items that a night touches on a target."
    )
    selection_cap: int = Field(
        default=1000,
        ge=1,
        le=10_000,
        description="The most jobs that a call of `set_retries` may mean unless it names a `cap` of its own; more are "
        "refused as a whole.",
    )
    trust_client_principal: bool = Field(
        default=False,
        description="`true` only if App Service authentication is on and lets nobody in without signing in: then the "
        "header `x-ms-client-principal-id` names the caller. Otherwise anyone could send it.",
    )

    @model_validator(mode="after")
    def _check_schedule(self) -> Self:
        try:
            Schedule.read(self.sweep_at, self.sweep_until, self.sweep_time_zone)
        except (ValueError, ZoneInfoNotFoundError):
            # The library's text quotes the value, which need not be what it was meant to be.
            raise ValueError("SWEEP_AT, SWEEP_UNTIL or SWEEP_TIME_ZONE can't be read") from None
        return self

    @field_validator("event_waits")
    @classmethod
    def _check_waits(cls, value: str) -> str:
        if not re.fullmatch(r"\s*\d{1,4}\s*(,\s*\d{1,4}\s*){0,19}", value):
            raise ValueError("must be up to 20 numbers of minutes, such as 5,15,60")
        return value

    @property
    def waits(self) -> tuple[int, ...]:
        """The minutes before each attempt that an event makes."""
        return tuple(int(text) for text in self.event_waits.split(","))

    @property
    def schedule(self) -> Schedule:
        """When the nights are."""
        return Schedule.read(self.sweep_at, self.sweep_until, self.sweep_time_zone)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """Return the settings in `environment`; an empty text counts as absent."""
        names = cls.model_fields
        return cls.model_validate({name: environment[name.upper()] for name in names if environment.get(name.upper())})


@cache
def app_settings() -> Settings:
    """Return this process's settings.

    Raises:
        NotReady: one of them is wrong.
    """
    try:
        return Settings.read(os.environ)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'__'.join(str(part) for part in one['loc']).upper()}: {one['msg']}".lstrip(": ")
            for one in error.errors(include_input=False)
        )
        raise NotReady(f"An app setting is wrong: {wrong}.") from None
