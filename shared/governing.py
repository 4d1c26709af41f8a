"""What people set: the policy, and the stop switch."""

import asyncio
import re
from typing import Annotated

from pydantic import Field

from shared import control, front
from shared.answers import Answer
from shared.control import PolicyDocument, Stops
from shared.policy import Rule, Rules
from shared.problems import Mistake, NotValid, VersionRequired
from shared.settings import app_settings
from shared.store import app_store
from shared.targets import app_targets
from shared.validation import Call, Strict, checked, read_json

_Reason = Annotated[str, Field(min_length=1, max_length=500, description="Why; kept with the change.")]


class SwitchBody(Strict):
    """The body of `stop` and `resume`."""

    target: str | None = Field(default=None, min_length=1, max_length=64, description="The target; none is everything.")
    reason: _Reason


class PolicyBody(Strict):
    """The body of `put_policy`: all rules, in their order."""

    rules: list[Rule] = Field(max_length=1000)
    reason: _Reason


async def policy(_: Call) -> Answer:
    """Answer `policy`: the rules, and the version as ETag."""
    return _policy(await asyncio.to_thread(control.policy, app_store().read))


async def put_policy(call: Call) -> Answer:
    """Change the policy; If-Match says to which version the change is made. It holds from the next item on.

    Raises:
        VersionRequired, PolicyChanged, NotValid: as their names say.
    """
    body = checked(PolicyBody, read_json(call))
    rules = checked(Rules, {"rules": [rule.model_dump() for rule in body.rules]})
    version, who = _version(call), front.actor(call, app_settings())
    return _policy(await asyncio.to_thread(control.put_policy, app_store(), rules, version, body.reason, who))


async def stop(call: Call) -> Answer:
    """Stop a target, or everything: nothing is sent any more, from a second later on."""
    body = checked(SwitchBody, read_json(call))
    who = front.actor(call, app_settings())
    return _stops(await asyncio.to_thread(control.stop, app_store(), _target(body), body.reason, who))


async def resume(call: Call) -> Answer:
    """Let a target, or everything, be sent to again; nothing is started by that."""
    body = checked(SwitchBody, read_json(call))
    return _stops(await asyncio.to_thread(control.resume, app_store(), _target(body)))


def _target(body: SwitchBody) -> str | None:
    """Return the target's name as it is known; one that is off can be stopped, too."""
    if body.target is None or body.target.lower() in app_targets().off:
        return body.target.lower() if body.target else None
    return app_targets().named(body.target).name


def _version(call: Call) -> int:
    sent = call.headers.get("if-match")
    if sent is None:
        raise VersionRequired("The header If-Match is missing.")
    found = re.fullmatch(r'"?([0-9]{1,9})"?', sent.strip())
    if not found:
        raise NotValid.of(Mistake("is not an ETag of the policy", header="If-Match"))
    return int(found[1])


def _policy(document: PolicyDocument) -> Answer:
    content = document.model_dump(mode="json", exclude={"v", "rules"}, exclude_none=True)
    rules = [rule.model_dump(exclude_defaults=True) for rule in document.rules.rules]
    return Answer.of(200, {**content, "rules": rules}, ETag=f'"{document.version}"')


def _stops(stops: Stops) -> Answer:
    return Answer.of(200, {"stopped": {name: one.model_dump(mode="json") for name, one in stops.stopped.items()}})
