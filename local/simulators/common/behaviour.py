"""Choices of a simulator that can be changed while it runs."""

from pydantic import BaseModel, ConfigDict


class Choices(BaseModel):
    """Choices that can be changed while a system runs, each of them checked."""

    model_config = ConfigDict(extra="forbid", strict=True, validate_assignment=True)

    def change(self, values: str | bytes) -> None:
        """Take on the values that a JSON object names, all or none of them.

        Raises:
            ValueError: A value is unknown or impossible.
        """
        changed = type(self).model_validate_json(values)
        for name in changed.model_fields_set:
            setattr(self, name, getattr(changed, name))
