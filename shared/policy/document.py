"""The versioned policy record in the store."""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from shared.core import clock
from shared.core.model import Stored
from shared.core.problems import NotReady, PolicyChanged, Problem
from shared.policy.rules import Rules
from shared.storage.base import Record, Store, put
from shared.validation.body import parse
from shared.validation.models import checked

_POLICY = "control/policy"
_FIRST_POLICY = Path(__file__).resolve().parents[2] / "policy.json"
"""In the root of the app. It must exist: without rules, nothing would be denied."""


class PolicyDocument(Stored):
    """One version of the policy, with author, reason and time of the change."""

    version: int
    rules: Rules
    reason: str
    actor: str
    actorName: str | None = None  # noqa: N815 - as callers see it
    changed: datetime | None = None


def current_policy(read: Callable[[str], Record | None]) -> PolicyDocument:
    """Return the policy; until its first change, that of the file policy.json (version 0).

    Raises:
        NotReady: the file is needed, and is missing or not valid.
    """
    found = read(_POLICY)
    return _document(found.data) if found else _first_policy()


@lru_cache(maxsize=2)
def _document(data: bytes) -> PolicyDocument:
    """Return the policy of a record: each item of a run is judged by it, and it seldom changes."""
    return PolicyDocument.read(data)


def put_policy(
    store: Store, rules: Rules, version: int, reason: str, actor: str, name: str | None = None
) -> PolicyDocument:
    """Write version `version` + 1 of the policy, and return it; `version` is the one that the caller has read.

    Raises:
        PolicyChanged: the policy is at another version.
    """
    found = store.read(_POLICY)
    present = current_policy(lambda _: found)
    refuse_other_version(present, version)
    who = {"actor": actor, "actorName": name}
    new = PolicyDocument(version=version + 1, rules=rules, reason=reason, changed=clock.now(), **who)
    if not put(store, _POLICY, new.data(), found.etag if found else ""):
        raise PolicyChanged("The policy was changed by another call at the same time.")
    return new


def refuse_other_version(present: PolicyDocument, version: int) -> None:
    """Refuse a change that is for another version.

    Raises:
        PolicyChanged: the policy is at another version.
    """
    if present.version != version:
        raise PolicyChanged(f"The policy has version {present.version}; the change is for version {version}.")


def _first_policy() -> PolicyDocument:
    try:
        rules = checked(Rules, parse(_FIRST_POLICY.read_bytes()))
    except OSError as error:
        raise NotReady("The app's policy.json is missing or can't be read; deploy it with the app.") from error
    except Problem as problem:
        raise NotReady(f"The app's policy.json can't be used: {problem.detail}") from problem
    return PolicyDocument(version=0, rules=rules, reason="policy.json", actor="deployment")
