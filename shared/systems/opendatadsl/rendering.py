"""Writes the response to a batch: one summary for the whole, in the shape of OpenDataDSL's own."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from shared.core import clock
from shared.core.outcome import Ending
from shared.systems.opendatadsl.summaries import sections
from shared.systems.operations import BatchHead, EndedOperation, RenderedResponse
from shared.validation.json_text import members_of

_SECTIONS = ("curves", "failures", "series", "matrix", "events")
"""The documented ones, which are always there."""
_NO_FAILURE = (Ending.DONE, Ending.PLANNED)
_TAKEN_OVER = ("user", "environment", "timestamp", "service", "name", "reason", "source")


class _Piece(NamedTuple):
    """What the response needs of one element: its id, how it ended, and the summary of its part, if it has that."""

    id: str
    ending: str
    summary: dict[str, Any] | None


def pieces(batch: BatchHead, run: str, places: Sequence[int], ended: Sequence[EndedOperation | None]) -> list[bytes]:
    """Return what the response needs of each element; one of each part has the part's summary."""
    del batch, run, places
    return [_piece(one) if one else b"" for one in ended]


def _piece(one: EndedOperation) -> bytes:
    summary = json.loads(one.given.body) if one.given and one.given.body else None
    return json.dumps(_Piece(one.id, one.outcome.ending, summary)).encode()


def rendered(batch: BatchHead, run: str, found: Iterable[bytes]) -> RenderedResponse:
    """Return the response: the summaries of the parts as one, with all elements that are not done under `failures`."""
    del run
    sent = {name: value for name, value, _ in members_of(batch.head)} if batch.head else {}
    counted: Counter[Ending] = Counter()
    summaries: list[dict[str, Any]] = []
    undone: list[str] = []
    for one in (_Piece(*json.loads(piece)) for piece in found if piece):
        counted[Ending(one.ending)] += 1
        summaries += [one.summary] if one.summary is not None else []
        undone += [one.id] if one.ending not in _NO_FAILURE else []
    first = summaries[0] if summaries else {}
    content = {
        "_id": sent.get("_id"),
        **{name: first.get(name, sent.get(name)) for name in _TAKEN_OVER},
        "status": _status(counted),
        "message": _message(counted),
        "summary": _merged(summaries, undone),
    }
    return RenderedResponse([json.dumps(content, ensure_ascii=False).encode(errors="replace")], "application/json")


def _merged(summaries: Iterable[dict[str, Any]], undone: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    merged: dict[str, dict[str, list[str]]] = {name: {} for name in _SECTIONS}
    for content in summaries:
        # There may be more sections than the documented ones.
        for name, days in sections(content).items():
            for day, names in days.items():
                merged.setdefault(name, {}).setdefault(day, []).extend(names)
    listed = {name for names in merged["failures"].values() for name in names}
    missing = [one for one in undone if one not in listed]
    if missing:
        merged["failures"].setdefault(f"{clock.now():%Y-%m-%d}", []).extend(missing)
    return merged


def _status(counted: Counter[Ending]) -> str:
    """Return the status of the whole, in the service's own words but for a plan."""
    if Ending.PLANNED in counted:
        return "planned"
    return "success" if set(counted) == {Ending.DONE} else "warning" if Ending.DONE in counted else "failed"


def _message(counted: Counter[Ending]) -> str:
    """Return how many elements ended in which way."""
    return f"Elements: {', '.join(f'{count} {ending}' for ending, count in sorted(counted.items()))}."
