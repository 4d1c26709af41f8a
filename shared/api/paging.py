"""Query parameters of lists: numbers, instants, and the link to the next page."""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime
from urllib.parse import urlencode

from shared.core.problems import Mistake, NotValid
from shared.core.settings import app_settings
from shared.runs import creation
from shared.validation.request import Call

PAGE = 100
FIRST_YEAR, LAST_YEAR = 2000, 2199


def number(call: Call, name: str, default: int, *, most: int = 2**31) -> int:
    """Return a whole number from the query; raise NotValid for another text."""
    text = call.params.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text) or not (name == "after" or int(text) >= 1) or int(text) > most:
        raise wrong_parameter(name, f"must be a number up to {most}")
    return int(text)


def instant(call: Call, name: str) -> datetime | None:
    """Return an ISO 8601 instant with a zone from the query; raise NotValid for another text."""
    text = call.params.get(name)
    if text is None:
        return None
    try:
        # The + of an offset is decoded as a space.
        found = datetime.fromisoformat(text.replace(" ", "+"))
    except ValueError:
        raise wrong_parameter(name, "must be an ISO 8601 instant") from None
    if found.tzinfo is None:
        raise wrong_parameter(name, "must have a zone, such as Z")
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise wrong_parameter(name, f"must be between {FIRST_YEAR} and {LAST_YEAR}")
    # The keys of records are in UTC.
    return found.astimezone(UTC)


def day(text: str, name: str) -> date:
    """Return a date, as YYYY-MM-DD; raise NotValid for another text of the parameter `name`."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.isoformat() != text:
        raise wrong_parameter(name, "must be a date as YYYY-MM-DD")
    return found


def choice(call: Call, name: str, allowed: Iterable[str]) -> str | None:
    """Return one of some texts from the query; raise NotValid for another text."""
    text, known = call.params.get(name), [str(one) for one in allowed]
    if text is not None and text not in known:
        raise wrong_parameter(name, f"must be one of {', '.join(known)}")
    return text


def wrong_parameter(name: str, text: str) -> NotValid:
    """Build the problem for a query parameter."""
    return NotValid.of(Mistake(f"the parameter {name} {text}", parameter=name))


def next_link(call: Call, after: str) -> str:
    """Return the link to the next page: the other parameters of the call, without a function key (`code`)."""
    kept = {name: value for name, value in call.params.items() if name.lower() != "code"}
    path = call.url.partition("?")[0].partition("/api/")[2]
    return f"{creation.base_url(call, app_settings())}/api/{path}?{urlencode({**kept, 'after': after})}"
