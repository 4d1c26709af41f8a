"""`python -m local docs`: the generated parts of the documents, and what a test compares them with.

| document | generated part | from |
| --- | --- | --- |
| README.md | the table of functions | `function_app.py` |
| SECURITY.md | the table of roles | `function_app.py` and `shared/access/roles.py` |
| docs/settings.md | the tables of settings | `Settings` and `Target` |
| docs/problems.md | all of it | the problem classes |
| infra/app/types.bicep | all of it | `Settings` and `Target` |
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

import function_app
from local import bicep_types
from local.environment import ROOT
from shared.access import roles
from shared.core.problems import Problem, catalogue
from shared.core.settings import Settings
from shared.core.targets import Target
from shared.validation import functions
from shared.validation.functions import HttpFunction

README = ROOT / "README.md"
SECURITY = ROOT / "SECURITY.md"
SETTINGS = ROOT / "docs" / "settings.md"
PROBLEMS = ROOT / "docs" / "problems.md"
BICEP_TYPES = ROOT / "infra" / "app" / "types.bicep"

_PROBLEMS_HEAD = """\
# Problems

Every answer that is not a success is a problem (RFC 9457, `application/problem+json`). Its `type` is
`urn:nightshift:problem:` and one of the names below. `detail` says what happened, `next` says what to do, and `errors`
points at each mistake in the request. If a run exists, the member `run` and the header `Nightshift-Run` name it.
Only 503 may be repeated as it is.

The platform answers some calls itself, with an empty body: 401 (no key, or a wrong one), 404 (an unknown route, or a
wrong method), 413 (more than 100 MiB), 500 and 503 (the app does not start).

This file is generated from `shared/core/problems.py` by `python -m local docs`.

"""


def write() -> None:
    """Write every generated part."""
    for path, text in expected().items():
        path.write_text(text, encoding="utf-8")


def expected() -> dict[Path, str]:
    """Return the text that each document with generated parts should have.

    Raises:
        ValueError: a document has no markers for one of its parts.
    """
    return {
        README: _filled(README, {"functions": _function_table()}),
        SECURITY: _filled(SECURITY, {"roles": _role_table()}),
        SETTINGS: _filled(
            SETTINGS,
            {"settings": _settings(Settings, ""), "target settings": _settings(Target, "TARGETS__{NAME}__")},
        ),
        PROBLEMS: _PROBLEMS_HEAD + _problem_table() + "\n",
        BICEP_TYPES: bicep_types.text(),
    }


@cache
def http_functions() -> tuple[HttpFunction, ...]:
    """Return the functions with a route."""
    return tuple(functions.http_functions(function_app.app.get_functions()))


def _filled(path: Path, parts: dict[str, str]) -> str:
    text = path.read_text(encoding="utf-8")
    for name, table in parts.items():
        text = _between(text, name, table)
    return text


def _between(text: str, name: str, table: str) -> str:
    pattern = rf"(<!-- begin: {name} -->\n).*?(<!-- end: {name} -->)"
    replaced, count = re.subn(pattern, lambda found: f"{found[1]}{table}\n{found[2]}", text, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"expected the markers <!-- begin: {name} --> and <!-- end: {name} --> once, found {count}")
    return replaced


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '\\|') for cell in line)} |" for line in lines)


def _function_table() -> str:
    return _table(("function", "method and route under `/api`", "level", "what it does"), map(_row, http_functions()))


def _row(one: HttpFunction) -> tuple[str, ...]:
    return f"`{one.name}`", f"`{', '.join(one.methods)} {one.route}`", one.level, one.summary


def _role_table() -> str:
    rows = (_role_row(one, roles.needed(one.name)) for one in http_functions())
    return _table(("function", "method and route under `/api`", "level", "role", "for"), rows)


def _role_row(one: HttpFunction, need: roles.Need) -> tuple[str, ...]:
    role = f"`{need.role}`" if need.role else "none"
    reach = f"the target of the call, of `{need.system}`" if need.system else need.reach.value if need.role else ""
    return f"`{one.name}`", f"`{', '.join(one.methods)} {one.route}`", one.level, role, reach


def _settings(model: type[BaseModel], prefix: str) -> str:
    fields = [(name, field) for name, field in model.model_fields.items() if name != "name"]
    # The fields of a base class come first; what is required is easier to find at the top.
    fields.sort(key=lambda one: not one[1].is_required())
    rows = (_setting_row(prefix, name, field) for name, field in fields)
    return _table(("app setting", "default", "meaning"), rows)


def _setting_row(prefix: str, name: str, field: FieldInfo) -> tuple[str, ...]:
    return f"`{prefix}{name.upper()}`", _default(field), field.description or ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
    text = json.dumps(value) if isinstance(value, bool) else str(value)
    return f"`{text}`" if text else ""


def _problem_table() -> str:
    rows = (_problem_row(kind) for kind in catalogue().values())
    return _table(("type", "status", "what it means", "what to do next"), rows)


def _problem_row(kind: type[Problem]) -> tuple[str, ...]:
    return f"`{kind.slug}`", str(kind.status), kind.title, kind.next_step
