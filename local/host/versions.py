"""Which versions of orchestrations an app runs, as the extension decides it (`versionMatchStrategy`)."""

from local.host.host_json import DurableSettings


def is_covered(version: str | None, settings: DurableSettings) -> bool:
    """Tell whether an app runs an orchestration of a version; none is older than any."""
    mine = settings.default_version
    match settings.match_strategy:
        case "CurrentOrOlder":
            return _rank(version) <= _rank(mine)
        case "Strict":
            return _rank(version) == _rank(mine)
        case _:
            return True


def _rank(version: str | None) -> tuple[int, ...]:
    """Order versions such as `1`, `1.10` and `2.0.1`; a text that is none of these comes before all that are."""
    if not version:
        return ()
    parts = version.split(".")
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else (0,)
