"""The app's settings: typed, described, and read once per process.

Azure restarts every instance when a setting changes, so the values stay current.
"""

import os
import re
from collections.abc import Mapping
from functools import cache
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, ValidationInfo, field_validator

from shared.core.problems import NotReady
from shared.core.schedule import Schedule, clock_time
from shared.core.urls import checked_url

Preset = Literal["careful", "all"]
"""How many items are sent at once (`recovery/waves.py`)."""
SIGN_IN = "WEBSITE_AUTH_ENABLED"
"""App Service sets it to `True` while its authentication is on."""


class Settings(BaseModel):
    """The app's settings; the name of an app setting is the field's name in upper case.

    The settings of targets are in `targets.py`.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True)

    store: Literal["blob", "sqlite"] = Field(
        default="blob",
        description="The store for runs, keys and claims: `blob` (Azure Blob Storage, in the account of "
        "AzureWebJobsStorage) or `sqlite` (one machine).",
    )
    store_container: str = Field(
        default="nightshift",
        pattern=r"^[a-z0-9](?:-?[a-z0-9]){2,62}$",
        max_length=63,
        description="The blob container; created if it does not exist.",
    )
    audit_container: str = Field(
        default="audit",
        pattern=r"^[a-z0-9](?:-?[a-z0-9]){2,62}$",
        max_length=63,
        description="The blob container of the audit trail; created if it does not exist. With STORE=sqlite, the trail "
        "is in the same file.",
    )
    audit_retention_days: int = Field(
        default=730,
        ge=30,
        le=3650,
        description="Days after which the app deletes entries of the audit trail, unless the container forbids it.",
    )
    store_path: str = Field(default="nightshift.db", description="The file of the SQLite store.")
    public_url: str = Field(
        default="",
        description="The app's public URL for `Location` and links, such as `https://nightshift.example.com`. Empty: "
        "that of the request.",
    )
    # The Functions host itself takes 210 MB at most.
    max_body: int = Field(
        default=20 * 1024 * 1024, ge=1, le=210 * 1024 * 1024, description="Maximum size of a request body, in bytes."
    )
    wait_seconds: int = Field(
        default=30,
        ge=0,
        le=100,
        description="Seconds that a call waits for its run before it returns 202; `Prefer: wait=N` overrides it.",
    )
    result_retention_hours: int = Field(
        default=24,
        ge=1,
        le=8760,
        description="Hours that a response is stored, and repeated under its Idempotency-Key; after that, it is 410.",
    )
    run_retention_days: int = Field(
        default=90,
        ge=1,
        le=3650,
        description="Days that a run is kept after it has ended: its report, and its place in the list of runs.",
    )
    give_up_minutes: int = Field(
        default=30,
        ge=0,
        le=1440,
        description="Minutes that the run of a call retries while a system can't be reached or is throttling; a night "
        "retries until its window ends.",
    )
    attempts_cap: int = Field(
        default=5,
        ge=1,
        le=100,
        description="Failed attempts in a row after which nights, sweeps and events skip an item; the `cap` of a rule "
        "overrides it.",
    )
    follow_up_hours: int = Field(
        default=4, ge=1, le=24, description="Hours that a run watches whether its items recover."
    )
    event_waits: str = Field(
        default="5,15,60",
        description="Minutes before the first, second, ... attempt that an event makes at an item that keeps failing; "
        "after the last one, the item is left to the sweep.",
    )
    storm_limit: int = Field(
        default=50,
        ge=1,
        le=1000,
        description="Maximum number of events per target that start a run within 10 minutes; the rest is left to the "
        "sweep.",
    )
    plan_ttl: int = Field(default=24, ge=1, le=168, description="Hours after which a plan expires.")
    sweep_mode: Literal["off", "plan", "apply"] = Field(
        default="plan",
        description="What the nightly sweep does: nothing, make a plan to approve, or apply what the policy allows.",
    )
    sweep_at: str = Field(
        default="02:00", description="Start of the night: one or more times of day, such as `02:00,04:30`."
    )
    sweep_until: str = Field(default="06:00", description="End of the night; the sweep then gives up what is left.")
    sweep_time_zone: str = Field(default="UTC", description="Time zone of these times, such as `Europe/Berlin`.")
    sweep_waves: Preset = Field(
        default="careful",
        description="How many items a night sends at once: `careful` starts with 5 and grows as they recover; `all` "
        "sends all of them.",
    )
    batch_retry: Literal["off", "on"] = Field(
        default="off",
        description="`on`: the night retries those operations of the day's batches (business-central) that failed or "
        "were not attempted, as far as the policy allows it.",
    )
    sweep_cap: int = Field(
        default=1000, ge=1, le=10_000, description="Maximum number of items per target that a night processes."
    )
    selection_cap: int = Field(
        default=1000,
        ge=1,
        le=10_000,
        description="Maximum number of jobs that a call of `set_retries` may select without its own `cap`; a larger "
        "selection is refused as a whole.",
    )
    auth_roles: Literal["off", "on"] = Field(
        default="off",
        description="`on`: callers have signed in with Entra, and need a role. Only together with App Service "
        "authentication, which sets `WEBSITE_AUTH_ENABLED`: with one of the two alone the app does not start.",
    )

    notify_url: SecretStr = Field(
        default=SecretStr(""),
        description="The webhook of a flow that gets Adaptive Cards, such as that of a Teams workflow: after each "
        "night, and when something needs a person. Best a Key Vault reference, because it has a signature. Empty: "
        "nothing is posted.",
    )
    report_at: str = Field(
        default="",
        description="When the card of a night is posted, such as `06:30` (in SWEEP_TIME_ZONE): the first such time "
        "after its last window has ended. Empty: as soon as the night is over.",
    )

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, value: str) -> str:
        return checked_url(value) if value else value

    @field_validator("sweep_at", "sweep_until", "report_at")
    @classmethod
    def _check_times(cls, value: str, info: ValidationInfo) -> str:
        times = value.split(",") if info.field_name == "sweep_at" else [value] if value else []
        for one in times:
            clock_time(one)
        return value

    @field_validator("sweep_time_zone")
    @classmethod
    def _check_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, ZoneInfoNotFoundError, OSError):
            # The library's text quotes the value, which may be a misplaced secret.
            raise ValueError("is not a time zone, such as Europe/Berlin") from None
        return value

    @field_validator("event_waits")
    @classmethod
    def _check_waits(cls, value: str) -> str:
        if not re.fullmatch(r"\s*\d{1,4}\s*(,\s*\d{1,4}\s*){0,19}", value):
            raise ValueError("must be up to 20 numbers of minutes, such as 5,15,60")
        return value

    @property
    def waits(self) -> tuple[int, ...]:
        """Minutes before each attempt of an event."""
        return tuple(int(text) for text in self.event_waits.split(","))

    @property
    def schedule(self) -> Schedule:
        """The schedule of the nights."""
        return Schedule.read(self.sweep_at, self.sweep_until, self.sweep_time_zone)

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Settings":
        """Read the settings from `environment`; an empty value counts as absent."""
        names = cls.model_fields
        return cls.model_validate({name: environment[name.upper()] for name in names if environment.get(name.upper())})


@cache
def app_settings() -> Settings:
    """Return this process's settings.

    Raises:
        NotReady: a setting is wrong.
    """
    try:
        settings = Settings.read(os.environ)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'__'.join(str(part) for part in one['loc']).upper()}: {one['msg']}".lstrip(": ")
            for one in error.errors(include_input=False)
        )
        raise NotReady(f"An app setting is wrong: {wrong}.") from None
    if mistake := sign_in_mistake(settings, os.environ):
        raise NotReady(f"An app setting is wrong: {mistake}.")
    return settings


def sign_in_mistake(settings: Settings, environment: Mapping[str, str]) -> str | None:
    """Return why sign-in and roles do not go together, or None.

    Without sign-in anybody could send the headers that name a caller; without roles whoever signs in could do all.
    """
    signs_in = environment.get(SIGN_IN, "").lower() == "true"
    if settings.auth_roles == "on" and not signs_in:
        return f"AUTH_ROLES is on, but App Service authentication is not ({SIGN_IN} is not true)"
    if signs_in and settings.auth_roles == "off":
        return f"AUTH_ROLES is off, but App Service authentication is on ({SIGN_IN} is true)"
    return None
