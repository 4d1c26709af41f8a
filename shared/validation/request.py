"""One inbound HTTP request: headers, `Prefer`, `Idempotency-Key`."""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import azure.functions as func

from shared.access.caller import APP, Caller, admit
from shared.core.correlation import Correlation
from shared.core.problems import HeaderNotValid, KeyNotValid, Mistake, NotValid

LONGEST_WAIT = 100
KEY_PARAMETERS = frozenset({"code", "clientid"})
"""Azure takes a function key and its name in these parameters, in any case; they never leave the app."""
_HOST = r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"


@dataclass(frozen=True)
class Call:
    """One HTTP request to a function; header names are in lower case."""

    method: str
    function: str
    url: str
    headers: Mapping[str, str]
    params: Mapping[str, str]
    route_params: Mapping[str, str]
    body: bytes
    caller: Caller = APP

    @classmethod
    def of(cls, request: func.HttpRequest, function: str) -> "Call":
        """Build the call from the Functions request; `function` is the function's name.

        Raises:
            NotReady: a setting is wrong.
            RoleMissing: the caller lacks the role that the function needs.
        """
        headers = {name.lower(): value for name, value in request.headers.items()}
        return cls(
            request.method.upper(),
            function,
            request.url,
            headers,
            dict(request.params),
            dict(request.route_params),
            request.get_body(),
            admit(function, headers),
        )

    def check_host(self) -> None:
        """Refuse a Host that can't be a part of a link.

        Raises:
            HeaderNotValid: see `origin`.
        """
        _ = self.origin

    def check_parameters(self, known: Collection[str] | None) -> None:
        """Refuse query parameters that are not `known`; None knows all.

        Raises:
            NotValid: there are some.
        """
        if known is None:
            return
        unknown = [name for name in self.params if name not in known and name.lower() not in KEY_PARAMETERS]
        if unknown:
            text = f"is unknown; this function takes {', '.join(known) or 'none'}"
            raise NotValid.of(*(Mistake(f"the parameter {name} {text}", parameter=name) for name in unknown))

    @property
    def origin(self) -> str:
        """Return the scheme and the host of the request's URL, which comes from the header Host.

        Raises:
            HeaderNotValid: it is no host; the answer and stored links would have it.
        """
        found = re.match(rf"(https?://{_HOST})(?:[/?]|$)", self.url)
        if found is None or not re.fullmatch(_HOST, self.headers.get("host", "localhost")):
            raise HeaderNotValid("The header Host has no host name, or an address with another form.")
        return found[1]

    @property
    def preference(self) -> "Preference":
        """Return the preferences of the header `Prefer` (RFC 7240)."""
        return Preference.read(self.headers.get("prefer", ""))

    @property
    def idempotency_key(self) -> str | None:
        """Return the Idempotency-Key, without its quotes.

        Raises:
            KeyNotValid: the key is empty, too long, or not visible ASCII.
        """
        sent = self.headers.get("idempotency-key")
        if sent is None:
            return None
        quoted = re.fullmatch(r'"(.*)"', sent.strip())
        key = quoted[1] if quoted else sent.strip()
        if not re.fullmatch(r"[\x21-\x7e]{1,255}", key) or '"' in key:
            raise KeyNotValid("The header Idempotency-Key is empty, too long or not visible ASCII.")
        return key

    @property
    def correlation(self) -> Correlation:
        """Return the ids by which the caller finds the call again; a key only as its hash."""
        key = self.headers.get("idempotency-key")
        return Correlation(
            clientRequestId=self._short("x-ms-client-request-id"),
            traceparent=self._short("traceparent"),
            workflowRunId=self._short("x-ms-workflow-run-id"),
            idempotencyKey=hashlib.sha256(key.strip().strip('"').encode()).hexdigest() if key else None,
        )

    def _short(self, header: str) -> str | None:
        text = self.headers.get(header, "")
        return text if re.fullmatch(r"[\x21-\x7e]{1,200}", text) else None


@dataclass(frozen=True)
class Preference:
    """The preferences that Nightshift knows; others, and malformed ones, are ignored (RFC 7240, section 2)."""

    wait: int | None = None
    respond_async: bool = False
    strict: bool = False

    @classmethod
    def read(cls, header: str) -> "Preference":
        """Parse the value of `Prefer`; `wait` is in seconds, at most 100."""
        found = preferences(header)
        wait = found.get("wait", "")
        seconds = min(int(wait), LONGEST_WAIT) if re.fullmatch(r"[0-9]{1,9}", wait) else None
        return cls(seconds, "respond-async" in found, found.get("handling") == "strict")

    @property
    def applied(self) -> str:
        """Return the value of `Preference-Applied` (RFC 7240, section 3); empty if no preference was applied."""
        waits = "" if self.wait is None else f"wait={self.wait}"
        parts = ("respond-async" if self.respond_async else waits, "handling=strict" if self.strict else "")
        return ", ".join(part for part in parts if part)


def preferences(header: str) -> dict[str, str]:
    """Parse all preferences: lower-case names with their values; the first of a name counts (RFC 7240, section 2)."""
    found: dict[str, str] = {}
    for part in re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*(?:"|\\?\Z))+', header):
        name, _, value = part.partition(";")[0].partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"'))
    return found
