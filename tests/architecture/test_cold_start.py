"""What a worker imports when it starts, and that what it imports later is sound all the same (decision 34)."""

import ast
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

from pydantic import BaseModel

import shared
from tests.conftest import ROOT

LIGHT = {
    "shared",
    "shared.core",
    "shared.core.problems",
    "shared.core.response",
    "shared.durable",
    "shared.durable.engine",
    "shared.durable.functions",
    "shared.validation",
    "shared.validation.functions",
    "shared.validation.serving",
}
"""The modules of ours that a worker imports when it starts. None of them has a model or reads a setting."""
CREDENTIALS = ("azure.identity", "azure.storage", "cryptography", "jwt", "msal")
LATE = (*CREDENTIALS, "azure.core", "pydantic.main", "requests", "sqlite3", "urllib3", "zoneinfo")

AT_ONCE = """
import sys, threading
from importlib import import_module
def at_once(*works):
    begin, wrong = threading.Barrier(len(works)), []
    def do(work):
        begin.wait()
        try:
            work()
        except Exception as error:
            wrong.append(repr(error))
    threads = [threading.Thread(target=do, args=(work,)) for work in works]
    for one in threads: one.start()
    for one in threads: one.join()
    assert wrong == [], wrong
sys.setswitchinterval(1e-5)
"""
"""Does several things at the same time, in as many threads that are interrupted often."""


def loaded(code: str) -> set[str]:
    """Run code in a new process, and return the modules that are loaded after it."""
    command = [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - our own code
    return set(done.stdout.split())


def of(names: set[str], *packages: str) -> set[str]:
    return {name for name in names for package in packages if name == package or name.startswith(f"{package}.")}


def test_a_worker_starts_with_the_two_libraries_and_the_table_of_contents() -> None:
    names = loaded("import function_app\nfunction_app.app.get_functions()")
    assert of(names, "shared") == LIGHT
    assert of(names, *LATE) == set()


def test_a_call_needs_no_credentials_no_document_and_no_system_but_its_own() -> None:
    names = loaded(
        "import function_app, shared.validation.request, shared.api.start, shared.systems.finance_operations.requests"
    )
    assert of(names, *CREDENTIALS, "shared.api.openapi") == set()
    assert of(names, *(f"shared.systems.{one}" for one in ("business_central", "camunda", "opendatadsl"))) == set()


def test_a_run_needs_no_http_functions_no_credentials_and_no_system_but_its_own() -> None:
    names = loaded(
        "import function_app, shared.durable.run_orchestrator\n"
        "from shared.systems.registry import definition_of\n"
        'definition_of("camunda")'
    )
    assert of(names, "shared.systems.camunda.definition")
    assert of(names, *CREDENTIALS, "shared.api") == set()
    assert of(names, *(f"shared.systems.{one}" for one in ("business_central", "opendatadsl", "superoffice"))) == set()


@cache
def modules() -> tuple[str, ...]:
    return tuple(one.name for one in pkgutil.walk_packages(shared.__path__, "shared."))


def kinds(base: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for kind in base.__subclasses__():
        if kind.__module__.startswith("shared."):
            yield kind
        yield from kinds(kind)


def test_every_module_can_be_imported_and_every_model_be_built() -> None:
    """A mistake in what is imported or built late would otherwise be found by the first call."""
    assert [name for name in modules() if not import_module(name).__doc__ and "." in name.removeprefix("shared.")] == []
    found = set(kinds(BaseModel))
    assert len(found) > 100
    for kind in found:
        kind.model_rebuild()


def imported_at_once(file: Path) -> set[str]:
    """Return the modules of ours that a file imports when it is imported itself."""
    names = set()
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, ast.Import):
            names |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{one.name}" for one in node.names} | {str(node.module)}
    return names & set(modules())


def test_no_module_needs_one_that_needs_it() -> None:
    """So any of them can be the first that is imported, and by several threads."""
    files = {name: ROOT / f"{name.replace('.', '/')}.py" for name in modules()}
    graph = {name: imported_at_once(file) for name, file in files.items() if file.is_file()}
    assert len(graph) > 200
    assert len(list(TopologicalSorter(graph).static_order())) >= len(graph)


def test_several_threads_may_import_at_the_same_time() -> None:
    names = [
        "shared.api.start",
        "shared.api.openapi.document",
        "shared.durable.run_orchestrator",
        "shared.durable.batch_orchestrator",
        "shared.storage.blob",
        "shared.transport.entra",
        "shared.transport.assertions",
        "shared.transport.system_user",
    ]
    code = f"at_once(*(lambda name=name: import_module(name) for name in {names}))"
    assert set(names) <= loaded(f"import function_app\n{AT_ONCE}\n{code}")


def test_several_threads_may_be_the_first_to_use_a_model() -> None:
    code = """
from pydantic import BaseModel, ValidationError
def use(kind):
    try:
        kind.model_validate({}).model_dump_json()
    except ValidationError:
        pass
def kinds(base):
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)
used = [kind for kind in kinds(BaseModel) if kind.__module__.startswith("shared.")]
for kind in used:
    at_once(*[lambda: use(kind)] * 8)
assert len(used) > 100 and all(kind.__pydantic_complete__ for kind in used)
"""
    loaded(f"{AT_ONCE}\nfor name in {modules()}: import_module(name)\n{code}")
