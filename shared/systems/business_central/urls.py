"""Where an operation goes: a URL under the target's root, and nowhere else."""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

# What most URLs are made of: segments that begin with a letter, a digit or `_`, so that none is `..`.
_PLAIN = re.compile(r"\w[\w()',=.-]*(?:/\w[\w()',=.-]*)*", re.ASCII)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DOTS = re.compile(r"(?:^|[/\\])\s*\.{1,2}\s*(?:[/\\;]|$)")
_SEGMENT = re.compile(r"(?:[^/']|'[^']*(?:'|$))+")
_ROOT = re.compile(r"api(?:/[A-Za-z0-9][A-Za-z0-9._-]*){1,2}(?:/[A-Za-z0-9][A-Za-z0-9._-]*)?", re.IGNORECASE)
_ROOTS_SEGMENTS = (2, 4)
_MOST_KNOWN = 1000
_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, slots=True)
class Url:
    """The URL of one operation.

    Attributes:
        text: It, relative to the root, with its query.
        reference: The id of the operation whose result it begins with (`$<id>`).
        company: The company that it names, compared without regard to case.
        below: The rest of the path, up to its first keyed entity: `journals(2)`; compared like `company`.
        keyed: It has such an entity.
        of_companies: It reads `companies` themselves.
        mended: It was absolute.
    """

    text: str
    reference: str | None
    company: str | None
    below: str
    keyed: bool
    of_companies: bool
    mended: bool


def service_root(route: str) -> str:
    """Return the API's root that a route names: `api/v2.0/$batch` is `api/v2.0`.

    Raises:
        ValueError: it isn't `api/{version}` or `api/{publisher}/{group}/{version}`, with or without `/$batch`.
    """
    root = re.sub(r"/(?:\$|%24)batch$", "", route.strip("/"), flags=re.IGNORECASE)
    if not _ROOT.fullmatch(root) or ".." in root or root.count("/") + 1 not in _ROOTS_SEGMENTS:
        raise ValueError("must be api/v2.0/$batch or api/{publisher}/{group}/{version}/$batch")
    return root


class Root:
    """The root that all URLs of a batch are under; one URL comes many times, and is read once."""

    def __init__(self, base: str, root: str) -> None:
        """Take the target's base URL, and the API's root below it."""
        parts = urlsplit(base)
        self._origin = _origin(parts.scheme, parts.hostname, parts.port)
        self._path = f"{parts.path.rstrip('/')}/{root}/"
        self._known: dict[str, Url] = {}

    def read(self, url: str) -> Url:
        """Return what `url` says.

        Raises:
            ValueError: it leads out of the root, or somewhere that no operation may go.
        """
        known = self._known.get(url)
        if known is None:
            known = self._read(url)
            if len(self._known) < _MOST_KNOWN:
                self._known[url] = known
        return known

    def _read(self, url: str) -> Url:
        if _PLAIN.fullmatch(url):
            return _told(url, mended=False)
        if _CONTROL.search(url) or url != url.strip():
            raise ValueError("has control characters, or blanks around it")
        if "\\" in url or "#" in url:
            raise ValueError("has a backslash or a fragment (#)")
        relative = self._relative(url)
        _check_path(relative.partition("?")[0])
        return _told(relative, mended=relative is not url)

    def _relative(self, url: str) -> str:
        if not url.startswith("/") and not _SCHEME.match(url):
            return url
        # Never urlsplit(url).path: the rest is cut as text, so that what is sent is what was checked.
        path = url
        if not url.startswith("/") or url.startswith("//"):
            try:
                parts = urlsplit(url)
                origin = _origin(parts.scheme, parts.hostname, parts.port)
            except ValueError:
                raise ValueError("is not a URL") from None
            if origin != self._origin or "@" in parts.netloc:
                raise ValueError("is of another origin than the target")
            path = url[url.index("//") + 2 + len(parts.netloc) :]
        if not path.lower().startswith(self._path.lower()):
            raise ValueError(f"is not under the target's root, {self._path}")
        return path[len(self._path) :]


def _origin(scheme: str, host: str | None, port: int | None) -> tuple[str, str, int | None]:
    return scheme.lower(), (host or "").lower(), port or _PORTS.get(scheme.lower())


def _check_path(path: str) -> None:
    if not path.strip("/"):
        raise ValueError("names nothing under the root")
    if path.startswith("/") or _SCHEME.match(path):
        raise ValueError("must be relative to the root")
    plain = _decoded(path)
    if _CONTROL.search(plain) or "\\" in plain:
        raise ValueError("has an encoded control character or backslash")
    if _DOTS.search(plain):
        raise ValueError("has a segment . or ..")
    if any(segment.strip().lower() == "$batch" for segment in plain.split("/")):
        raise ValueError("is a batch within the batch")
    if plain.startswith("$") and not path.startswith("$"):
        raise ValueError("begins with an encoded $")


def _decoded(path: str) -> str:
    """Return a path without its encoding, however often it was encoded, within reason."""
    for _ in range(3):
        path = unquote(path)
    return path


def _told(text: str, *, mended: bool) -> Url:
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
    return Url(text, reference, company, below, keyed, of_companies, mended)


def _reference(path: str, query: str) -> str:
    """Return the id in `$<id>/...`.

    Microsoft's library takes all up to the next slash for the id, a query too, and refuses the whole batch when it
    doesn't know it; so does it with OData's own `$metadata`, `$entity` and the like.
    """
    name, slash, _ = path[1:].partition("/")
    if query and not slash:
        raise ValueError("has a query right behind $<id>, which would be taken for a part of the id")
    return name


def _first_entity(segments: list[str]) -> tuple[str, bool]:
    """Return the path up to the first keyed entity: lines of one document are locked by the document."""
    found = []
    for segment in segments:
        found.append(_compared(segment))
        if _is_keyed(segment):
            return "/".join(found), True
    return "/".join(found), False


def _is_keyed(segment: str) -> bool:
    return segment.rstrip().endswith((")", "%29")) and not segment.rstrip().endswith("()")


def _compared(segment: str) -> str:
    """Return a segment so that two spellings of one entity are equal: `Journals(id = %27A%27)` is `journals('a')`."""
    plain = unquote(segment) if "%" in segment else segment
    return "".join(plain.split()).casefold().replace("(id=", "(")


def _in_query(query: str) -> str | None:
    for option in query.split("&"):
        name, _, value = option.partition("=")
        if unquote(name).strip().lower() == "company" and value.strip():
            return _compared(unquote(value.replace("+", " ")))
    return None
