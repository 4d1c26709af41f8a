"""What fails in the five systems before the night of the two mornings."""

from local.demo.stage import REQUEUE, Scene, Stage
from local.simulators.opendatadsl.behaviour import Process
from local.simulators.superoffice.behaviour import Plugin

DATABASE = "database"
INTERFACES = {"Interface EU": 35, "Interface US": 25}
"""How many jobs need the database, by name."""
PAYROLL = "Post payroll journal"
"""The name of a job that fails whenever it runs."""
WHY = "The number sequence was extended"
"""Why a person has requeued that job in the evening."""
_BATCH = "/api/business-central/api/v2.0/%24batch"
_LINE = "SALARY-7"
_RULES = (
    {"name": "payroll", "action": "allow", "job": PAYROLL, "cap": 3},
    {"name": "all", "action": "allow", "startAgain": True},
)


def fill(stage: Stage) -> None:
    """Let something fail in each system by day, requeue one job by hand, and go to the beginning of the night."""
    stage.leap_to(18, 0)
    landscape = stage.machine.landscape
    for reset in (
        landscape.business_central.reset,
        landscape.camunda.reset,
        landscape.superoffice.reset,
        landscape.opendatadsl.reset,
    ):
        reset()
    stage.put_policy(_RULES, "What failed may run again")
    _fill_finance_operations(stage)
    _fill_others(stage)
    _fill_business_central(stage)
    stage.leap_to(1, 50)


def line_is_there(stage: Stage) -> bool:
    """Look into Business Central: tell whether the line is there of which the call got no answer."""
    central = stage.machine.landscape.business_central
    return any(one.took_effect for one in central.book.writes() if one.operation == _LINE)


def _fill_finance_operations(stage: Stage) -> None:
    jobs, now = stage.system.jobs, stage.machine.clock.now()
    stage.remove_jobs()
    job = jobs.add(description=PAYROLL, outcomes=["Error"], end=now)
    stage.post(Scene(""), REQUEUE, {"batchJobId": job, "reason": WHY, "followUp": True})
    stage.machine.clock.advance(600)
    for name, number in INTERFACES.items():
        jobs.fail(number, description=name, cause=DATABASE, end=now)
    jobs.break_cause(DATABASE)


def _fill_others(stage: Stage) -> None:
    """Let something fail in SuperOffice, OpenDataDSL and Camunda, which is away afterwards."""
    landscape, now = stage.machine.landscape, stage.machine.clock.now()
    landscape.superoffice.behaviour.plugins["REPORTER"] = Plugin()
    # The app remembers the tasks of the other scenes by their ids.
    landscape.superoffice.tasks.clear(first=1000)
    landscape.superoffice.tasks.add(name="REPORTER", state="Failed", started=now, ended=now)
    landscape.opendatadsl.behaviour.processes["ECB_FX"] = Process()
    landscape.opendatadsl.executions.add(name="ECB_FX", status="failed", start=now, end=now)
    landscape.camunda.engine.add_job()
    landscape.camunda.faults.add("cut", times=None)


def _fill_business_central(stage: Stage) -> None:
    """Leave two batches: one was throttled for too long, and the answer to the other one got lost."""
    central = stage.machine.landscape.business_central
    read = {"id": "1", "method": "GET", "url": "companies"}
    central.faults.add("throttle", kind="batch", times=None, retry_after=7200)
    stage.post(Scene(""), _BATCH, {"requests": [read], "nightshift": {"giveUpAfter": 0}})
    central.faults.clear()
    company = central.add_company(name="CRONUS")
    url = f"companies({company})/journals({central.add_journal(company)})/journalLines"
    body = {"documentNumber": _LINE, "postingDate": "2026-11-30", "amount": -3250.50}
    central.faults.add("cut", kind="batch", after=True, times=1)
    stage.post(Scene(""), _BATCH, {"requests": [{"id": _LINE, "method": "POST", "url": url, "body": body}]})
    central.faults.clear()
