"""Summaries and executions as a company may have them in the morning, for demos."""

from datetime import datetime, timedelta

from local.simulators.opendatadsl.execution import ExecutionSettings
from local.simulators.opendatadsl.summary import SummarySettings

DOCUMENTED = "0000083d-ff3e-45f0-8ee5-b4442ef41355"
"""The batch of OpenDataDSL's own example."""
_LOADER = "AEMO_NEM_POWER_5MIN_PRICE_AND_DEMAND_EVENTS"


def sample_summaries(now: datetime) -> list[SummarySettings]:
    """Return the settings of the sample summaries, with times of the night before `now`."""
    now = now.replace(microsecond=0)

    def sent(minutes: float) -> datetime:
        return now - timedelta(minutes=minutes)

    def day(minutes: float) -> str:
        return sent(minutes).date().isoformat()

    price = ["AEMO.5MIN.PRICE_AND_DEMAND:FORECAST", "AEMO.5MIN.PRICE_AND_DEMAND:ACTUAL"]
    return [
        {
            "id": DOCUMENTED,
            "user": "user@example.com",
            "timestamp": sent(300),
            "service": "ETL",
            "name": _LOADER,
            "summary": {"events": {day(300): price}},
        },
        {
            "id": "5b1e7f0c-91a6-4c1b-9f0e-2f7a3f1c8f11",
            "timestamp": sent(200),
            "service": "ETL",
            "name": "GAS_STORAGE",
            "status": "failed",
            "message": "The source answered 503",
        },
        {
            "id": "c6a4f1de-0d0b-4a75-8a29-6f4f0a8c2b52",
            "timestamp": sent(100),
            "service": "ETL",
            "name": "ECB_FX",
            "summary": {"series": {day(100): ["ECB_FX.EURUSD:SPOT"]}},
        },
    ]


def sample_executions(now: datetime) -> list[ExecutionSettings]:
    """Return the settings of the sample executions, with times of the night before `now`."""
    now = now.replace(microsecond=0)

    def ended(minutes: float, took: float) -> ExecutionSettings:
        end = now - timedelta(minutes=minutes)
        return {"start": end - timedelta(minutes=took), "end": end, "trigger": "scheduled"}

    return [
        {**ended(300, 1), "name": _LOADER, "status": "success", "reason": f"crontab({_LOADER})"},
        {**ended(200, 3), "name": "GAS_STORAGE", "status": "failed", "message": "The source answered 503"},
        {**ended(150, 5), "name": "POWER_CURVES", "status": "failed", "message": "No curve of yesterday"},
        {**ended(100, 1), "name": "ECB_FX", "status": "success", "reason": "crontab(ECB_FX)"},
        {**ended(90, 2), "name": "WEATHER", "status": "warning", "message": "2 stations are silent"},
        {"name": "WEATHER", "status": "waiting", "start": now, "trigger": "scheduled", "message": "Timed out"},
    ]
