"""`failures`: the failures that a sweep of a target would find now."""

import asyncio
from typing import Any

from shared.api.paging import PAGE, instant, next_link, number, wrong_parameter
from shared.core import clock
from shared.core.response import Response
from shared.core.targets import System, Target, app_targets
from shared.execution.bookmarks import last_sweep
from shared.execution.discovery import look_back
from shared.policy import document
from shared.policy.rules import Decision, Facts, Initiator, decide, suggested_rule
from shared.runs.report import About
from shared.storage.app import app_store
from shared.systems.registry import failures_of, sweepable, sweepable_system
from shared.systems.requests import ItemRef
from shared.transport.connection import connection
from shared.validation.request import Call

FAILURES_PARAMETERS = ("after", "limit", "since", "system", "target", "until")


async def list_failures(call: Call) -> Response:
    """List the failures that a sweep would find now, with the decision of the policy on each.

    Raises:
        NotValid: a parameter can't be read.
        ItemProblem: the system can't be read.
    """
    until, since = instant(call, "until") or clock.now(), instant(call, "since")
    skip, limit = number(call, "after", 0), number(call, "limit", PAGE, most=1000)
    name = call.params.get("target") or call.headers.get("nightshift-target")
    target = app_targets().choose(_system(call, name), name)
    source = failures_of(target.system)
    if source.looks_back:
        since = since or look_back(until, await asyncio.to_thread(last_sweep, app_store(), target.name))
    if since and since > until:
        raise wrong_parameter("since", "must be before until, or before now")
    found, more = await asyncio.to_thread(source.page, connection(target), since, until, skip, limit)
    policy = await asyncio.to_thread(document.current_policy, app_store().read)
    value = [_failure(ref, target, policy) for ref in found.items]
    value += [_shown(ref, Decision(allowed=False, rule=None), problem.detail) for ref, problem in found.refused]
    following = next_link(call, str(skip + limit)) if more else None
    content = {"target": target.name, "policyVersion": policy.version, "value": value, "nextLink": following}
    return Response.of(200, content)


def _system(call: Call, target: str | None) -> System:
    """Return the system that a call names, or that of its target."""
    name = call.params.get("system") or sweepable_system(target)
    found = next((system for system in sweepable() if system == name), None)
    if found is None:
        raise wrong_parameter("system", f"must be one of {', '.join(sweepable())}")
    return found


def _failure(ref: ItemRef, target: Target, policy: document.PolicyDocument) -> dict[str, Any]:
    facts: Facts = failures_of(target.system).facts(ref, target.name)
    decision = decide(policy.rules, facts, Initiator.MACHINE)
    suggested = suggested_rule(facts) if decision.lacks_rule else None
    return _shown(ref, decision, decision.reason, suggested)


def _shown(ref: ItemRef, decision: Decision, reason: str, suggested: dict[str, object] | None = None) -> dict[str, Any]:
    return {
        "id": ref.id,
        "about": About.of(ref.about).model_dump(),
        "episode": ref.episode,
        "allowed": decision.allowed,
        "rule": decision.rule,
        "reason": reason,
        "wouldAllow": suggested,
    }
