"""Who may import which package, where import-linter cannot see it."""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from shared.core.targets import System
from tests.conftest import ROOT

SHARED = sorted((ROOT / "shared").rglob("*.py"))
DEPLOYED = [ROOT / "function_app.py", *SHARED]

MAY_IMPORT = {
    "azure.functions": {"shared.validation.functions", "shared.validation.request", "shared.validation.serving"},
    "azure.durable_functions": {"shared.durable.engine", "shared.durable.functions"},
    "durabletask": {
        "shared.durable.batch_orchestrator",
        "shared.durable.closing_orchestrator",
        "shared.durable.engine",
        "shared.durable.functions",
        "shared.durable.gate_entity",
        "shared.durable.lanes",
        "shared.durable.run_orchestrator",
    },
    "grpc": {"shared.durable.engine"},
    "azure.storage": {"shared.storage.blob"},
    "azure.identity": {"shared.storage.blob"},
    "azure.core": {"shared.storage.blob"},
    "sqlite3": {"shared.storage.sqlite"},
    "msal": {"shared.transport.entra"},
    "jwt": {"shared.transport.assertions", "shared.transport.system_user"},
    "cryptography": {
        "shared.core.certificates",
        "shared.transport.assertions",
        "shared.transport.system_user",
    },
    "requests": {
        "shared.transport.connection",
        "shared.transport.content",
        "shared.transport.credentials",
        "shared.transport.entra",
        "shared.transport.login_host",
        "shared.transport.renewed",
        "shared.transport.session",
        "shared.transport.system_user",
        "shared.transport.webhook",
    },
    "urllib3": {
        "shared.transport.connection",
        "shared.transport.login_host",
        "shared.transport.lost_calls",
        "shared.transport.retries",
        "shared.transport.session",
        "shared.transport.webhook",
    },
    "http.client": set[str](),
    "urllib.request": set[str](),
    "httpx": set[str](),
    "aiohttp": set[str](),
}
"""Which modules may import a package."""


@cache
def imported(source: str) -> list[str]:
    """Return the full name of everything that a file imports, wherever the import stands in it."""
    return list(_imported(source))


def _imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def is_below(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def importers(package: str, files: list[Path]) -> set[str]:
    return {
        module_of(file) for file in files if any(is_below(name, package) for name in imported(file.read_text("utf-8")))
    }


def test_an_import_is_seen_wherever_it_stands() -> None:
    source = "import a.b as c, d\ndef f():\n    from e import g, h as i\n    if 1:\n        import j\n"
    assert set(imported(source)) == {"a.b", "d", "e.g", "e.h", "j"}


def test_the_rules_look_at_every_file_that_is_deployed() -> None:
    assert {module_of(file) for file in SHARED} >= set[str]().union(*MAY_IMPORT.values())


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


def test_systems_know_what_they_share_and_nothing_of_each_other() -> None:
    folder = ROOT / "shared" / "systems"
    files = [file for file in SHARED if file.is_relative_to(folder) and file.parent != folder]
    names = {(file.relative_to(folder).parts[0], name) for file in files for name in imported(file.read_text("utf-8"))}
    assert len({system for system, _ in names}) >= 3
    common = ("contract", "operations", "requests", "chunking", "columns", "one_call", "instants", "marks")
    shared = [f"shared.systems.{name}" for name in common]
    assert [
        (system, name)
        for system, name in names
        if is_below(name, "shared.systems")
        and not any(is_below(name, known) for known in (f"shared.systems.{system}", *shared))
    ] == []


def compared_texts(source: str) -> Iterator[str]:
    """Yield every text that is compared with something, or matched."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare | ast.MatchValue):
            inside = (one for part in ast.iter_child_nodes(node) for one in ast.walk(part))
            yield from (one.value for one in inside if isinstance(one, ast.Constant) and isinstance(one.value, str))


def test_nobody_compares_the_name_of_a_system() -> None:
    """What a system is like is told by its definition; its settings are the exception."""
    exempt = [ROOT / "shared" / "core" / name for name in ("credential_settings.py", "targets.py")]
    names = set(get_args(System))
    assert list(compared_texts('a == "x" or b in ("y", "z")')) == ["x", "y", "z"]
    files = [file for file in SHARED if file not in exempt]
    assert [file.name for file in files if names & set(compared_texts(file.read_text("utf-8")))] == []


def test_nothing_is_imported_by_its_name_at_run_time() -> None:
    dynamic = ("importlib", "runpy", "__import__(")
    assert [file.name for file in DEPLOYED if any(word in file.read_text("utf-8") for word in dynamic)] == []


def test_targets_are_chosen_where_the_role_is_asked_for() -> None:
    """A handler that chose a target by itself could forget to ask whether the caller has the role for it."""
    found = {module_of(path) for path in SHARED if "app_targets().choose(" in path.read_text("utf-8")}
    assert found == {"shared.systems.requests"}


def test_runs_are_found_where_the_role_is_asked_for() -> None:
    """The same for the run that a call names."""
    pattern = 'route_params.get("id"'
    found = {module_of(path) for path in SHARED if "api" in path.parts and pattern in path.read_text("utf-8")}
    # `start` has the result, which its ticket opens; the ids of `needs_person` and `item` are other ones.
    assert found == {"shared.api.run_actions", "shared.api.start", "shared.api.needs_person", "shared.api.item"}
