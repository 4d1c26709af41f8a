"""The ids by which a caller finds its call again."""

from pydantic import Field

from shared.core.model import Plain


class Correlation(Plain):
    """The ids that a caller sent; null if it sent none, or one that is longer than 200 characters.

    What Nightshift sends to a system carries the run's id as `X-Correlation-ID`.
    """

    clientRequestId: str | None = Field(default=None, description="The header `x-ms-client-request-id`.")  # noqa: N815 - as callers see it
    traceparent: str | None = Field(default=None, description="The header `traceparent` (W3C Trace Context).")
    workflowRunId: str | None = Field(  # noqa: N815 - as above
        default=None, description="The header `x-ms-workflow-run-id` of Power Automate and Logic Apps."
    )
    idempotencyKey: str | None = Field(default=None, description="The SHA-256 of the `Idempotency-Key`, in hex.")  # noqa: N815 - as above
