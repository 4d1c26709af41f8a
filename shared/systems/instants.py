"""Instants in the responses of systems."""

from datetime import UTC, datetime


def instant(value: object) -> datetime | None:
    """Return an instant in ISO 8601; one without a zone is in UTC. None if there is none, also for .NET's year 1."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if found is None or found.year == 1:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
