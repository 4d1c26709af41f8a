"""Who may come in: the schemes that the REST API takes (SuperOffice docs, Web services, authentication)."""

import base64
import binascii
import secrets

from starlette.requests import Request

from local.simulators.superoffice.behaviour import SuperOfficeBehaviour
from local.simulators.superoffice.identities import Identities, Sessions


def flaw_of(request: Request, behaviour: SuperOfficeBehaviour, app: Identities, sessions: Sessions) -> str | None:
    """Return in a sentence why a call's credentials are not good, or none if they are."""
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    match scheme.lower():
        case "basic":
            return _basic_flaw(value, behaviour)
        case "soticket":
            return _ticket_flaw(value, request.headers.get("so-apptoken"), behaviour, app, sessions)
        case "bearer":
            return _token_flaw(value, behaviour, sessions)
    return "Authentication is required."


def _basic_flaw(value: str, behaviour: SuperOfficeBehaviour) -> str | None:
    if behaviour.is_online:
        return "Basic authentication is not available online."
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "The credentials are not readable."
    return None if (user, password) == (behaviour.user, behaviour.password) else "Wrong user name or password."


def _ticket_flaw(
    ticket: str, app_token: str | None, behaviour: SuperOfficeBehaviour, app: Identities, sessions: Sessions
) -> str | None:
    if behaviour.is_online and not _same(app_token, app.client_secret):
        return "The application token in SO-AppToken is missing or wrong."
    return None if sessions.use_ticket(ticket) else "The ticket is not valid."


def _token_flaw(token: str, behaviour: SuperOfficeBehaviour, sessions: Sessions) -> str | None:
    if not behaviour.is_online:
        return "Bearer authentication is available online only."
    return None if sessions.is_access_token(token) else "The access token is not valid."


def _same(given: str | None, known: str) -> bool:
    return given is not None and secrets.compare_digest(given.encode(), known.encode())
