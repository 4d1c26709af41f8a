"""URLs in settings: of a system, of a token issuer, and of the app itself."""

import re
from urllib.parse import SplitResult, urlsplit

_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_HTTPS = 443
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


def is_same_site(url: str, home: str) -> bool:
    """Return whether a URL that a service returned belongs to the service at `home`.

    It is on the same host, or on one below the same parent domain, such as online2.superoffice.com for
    online.superoffice.com; a parent domain has two labels at least. Its port is the usual one, or that of `home`.
    """
    try:
        found, known = urlsplit(checked_url(url)), urlsplit(checked_url(home))
    except ValueError:
        return False
    host, own = _host(found), _host(known)
    if host in _LOOPBACK:
        return host == own
    parent = _parent(own)
    below = bool(parent) and host.endswith(f".{parent}")
    return (host == own or below) and (found.port or _HTTPS) in (_HTTPS, known.port)


def _host(parts: SplitResult) -> str:
    return (parts.hostname or "").removesuffix(".")


def _parent(host: str) -> str:
    """Return the parent domain of a host; empty for an address, and for a domain without a parent of two labels."""
    parent = host.partition(".")[2]
    return parent if "." in parent and not parent.rpartition(".")[2].isdigit() else ""
