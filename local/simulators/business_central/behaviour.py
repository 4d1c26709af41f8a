"""What differs between environments of Business Central, or is a choice of a test; the limits are those of online."""

from typing import Literal

from pydantic import Field

from local.simulators.common.behaviour import Choices


class BusinessCentralBehaviour(Choices):
    """How the environment behaves when nothing is wrong.

    Attributes:
        registered: The client ids on the page "Microsoft Entra applications".
        unregistered_status: What a client hears that has a token and no registration: 401 or 403.
        audience: The audience that tokens need; the environment's URL while null.
        batch_answer: Whether a batch is answered as its Accept asks, or in multipart/mixed in spite of it.
        malformed_status: What a batch hears that is not JSON.
        batch_limit: How many operations a batch may hold.
        page_size: How many entities a page holds.
        running_limit: How many requests of a user run at the same time.
        queue_limit: How many more of them wait; the next one hears 429.
        queue_seconds: How long they wait, in real seconds, before they hear 503.
        rate_limit: How many requests of a user begin within 5 minutes.
        retry_after: Seconds for the Retry-After header of those 429; none is sent while null.
        batch_seconds: How long a batch takes.
        operation_seconds: How long each operation of it takes on top.
        call_seconds: How long a call that is no batch takes.
        timeout_seconds: After how long a batch is cancelled with 408; what was done until then is done.
        by_clock: These seconds, but for those in the queue, pass by the landscape's clock, not in real time.
    """

    registered: set[str] = Field(default_factory=set)
    unregistered_status: int = Field(default=401, ge=400, le=499)
    audience: str | None = None
    batch_answer: Literal["as-asked", "multipart"] = "as-asked"
    malformed_status: int = Field(default=500, ge=400, le=599)
    batch_limit: int = Field(default=100, ge=1)
    page_size: int = Field(default=20_000, ge=1)
    running_limit: int = Field(default=5, ge=1)
    queue_limit: int = Field(default=95, ge=0)
    queue_seconds: float = Field(default=480, ge=0)
    rate_limit: int = Field(default=6_000, ge=1)
    retry_after: int | None = Field(default=None, ge=0)
    batch_seconds: float = Field(default=0, ge=0)
    operation_seconds: float = Field(default=0, ge=0)
    call_seconds: float = Field(default=0, ge=0)
    timeout_seconds: float = Field(default=480, gt=0)
    by_clock: bool = False
