"""The types of the parameters `settings` and `targets` in infra/, made from the models that the app reads them with.

A name there is the setting's own, in lower case: `sweep_mode` becomes the app setting `SWEEP_MODE`.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from shared.core.settings import Settings
from shared.core.targets import Target

FIXED = frozenset({"store", "store_container", "store_path", "audit_container", "audit_retention_days", "auth_roles"})
"""Settings that the template sets itself: the store is the account that it creates, sign-in and days are parameters."""
_HEAD = """// Written by `python -m local docs` from settings.py, targets.py and credential_settings.py in shared/core/.
// A name is that of the app setting, in lower case. Bicep knows no fractions, so all times are whole numbers.
"""
_LONG = 6
_NAME = """  @description('The target\\'s name: letters, digits and _. Requests and reports show it in lower case.')
  @minLength(1)
  @maxLength(64)
  name: string
"""
_SECRETS = """  @description('Its secrets. The Key Vault is created as soon as a target has some.')
  secrets: targetSecrets?
"""


def text() -> str:
    """Return infra/app/types.bicep."""
    plain = {name: field for name, field in Target.model_fields.items() if name != "name" and not is_secret(field)}
    secret = {name: field for name, field in Target.model_fields.items() if is_secret(field)}
    of_app = {name: field for name, field in Settings.model_fields.items() if name not in FIXED}
    app = {name: field for name, field in of_app.items() if not is_secret(field)}
    app_secret = {name: field for name, field in of_app.items() if is_secret(field)}
    return "\n".join(
        [
            _HEAD,
            *_type("appSettings", "The settings of the app; what is left out has its default.", _properties(app)),
            *_type(
                "appSecrets",
                "The secrets of the app: for each, the name of a secret in the Key Vault.",
                _properties(app_secret),
            ),
            *_type(
                "targetSecrets",
                "The secrets of a target: for each, the name of a secret in the Key Vault.",
                _properties(secret),
            ),
            *_type(
                "target",
                "A target: a named connection to one system. What is left out has its default.",
                [_NAME, *_properties(plain), _SECRETS],
            ),
        ]
    )


def is_secret(field: FieldInfo) -> bool:
    """Return whether a setting holds a secret."""
    return field.annotation is SecretStr


def _type(name: str, description: str, properties: Iterable[str]) -> Iterator[str]:
    yield f"@export()\n@sealed()\n@description('{description}')\ntype {name} = {{"
    yield "\n".join(properties).rstrip()
    yield "}\n"


def _properties(fields: dict[str, FieldInfo]) -> Iterator[str]:
    for name, field in fields.items():
        lines = [f"@description('{_escaped(field.description or '')}')", *_limits(field)]
        kind = _kind(field.annotation)
        optional = "" if field.is_required() else f"({kind})?" if "|" in kind else f"{kind}?"
        lines.append(f"{name}: {optional or kind}".replace(": \n", ":\n"))
        yield "".join(f"  {line}\n" for line in lines)


def _limits(field: FieldInfo) -> Iterator[str]:
    for limit in field.metadata:
        if isinstance(limit, Ge | Gt):
            least = limit.ge if isinstance(limit, Ge) else limit.gt
            yield f"@minValue({max(math.ceil(float(str(least))), int(isinstance(limit, Gt)))})"
        if isinstance(limit, Le):
            yield f"@maxValue({math.floor(float(str(limit.le)))})"


def _kind(annotation: Any) -> str:  # noqa: ANN401 - what a model is annotated with
    if get_origin(annotation) is Literal:
        options = [f"'{one}'" for one in get_args(annotation)]
        # As `bicep format` writes a long one.
        return " | ".join(options) if len(options) < _LONG else "".join(f"\n    | {one}" for one in options)
    kinds = {int: "int", float: "int", str: "string", SecretStr: "string", str | None: "string"}
    return kinds[annotation]


def _escaped(description: str) -> str:
    return description.replace("\\", "\\\\").replace("'", "\\'").replace("${", "\\${")
