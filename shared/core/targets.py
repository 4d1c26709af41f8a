"""Named targets: a request names a target and never a URL.

The settings `TARGETS__{NAME}__{SETTING}` define them. A target with wrong settings is off and reports why; the others
work.
"""

import os
import re
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, ValidationError, field_validator, model_validator

from shared.core.credential_settings import Auth, CredentialSettings
from shared.core.credential_values import check_ca_file
from shared.core.durations import MOST_CONNECTING, MOST_READING, longest_call
from shared.core.problems import Mistake, NotValid, TargetOff, UnknownTarget
from shared.core.schedule import quiet_until
from shared.core.urls import checked_url

System = Literal["finance-operations", "business-central", "camunda", "superoffice", "opendatadsl"]

_QUIET: Mapping[System, str] = {"superoffice": "01:00-03:00 UTC+1"}
"""The app pools of SuperOffice Online are recycled then (SuperOffice, App environment)."""
_PREFIX = "TARGETS__"
_BUSINESS_CENTRAL = "api.businesscentral.dynamics.com"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")


def is_name(text: str) -> bool:
    """Return whether a target may have this name, in lower case."""
    return _NAME.fullmatch(text) is not None


class Target(CredentialSettings):
    """One connection: a system, its URL and a credential. A field's name is the last part of the setting's name."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, defer_build=True)

    name: str = Field(exclude=True)
    system: System = Field(
        description="The system: `finance-operations`, `business-central`, `camunda`, `superoffice` or `opendatadsl`."
    )
    url: str = Field(
        description=(
            "The system's base URL, such as `https://contoso.operations.dynamics.com`, "
            "`https://api.businesscentral.dynamics.com/v2.0/{tenant}/{environment}`, or "
            "`https://camunda.example.com/engine-rest`; a named engine is `.../engine-rest/engine/{name}`. "
            "For superoffice up to `/api`, such as `https://crm.example.com/SuperOffice/api`; with a CONTEXT the login "
            "host of SuperOffice Online, such as `https://online.superoffice.com`. For opendatadsl up to `/api`, such "
            "as `https://api.opendatadsl.com/api`."
        )
    )
    auth: Auth = Field(
        description=(
            "The kind of credential: `client-secret`, `certificate`, `federated`, or this app's `managed-identity`; "
            "for camunda also `none`, `basic` or `bearer`; for superoffice `basic`, `ticket`, `refresh-token` or "
            "`system-user`; for opendatadsl also `api-key`."
        )
    )
    ca_file: str = Field(default="", description="A file of CA certificates to trust instead of the public ones.")
    quiet: str | None = Field(
        default=None,
        description="Quiet hours, in which nights send nothing, such as `22:00-23:30`; in SWEEP_TIME_ZONE, or with an "
        "offset such as `22:00-23:30 UTC+1`. For superoffice `01:00-03:00 UTC+1` unless set, when SuperOffice Online "
        "restarts its servers; `none` switches them off.",
    )
    connect_timeout: float = Field(default=10, gt=0, le=MOST_CONNECTING, description="Connect timeout in seconds.")
    read_timeout: float = Field(
        default=120,
        gt=0,
        le=MOST_READING,
        description="Read timeout: seconds after which a response that has not come as a whole counts as lost.",
    )
    answer_bytes: int = Field(
        default=100_000_000,
        ge=1_000_000,
        le=350_000_000,
        description="Maximum size of a response in bytes, after decompression; a larger one counts as lost.",
    )
    late_effect_minutes: float = Field(
        default=10,
        gt=0,
        le=60,
        description="Minutes after a call during which the system may still start to process it. A call without a "
        "response is repeated only if the system shows no effect after that time.",
    )
    company: str = Field(default="", description="The company for operations that name none (business-central).")
    batch_operations: int = Field(
        default=100, ge=1, le=1000, description="Maximum number of operations per `$batch` (business-central)."
    )
    # Far below the 350 MB limit of a body (facts B2): 100 operations, of 40 kB each, must end within the system's 8
    # minutes, and a timeout or a lost worker should leave few operations open.
    batch_bytes: int = Field(
        default=4 * 1024 * 1024,
        ge=1024,
        le=350_000_000,
        description="Maximum size of a `$batch` in bytes (business-central).",
    )
    batch_timeout: float = Field(
        default=MOST_READING,
        gt=0,
        le=MOST_READING,
        description="Read timeout of a `$batch` (business-central), in seconds. When a host dies, its chunks in flight "
        "are waited for that long and one minute more.",
    )
    in_flight: int = Field(
        default=5,
        ge=1,
        le=50,
        description="Maximum number of `$batch` calls, or parts, in flight (business-central, opendatadsl).",
    )
    engine_version: str = Field(
        default="",
        description="The engine's version, such as `7.24.0`, if `GET /version` can't be called (camunda).",
    )
    cockpit_url: str = Field(
        default="",
        description="The URL of Cockpit, such as `https://camunda.example.com/camunda/app/cockpit/default`; links of "
        "failures lead there (camunda).",
    )
    page_size: int = Field(
        default=1000,
        ge=1,
        le=10_000,
        description="Page size of queries; at most the engine's `queryMaxResultsLimit` (camunda).",
    )
    owned_fields: Literal["drop", "refuse"] = Field(
        default="drop",
        description="What happens to fields of a task that SuperOffice sets itself: `drop`, named in the header "
        "`Nightshift-Ignored`, or `refuse` (superoffice).",
    )
    mark_field: Literal["Request", "Description"] = Field(
        default="Request", description="The field of a task to which its mark is added (superoffice)."
    )
    retries: int = Field(default=1, ge=1, le=100, description="Retries that a night sets for a failed job (camunda).")
    environment: str = Field(
        default="production",
        pattern=r"^[\w.-]{1,64}$",
        description="The data environment, sent with every call (opendatadsl).",
    )
    input_key: Literal["body", "input"] = Field(
        default="body",
        description="The member in which a process gets its input; the documents have both (opendatadsl).",
    )
    part_elements: int = Field(
        default=500, ge=1, le=10_000, description="Maximum number of elements that are sent at once (opendatadsl)."
    )
    part_bytes: int = Field(
        default=1_000_000, ge=1024, le=100_000_000, description="Their maximum size in bytes (opendatadsl)."
    )

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: str) -> str:
        return checked_url(value)

    @field_validator("cockpit_url")
    @classmethod
    def _check_cockpit(cls, value: str) -> str:
        return checked_url(value) if value else value

    @field_validator("ca_file")
    @classmethod
    def _check_file(cls, value: str) -> str:
        if value:
            check_ca_file(value)
        return value

    @field_validator("quiet")
    @classmethod
    def _check_quiet(cls, value: str | None) -> str | None:
        quiet_until(value or "", UTC, datetime.now(UTC))
        return value

    @field_validator("engine_version")
    @classmethod
    def _check_engine_version(cls, value: str) -> str:
        if value and not re.match(r"[0-9]+\.[0-9]+", value):
            raise ValueError("must begin with two numbers, such as 7.24.0")
        return value

    @model_validator(mode="after")
    def _check_credential(self) -> Self:
        if mistakes := list(self.mistakes(self.system, self.auth)):
            raise ValueError("; ".join(mistakes))
        return self

    def quiet_until(self, zone: tzinfo, now: datetime) -> datetime | None:
        """Return the end of the quiet hours if `now` is within them."""
        return quiet_until(_QUIET.get(self.system, "") if self.quiet is None else self.quiet, zone, now)

    @property
    def done_within(self) -> timedelta:
        """Return how long after a call the system may still start to process it."""
        return timedelta(minutes=self.late_effect_minutes)

    @property
    def longest_call(self) -> timedelta:
        """Return the maximum duration of one request with the usual timeouts."""
        return longest_call(self.connect_timeout, self.read_timeout)

    @property
    def token_scope(self) -> str:
        """Return the scope of the token request: an audience in lower case, without a trailing slash (facts A3, B6)."""
        if not self.scope and urlsplit(self.url).hostname == _BUSINESS_CENTRAL:
            # The path has the tenant and the environment, which are not part of the audience.
            return f"https://{_BUSINESS_CENTRAL}/.default"
        if not self.scope and self.system == "opendatadsl":
            return "api://opendatadsl/.default"
        return self.scope or f"{self.url.lower()}/.default"

    def setting(self, field: str) -> str:
        """Return the name of the app setting for a field, for messages."""
        return f"{_PREFIX}{self.name.upper()}__{field.upper()}"


class Targets:
    """All targets of the app, including those that are off."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._on: dict[str, Target] = {}
        self._off: dict[str, str] = {}
        self._off_systems: dict[str, str | None] = {}
        for name, fields in _grouped(environment).items():
            if not is_name(name):
                # It stands in keys of the store, and in URLs.
                self._off[name] = f"{_PREFIX}{name.upper()}: a name has letters, digits, - and _ only, at most 64"
                self._off_systems[name] = fields.get("system")
                continue
            try:
                self._on[name] = Target.model_validate({**fields, "name": name})
            except ValidationError as error:
                self._off[name] = _complaints(name, error)
                self._off_systems[name] = fields.get("system")

    @property
    def on(self) -> list[Target]:
        """Return the targets that can be used."""
        return list(self._on.values())

    @property
    def off(self) -> dict[str, str]:
        """Return the errors in the settings of each target that is off, by the target's name."""
        return dict(self._off)

    def off_of(self, system: System | None) -> dict[str, str]:
        """Return `off` of a system's targets, also those whose system can't be read; None stands for any system."""
        return {
            name: why for name, why in self._off.items() if system is None or self.system_of(name) in (system, None)
        }

    def system_of(self, name: str) -> System | None:
        """Return the system of a target, also of one that is off; None if it is not known."""
        known = name.lower()
        if known in self._on:
            return self._on[known].system
        return next((one for one in get_args(System) if one == self._off_systems.get(known)), None)

    def named(self, name: str) -> Target:
        """Return the target with this name, in any case.

        Raises:
            UnknownTarget: there is none.
            TargetOff: its settings are wrong.
        """
        known = name.lower()
        if known in self._off:
            raise TargetOff(f"Target {known}: {self._off[known]}.")
        if known not in self._on:
            raise UnknownTarget(f"The app has no target with this name; it has: {self._names()}.")
        return self._on[known]

    def choose(self, system: System, name: str | None) -> Target:
        """Return the system's target with this name, or its only target.

        Raises:
            NotValid: no name is given and the system has several targets, or the target is of another system.
            UnknownTarget: there is none.
            TargetOff: its settings are wrong.
        """
        if name is None:
            return self._only(system)
        target = self.named(name)
        if target.system != system:
            raise NotValid(
                f"Target {target.name} is not a target of {system}.",
                mistakes=(Mistake("is a target of another system"),),
            )
        return target

    def _only(self, system: System) -> Target:
        found = [target.name for target in self._on.values() if target.system == system]
        # A target that is off still counts: fixing it must not change the target of calls that name none.
        off = [name for name, known in self._off_systems.items() if known in (system, None)]
        if len(found) + len(off) == 1:
            return self.named((found or off)[0])
        if found or off:
            raise NotValid(
                f"The app has several targets of {system}: {', '.join(sorted([*found, *off]))}.",
                mistakes=(Mistake("name one of the targets", header="Nightshift-Target"),),
            )
        raise UnknownTarget(f"The app has no target of {system} that is on; it has: {self._names()}.")

    def _names(self) -> str:
        return ", ".join(sorted([*self._on, *(f"{name} (off)" for name in self._off)])) or "none"


def _grouped(environment: Mapping[str, str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for key, value in environment.items():
        name, _, field = key.upper().removeprefix(_PREFIX).partition("__")
        if key.upper().startswith(_PREFIX) and value:
            found[name.lower()][field.lower()] = value
    return dict(found)


def _complaints(name: str, error: ValidationError) -> str:
    prefix = f"{_PREFIX}{name.upper()}"
    return "; ".join(
        f"{'__'.join([prefix, *(str(part).upper() for part in mistake['loc'])])}: {mistake['msg']}"
        for mistake in error.errors(include_input=False, include_url=False)
    )


@cache
def app_targets() -> Targets:
    """Return this process's targets."""
    return Targets(os.environ)
