"""Adaptive Cards for people: a night, and what needs a person. Pure; no card has a payload or a secret.

A message is what the webhook of a Teams workflow takes ("Create and send messages", Microsoft Teams): at most 28 KB.
What systems call things is text of its own (`TextRun`), so that no name is read as Markdown.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.core.outcome import Ending, Recovery
from shared.reports.night import NightAnswer, NightTarget, is_missing
from shared.reports.night_words import is_bad, sentences
from shared.runs.needs.shown import NeedsPerson

MOST_BYTES = 20_000
_MOST_NEEDS, _MOST_TARGETS, _MOST_SENTENCES = 10, 20, 12
_LONGEST = 300
_VERSION = "1.4"
Element = Mapping[str, Any]


def is_wanted(night: NightAnswer) -> bool:
    """Return whether people get a card about a night: not if nothing ran and nobody is needed, as without nights."""
    return bool(night.totals.runs or night.events.runs or night.needsPerson)


def night_card(night: NightAnswer, needs: Sequence[NeedsPerson], base: str) -> bytes:
    """Return the message about a night: what ran, what recovered, and what needs a person; `base` is the app's URL.

    Its sentences have no text of a system, which may quote what was sent.
    """
    body = [
        _title(f"Nightshift: the night of {night.night}", _color(night, needs)),
        *(_text(one) for one in sentences(night, quoted=False)[:_MOST_SENTENCES]),
        *_facts(night.targets),
        *_needs(needs),
    ]
    links = {"The night": f"{base}/api/nights/{night.night}", "What needs a person": f"{base}/api/needs-person"}
    return _message(f"Nightshift: the night of {night.night}", body, links if base else {})


def needs_card(needs: Sequence[NeedsPerson], base: str) -> bytes:
    """Return the message about what needs a person now; `base` is the app's URL."""
    count = len(needs)
    title = f"Nightshift: {count} {'thing needs' if count == 1 else 'things need'} a person"
    links = {"What needs a person": f"{base}/api/needs-person"}
    return _message(title, [_title(title, "Attention"), *_needs(needs)], links if base else {})


def _color(night: NightAnswer, needs: Sequence[NeedsPerson]) -> str:
    """Return the colour of a night: green only if all ran that should, all is well, and nobody is needed."""
    if needs:
        return "Attention"
    counts = [night.totals.counts, night.events.counts, *(one.counts for one in night.people)]
    return "Warning" if any(map(is_bad, counts)) or any(map(is_missing, night.targets)) else "Good"


def _needs(needs: Sequence[NeedsPerson]) -> Iterable[Element]:
    for one in needs[:_MOST_NEEDS]:
        yield _text(f"{one.target or 'Nightshift'}: {one.text}", bold=True)
        yield _text(one.next)
    if len(needs) > _MOST_NEEDS:
        yield _text(f"And {len(needs) - _MOST_NEEDS} more.")


def _facts(targets: Sequence[NightTarget]) -> Iterable[Element]:
    """Yield a line for each target: what became of its items."""
    for one in targets[:_MOST_TARGETS]:
        yield _text(f"{one.target}: {_outcome(one)}")
    if len(targets) > _MOST_TARGETS:
        yield _text(f"And {len(targets) - _MOST_TARGETS} more targets.")


def _outcome(one: NightTarget) -> str:
    if one.run is None:
        return f"{one.state}. {one.reason or ''}".strip()
    known = {str(name): count for name, count in one.counts.outcome.items() if count and name is not Ending.DONE}
    known |= {str(name): count for name, count in one.counts.recovery.items() if count}
    done = one.counts.outcome[Ending.DONE]
    counts = [f"{done} done", *(f"{count} {name.replace('_', ' ')}" for name, count in known.items())]
    unwatched = one.counts.recovery[Recovery.NOT_WATCHED]
    shown = [text for text in counts if not (unwatched == done and text.endswith("not watched"))]
    return f"{one.state}; {', '.join(shown)}."


def _title(text: str, color: str) -> Element:
    return {"type": "RichTextBlock", "inlines": [_run(text) | {"size": "Large", "weight": "Bolder", "color": color}]}


def _text(text: str, *, bold: bool = False) -> Element:
    return {"type": "RichTextBlock", "inlines": [_run(text) | ({"weight": "Bolder"} if bold else {})]}


def _run(text: str) -> dict[str, Any]:
    return {"type": "TextRun", "text": text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."}


def _message(summary: str, body: Sequence[Element], links: Mapping[str, str]) -> bytes:
    """Return the message; a card that would be too large loses its last lines."""
    actions = [{"type": "Action.OpenUrl", "title": title, "url": url} for title, url in links.items()]
    kept = list(body)
    while True:
        card = {
            "type": "AdaptiveCard",
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "version": _VERSION,
            "fallbackText": summary,
            "msteams": {"width": "Full"},
            "body": kept,
            "actions": actions,
        }
        content = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
        message = json.dumps({"type": "message", "summary": summary, "attachments": [content]}).encode()
        if len(message) <= MOST_BYTES or len(kept) <= 1:
            return message
        kept.pop()
