"""The body of a problem, as callers read it: every member is always there, and null or empty if there is nothing."""

from typing import Any

from pydantic import Field

from shared.core.plain import Plain


class MistakeBody(Plain):
    """One mistake in a request, and where it is: one of `pointer`, `header` and `parameter` is set."""

    detail: str = Field(description="What is wrong.")
    pointer: str | None = Field(default=None, description="A JSON Pointer (RFC 6901) into the body.")
    header: str | None = Field(default=None, description="The name of the header.")
    parameter: str | None = Field(default=None, description="The name of the query parameter.")


class ProblemLinks(Plain):
    """Absolute URLs."""

    self: str | None = Field(default=None, description="The report of the run, if its response has expired.")


class ProblemBody(Plain):
    """A problem (RFC 9457, application/problem+json).

    `wouldAllow` is the rule that would allow an item, as JSON values: this package does not know rules.
    """

    type: str = Field(description="The kind of the problem, a URN; docs/problems.md lists all.")
    title: str = Field(description="What the type means.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What happened.")
    next: str = Field(description="What to do next.")
    run: str | None = Field(default=None, description="The run that the problem is about.")
    errors: list[MistakeBody] = Field(default=[], description="The mistakes in the request, at most 100.")
    upstreamStatus: int | None = Field(default=None, description="The HTTP status of the system.")  # noqa: N815 - as callers see it
    upstreamCode: str | None = Field(default=None, description="The error code of the system.")  # noqa: N815 - as above
    rule: str | None = Field(default=None, description="The policy rule that decided.")
    wouldAllow: Any = None  # noqa: N815 - as above
    names: list[str] = Field(default=[], description="The names of the members of an event that is not known.")
    links: ProblemLinks = ProblemLinks()
