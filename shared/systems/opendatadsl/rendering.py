"""Writes the response to a batch: one summary for the whole, in the shape of OpenDataDSL's own."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from shared.core import clock
from shared.core.outcome import Ending
from shared.systems.opendatadsl.summaries import sections
from shared.systems.operations import BatchHead, EndedOperation, RenderedResponse
from shared.validation.json_text import members_of

_SECTIONS = ("curves", "failures", "series", "matrix", "events")
"""The documented ones, which are always there."""
_NO_FAILURE = (Ending.DONE, Ending.PLANNED)
_TAKEN_OVER = ("user", "environment", "timestamp", "service", "name", "reason", "source")


def rendered(batch: BatchHead, run: str, ended: Sequence[EndedOperation | None]) -> RenderedResponse:
    """Return the response: the summaries of the parts as one, with all elements that are not done under `failures`."""
    del run
    sent = {name: value for name, value, _ in members_of(batch.head)} if batch.head else {}
    summaries = list(_summaries(ended))
    first = summaries[0] if summaries else {}
    whole = [one for one in ended if one]
    content = {
        "_id": sent.get("_id"),
        **{name: first.get(name, sent.get(name)) for name in _TAKEN_OVER},
        "status": _status(whole),
        "message": _message(whole),
        "summary": _merged(summaries, whole),
    }
    return RenderedResponse(json.dumps(content, ensure_ascii=False).encode(errors="replace"), "application/json")


def _summaries(ended: Sequence[EndedOperation | None]) -> Iterator[dict[str, Any]]:
    """Yield the summaries of the parts; the response to an element of each part has it."""
    for one in ended:
        if one and one.given and one.given.body:
            yield json.loads(one.given.body)


def _merged(summaries: Sequence[dict[str, Any]], ended: Sequence[EndedOperation]) -> dict[str, dict[str, list[str]]]:
    merged: dict[str, dict[str, list[str]]] = {name: {} for name in _SECTIONS}
    for content in summaries:
        # There may be more sections than the documented ones.
        for name, days in sections(content).items():
            for day, names in days.items():
                merged.setdefault(name, {}).setdefault(day, []).extend(names)
    listed = {name for names in merged["failures"].values() for name in names}
    missing = [one.id for one in ended if one.outcome.ending not in _NO_FAILURE and one.id not in listed]
    if missing:
        merged["failures"].setdefault(f"{clock.now():%Y-%m-%d}", []).extend(missing)
    return merged


def _status(ended: Sequence[EndedOperation]) -> str:
    """Return the status of the whole, in the service's own words but for a plan."""
    endings = {one.outcome.ending for one in ended}
    if Ending.PLANNED in endings:
        return "planned"
    return "success" if endings == {Ending.DONE} else "warning" if Ending.DONE in endings else "failed"


def _message(ended: Sequence[EndedOperation]) -> str:
    """Return how many elements ended in which way."""
    counted = Counter(one.outcome.ending for one in ended)
    return f"Elements: {', '.join(f'{count} {ending}' for ending, count in sorted(counted.items()))}."
