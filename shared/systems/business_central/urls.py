"""The URL of an operation: below the target's root only."""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

# Most URLs: segments begin with a letter, a digit or `_`, so that none is `..`.
_PLAIN = re.compile(r"\w[\w()',=.-]*(?:/\w[\w()',=.-]*)*", re.ASCII)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DOTS = re.compile(r"(?:^|[/\\])\s*\.{1,2}\s*(?:[/\\;]|$)")
_SEGMENT = re.compile(r"(?:[^/']|'[^']*(?:'|$))+")
_ROOT = re.compile(r"api(?:/[A-Za-z0-9][A-Za-z0-9._-]*){1,2}(?:/[A-Za-z0-9][A-Za-z0-9._-]*)?", re.IGNORECASE)
_ROOTS_SEGMENTS = (2, 4)
_ENTITY_SET = re.compile(r"/([A-Za-z_]\w*)(?=[(/?]|$)", re.ASCII)
_MOST_KNOWN = 1000
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Url:
    """The URL of one operation.

    Attributes:
        text: The URL relative to the root, with its query.
        reference: The id of the operation whose result it begins with (`$<id>`).
        company: The company that it names, normalized for comparison.
        below: The rest of the path up to its first keyed entity, such as `journals(2)`; normalized like `company`.
        keyed: `below` ends with a keyed entity.
        of_companies: It addresses the entity set `companies` itself.
        absolute: It was absolute as received.
    """

    text: str
    reference: str | None
    company: str | None
    below: str
    keyed: bool
    of_companies: bool
    absolute: bool


def service_root(route: str) -> str:
    """Return the API's root in a route: `api/v2.0` for `api/v2.0/$batch`.

    Raises:
        ValueError: it is not `api/{version}` or `api/{publisher}/{group}/{version}`, with or without `/$batch`.
    """
    root = re.sub(r"/(?:\$|%24)batch$", "", route.strip("/"), flags=re.IGNORECASE)
    if not _ROOT.fullmatch(root) or ".." in root or root.count("/") + 1 not in _ROOTS_SEGMENTS:
        raise ValueError("must be api/v2.0/$batch or api/{publisher}/{group}/{version}/$batch")
    return root


def callers_root(url: str) -> str:
    """Return the root of the API for the caller of a batch: the URL of the call, without `/$batch`."""
    return re.sub(r"(?:\$|%24)batch$", "", url.partition("?")[0].rstrip("/"), flags=re.IGNORECASE)


class Root:
    """The root of all URLs of a batch; many operations have the same URL, so results are cached."""

    def __init__(self, base: str, root: str, own: str = "") -> None:
        """Create it.

        Args:
            base: The target's base URL.
            root: The API's root below it.
            own: The same root for the caller, who may write URLs below it; it ends with a slash.
        """
        parts = urlsplit(base)
        self._roots = [(_origin(parts.scheme, parts.hostname, parts.port), f"{parts.path.rstrip('/')}/{root}/")]
        if own.endswith("/"):
            parts = urlsplit(own)
            self._roots.append((_origin(parts.scheme, parts.hostname, parts.port), parts.path))
        self._known: dict[str, Url] = {}

    def check_host(self, host: str) -> None:
        """Check the header Host of an operation.

        Raises:
            ValueError: it is neither the target nor the host of the caller's URLs.
        """
        try:
            parts = urlsplit(f"//{host}")
            found = {_origin(scheme, parts.hostname, parts.port) for scheme in _PORTS}
        except ValueError:
            found = set()
        if found.isdisjoint(known for known, _ in self._roots):
            raise ValueError("has a header Host that is another origin than the target")

    def read(self, url: str) -> Url:
        """Return the parts of a URL.

        Raises:
            ValueError: it is outside the root, or not allowed in an operation.
        """
        known = self._known.get(url)
        if known is None:
            known = self._read(url)
            if len(self._known) < _MOST_KNOWN:
                self._known[url] = known
        return known

    def _read(self, url: str) -> Url:
        if _PLAIN.fullmatch(url):
            return _parsed(url, absolute=False)
        if _CONTROL.search(url) or url != url.strip():
            raise ValueError("has control characters, or spaces around it")
        # In a query, a backslash may be part of a literal.
        if "\\" in url.partition("?")[0] or "#" in url:
            raise ValueError("has a backslash in its path, or a fragment (#)")
        relative = self._relative(url)
        _check_path(relative.partition("?")[0])
        return _parsed(relative, absolute=relative is not url)

    def _relative(self, url: str) -> str:
        if not url.startswith("/") and not _SCHEME.match(url):
            return url
        # The path is cut from the text, not from urlsplit(url): the checked text must be the text that is sent.
        path, roots = url, [root for _, root in self._roots]
        if not url.startswith("/") or url.startswith("//"):
            try:
                parts = urlsplit(url)
                origin = _origin(parts.scheme, parts.hostname, parts.port)
            except ValueError:
                raise ValueError("is not a URL") from None
            roots = [root for known, root in self._roots if known == origin]
            if not roots or "@" in parts.netloc:
                raise ValueError("has another origin than the target")
            path = url[url.index("//") + 2 + len(parts.netloc) :]
        found = next((root for root in roots if path.lower().startswith(root.lower())), None)
        if found is None and path is url and _is_below_root(path, roots):
            return path[1:]
        if found is None:
            raise ValueError(f"is not under the target's root, {roots[0]}")
        return path[len(found) :]


def _is_below_root(path: str, roots: list[str]) -> bool:
    """Return whether a path means an entity set of the API: some clients begin with a slash what is relative."""
    found = _ENTITY_SET.match(path)
    others = {"api", *(root[1:].partition("/")[0].lower() for root in roots)}
    return found is not None and found[1].lower() not in others


def _origin(scheme: str, host: str | None, port: int | None) -> tuple[str, str, int | None]:
    return scheme.lower(), (host or "").lower(), port or _PORTS.get(scheme.lower())


def _check_path(path: str) -> None:
    if not path.strip("/"):
        raise ValueError("has no path below the root")
    if path.startswith("/") or _SCHEME.match(path):
        raise ValueError("must be relative to the root")
    plain = _decoded(path)
    if _CONTROL.search(plain) or "\\" in plain:
        raise ValueError("has an encoded control character or backslash")
    if _DOTS.search(plain):
        raise ValueError("has a segment . or ..")
    if any(segment.strip().lower() == "$batch" for segment in plain.split("/")):
        raise ValueError("is a nested batch")
    for first in ("$", "/"):
        if plain.startswith(first) and not path.startswith(first):
            raise ValueError(f"begins with an encoded {first}")


def _decoded(path: str) -> str:
    """Return a path with percent-encoding removed, up to three levels."""
    for _ in range(3):
        path = unquote(path)
    return path


def _parsed(text: str, *, absolute: bool) -> Url:
    path, _, query = text.partition("?")
    segments = _SEGMENT.findall(path) if "'" in path else path.strip("/").split("/")
    reference = _reference(path, query) if path.startswith("$") else None
    company = _in_query(query) if query else None
    if reference is not None:
        segments = segments[1:]
    elif segments[0].lower().startswith("companies(") and _is_keyed(segments[0]):
        company = _compared(segments[0])[len("companies(") : -1]
        segments = segments[1:]
    of_companies = not reference and bool(segments) and segments[0].lower() == "companies"
    below, keyed = _first_entity(segments)
    return Url(text, reference, company, below, keyed, of_companies, absolute)


def _reference(path: str, query: str) -> str:
    """Return the id in `$<id>/...`.

    Microsoft's library reads everything up to the next slash as the id, including a query, and refuses the whole batch
    if the id is unknown. The same applies to OData's own `$metadata`, `$entity` and the like.
    """
    name, slash, _ = path[1:].partition("/")
    if query and not slash:
        raise ValueError("has a query directly after $<id>, which would be read as part of the id")
    return name


def _first_entity(segments: list[str]) -> tuple[str, bool]:
    """Return the path up to the first keyed entity: a document locks its lines."""
    found = []
    for segment in segments:
        found.append(_compared(segment))
        if _is_keyed(segment):
            return "/".join(found), True
    return "/".join(found), False


def _is_keyed(segment: str) -> bool:
    return segment.rstrip().endswith((")", "%29")) and not segment.rstrip().endswith("()")


def _compared(segment: str) -> str:
    """Return a segment normalized for comparison: `Journals(id = %27A%27)` becomes `journals('a')`."""
    plain = unquote(segment) if "%" in segment else segment
    return "".join(plain.split()).casefold().replace("(id=", "(")


def _in_query(query: str) -> str | None:
    for option in query.split("&"):
        name, _, value = option.partition("=")
        if unquote(name).strip().lower() == "company" and value.strip():
            return _compared(unquote(value.replace("+", " ")))
    return None
