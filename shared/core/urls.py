"""URLs in settings: of a system, of a token issuer, and of the app itself."""

import re
from urllib.parse import urlsplit

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)


def checked_url(value: str) -> str:
    """Return a URL without a slash at its end.

    Raises:
        ValueError: it is not a scheme, a host and an optional path; the text does not quote it.
    """
    if re.search(r"[\s@?#\\]", value) or not value.isascii() or not value.isprintable():
        raise ValueError("must be a scheme, a host and an optional path in ASCII, without user, query or fragment")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        # The library's text quotes the value, which may hold a password.
        raise ValueError("is not a URL") from None
    if port == 0 or not parts.hostname:
        raise ValueError("has no host, or port 0")
    if ":" not in parts.hostname and not all(map(_LABEL.fullmatch, parts.hostname.removesuffix(".").split("."))):
        raise ValueError("has a host that is no name, such as one with two dots in a row")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise ValueError("must begin with https:// (http:// only for the loopback address)")
    return value.rstrip("/")
