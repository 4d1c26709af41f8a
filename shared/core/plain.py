"""The base class of values that this app writes: records, and the answers of its functions."""

from pydantic import BaseModel, ConfigDict


class Plain(BaseModel):
    """A value that this app writes and reads again. Unknown members, from a newer release, are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, defer_build=True)
