"""Who may import whom, where import-linter can't see it; and routes, of which no two may overlap."""

import ast
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.functions.decorators.http import HttpTrigger

import function_app
from tests.conftest import ROOT

SHARED = sorted((ROOT / "shared").rglob("*.py"))
DEPLOYED = [ROOT / "function_app.py", *SHARED]

MAY_IMPORT = {
    "azure.functions": {"validation"},
    "azure.durable_functions": {"orchestrators", "batch_orchestrators", "closing_orchestrator", "durable", "gates"},
    "durabletask": {"orchestrators", "batch_orchestrators", "closing_orchestrator", "durable", "gates"},
    "grpc": {"orchestrators", "durable"},
    "azure.storage": {"store"},
    "azure.identity": {"store"},
    "azure.core": {"store"},
    "msal": {"credentials"},
    "requests": {"transport", "credentials"},
    "urllib3": {"transport", "credentials"},
    "sqlite3": {"store"},
    "http.client": set[str](),
    "urllib.request": set[str](),
    "httpx": set[str](),
    "aiohttp": set[str](),
}
"""Which files of shared may import a package, by their names without `.py`."""


def imported(source: str) -> Iterator[str]:
    """Yield the full name of everything that a file imports, wherever the import stands in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def is_below(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def importers(package: str, files: list[Path]) -> set[str]:
    return {file.stem for file in files if any(is_below(name, package) for name in imported(file.read_text("utf-8")))}


def test_an_import_is_seen_wherever_it_stands() -> None:
    source = "import a.b as c, d\ndef f():\n    from e import g, h as i\n    if 1:\n        import j\n"
    assert set(imported(source)) == {"a.b", "d", "e.g", "e.h", "j"}


def test_the_rules_look_at_every_file_that_is_deployed() -> None:
    assert {file.stem for file in SHARED} >= {"validation", "transport", "claims", "action", "jobs", "service"}


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_only_its_own_rooms_import_a_package(package: str) -> None:
    assert importers(package, SHARED) <= MAY_IMPORT[package]


def test_nothing_else_of_azure_is_imported() -> None:
    known = [package for package in MAY_IMPORT if package.startswith("azure.")]
    names = {name for file in SHARED for name in imported(file.read_text("utf-8")) if is_below(name, "azure")}
    assert [name for name in names if not any(is_below(name, package) for package in known)] == []


def test_nothing_that_is_deployed_imports_what_is_not() -> None:
    assert [importers(package, DEPLOYED) for package in ("local", "tests", "pytest", "hypothesis")] == [set()] * 4


def test_the_table_of_contents_imports_the_two_libraries_and_shared_only() -> None:
    allowed = ["azure.functions", "azure.durable_functions", "shared", *sys.stdlib_module_names]
    names = imported((ROOT / "function_app.py").read_text("utf-8"))
    assert [name for name in names if not any(is_below(name, package) for package in allowed)] == []


def test_systems_know_nothing_of_each_other() -> None:
    folder = ROOT / "shared" / "systems"
    files = [file for file in SHARED if file.is_relative_to(folder) and file.parent != folder]
    names = {(file.relative_to(folder).parts[0], name) for file in files for name in imported(file.read_text("utf-8"))}
    assert {system for system, _ in names} == {"finance_operations", "business_central", "camunda"}
    assert [
        (system, name)
        for system, name in names
        if is_below(name, "shared.systems") and not is_below(name, f"shared.systems.{system}")
    ] == []


def test_nothing_is_imported_by_its_name_at_run_time() -> None:
    dynamic = ("importlib", "runpy", "__import__(")
    assert [file.name for file in DEPLOYED if any(word in file.read_text("utf-8") for word in dynamic)] == []


def overlap(one: list[str], other: list[str]) -> bool:
    """Tell whether a path exists that both routes match, given as segments in lower case."""
    if not one and not other:
        return True
    for here, there in ((one, other), (other, one)):
        if here and here[0].startswith("{*"):
            # It takes any number of the other's segments, none too.
            return any(overlap(here[1:], there[count:]) for count in range(len(there) + 1))
        if here and not there and not here[0].endswith("?}"):
            return False
        if here and not there:
            return overlap(here[1:], there)
    literal = "{" not in one[0] and "{" not in other[0]
    return (not literal or one[0] == other[0]) and overlap(one[1:], other[1:])


def segments(route: str) -> list[str]:
    return route.lower().strip("/").split("/")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("health", "Health", True),
        ("health", "healthy", False),
        ("runs", "runs/{id}", False),
        ("runs/{id}", "runs/{id}/result", False),
        ("runs/{id}", "runs/latest", True),
        ("runs/{id}/result", "runs/{run}/{what}", True),
        ("runs/{id?}", "runs", True),
        ("items/{target}/{*id}", "items/{target}", True),
        ("items/{target}/{*id}", "items", False),
        ("business-central/{*root}", "business-central/api/v2.0/$batch", True),
        ("business-central/{*root}", "camunda/job/retries", False),
        ("{*all}", "health", True),
        ("{system}/data", "finance-operations/{what}", True),
        ("v-{id}", "{name}", True),
    ],
)
def test_overlapping_routes_are_recognised(one: str, other: str, *, expected: bool) -> None:
    assert overlap(segments(one), segments(other)) is expected
    assert overlap(segments(other), segments(one)) is expected


def routes() -> list[tuple[str, str, str]]:
    """Return name, method and route of every HTTP function."""
    found = []
    # The library remembers the names from the last time, and takes them for doubles.
    function_app.app.functions_bindings = {}
    for function in function_app.app.get_functions():
        trigger = function.get_trigger()
        if isinstance(trigger, HttpTrigger):
            assert trigger.methods, "a function without methods would answer all of them"
            assert trigger.route, "a function without a route would answer under its name"
            name = str(function.get_function_name())
            found += [(name, str(method.value), str(trigger.route)) for method in trigger.methods]
    return found


def test_no_two_functions_with_the_same_method_match_the_same_path() -> None:
    """The host takes the one that is registered first, however exactly another one fits."""
    told = routes()
    assert len(told) >= 5
    pairs = itertools.combinations(told, 2)
    assert [
        (one, other) for one, other in pairs if one[1] == other[1] and overlap(segments(one[2]), segments(other[2]))
    ] == []


def test_every_function_has_one_method_but_for_the_handshake_of_cloud_events() -> None:
    names = [name for name, method, _ in routes() if (name, method) != ("batch_job_event", "OPTIONS")]
    assert names == list(dict.fromkeys(names))
