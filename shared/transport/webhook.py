"""Post a message to the webhook of a flow, such as a Teams workflow. Its URL is a secret: no text here quotes it."""

from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Literal

import requests
from urllib3.exceptions import HTTPError

from shared.core.urls import checked_url
from shared.transport.lost_calls import never_sent, root_name
from shared.transport.session import USER_AGENT, new_session

State = Literal["delivered", "not_delivered", "lost"]
_TIMEOUT = (10.0, 30.0)
"""Seconds for the connection, and for the response."""


@dataclass(frozen=True)
class Delivery:
    """How a post ended.

    Attributes:
        state: `delivered`; `not_delivered`, which may be posted again; `lost`: it may have been delivered.
        reason: Why it was not delivered, without the URL.
    """

    state: State
    reason: str = ""


def post(url: str, content: bytes) -> Delivery:
    """Post JSON once; nothing is raised for what the other side does, and a redirect is not followed."""
    wrong = _mistake_of(url)
    if wrong:
        return Delivery("not_delivered", f"NOTIFY_URL {wrong}.")
    headers = {"Content-Type": "application/json", "User-Agent": USER_AGENT}
    try:
        response = _session().post(
            url, data=content, headers=headers, timeout=_TIMEOUT, allow_redirects=False, stream=True
        )
        response.close()
    except (requests.exceptions.RequestException, HTTPError) as error:
        if never_sent(error):
            return Delivery("not_delivered", f"The webhook can't be reached ({root_name(error)}).")
        return Delivery("lost", f"The webhook did not answer ({root_name(error)}).")
    if response.status_code < HTTPStatus.MULTIPLE_CHOICES:
        return Delivery("delivered")
    state: State = "lost" if _may_have_arrived(response.status_code) else "not_delivered"
    return Delivery(state, f"The webhook answered {response.status_code}.")


def _may_have_arrived(status: int) -> bool:
    """Return whether a status leaves open if the flow got the message: a gateway may have stopped waiting for it."""
    is_of_server = status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.SERVICE_UNAVAILABLE
    return is_of_server or status == HTTPStatus.REQUEST_TIMEOUT


def _mistake_of(url: str) -> str | None:
    """Return what is wrong with a webhook's URL; it may have a query, unlike other URLs in settings."""
    path, _, query = url.partition("?")
    try:
        checked_url(path)
    except ValueError as error:
        return str(error)
    return None if query.isascii() and query.isprintable() and not set(query) & set(" #\\") else "has a wrong query"


@cache
def _session() -> requests.Session:
    return new_session("")
