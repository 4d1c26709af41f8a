"""A person's own app settings for `serve`: from a file as local.settings.json, and from the environment."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from local.simulators.landscape import SIMULATORS, SYSTEMS
from shared.core.settings import Settings, sign_in_mistake
from shared.core.targets import Target, Targets

_PREFIX = "TARGETS__"
_STORE = ("STORE", "STORE_PATH", "STORE_CONTAINER")
SIMULATED = {one.system: one.target for one in SIMULATORS}
"""What the target of each simulated system is called."""


class BadSettingsError(ValueError):
    """The settings can't be used; the message says why, and shows no value."""


@dataclass(frozen=True)
class OwnSettings:
    """What a person has set.

    Attributes:
        values: Their app settings, by name.
        systems: The systems that none of their targets is of, so they are simulated.
        targets: Their targets.
        off: By name, what is wrong with the settings of a target of theirs.
        tuned: By the system, which settings of its simulated target are theirs.
    """

    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    systems: tuple[str, ...] = SYSTEMS
    targets: tuple[Target, ...] = ()
    off: Mapping[str, str] = field(default_factory=dict)
    tuned: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def store(self) -> str:
        """Where they keep runs, in a phrase; nothing if they leave it to `serve`."""
        return ", ".join(f"{name} {self.values[name]}" for name in _STORE if name in self.values)


def read(file: Path | None, environment: Mapping[str, str]) -> OwnSettings:
    """Return what a file and the environment set; the file goes before the environment.

    Raises:
        BadSettingsError: the file can't be read, or the app could not start with these settings.
    """
    values = {**_from_environment(environment), **(_from_file(file) if file else {})}
    _check(values)
    fields = _by_target(values)
    own = {name: found for name, found in fields.items() if found.keys() & {"URL", "SYSTEM"}}
    systems = tuple(system for system in SYSTEMS if system not in map(_system_of, own, own.values()))
    _check_names(own, systems)
    targets = Targets({name: value for name, value in values.items() if _target_of(name) in own})
    tuned = {system: sorted(fields.get(SIMULATED[system], ())) for system in systems}
    return OwnSettings(values, systems, tuple(targets.on), targets.off, tuned)


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    known = {name.upper() for name in Settings.model_fields}
    found = {_written(name): value for name, value in environment.items()}
    return {name: value for name, value in found.items() if value and (name in known or name.startswith(_PREFIX))}


def _from_file(file: Path) -> dict[str, str]:
    try:
        content = json.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        raise BadSettingsError(f"{file}: {error.strerror}") from error
    except ValueError as error:
        # The decoder's text names a place, and never quotes.
        raise BadSettingsError(f"{file}: is not JSON in UTF-8: {error}") from None
    values = content.get("Values", content) if isinstance(content, dict) else None
    if not isinstance(values, dict):
        raise BadSettingsError(f'{file}: must be a JSON object of settings, or have one as "Values"')
    if content.get("IsEncrypted") is True:
        raise BadSettingsError(f"{file}: is encrypted; `func settings decrypt` makes it readable")
    for name, value in values.items():
        if not isinstance(value, str):
            raise BadSettingsError(f"{file}: {name} must be a text, in quotes")
    return {_written(name): value for name, value in values.items()}


def _written(name: str) -> str:
    """Return the name of a setting as it is compared: the app reads those of targets in any case."""
    return name.upper() if name.upper().startswith(_PREFIX) else name


def _check(values: Mapping[str, str]) -> None:
    try:
        mistake = sign_in_mistake(Settings.read(values), values)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'__'.join(map(str, one['loc'])).upper()}: {one['msg']}".removeprefix(": ")
            for one in error.errors(include_input=False, include_url=False)
        )
        raise BadSettingsError(f"An app setting is wrong: {wrong}.") from None
    if mistake:
        raise BadSettingsError(f"An app setting is wrong: {mistake}.")


def _by_target(values: Mapping[str, str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for name, value in values.items():
        if name.startswith(_PREFIX) and value:
            found[_target_of(name)][name.removeprefix(_PREFIX).partition("__")[2]] = value
    return dict(found)


def _target_of(name: str) -> str:
    return name.removeprefix(_PREFIX).partition("__")[0] if name.startswith(_PREFIX) else ""


def _system_of(target: str, fields: Mapping[str, str]) -> str:
    """Return the system of a target; one that says none is of the system whose simulated target has its name."""
    usual = {name: system for system, name in SIMULATED.items()}
    return fields.get("SYSTEM") or usual.get(target, "")


def _check_names(own: Mapping[str, Mapping[str, str]], simulated: tuple[str, ...]) -> None:
    for system in simulated:
        if (name := SIMULATED[system]) in own:
            raise BadSettingsError(
                f"{_PREFIX}{name}__SYSTEM: the target {name.lower()} is the simulated {system} here; give yours another"
                f" name, or {system} a target of its own."
            )
