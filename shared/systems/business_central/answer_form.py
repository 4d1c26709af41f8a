"""How the response to a `$batch` is written: as the request was, unless Accept asks for the other form."""

import re

from shared.systems.operations import BatchForm

_FORMS: dict[str, BatchForm] = {"application/json": "json", "multipart/mixed": "multipart"}
_WEIGHT = re.compile(r"q=(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)


def answer_form(accept: str, asked: BatchForm) -> BatchForm:
    """Return the form that Accept prefers (RFC 9110, 12.5.1); without a preference, that of the request."""
    weights: dict[BatchForm, float] = {}
    for one in accept.split(","):
        media_type, *parameters = (part.strip() for part in one.split(";"))
        form = _FORMS.get(media_type.lower())
        if form:
            weights[form] = max(weights.get(form, 0.0), _weight(parameters))
    best = max(weights.values(), default=0.0)
    if not best or weights.get(asked) == best:
        return asked
    return "json" if asked == "multipart" else "multipart"


def _weight(parameters: list[str]) -> float:
    return next((float(one[2:]) for one in parameters if _WEIGHT.fullmatch(one)), 1.0)
