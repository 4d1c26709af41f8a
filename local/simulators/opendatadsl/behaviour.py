"""What differs between OpenDataDSL tenants, is not documented, or is a choice of a test."""

from datetime import timedelta, timezone
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from local.simulators.common.behaviour import Choices

USER = "batch@example.com"
API_KEY = "api-key-of-opendatadsl"
PRODUCTION = "production"
"""The environment of a call that names none."""

type Acceptance = Literal["empty", "whole", "text", "no-content", "id"]
"""What a POST is answered: 200 with nothing, 200 with the summary or the execution log, 202 with a text, 204, or 200
with an object that has the `_id` alone."""
type Repeat = Literal["replace", "refuse", "ignore"]
type Ending = Literal["success", "warning", "failed"]


class Process(BaseModel):
    """A process, and how its executions go.

    Attributes:
        service: Its service.
        description: What it is.
        workflow: The workflow that it runs.
        cron: When it runs by itself: that is told, and never happens here.
        enabled: Whether it runs by itself.
        input: The inputs of its workflow.
        seconds: How long a try takes.
        outcomes: How the tries of its executions end, one after the other; the last one stays.
        message: What a failed execution says.
        retries: How often a failed try is made again.
        retry_seconds: How long it waits for that.
        reschedule_seconds: How long after the last try it begins again; null for never.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    service: str = "ETL"
    description: str = ""
    workflow: str = "#wf_xml_data_loader"
    cron: str | None = None
    enabled: bool = True
    input: dict[str, JsonValue] = Field(default_factory=dict)
    seconds: float = Field(default=60, ge=0)
    outcomes: list[Ending] = Field(default=["success"], min_length=1)
    message: str = "Failed"
    retries: int = Field(default=0, ge=0)
    retry_seconds: float = Field(default=30, gt=0)
    reschedule_seconds: float | None = Field(default=None, gt=0)


def _usual_processes() -> dict[str, Process]:
    return {
        # The name in OpenDataDSL's own examples.
        "ECB_FX": Process(cron="0 30 16 ? * MON-FRI", input={"tx": "#ECB_FX"}),
        "AEMO_NEM_POWER_5MIN_PRICE_AND_DEMAND_EVENTS": Process(cron="0 */5 * ? * *", seconds=20),
        "GAS_STORAGE": Process(outcomes=["failed", "success"], message="The source answered 503"),
        "WEATHER": Process(outcomes=["failed", "success"], retries=2),
        "POWER_CURVES": Process(seconds=300, outcomes=["failed", "warning"], reschedule_seconds=3600),
    }


class OpenDataDslBehaviour(Choices):
    """How the service behaves when nothing is wrong.

    Attributes:
        accepted: What is answered to a batch; undocumented.
        summary_seconds: How long after its batch a summary appears; null for never.
        status: The status of new summaries; of a batch that failed, no object is taken.
        failed_message: What the summary of a failed batch says.
        failing: The ids of elements that are not taken, and listed under `failures`.
        plain_objects: Where a summary lists elements that have no curve, series or event: a guess; null for nowhere.
        repeat: What happens to a batch whose id there is already: its elements are taken again, 409, or nothing.
        deleted: The status that is answered to a DELETE; undocumented.
        max_elements: How many elements a batch may have before it is answered 413.
        max_bytes: How long a body may be before it is answered 413.
        environments: The data environments.
        user: The user who has an API key.
        api_key: The key.
        deny_api_keys: The tenant's setting DENY_API_KEYS.
        zone_hours: How far from UTC the times of summaries are, which have no zone.
        range_end: Whether a date at the end of a range is its first instant, or the whole day; undocumented.
        client_paths: Whether the paths are served that only the vendor's Python client uses.
        processes: The processes, by their name.
        input_key: The member of a request to run a process that has its input; the documents have both.
        triggered: What is answered to a request to run a process; undocumented.
        trigger_seconds: How long an execution waits for a compute node.
        start_seconds: How long it takes to start.
    """

    accepted: Acceptance = "empty"
    summary_seconds: float | None = Field(default=0, ge=0)
    status: Literal["success", "failed"] = "success"
    failed_message: str = "Update Error: the objects could not be written"
    failing: frozenset[str] = frozenset()
    plain_objects: str | None = "objects"
    repeat: Repeat = "replace"
    deleted: Literal[200, 204] = 200
    max_elements: int | None = Field(default=None, ge=1)
    max_bytes: int | None = Field(default=None, ge=1)
    environments: list[str] = Field(default=[PRODUCTION, "test"])
    user: str = USER
    api_key: str = API_KEY
    deny_api_keys: bool = False
    zone_hours: float = Field(default=0, ge=-14, le=14)
    range_end: Literal["instant", "day"] = "instant"
    client_paths: bool = True
    processes: dict[str, Process] = Field(default_factory=_usual_processes)
    input_key: Literal["body", "input"] = "body"
    triggered: Acceptance = "empty"
    trigger_seconds: float = Field(default=2, ge=0)
    start_seconds: float = Field(default=1, ge=0)

    @property
    def zone(self) -> timezone:
        """The zone of the times in summaries."""
        return timezone(timedelta(hours=self.zone_hours))
