"""What differs between environments of Finance & Operations, or is not documented: choices of a test."""

from pydantic import BaseModel, ConfigDict, Field

from local.systems.batch_job import RecurringEnd
from local.systems.jobs import RequeuedDates
from local.systems.set_batch_job_to_waiting import AnswerShape, Refusal

_PAGE_SIZE = 10_000


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


class Behaviour(Choices):
    """How the environment behaves when nothing is wrong.

    Attributes:
        answer_shape: How the action's answer comes.
        refusal: How the action refuses a job that is unknown or has not ended.
        page_size: How many entities a page holds.
        unregistered_status: What a client hears that has a token and no registration: 401 or 403.
        registered: The client ids on the page "Microsoft Entra ID applications".
        requeued_dates: Whether a requeue keeps StartDateTime and EndDateTime or resets them.
        recurring_end: Whether a recurring job waits again after a good end or stays Finished.
    """

    answer_shape: AnswerShape = "string"
    refusal: Refusal = "answer"
    page_size: int = Field(default=_PAGE_SIZE, ge=1)
    unregistered_status: int = Field(default=401, ge=400, le=499)
    registered: set[str] = Field(default_factory=set)
    requeued_dates: RequeuedDates = "kept"
    recurring_end: RecurringEnd = "waiting"
