"""B1: no option of any route is read and then dropped: a call with it differs from one without it.

Each field of each request model has a row, which names what differs. The test of a field without a row fails.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from pydantic import BaseModel

from local import generated_docs
from local.stack import Machine
from shared.api.apply import ApplyBody
from shared.api.cancel import CancelBody
from shared.api.check import CheckBody
from shared.api.needs_person import AcknowledgeBody
from shared.api.policy import PolicyBody, SwitchBody
from shared.api.retry import RetryBody
from shared.api.settle import SettleBody
from shared.api.sweep import SweepBody
from shared.fanout import batch_records
from shared.policy.rules import Rule
from shared.runs import records
from shared.storage.sqlite import SqliteStore
from shared.systems.business_central.drafts import Options as BusinessCentralOptions
from shared.systems.camunda import requests as camunda
from shared.systems.finance_operations import requests as finance_operations
from shared.systems.opendatadsl import run_process
from shared.systems.operations import BatchOptions
from shared.systems.superoffice import requests as superoffice
from shared.systems.superoffice import stop_task
from shared.systems.superoffice.start_again import without_marks
from tests.functions.calling import NATIVE, NO_TIMERS, REQUEUE, get, put_rules
from tests.functions.camunda_calling import RETRIES, Retrier
from tests.functions.test_batch import BATCH, Batcher
from tests.functions.test_opendatadsl import BATCH as OBJECTS
from tests.functions.test_opendatadsl_processes import RUN as PROCESS
from tests.functions.test_superoffice import START

NO_TARGET = {"Nightshift-Target": None}
ALLOW = {"name": "all", "action": "allow"}
ELSEWHERE = {"requests", "company", "documentsInOrder"}
"""Members with tests of their own (`tests/unit/systems/business_central/`)."""
WITHOUT_BODY = {"batch_job_event", "delete_batch"}
"""Functions whose body is a system's own, or that have none."""
TASK = (
    "name",
    "description",
    "parameters",
    "details_table",
    "details_record",
    "file_name",
    "context",
    "of_system",
    "cancellation",
    "state",
)
SPEC = ("mode", "cap", "max_parallel", "override", "waves", "sweep")


class World:
    """Systems that begin anew, and the calls on them."""

    def __init__(self, machine: Machine) -> None:
        self.batcher, self.retrier = Batcher(machine), Retrier(machine)
        self.fo = self.batcher.system
        self.fo.faults.clear()
        for job in self.fo.jobs.all():
            self.fo.jobs.remove(job.id)
        self.service = machine.landscape.opendatadsl
        self.service.reset()
        self.office = machine.landscape.superoffice
        self.office.reset()
        self.store = SqliteStore(machine.store_path)
        self.calls = 0

    def send(self, path: str, body: Mapping[str, Any]) -> requests.Response:
        """Send a body, and push the clock until the answer is ready."""
        if path == "policy":
            key = {"x-functions-key": self.batcher.machine.host.function_key}
            version = {"If-Match": f'"{get(self.batcher, "policy")["version"]}"'}
            return requests.put(f"{self.batcher.url}/policy", json=body, headers=key | version, timeout=30)
        headers = {**NO_TARGET, "Prefer": "respond-async, odata.continue-on-error"}
        answer = self.batcher.post(path, body, headers=headers)
        return self.batcher.result(answer) if answer.status_code == 202 and "Retry-After" in answer.headers else answer

    def jobs(self, count: int, **more: Any) -> list[int]:  # noqa: ANN401 - what jobs.add takes
        return [self.batcher.failed_job(**more) for _ in range(count)]

    def camunda_jobs(self, count: int) -> list[str]:
        return [self.retrier.engine.add_job() for _ in range(count)]

    def operations(self, count: int) -> list[dict[str, Any]]:
        return [self.batcher.line(str(number)) for number in range(count)]

    def elements(self, count: int) -> list[dict[str, Any]]:
        return [{"_id": f"E{number}"} for number in range(count)]

    def run_of(self, path: str, body: Mapping[str, Any]) -> str:
        """Return the run of a call."""
        return self.send(path, body).headers["Nightshift-Run"]

    def plan(self) -> str:
        return self.run_of(REQUEUE, {"batchJobIds": self.jobs(3), "reason": "r", "dryRun": True})

    def camunda_plan(self) -> str:
        return self.run_of(RETRIES, {"retries": 1, "jobIds": self.camunda_jobs(3), "nightshift": {"dryRun": True}})

    def batch_plan(self) -> str:
        return self.run_of(BATCH, {"requests": self.operations(3), "nightshift": {"dryRun": True}})

    def left(self) -> str:
        """Return a run that left three jobs."""
        self.fo.faults.add("throttle", kind="action", times=None, retry_after=7200)
        run = self.run_of(REQUEUE, {"batchJobIds": self.jobs(3), "reason": "r", "giveUpAfter": 0})
        self.fo.faults.clear()
        return run

    def failed_again(self) -> str:
        """Return a run of which two jobs failed again."""
        body = {"batchJobIds": self.jobs(2, outcomes=["Error", "Finished"]), "reason": "r", "followUp": True}
        run = self.run_of(REQUEUE, body)
        self.batcher.machine.clock.advance(600)
        return run

    def left_batch(self) -> str:
        """Return a run that left three operations."""
        self.batcher.central.faults.add("throttle", kind="batch", times=None, retry_after=7200)
        run = self.run_of(BATCH, {"requests": self.operations(3), "nightshift": {"giveUpAfter": 0}})
        self.batcher.central.faults.clear()
        return run

    def lost_batch(self) -> str:
        """Return a run whose operations took effect, and are unknown."""
        self.batcher.central.faults.add("cut", kind="batch", after=True)
        run = self.run_of(BATCH, {"requests": self.operations(2)})
        self.batcher.machine.clock.advance(1200)
        return run

    def need(self) -> str:
        """Return where to acknowledge that operations are unknown."""
        run = self.lost_batch()
        needs = get(self.batcher, "needs-person", limit="1000")["value"]
        return next(f"needs-person/{one['id']}/acknowledge" for one in needs if one["run"] == run)

    def task(self) -> int:
        """Return a task that should not be stopped without need."""
        return self.office.tasks.add(name="EXPORTARCHIVE", state="Started", cancellation="CancelWithWarning")

    def open_run(self) -> str:
        """Return a run that waits."""
        self.fo.faults.add("throttle", kind="action", times=None, retry_after=60)
        answer = self.batcher.post(
            REQUEUE, {"batchJobId": self.jobs(1)[0], "target": "fo"}, headers={"Prefer": "respond-async"}
        )
        return answer.headers["Nightshift-Run"]


def seen(world: World, answer: requests.Response) -> dict[str, object]:
    """Return all that a caller, or who reads the records, sees of a call, without ids and times."""
    told = answer.json() if "json" in answer.headers.get("Content-Type", "") else {}
    told = told if isinstance(told, dict) else {}
    found: dict[str, object] = {"status": answer.status_code, "type": told.get("type")}
    found["pointers"] = [one.get("pointer") for one in told.get("errors", [])]
    found |= {name: told.get(name) for name in ("stopped", "rules")}
    found["changed by"] = told.get("reason")
    found["retries"] = sorted((one.retries, one.has_due) for one in world.retrier.engine.batches())
    found["executions"] = [(one.name, one.input) for one in world.service.book.effects("run")]
    found["tasks"] = [
        (*(getattr(one, name) for name in TASK), without_marks(one.request)) for one in world.office.tasks.all()
    ]
    run = answer.headers.get("Nightshift-Run")
    return found | (of_run(world, run) if run and answer.status_code < 500 else {})


def of_run(world: World, run: str) -> dict[str, object]:
    report = get(world.batcher, f"runs/{run}", limit="1000")
    spec, batch = records.read_spec(world.store, run), batch_records.read_batch(world.store, run)
    items = report["items"]
    return {
        **{name: report.get(name) for name in ("state", "system", "target", "reason", "override", "waves")},
        "outcomes": Counter((one["outcome"], one.get("type"), one.get("rule")) for one in items),
        **{name: getattr(spec, name) for name in SPEC},
        "gives up": round((spec.give_up - spec.created).total_seconds() / 60),
        "watches": bool(spec.follow_up),
        "settles by": batch.settle_by if batch else None,
    }


@dataclass(frozen=True)
class Surface:
    """A body, or the options in it: its model, a call without the option, and the member that has the options."""

    model: type[BaseModel]
    path: Callable[[World], str]
    body: Callable[[World], dict[str, Any]]
    member: str | None = None

    def with_option(self, body: dict[str, Any], name: str, value: object) -> dict[str, Any]:
        """Return a body with an option; without it, if the value is `...`."""
        inner = body.setdefault(self.member, {}) if self.member else body
        # The options of a rule are those of the only one.
        inner = inner[0] if isinstance(inner, list) else inner
        inner.pop(name, None)
        inner |= {} if value is ... else {name: value}
        return body


def of(action: str, make: Callable[[World], str]) -> Callable[[World], str]:
    return lambda world: f"runs/{make(world)}/{action}"


def why(_: World) -> dict[str, Any]:
    return {"reason": "why"}


def swept(world: World) -> dict[str, Any]:
    world.jobs(3)
    return {"reason": "why", "target": "fo"}


SURFACES = {
    "requeue": Surface(
        finance_operations.RequeueBody,
        lambda _: REQUEUE,
        lambda world: {"batchJobIds": world.jobs(3), "reason": "r", "target": "fo"},
    ),
    "requeue_native": Surface(
        finance_operations.NativeBody, lambda _: NATIVE, lambda world: {"batchJobId": world.jobs(1)[0]}
    ),
    "requeue_native/nightshift": Surface(
        finance_operations.Options, lambda _: NATIVE, lambda world: {"batchJobId": world.jobs(1)[0]}, "nightshift"
    ),
    "set_retries": Surface(
        camunda.RetriesBody, lambda _: RETRIES, lambda world: {"retries": 1, "jobIds": world.camunda_jobs(2)}
    ),
    "set_retries/nightshift": Surface(
        camunda.Options, lambda _: RETRIES, lambda world: {"retries": 1, "jobIds": world.camunda_jobs(2)}, "nightshift"
    ),
    "batch/nightshift": Surface(
        BusinessCentralOptions, lambda _: BATCH, lambda world: {"requests": world.operations(3)}, "nightshift"
    ),
    "send_objects/nightshift": Surface(
        BatchOptions,
        lambda _: OBJECTS,
        lambda world: {"_type": "VarBatch", "elements": world.elements(3)},
        "nightshift",
    ),
    "run_process": Surface(run_process.ProcessBody, lambda _: PROCESS, lambda _: {"name": "ECB_FX"}),
    "run_process/nightshift": Surface(
        run_process.Options, lambda _: PROCESS, lambda _: {"name": "ECB_FX"}, "nightshift"
    ),
    "start_task": Surface(superoffice.TaskBody, lambda _: START, lambda _: {"Name": "REPORTER"}),
    "start_task/nightshift": Surface(
        superoffice.Options, lambda _: START, lambda _: {"Name": "REPORTER"}, "nightshift"
    ),
    "stop_task": Surface(stop_task.StopBody, lambda world: f"{START}/{world.task()}/Stop", lambda _: {}),
    "stop_task/nightshift": Surface(
        stop_task.StopOptions, lambda world: f"{START}/{world.task()}/Stop", lambda _: {}, "nightshift"
    ),
    "sweep": Surface(SweepBody, lambda _: "sweeps", swept),
    "sweep, Camunda": Surface(SweepBody, lambda _: "sweeps", lambda _: {"reason": "why", "target": "camunda"}),
    "apply": Surface(ApplyBody, of("apply", World.plan), why),
    "apply, Camunda": Surface(ApplyBody, of("apply", World.camunda_plan), why),
    "apply, batch": Surface(ApplyBody, of("apply", World.batch_plan), why),
    "retry": Surface(RetryBody, of("retry", World.left), why),
    "retry, batch": Surface(RetryBody, of("retry", World.left_batch), why),
    "retry, failed again": Surface(RetryBody, of("retry", World.failed_again), why),
    "check": Surface(CheckBody, of("check", World.lost_batch), why),
    "check, jobs": Surface(CheckBody, of("check", World.left), why),
    "settle": Surface(SettleBody, of("settle", World.lost_batch), lambda _: {"happened": True, "reason": "why"}),
    "cancel": Surface(CancelBody, of("cancel", World.open_run), why),
    "acknowledge": Surface(AcknowledgeBody, World.need, why),
    "stop": Surface(SwitchBody, lambda _: "stop", why),
    "resume": Surface(SwitchBody, lambda _: "resume", why),
    "put_policy": Surface(PolicyBody, lambda _: "policy", lambda _: {"rules": [ALLOW], "reason": "why"}),
    "put_policy/rules": Surface(Rule, lambda _: "policy", lambda _: {"rules": [dict(ALLOW)], "reason": "why"}, "rules"),
}


@dataclass(frozen=True)
class Row:
    """An option's value, and what it changes; `value` may need the body that it goes into.

    `extra` is in both calls, as `rules` are: the call without the option differs in the option alone.
    """

    value: object
    shows: str
    extra: Mapping[str, Any] | None = None
    rules: tuple[Mapping[str, Any], ...] = (ALLOW,)
    without: object = ...


REQUIRED = Row("why", "status")
OPTIONS: dict[str, Row] = {
    "target": Row("nowhere", "status"),
    "reason": Row("because", "reason"),
    "dryRun": Row(value=True, shows="mode"),
    "override": Row(value=True, shows="override", extra={"reason": "r"}),
    "followUp": Row(value=True, shows="watches"),
    "cap": Row(1, "outcomes"),
    "maxParallel": Row(2, "max_parallel"),
    "giveUpAfter": Row(7, "gives up"),
}
CAMUNDA = {name: row for name, row in OPTIONS.items() if name != "maxParallel"}
BATCHES = {name: row for name, row in OPTIONS.items() if name not in {"override", "followUp", "cap"}}
SWEEP = {name: row for name, row in OPTIONS.items() if name != "dryRun"} | {"reason": REQUIRED}
RUN = {name: row for name, row in SWEEP.items() if name != "target"}
RUN |= {"waves": Row("careful", "waves"), "only": Row(["nobody"], "pointers")}
ROWS: dict[str, dict[str, Row]] = {
    "requeue": OPTIONS
    | {
        "batchJobId": Row(1, "pointers"),
        "batchJobIds": Row([1], "outcomes"),
        "reason": Row("because", "status"),
        "fromStatuses": Row(["Finished"], "outcomes"),
    },
    "requeue_native": {
        "batchJobId": Row(1, "pointers"),
        "nightshift": Row({"reason": "because"}, "reason"),
    },
    # One job is always within a cap and in one part.
    "requeue_native/nightshift": OPTIONS | {"fromStatuses": Row(["Finished"], "outcomes"), "cap": Row(1, "cap")},
    "set_retries": {
        "retries": Row(2, "retries"),
        "jobIds": Row(["nobody"], "outcomes"),
        "jobQuery": Row({"noRetriesLeft": True}, "outcomes", extra={"jobIds": ["nobody"]}),
        "dueDate": Row(None, "retries"),
        "nightshift": Row({"reason": "because"}, "reason"),
    },
    "set_retries/nightshift": CAMUNDA | {"allJobs": Row(value=True, shows="pointers")},
    "batch/nightshift": BATCHES | {"settleBy": Row(["documentNumber"], "settles by")},
    "send_objects/nightshift": BATCHES,
    "run_process": {
        "name": Row("GAS_STORAGE", "executions"),
        "body": Row({"a": 1}, "executions"),
        "input": Row({"a": 1}, "executions"),
        "nightshift": Row({"reason": "because"}, "reason"),
    },
    "run_process/nightshift": {
        name: OPTIONS[name] for name in ("target", "reason", "dryRun", "followUp", "giveUpAfter")
    },
    "start_task": {
        "Name": Row("BULKUPDATE", "tasks"),
        **{name: Row("x", "tasks") for name in ("Description", "Request", "FileName", "Context")},
        **{name: Row(7, "tasks") for name in ("DetailsTable", "DetailsRecord")},
        "ParameterObject": Row({"a": "b"}, "tasks"),
        "IsSystemTask": Row(value=True, shows="tasks"),
        "IsInternalTask": Row(value=True, shows="pointers"),
        "CancellationBehaviour": Row("CannotCancel", "tasks", extra={"Name": "NoPluginHasIt"}),
        "nightshift": Row({"reason": "because"}, "reason"),
    },
    "start_task/nightshift": {
        name: OPTIONS[name] for name in ("target", "reason", "dryRun", "followUp", "giveUpAfter")
    },
    "stop_task": {"nightshift": Row({"reason": "because"}, "reason")},
    "stop_task/nightshift": {
        "target": Row("nowhere", "status"),
        "reason": Row("because", "reason"),
        "despiteWarning": Row(value=True, shows="outcomes"),
    },
    "sweep": SWEEP
    | {
        "system": Row("camunda", "status"),
        "since": Row("2026-01-01T00:00:00Z", "sweep"),
        "until": Row("2026-11-01T00:00:00Z", "sweep"),
        "apply": Row(value=True, shows="mode"),
        "waves": Row("all", "waves"),
        "followUp": Row(value=False, shows="watches"),
        "override": Row(value=True, shows="outcomes", rules=()),
    },
    "sweep, Camunda": {"maxParallel": Row(2, "pointers")},
    "apply": RUN | {"except": Row(["nobody"], "pointers")},
    "apply, Camunda": {"maxParallel": Row(2, "pointers"), "cap": Row(1, "outcomes")},
    "apply, batch": RUN
    | {
        "override": Row(value=True, shows="pointers"),
        "followUp": Row(value=True, shows="pointers"),
        "waves": Row("careful", "pointers"),
    },
    "retry": RUN | {"recovery": Row("failed_again", "status"), "replace": Row({"1": {}}, "pointers")},
    "retry, batch": RUN
    | {
        "override": Row(value=True, shows="pointers"),
        "followUp": Row(value=True, shows="pointers"),
        "waves": Row("careful", "pointers"),
        "replace": Row({"0": {"postingDate": "x"}}, "outcomes"),
    },
    "retry, failed again": {"recovery": Row("failed_again", "status")},
    "check": {"reason": REQUIRED, "settleBy": Row(["documentNumber"], "outcomes")},
    "check, jobs": {"settleBy": Row(["documentNumber"], "pointers")},
    "settle": {"reason": REQUIRED, "happened": Row(value=False, shows="outcomes"), "items": Row(["0"], "outcomes")},
    "cancel": {"reason": REQUIRED},
    "acknowledge": {"reason": REQUIRED},
    "stop": {"reason": REQUIRED, "target": Row("fo", "stopped")},
    "resume": {"reason": REQUIRED, "target": Row("nowhere", "status")},
    "put_policy": {"rules": Row([], "rules"), "reason": Row("because", "changed by")},
    "put_policy/rules": {
        "name": Row("other", "rules"),
        "action": Row("deny", "rules"),
        **{name: Row("x", "rules") for name in ("target", "job", "company", "process")},
        "cap": Row(3, "rules"),
        "waits": Row([1], "rules"),
        "startAgain": Row(value=True, shows="rules"),
    },
}


def fields(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with Machine(NO_TIMERS) as machine:
        yield machine


def test_b1_each_function_that_takes_a_body_has_rows() -> None:
    """B1: a new route is noticed."""
    functions = {one.name for one in generated_docs.http_functions() if {"POST", "PUT"} & set(one.methods)}
    assert {name.partition("/")[0].partition(",")[0] for name in SURFACES} == functions - WITHOUT_BODY


@pytest.mark.parametrize("name", [name for name in SURFACES if "," not in name])
def test_b1_each_field_has_a_row(name: str) -> None:
    """B1: a new option is noticed."""
    assert fields(SURFACES[name].model) - ELSEWHERE == set(ROWS[name]) - ELSEWHERE


def called(machine: Machine, name: str, option: str, row: Row, value: object) -> dict[str, object]:
    world, surface = World(machine), SURFACES[name]
    world.batcher.post("resume", {"reason": "r"}, headers=NO_TARGET)
    put_rules(world.batcher, [dict(one) for one in row.rules])
    path, body = surface.path(world), surface.body(world)
    for more, given in (row.extra or {}).items():
        body = surface.with_option(body, more, given)
    return seen(world, world.send(path, surface.with_option(body, option, value)))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "option"), [(name, option) for name, rows in ROWS.items() for option in rows])
def test_b1_an_option_has_an_effect(machine: Machine, name: str, option: str) -> None:
    """B1: on what the row names."""
    row = ROWS[name][option]
    without = called(machine, name, option, row, row.without)
    given = called(machine, name, option, row, row.value)
    different = {key for key in without | given if without.get(key) != given.get(key)}
    assert row.shows in different, (without, given)


def test_b1_operations_of_a_plan_over_the_cap_are_told_as_skipped_and_can_be_retried(machine: Machine) -> None:
    """B1: a plan is applied once, so what the cap leaves would be lost otherwise."""
    world = World(machine)
    body = {"requests": world.operations(5), "nightshift": {"dryRun": True, "giveUpAfter": 7}}
    plan = world.batcher.post(BATCH, body, headers=NO_TARGET).headers["Nightshift-Run"]
    applied = world.send(f"runs/{plan}/apply", {"reason": "go", "cap": 2})
    run = applied.headers["Nightshift-Run"]
    items = get(world.batcher, f"runs/{run}")["items"]
    assert [(one["outcome"], one.get("type")) for one in items] == [
        *[("done", None)] * 2,
        *[("skipped", "over-cap")] * 3,
    ]
    assert world.batcher.documents() == ["0", "1"]
    assert of_run(world, run)["gives up"] == 7
    retried = world.send(f"runs/{run}/retry", {"reason": "rest", "only": ["2", "3", "4"]})
    assert retried.headers["Nightshift-Outcome"] == "complete"
    assert world.batcher.documents() == ["0", "1", "2", "3", "4"]
