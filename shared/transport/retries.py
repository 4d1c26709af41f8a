"""Three retry budgets on urllib3's `Retry`, and `Retry-After`."""

import re
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Self

from urllib3 import BaseHTTPResponse, Retry
from urllib3.exceptions import MaxRetryError

from shared.core import clock
from shared.transport import deadline

LONGEST_PATIENCE = 10.0
"""The longest `Retry-After`, in seconds, for which a call itself waits; its run waits longer."""

_USUAL_PATIENCE = 2.0
_A_DAY = 86_400.0
PATIENT_STATUSES = frozenset({429, 503})


@dataclass(frozen=True)
class Repeats:
    """How often a call is repeated if it was not sent, if no response came, and after a 429 or 503."""

    not_sent: int = 0
    no_answer: int = 0
    bad_status: int = 0


READ = Repeats(not_sent=2, no_answer=2, bad_status=3)
"""A call that changes nothing."""

WRITE = Repeats()
"""A call that changes data: sent once. If a response, or the lack of a connection, proves that nothing happened, the
holder of the claim tries again later: it checks the stop switch first, and can limit how long a send may take."""


def retry_after(value: str | None) -> float:
    """Return the seconds of a `Retry-After` (RFC 9110, 10.2.3), at most a day; 2 if there is no valid one."""
    if not value:
        return _USUAL_PATIENCE
    if re.fullmatch(r"[0-9]{1,9}", value.strip()):
        return min(float(value), _A_DAY)
    try:
        return min(max(0.0, (parsedate_to_datetime(value) - clock.now()).total_seconds()), _A_DAY)
    except (ValueError, TypeError, OverflowError):
        return _USUAL_PATIENCE


class RetryPolicy(Retry):
    """urllib3's `Retry` on the app's clock, with a limit: a longer wait ends the call with the response as it is."""

    @classmethod
    def of(cls, repeats: Repeats) -> Self:
        """Build the policy for these budgets."""
        return cls(
            total=None,
            connect=repeats.not_sent,
            read=0,
            status=repeats.bad_status,
            other=0,
            redirect=0,
            allowed_methods=None,
            status_forcelist=PATIENT_STATUSES,
            raise_on_status=False,
            backoff_factor=0.2,
        )

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:  # noqa: ARG002, FBT001, FBT002 - urllib3's signature
        """Retry 429 and 503, whatever the method."""
        return status_code in PATIENT_STATUSES

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: Any = None,  # noqa: ANN401 - urllib3's signature
        _stacktrace: Any = None,  # noqa: ANN401 - as _pool
    ) -> Self:
        """Count one retry.

        Raises:
            MaxRetryError: the wait is too long, the budget is used up, or no time is left.
        """
        wait = retry_after(response.headers.get("Retry-After")) if response is not None else 0.0
        if wait > LONGEST_PATIENCE or not deadline.has_time_for(longest_request.get() + timedelta(seconds=wait)):
            raise MaxRetryError(_pool, url or "", error)
        return super().increment(method, url, response, error, _pool, _stacktrace)

    def sleep(self, response: BaseHTTPResponse | None = None) -> None:
        """Sleep on the app's clock."""
        wait = retry_after(response.headers.get("Retry-After")) if response is not None else 0.0
        clock.sleep(max(wait, self.get_backoff_time()))


retry_state: ContextVar[Retry] = ContextVar("retry_state", default=RetryPolicy.of(WRITE))  # noqa: B039 - a `Retry` is never changed, only copied
"""The retry policy of the current call; requests knows only one policy per pool."""

longest_request: ContextVar[timedelta] = ContextVar("longest_request", default=timedelta())
"""The maximum duration of one request of the current call."""
