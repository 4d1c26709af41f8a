"""`needs_person` and `acknowledge`: what needs a person now, and that somebody has taken note of it."""

import asyncio
import re
from collections.abc import Sequence

from pydantic import Field

from shared.api import recorded
from shared.api.needs_look import needs_now
from shared.api.paging import PAGE, choice, next_link, number
from shared.core.problems import UnknownNeed
from shared.core.response import Response
from shared.core.settings import app_settings
from shared.core.targets import app_targets
from shared.runs import creation
from shared.runs.needs import book
from shared.runs.needs.need import KINDS, Need
from shared.runs.needs.shown import NeedsPerson, NeedsPersonPage
from shared.storage.app import app_store
from shared.validation.body import read_json
from shared.validation.models import Strict, checked
from shared.validation.request import Call

NEEDS_PARAMETERS = ("acknowledged", "after", "kind", "limit", "target")


class AcknowledgeBody(Strict):
    """Body of `acknowledge`."""

    reason: str = Field(min_length=1, max_length=500, description="Why nobody else needs to look, or what is done.")


async def list_needs(call: Call) -> Response:
    """List what needs a person, the most urgent kinds first; without `acknowledged` only what nobody acknowledged.

    Raises:
        NotValid: a parameter can't be read.
        UnknownTarget: there is no target with the name that the call gives.
        RoleMissing: the caller may not see this target.
    """
    acknowledged = choice(call, "acknowledged", ("true", "false")) == "true"
    kind, needs = choice(call, "kind", KINDS), await asyncio.to_thread(needs_now, app_store())
    target = _target(call, needs)
    skip, limit = number(call, "after", 0), number(call, "limit", PAGE, most=1000)
    found = [
        need
        for need in needs
        if (need.acknowledged is not None) is acknowledged
        and kind in (None, need.kind)
        and target in (None, need.target)
        if call.caller.sees(need.target, need.system)
    ]
    following = next_link(call, str(skip + limit)) if len(found) > skip + limit else None
    shown = [_shown(call, need) for need in found[skip : skip + limit]]
    return Response.of(200, NeedsPersonPage(value=shown, nextLink=following))


def _target(call: Call, needs: Sequence[Need]) -> str | None:
    """Return the name of the target that a call asks for; one that is gone from the settings may still have needs.

    Raises:
        UnknownTarget: there is none, and no need has it.
        RoleMissing: the caller may not see it.
    """
    name = call.params.get("target", "").lower()
    if not name:
        return None
    of_target = [need for need in needs if need.target == name]
    call.caller.require(name, next((need.system for need in of_target if need.system), None))
    if not of_target and name not in app_targets().off:
        app_targets().named(name)
    return name


async def acknowledge_need(call: Call) -> Response:
    """Record that a person has taken note of a need, and return it; it is listed again once it happens again.

    Raises:
        UnknownNeed: there is none with this id; it may be settled.
        NotValid: the body is not valid.
    """
    body = checked(AcknowledgeBody, read_json(call))
    need_id = call.route_params.get("id", "")
    if not re.fullmatch(r"[a-z0-9-]{1,64}", need_id):
        raise UnknownNeed("This is not an id of needs-person.")
    need = await asyncio.to_thread(_acknowledged, call, need_id, body.reason)
    return Response.of(200, _shown(call, need))


def _acknowledged(call: Call, need_id: str, reason: str) -> Need:
    store = app_store()
    found = book.find(store, need_id)
    if found:
        call.caller.require(found.target, found.system)
    need = book.acknowledge(store, need_id, reason, call.caller.actor)
    recorded.acknowledged(store, call, need.id, need.target, reason, need.item)
    return need


def _shown(call: Call, need: Need) -> NeedsPerson:
    return NeedsPerson.of(need, creation.base_url(call, app_settings()))
