"""What the vendor's Python client (`odsl` 1.2.1) asks for that the documents do not have."""

import re

_SOURCE = re.compile(r"(/(?:batch|process-exec|process)/v1)/(?:public|private|all)(/.*)?")


def as_documented(method: str, path: str) -> str:
    """Return the documented path for one of the client's.

    Its `update` posts without a release, and its `list` and `get` have a source in the path, which may be empty.
    """
    path = path.rstrip("/")
    if method == "POST" and path in ("/batch", "/process-exec"):
        return f"{path}/v1"
    match = _SOURCE.fullmatch(path)
    return f"{match[1]}{match[2] or ''}" if match else path
