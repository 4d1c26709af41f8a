"""How the simulated Finance & Operations behaves when nothing is wrong."""

from pydantic import Field

from local.simulators.common.behaviour import Choices
from local.simulators.finance_operations.action import AnswerShape, Refusal
from local.simulators.finance_operations.batch_job import RecurringEnd
from local.simulators.finance_operations.jobs import RequeuedDates

_PAGE_SIZE = 10_000


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
        action_seconds: How long the action takes, in real seconds.
    """

    answer_shape: AnswerShape = "string"
    refusal: Refusal = "answer"
    page_size: int = Field(default=_PAGE_SIZE, ge=1)
    unregistered_status: int = Field(default=401, ge=400, le=499)
    registered: set[str] = Field(default_factory=set)
    requeued_dates: RequeuedDates = "kept"
    recurring_end: RecurringEnd = "waiting"
    action_seconds: float = Field(default=0, ge=0)
