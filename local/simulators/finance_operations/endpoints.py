"""Speaks HTTP to the endpoints of business events: never through a proxy, never to where a redirect leads.

An endpoint's URL may hold a key, so no text from here holds an URL.
"""

import json
import secrets
from datetime import datetime

import requests

from local.simulators.finance_operations.event_shapes import GRID_ORIGIN, GRID_SHAPES, Shape, validation

_TIMEOUT_SECONDS = 10


def post(url: str, headers: dict[str, str], body: bytes) -> tuple[int | None, str | None]:
    """Post a message; return the status, if there was an answer, and what is wrong, if anything is."""
    try:
        answer = _ask("POST", url, headers, body)
    except requests.Timeout:
        return None, f"there was no answer within {_TIMEOUT_SECONDS} s"
    except requests.RequestException:
        return None, "there was no answer"
    return answer.status_code, None if 200 <= answer.status_code < 300 else f"HTTP {answer.status_code}"


def shake_hands(url: str, shape: Shape, now: datetime) -> bool:
    """Ask an endpoint whether it wants to be one, as Event Grid does; tell whether its answer was right."""
    try:
        if shape in GRID_SHAPES:
            return _validated(url, now)
        return shape != "cloud-events" or _allowed(url)
    except requests.RequestException:
        return False


def _validated(url: str, now: datetime) -> bool:
    """Shake hands in Event Grid's own way (endpoint validation page): the code comes back in a 200."""
    code = secrets.token_hex(16)
    answer = _ask("POST", url, *validation(code, now))
    try:
        content = json.loads(answer.content)
    except ValueError:
        return False
    return answer.status_code == 200 and isinstance(content, dict) and content.get("validationResponse") == code


def _allowed(url: str) -> bool:
    """Shake hands as CloudEvents has it (HTTP webhook specification): the header decides, not the status."""
    answer = _ask("OPTIONS", url, {"WebHook-Request-Origin": GRID_ORIGIN}, b"")
    return answer.headers.get("WebHook-Allowed-Origin") in (GRID_ORIGIN, "*")


def _ask(method: str, url: str, headers: dict[str, str], body: bytes) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        return session.request(method, url, headers=headers, data=body, timeout=_TIMEOUT_SECONDS, allow_redirects=False)
