"""`python -m local docs`: the generated parts of README.md and docs/problems.md, and what a test compares them with."""

import inspect
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

import function_app
from local.environment import ROOT
from shared.problems import Problem, catalogue
from shared.settings import Settings
from shared.targets import Target

README = ROOT / "README.md"
PROBLEMS = ROOT / "docs" / "problems.md"


def write() -> None:
    """Write every generated part."""
    for path, text in expected().items():
        path.write_text(text, encoding="utf-8")


def expected() -> dict[Path, str]:
    """Return what each file should hold."""
    readme = README.read_text(encoding="utf-8")
    for name, table in {
        "functions": _functions(),
        "settings": _settings(Settings, ""),
        "target settings": _settings(Target, "TARGETS__{NAME}__"),
    }.items():
        readme = _between(readme, name, table)
    return {README: readme, PROBLEMS: _problems()}


def _between(text: str, name: str, table: str) -> str:
    pattern = rf"(<!-- begin: {name} -->\n).*?(<!-- end: {name} -->)"
    return re.sub(pattern, lambda found: f"{found[1]}{table}\n{found[2]}", text, flags=re.DOTALL)


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '\\|') for cell in line)} |" for line in lines)


@cache
def _functions() -> str:
    """Return the table of functions; the library lets an app be indexed only once in a process."""
    return _table(("function", "method and route under `/api`", "level", "what it does"), _function_rows())


def _function_rows() -> Iterator[tuple[str, ...]]:
    for function in function_app.app.get_functions():
        for binding in map(json.loads, function.get_raw_bindings()):
            if binding["type"] == "httpTrigger":
                doc = inspect.getdoc(inspect.unwrap(function.get_user_function())) or ""
                methods = ", ".join(binding["methods"])
                name = function.get_function_name()
                yield f"`{name}`", f"`{methods} {binding['route']}`", binding["authLevel"], doc.partition("\n")[0]


def _settings(model: type[BaseModel], prefix: str) -> str:
    rows = (_setting_row(prefix, name, field) for name, field in model.model_fields.items() if name != "name")
    return _table(("app setting", "default", "meaning"), rows)


def _setting_row(prefix: str, name: str, field: FieldInfo) -> tuple[str, ...]:
    return f"`{prefix}{name.upper()}`", _default(field), field.description or ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    told = json.dumps(value) if isinstance(value, bool) else str(value)
    return f"`{told}`" if told else ""


def _problems() -> str:
    rows = (_problem_row(kind) for kind in catalogue().values())
    head = (
        "# Problems",
        "",
        "Every answer that is not what was asked for is a problem (RFC 9457, `application/problem+json`). Its `type`",
        "is `urn:nightshift:problem:` and one of the names below, `next` says what to do, `errors` points at each",
        "mistake, and where a run exists, `run` and the header `Nightshift-Run` name it. Only 503 may be repeated",
        "as it is.",
        "",
        "The platform answers some calls by itself, with an empty body: 401 (no or a wrong key), 404 (an unknown",
        "route, or a wrong method), 413 (more than 100 MiB), 500 and 503 (the app does not start).",
        "",
        "This file is generated from `shared/problems.py` by `python -m local docs`.",
        "",
    )
    table = _table(("type", "status", "what it means", "what to do next"), rows)
    return "\n".join((*head, table, ""))


def _problem_row(kind: type[Problem]) -> tuple[str, ...]:
    return f"`{kind.slug}`", str(kind.status), kind.title, kind.next_step
