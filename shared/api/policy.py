"""`policy`, `put_policy`, `stop` and `resume`."""

import asyncio
import re
from datetime import datetime
from typing import Annotated

from pydantic import Field

from shared.api import recorded
from shared.core.model import Plain
from shared.core.problems import Mistake, NotValid, VersionRequired
from shared.core.response import Response
from shared.core.targets import app_targets
from shared.policy import document, switches
from shared.policy.document import PolicyDocument
from shared.policy.rules import Rule, Rules
from shared.policy.switches import Stop, Stops
from shared.storage.app import app_store
from shared.storage.base import Store
from shared.validation.body import read_json
from shared.validation.models import Strict, checked
from shared.validation.request import Call

_Reason = Annotated[str, Field(min_length=1, max_length=500, description="Why; stored with the change.")]


class SwitchBody(Strict):
    """Body of `stop` and `resume`."""

    target: str | None = Field(
        default=None, min_length=1, max_length=64, description="The target; without it, all targets."
    )
    reason: _Reason


class PolicyBody(Strict):
    """Body of `put_policy`: all rules, in order."""

    rules: list[Rule] = Field(max_length=1000)
    reason: _Reason


class PolicyAnswer(Plain):
    """One version of the policy."""

    version: int = Field(description="Its version, which is also the ETag; 0 is the file policy.json.")
    reason: str = Field(description="Why it was changed.")
    actor: str = Field(description="Who changed it: the signed-in principal's id, `key`, or `deployment`.")
    actorName: str | None = Field(description="What people call them.")  # noqa: N815 - as callers see it
    changed: datetime | None = Field(description="When it was changed; null for version 0.")
    rules: list[Rule] = Field(description="The rules, in the order in which they are matched.")


class StopsAnswer(Plain):
    """What is stopped."""

    stopped: list[Stop]


async def get_policy(_: Call) -> Response:
    """Return the rules, with their version as the ETag."""
    return _policy(await asyncio.to_thread(document.current_policy, app_store().read))


async def change_policy(call: Call) -> Response:
    """Replace the rules of the version that If-Match names; the next item is judged by the new ones.

    Raises:
        VersionRequired: If-Match is missing.
        PolicyChanged: the policy has another version.
        NotValid: the body or If-Match is not valid.
    """
    body = checked(PolicyBody, read_json(call))
    rules = checked(Rules, {"rules": [rule.model_dump() for rule in body.rules]})
    return _policy(await asyncio.to_thread(_put_policy, app_store(), call, rules, body.reason))


def _put_policy(store: Store, call: Call, rules: Rules, reason: str) -> PolicyDocument:
    version, who = _version(call), call.caller.actor
    before = document.current_policy(store.read)
    after = PolicyDocument(version=version + 1, rules=rules, reason=reason, actor=who.id, actorName=who.name)
    # The store keeps the newest policy alone: what is changed is written down before it is.
    if _is_repeat(before, after):
        recorded.policy_changed(store, call, after, recorded.policy_intended(store, call, before, after))
        return before
    document.refuse_other_version(before, version)
    change = recorded.policy_intended(store, call, before, after)
    after = document.put_policy(store, rules, version, reason, who.id, who.name)
    recorded.policy_changed(store, call, after, change)
    return after


def _is_repeat(present: PolicyDocument, after: PolicyDocument) -> bool:
    """Return whether an earlier delivery of the same change has made it; it may have failed to write the trail."""
    same = {"actorName": after.actorName, "changed": None}
    return present.model_copy(update=same) == after


async def stop_sending(call: Call) -> Response:
    """Stop sending to a target, or to all targets; takes effect within a second."""
    body = checked(SwitchBody, read_json(call))
    return _stops(call, await asyncio.to_thread(_switch, app_store(), call, body))


async def resume_sending(call: Call) -> Response:
    """Resume sending to a target, or end the stop of all targets; this starts no run."""
    body = checked(SwitchBody, read_json(call))
    return _stops(call, await asyncio.to_thread(_switch, app_store(), call, body, resumes=True))


def _switch(store: Store, call: Call, body: SwitchBody, *, resumes: bool = False) -> Stops:
    """Change the switch first: a trail that can't be written must not keep a person from stopping."""
    target, who = _target(call, body), call.caller.actor
    found = switches.resume(store, target) if resumes else switches.stop(store, target, body.reason, who.id, who.name)
    recorded.switched(store, call, "resume" if resumes else "stop", target, body.reason)
    return found


def _target(call: Call, body: SwitchBody) -> str | None:
    """Return the configured name of the target; a target that is off can be stopped, too.

    Raises:
        UnknownTarget: there is none.
        RoleMissing: the caller lacks the role for the target, or for all targets.
    """
    name = body.target.lower() if body.target else None
    if name and name not in app_targets().off:
        name = app_targets().named(name).name
    call.caller.require(name)
    return name


def _version(call: Call) -> int:
    sent = call.headers.get("if-match")
    if sent is None:
        raise VersionRequired("The header If-Match is missing.")
    found = re.fullmatch(r'"?([0-9]{1,9})"?', sent.strip())
    if not found:
        raise NotValid.of(Mistake("is not an ETag of the policy", header="If-Match"))
    return int(found[1])


def _policy(current: PolicyDocument) -> Response:
    answer = PolicyAnswer(
        version=current.version,
        reason=current.reason,
        actor=current.actor,
        actorName=current.actorName,
        changed=current.changed,
        rules=current.rules.rules,
    )
    return Response.of(200, answer, ETag=f'"{current.version}"')


def _stops(call: Call, stops: Stops) -> Response:
    return Response.of(200, StopsAnswer(stopped=shown_stops(call, stops)))


def shown_stops(call: Call, stops: Stops) -> list[Stop]:
    """Return the stops that concern what the caller may see: the stop of all targets concerns everybody."""
    return [one for one in stops.listed() if one.target is None or call.caller.sees(one.target)]
