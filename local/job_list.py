"""A person's own list of batch jobs, for `serve --jobs`."""

import csv
import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from local.simulators.finance_operations.batch_job import JobSettings
from local.simulators.finance_operations.jobs import Jobs

_JOBS = TypeAdapter(list[JobSettings])


class BadJobsError(ValueError):
    """A list of jobs can't be used; the message says why."""


def read_jobs(file: Path) -> list[JobSettings]:
    """Read a list of jobs: JSON as `POST /local/jobs` takes it, or CSV with the same names in its first line.

    Raises:
        BadJobsError: The file can't be read, or a job is impossible.
    """
    try:
        text = file.read_text("utf-8-sig")
        settings = _JOBS.validate_json(_as_json(text) if file.suffix.lower() == ".csv" else text)
        _try(settings)
    except ValidationError as error:
        raise BadJobsError(f"{file}: {_sentence(error)}") from error
    except (OSError, ValueError, csv.Error) as error:
        raise BadJobsError(f"{file}: {getattr(error, 'strerror', None) or error}") from error
    return settings


def _try(settings: list[JobSettings]) -> None:
    """Add them where nobody sees it: some mistakes, such as an id that comes twice, show only there."""
    jobs = Jobs(lambda: datetime.now(UTC))
    for job in settings:
        jobs.add(**job)


def _as_json(text: str) -> str:
    # What some spreadsheets call comma-separated is separated by semicolons.
    delimiter = ";" if ";" in text.partition("\n")[0] else ","
    rows = csv.DictReader(text.splitlines(), restkey="more cells than names", delimiter=delimiter)
    return json.dumps([{name: _cell(name, cell) for name, cell in row.items() if cell} for row in rows])


def _cell(name: str, text: str) -> object:
    if name == "outcomes":
        return re.split(r"[\s|;]+", text.strip())
    if name == "id" or name.endswith("_seconds"):
        with suppress(ValueError):
            return json.loads(text)
    return text


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = [f"job {part + 1}" if isinstance(part, int) else str(part) for part in first["loc"][:2]]
    return f"{', '.join(where)}: {first['msg']}." if where else f"{first['msg']}."
