"""The table in SECURITY.md, row by row: each function, called by each kind of caller, with sign-in on and off.

Each call has a parameter that no function knows and a target that does not exist: who is let in gets 404 or 422, and
nothing is started.
"""

import re

import pytest
import requests

from local import generated_docs
from shared.validation.functions import HttpFunction
from tests.functions.calling import Caller, problem
from tests.functions.signing_in import signed_in

ALL = ("reader", "reader.fo", "operator", "operator.fo", "operator.superoffice", "admin", "admin.fo")
ANYBODY = ("nobody", "no role", *ALL)
OPERATORS = ("operator", "admin")
FO, SUPEROFFICE = ("operator.fo", "admin.fo"), ("operator.superoffice",)
READERS = ("reader", "operator", "admin")
ROWS: dict[str, tuple[str, ...]] = {
    "requeue": (*OPERATORS, *FO),
    "requeue_native": (*OPERATORS, *FO),
    "batch_job_event": ANYBODY,
    "batch": OPERATORS,
    "set_retries": OPERATORS,
    "delete_batch": OPERATORS,
    "start_task": (*OPERATORS, *SUPEROFFICE),
    "task": (*READERS, *SUPEROFFICE),
    "stop_task": (*OPERATORS, *SUPEROFFICE),
    "object_service": READERS,
    "send_objects": OPERATORS,
    "object_batches": READERS,
    "object_batch": READERS,
    "delete_object_batch": OPERATORS,
    "run_process": OPERATORS,
    "process_executions": READERS,
    "process_execution": READERS,
    "sweep": (*OPERATORS, *FO, *SUPEROFFICE),
    "runs": ALL,
    "run": ALL,
    "run_result": ANYBODY,
    "apply": (*OPERATORS, *FO, *SUPEROFFICE),
    "retry": (*OPERATORS, *FO, *SUPEROFFICE),
    "check": (*OPERATORS, *FO, *SUPEROFFICE),
    "settle": (*OPERATORS, *FO, *SUPEROFFICE),
    "cancel": (*OPERATORS, *FO, *SUPEROFFICE),
    "item": ALL,
    "audit": ALL,
    "failures": ALL,
    "nights": ALL,
    "night": ALL,
    "systems": ALL,
    "needs_person": ALL,
    "acknowledge": (*OPERATORS, *FO, *SUPEROFFICE),
    "policy": ALL,
    "put_policy": ("admin",),
    "stop": (*OPERATORS, *FO, *SUPEROFFICE),
    "resume": (*OPERATORS, *FO, *SUPEROFFICE),
    "health": ANYBODY,
    "openapi": ANYBODY,
}
"""Who is let in. Whether a role is for the target of the call is decided later (`test_limited_roles.py`)."""
OPEN = ("run_result", "health", "openapi")
FUNCTIONS = generated_docs.http_functions()
CALLERS = {"nobody": dict[str, str](), "no role": signed_in(), **{one: signed_in(one) for one in ALL}}


def ask(caller: Caller, function: HttpFunction, headers: dict[str, str]) -> requests.Response:
    route = re.sub(r"\{\*?\w+\}", "x", function.route)
    method = function.methods[0]
    wrong = {"Nightshift-Target": "no-such-target", "If-Match": '"0"'}
    url = f"{caller.url}/{route}?nonsense=1"
    return requests.request(method, url, headers={**wrong, **headers}, json={"nonsense": 1}, timeout=30)


def sent(caller: Caller) -> int:
    """Return how many calls the systems got."""
    return sum(len(one.book.calls()) for one in caller.machine.landscape.simulated)


def test_the_table_has_a_row_for_each_function() -> None:
    assert list(ROWS) == [one.name for one in FUNCTIONS]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda one: one.name)
def test_with_sign_in_a_function_lets_in_who_has_its_role(guarded: Caller, function: HttpFunction) -> None:
    before = sent(guarded)
    key = {"x-functions-key": guarded.machine.host.function_key}
    for name, headers in CALLERS.items():
        answer = ask(guarded, function, {**headers, **key})
        if name in ROWS[function.name]:
            assert answer.status_code in (404, 422), (name, answer.text)
        else:
            told = problem(answer, 403, "role-missing")
            assert told["detail"].startswith(("This needs the role ", "The call names no signed-in caller"))
    assert sent(guarded) == before


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda one: one.name)
def test_without_sign_in_the_key_is_all(caller: Caller, function: HttpFunction) -> None:
    before = sent(caller)
    key = {"x-functions-key": caller.machine.host.function_key}
    for headers in ({}, CALLERS["no role"], CALLERS["admin"]):
        assert ask(caller, function, {**headers, **key}).status_code in (404, 422)
        without = ask(caller, function, headers)
        expected = (404, 422) if function.name in OPEN else (401,)
        assert (without.status_code in expected, function.level) == (
            True,
            "ANONYMOUS" if function.name in OPEN else "FUNCTION",
        )
    assert sent(caller) == before


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda one: one.name)
def test_with_sign_in_the_key_is_needed_as_well(guarded: Caller, function: HttpFunction) -> None:
    answer = ask(guarded, function, CALLERS["admin"])
    assert answer.status_code in ((404, 422) if function.name in OPEN else (401,))
